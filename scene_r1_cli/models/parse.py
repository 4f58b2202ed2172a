"""What a model's reply says: a span, boxes, an answer, or a typed failure. Pure; never raises.

Only the reply is read, so nothing in a prompt can count as an answer. The answer is the last
``<answer>`` block outside ``<think>``; a reply without any ``<answer>`` tag counts only if all of it
(after its thinking) is the answer and nothing else. Matching is linear in the length of the reply.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

FailureCode = Literal["no_answer", "unclosed_answer", "not_a_span", "not_json", "not_boxes", "empty"]


@dataclass(frozen=True)
class ParseFailure:
    """Why a reply could not be read.

    Attributes:
        code: Kind, for counting.
        detail: One sentence part for people, e.g. "no <answer> block".
    """

    code: FailureCode
    detail: str


@dataclass(frozen=True)
class SpanReply:
    """A time span in seconds, ``start_s <= end_s``, not yet clipped to the video.

    Attributes:
        start_s: Start.
        end_s: End; equal to the start when the model named a moment.
        was_reversed: The model wrote the end first.
    """

    start_s: float
    end_s: float
    was_reversed: bool = False

    @property
    def is_moment(self) -> bool:
        """True if the span has no length."""
        return self.start_s == self.end_s


@dataclass(frozen=True)
class BoxReply:
    """A box in the model's own coordinates, x1 <= x2 and y1 <= y2, not yet clipped.

    Attributes:
        xyxy_model: Corners.
        label: The model's word for it; empty if it gave none.
        was_reversed: A corner pair came in the wrong order.
    """

    xyxy_model: tuple[float, float, float, float]
    label: str = ""
    was_reversed: bool = False


@dataclass(frozen=True)
class BoxesReply:
    """Boxes in the order written; none means "it is not in this image"."""

    boxes: tuple[BoxReply, ...]


@dataclass(frozen=True)
class AnswerReply:
    """A free-form answer; never empty."""

    text: str


_TAG = re.compile(r"<(/?)(think|answer)>", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class _Blocks:
    """Where a reply thinks and answers. ``answer`` is None without a tag, a failure if it is not closed."""

    think: str
    answer: str | ParseFailure | None
    after_think: str


def _blocks(text: str) -> _Blocks:
    """Split a reply into its thinking and its answer in one pass over its tags.

    A ``</think>`` without an opening tag closes thinking that began with the reply: some chat templates
    open ``<think>`` in the prompt.
    """
    tags = [(match.start(), match.end(), match[1] == "/", match[2].lower()) for match in _TAG.finditer(text)]
    thinks: list[tuple[int, int, int]] = []  # start of the tag, end of the thought, end of the closing tag
    open_at: tuple[int, int] | None = None
    for start, end, is_closing, name in tags:
        if name != "think":
            continue
        if not is_closing:
            open_at = open_at or (start, end)
        elif open_at is not None:
            thinks.append((open_at[0], start, end))
            open_at = None
        elif not thinks:
            thinks.append((0, start, end))
    thought_end = thinks[-1][2] if thinks else 0
    answer = _last_answer(text, tags, thinks)
    if thinks:
        think = text[thinks[0][0] : thinks[0][1]]
    elif open_at is not None:
        first_answer = next((t[0] for t in tags if t[3] == "answer" and t[0] > open_at[0]), len(text))
        think = text[open_at[1] : first_answer]
    else:
        think = ""
    has_open_thought = open_at is not None
    return _Blocks(_TAG.sub("", think).strip(), answer, "" if has_open_thought else text[thought_end:])


def _last_answer(
    text: str, tags: list[tuple[int, int, bool, str]], thinks: list[tuple[int, int, int]]
) -> str | ParseFailure | None:
    """Content of the last answer block outside thinking."""
    answer: str | ParseFailure | None = None
    think_index = 0
    for position, (start, end, is_closing, name) in enumerate(tags):
        while think_index < len(thinks) and thinks[think_index][2] <= start:
            think_index += 1
        in_thought = think_index < len(thinks) and thinks[think_index][0] <= start
        if name != "answer" or is_closing or in_thought:
            continue
        following = tags[position + 1] if position + 1 < len(tags) else None
        if following is not None and following[2] and following[3] == "answer":
            answer = text[end : following[0]].strip()
        else:
            answer = ParseFailure("unclosed_answer", "the last <answer> block is not closed")
    return answer


@dataclass(frozen=True)
class _Body:
    """What to read the answer from, and whether it stood between answer tags."""

    text: str
    is_tagged: bool


def _answer_body(text: str) -> _Body | ParseFailure:
    """The last answer block, or all of the reply after its thinking when it has no answer tags."""
    blocks = _blocks(text)
    if isinstance(blocks.answer, ParseFailure):
        return blocks.answer
    if blocks.answer is not None:
        empty = ParseFailure("empty", "the <answer> block is empty")
        return _Body(blocks.answer, is_tagged=True) if blocks.answer else empty
    rest = blocks.after_think.strip()
    return _Body(rest, is_tagged=False) if rest else ParseFailure("no_answer", "no <answer> block")


def parse_think(text: str) -> str:
    """The reasoning of a reply: its first ``<think>`` block, also if not closed; empty if it has none."""
    return _blocks(text).think


_NUMBER = r"-?[0-9]{1,7}(?:\.[0-9]{1,9})?"
_CLOCK = r"[0-9]{1,4}(?::[0-5][0-9]){1,2}(?:\.[0-9]{1,9})?"
_TIME = rf"<?({_CLOCK}|{_NUMBER}) ?(?:s|sec|secs|second|seconds)?>?"
_SPAN = re.compile(
    rf"(?:from |between )?{_TIME} ?(?:to|and|until|through|,|-|–|—|~|\.\.\.?) ?{_TIME}",
    re.IGNORECASE | re.ASCII,
)
_DECORATION = " \t\r\n.*_`\"'"
_BRACKETS = {"[": "]", "(": ")", "<": ">"}


def parse_span(text: str) -> SpanReply | ParseFailure:
    """Read a time span from a reply.

    Accepts ``5s to 10s``, ``5.0 to 10.0``, ``[5, 10]``, ``00:05 to 00:10`` and close relatives. The
    answer must be one span and nothing else: "frames 5 to 10" and two spans are failures, not guesses.

    Args:
        text: The raw reply.

    Returns:
        The span (reversed ends swapped and marked), or why there is none.
    """
    body = _answer_body(text)
    if isinstance(body, ParseFailure):
        return body
    inner = " ".join(body.text.strip(_DECORATION).split())
    if inner and _BRACKETS.get(inner[0]) == inner[-1]:
        inner = inner[1:-1].strip()
    match = _SPAN.fullmatch(inner)
    if match is None:
        return _failure("not_a_span", body, "is not a time span")
    first_s, second_s = _seconds(match[1]), _seconds(match[2])
    return SpanReply(min(first_s, second_s), max(first_s, second_s), was_reversed=second_s < first_s)


def _seconds(text: str) -> float:
    """Seconds of ``7.5``, ``1:05`` or ``1:02:03``."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def parse_boxes(text: str) -> BoxesReply | ParseFailure:
    """Read boxes from a reply.

    Accepts ``{"bbox_2d": [x1, y1, x2, y2], "label": …}``, a list of those, ``bbox_2d`` with several
    boxes, a bare list of four numbers, all with or without a code fence or words around the JSON.
    ``{"bbox_2d": null}``, ``null`` and ``[]`` mean that the object is not here.

    Args:
        text: The raw reply.

    Returns:
        The boxes in the model's coordinates, or why they cannot be read.
    """
    body = _answer_body(text)
    if isinstance(body, ParseFailure):
        return body
    found = _only_json(body)
    if isinstance(found, ParseFailure):
        return found
    boxes = _boxes_of(found.value)
    if boxes is None:
        return _failure("not_boxes", body, "holds no box of four finite numbers")
    return BoxesReply(tuple(boxes))


@dataclass(frozen=True)
class _Json:
    value: Any


_FENCE = re.compile(r"```[a-z0-9]{0,12}", re.IGNORECASE | re.ASCII)


def _only_json(body: _Body) -> _Json | ParseFailure:
    """The one JSON object, list or ``null`` of an answer; words around it are allowed only between tags."""
    text = _FENCE.sub("", body.text).strip()
    if text.strip(_DECORATION).lower() == "null":
        return _Json(None)
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0 or (start > 0 and not body.is_tagged):
        return _failure("not_json", body, "is not JSON")
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return _failure("not_json", body, "is not JSON")
    rest = text[end:].strip()
    if rest and (not body.is_tagged or "{" in rest or "[" in rest):
        return _failure("not_json", body, "holds more than one JSON value")
    return _Json(value)


def _boxes_of(value: Any) -> list[BoxReply] | None:
    """Boxes of a decoded JSON value; None if any part of it is something else."""
    if value is None or value == []:
        return []
    if isinstance(value, dict):
        items = [value]
    elif isinstance(value, list):
        items = value if all(isinstance(item, dict) for item in value) else [{"bbox_2d": value}]
    else:
        return None
    boxes: list[BoxReply] = []
    for item in items:
        found = _boxes_of_object(item)
        if found is None:
            return None
        boxes.extend(found)
    return boxes


def _boxes_of_object(item: dict[str, Any]) -> list[BoxReply] | None:
    """Boxes of ``{"bbox_2d": null | [x1, y1, x2, y2] | [[…], …], "label": …}``, or None."""
    if "bbox_2d" not in item:
        return None
    coordinates = item["bbox_2d"]
    if coordinates is None or coordinates == []:
        return []
    if not isinstance(coordinates, list):
        return None
    label = item.get("label")
    groups = coordinates if isinstance(coordinates[0], list) else [coordinates]
    boxes = [_box_of(group, label if isinstance(label, str) else "") for group in groups]
    return None if any(box is None for box in boxes) else [box for box in boxes if box is not None]


def _box_of(numbers: Any, label: str) -> BoxReply | None:
    """A box of four finite numbers, its corners put in order; None if they are not that."""
    if not isinstance(numbers, list) or len(numbers) != 4:
        return None
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        return None
    try:
        x1, y1, x2, y2 = (float(number) for number in numbers)
    except OverflowError:
        return None
    if not all(math.isfinite(number) for number in (x1, y1, x2, y2)):
        return None
    ordered = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return BoxReply(ordered, label, was_reversed=ordered != (x1, y1, x2, y2))


def parse_answer(text: str) -> AnswerReply | ParseFailure:
    """Read a free-form answer: the last ``<answer>`` block, which must be there and not empty."""
    answer = _blocks(text).answer
    if answer is None:
        return ParseFailure("no_answer", "no <answer> block")
    if isinstance(answer, ParseFailure):
        return answer
    return AnswerReply(answer) if answer else ParseFailure("empty", "the <answer> block is empty")


def _failure(code: FailureCode, body: _Body, what: str) -> ParseFailure:
    """A failure that shows the start of what was read; without tags, that is what was wrong first."""
    if not body.is_tagged:
        return ParseFailure("no_answer", "no <answer> block")
    shown = body.text if len(body.text) <= 60 else body.text[:59] + "…"
    return ParseFailure(code, f"{shown!r} {what}")
