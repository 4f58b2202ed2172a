"""Scores of answers as the benchmarks' own scorers give them, with their faults where the figure is theirs.

Sources: ScanQA's ``scripts/score.py``, LEO's ``evaluator/scanqa_eval.py`` (refined match), SQA3D's question
types, VSI-Bench's ``lmms_eval/tasks/vsibench/utils.py``. Facts were taken from them, not code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

THETAS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95)
"""Levels of mean relative accuracy, written out: a computed range loses or gains one by rounding."""

MULTIPLE_CHOICE = frozenset(
    {
        "object_rel_direction_easy",
        "object_rel_direction_medium",
        "object_rel_direction_hard",
        "object_rel_distance",
        "route_planning",
        "obj_appearance_order",
    }
)
NUMERICAL = frozenset(
    {"object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation"}
)
DIRECTIONS = "object_rel_direction"

SQA3D_TYPES = ("what", "is", "how", "can", "which")

SCANQA_TYPES = (
    ("place", ("Where",)),
    ("number", ("How many",)),
    ("color", ("What color", "What is the color")),
    ("object nature", ("What shape", "What type", "What kind")),
    ("object", ("What is",)),
)

METRES = {
    "mm": 0.001, "millimeter": 0.001, "millimetre": 0.001,
    "cm": 0.01, "centimeter": 0.01, "centimetre": 0.01,
    "m": 1.0, "meter": 1.0, "metre": 1.0,
    "ft": 0.3048, "foot": 0.3048, "feet": 0.3048,
    "in": 0.0254, "inch": 0.0254, "inche": 0.0254,
}  # fmt: skip
"""Length units that answers are written in, without a plural s."""

ASKED_UNIT_M = {"object_abs_distance": 1.0, "object_size_estimation": 0.01, "room_size_estimation": 1.0}
"""Unit that VSI-Bench asks a kind of question in, in metres (of a room's area: square metres)."""

_NUMBER_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def exact_match(prediction: str, answers: Sequence[str]) -> bool:
    """ScanQA's EM@1: one of the answers, letter for letter; case and spaces count."""
    return prediction in answers


def refined_match(prediction: str, answers: Sequence[str]) -> bool:
    """LEO's refined match (EM-R): equal after cleaning, or one inside the other without spaces.

    Its public scorer counts an empty prediction as right, since nothing is inside everything; so does this,
    because the published figures do. An empty reply never gets here: it is a failure.
    """
    cleaned = clean_answer(prediction)
    for answer in answers:
        wanted = clean_answer(answer)
        if cleaned == wanted:
            return True
        ours, theirs = cleaned.replace(" ", ""), wanted.replace(" ", "")
        if ours in theirs or theirs in ours:
            return True
    return False


def clean_match(prediction: str, answers: Sequence[str]) -> bool:
    """SQA3D's usual EM: equal after cleaning both."""
    cleaned = clean_answer(prediction)
    return any(cleaned == clean_answer(answer) for answer in answers)


def clean_answer(text: str) -> str:
    """An answer without what does not matter: case, articles, punctuation; numbers as words."""
    text = text.lower().strip()
    text = re.sub(r"[^a-z0-9,'\s\-:]+", "", text)
    words = []
    for word in text.split():
        if word.isdecimal() and (int(word) <= 20 or int(word) == 23):
            words.append(_NUMBER_WORDS[int(word)] if int(word) <= 20 else "twenty-three")
        elif word == "none":
            words.append("zero")
        elif word == "backwards":
            words.append("backward")
        elif word == "tv":
            words.append("tv")
        else:
            # "chair2" of an instance name
            words.append(re.sub(r"(?<=[a-z])\d$", "", word))
    return " ".join(_ARTICLES.sub(" ", " ".join(words)).split())


def sqa3d_type(question: str) -> str:
    """One of ``what is how can which other``, by the question's first word."""
    first = question.strip().lower().split(" ", 1)[0] if question.strip() else ""
    return first if first in SQA3D_TYPES else "other"


def scanqa_type(question: str) -> str:
    """The kinds of question that ScanQA's scorer reports apart, by the words it looks for, in its order."""
    for kind, starts in SCANQA_TYPES:
        if any(words in question for words in starts):
            return kind
    return "other"


def vsi_score(prediction: str, truth: str, question_type: str) -> float:
    """VSI-Bench's score of one answer: 0 or 1 for a letter, mean relative accuracy for a number.

    The first word decides, as in the official scorer: "3 meters" is 3, "about 3" is nothing.
    """
    first = first_word(prediction)
    if question_type in MULTIPLE_CHOICE:
        return float(first.lower() == truth.strip().lower())
    return mean_relative_accuracy(first, truth)


def vsi_score_read(prediction: str, truth: str, question_type: str) -> float:
    """As ``vsi_score``, but reads the answer as a person would.

    "about 3 meters" is 3, "It is B." is B, and a unit other than the one asked for is converted: "80 cm" is
    0.8 where metres are asked.
    """
    if question_type in MULTIPLE_CHOICE:
        letters = re.findall(r"\b([A-D])\b", prediction)
        return float(bool(letters) and letters[-1] == truth.strip().upper())
    number, unit_m = number_with_unit(prediction)
    if number is None:
        return 0.0
    asked_m = ASKED_UNIT_M.get(question_type)
    if unit_m is not None and asked_m is not None:
        number *= (unit_m / asked_m) ** (2 if question_type == "room_size_estimation" else 1)
    return mean_relative_accuracy(str(number), truth)


def number_with_unit(text: str) -> tuple[float | None, float | None]:
    """The first number of a text, and its length unit in metres; None where there is none.

    Of "12 square feet" or "12 sq ft" the unit is the foot.
    """
    found = re.search(r"(-?\d+(?:\.\d+)?)\s*(?:square\s+|sq\.?\s*)?([a-z]+)?", text.lower().replace(",", ""))
    if found is None:
        return None, None
    unit = (found[2] or "").rstrip("s")
    return float(found[1]), METRES.get(unit)


def first_word(text: str) -> str:
    """The first space-separated token, without a dot at its end."""
    return text.split(" ")[0].rstrip(".").strip()


def mean_relative_accuracy(prediction: str, truth: str) -> float:
    """Share of THETAS at which the relative error is small enough; 0 for what is no number.

    A truth of 0 would divide by zero in the public scorer; here only 0 itself is right then.
    """
    try:
        value, wanted = float(prediction), float(truth)
    except ValueError:
        return 0.0
    if wanted == 0:
        return float(value == 0)
    error = abs(value - wanted) / wanted
    return sum(error <= 1 - theta for theta in THETAS) / len(THETAS)
