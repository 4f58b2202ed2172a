"""What a model is asked. Questions come after the frames, so all questions of a scene share one prefix.

The form of replies is the paper's, ``<think>…</think><answer>…</answer>``; the wording is ours. Forms
are shown with letters where numbers belong, so a model that copies them gives no answer. Without thinking
(``think: false``) the same question asks for the answer block alone. Changing a text changes
``prompt_hash`` and a golden file under tests/models/golden/.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from scene_r1_cli.errors import InputError
from scene_r1_cli.models.families import Family
from scene_r1_cli.models.reply_blocks import FailureCode
from scene_r1_cli.models.vlm import time_text

PromptStage = Literal["span", "box", "answer"]

FRAME_ENCODING = "images"
"""Frames are single images with written times, not native video tokens; part of a prompt's identity."""

_VIDEO = (
    "These frames are from a video of an indoor scene that lasts {duration_s:.1f} seconds. "
    "The time of each frame is written before it.\n\n"
)

_SPAN = (
    _VIDEO + "Description of an object: {query}\n\n"
    "When is this object in view? Think first: which objects fit the description, what tells the right "
    "one from the others, and in which frames it is seen. Then answer with the one time span that shows "
    "it best. Reply in exactly this form, with seconds for START and END:\n"
    "<think>your reasoning</think>\n"
    "<answer>STARTs to ENDs</answer>"
)

_BOX = (
    "This is one frame from a video of an indoor scene. Its time is written before it.\n\n"
    "Description of an object: {query}\n\n"
    "Where is this object in the frame? Think first: which objects fit the description and what tells "
    "the right one from the others. Then answer with one box around all that is visible of it. "
    "Reply in exactly this form:\n"
    "<think>your reasoning</think>\n"
    '<answer>{{"bbox_2d": [x1, y1, x2, y2], "label": "its name"}}</answer>\n'
    "x1, y1 is the upper left corner and x2, y2 the lower right corner, {coordinates}. "
    'If the object is not in this frame, the answer is {{"bbox_2d": null}}.'
)

_COORDINATES = {
    "resized_px": "in pixels of the frame, which is {width} wide and {height} high",
    "norm1000": "in thousandths of the frame's width and height, so from 0 to 1000",
}

_ANSWER = (
    _VIDEO + "Question: {question}\n\n"
    "Think first: what in the frames tells the answer. Then answer in as few words as possible. "
    "Reply in exactly this form:\n"
    "<think>your reasoning</think>\n"
    "<answer>your answer</answer>"
)

_FIRST_THINK = re.compile(r"Think first: .+? Then answer")
_THINK_FORM = "<think>your reasoning</think>\n"


def _worded(text: str, think: bool) -> str:
    """A prompt's text; without thinking it asks for the answer alone and differs in nothing else."""
    return text if think else _FIRST_THINK.sub("Answer", text).replace(_THINK_FORM, "")


_AGAIN = "\n\nYour last reply could not be used: {why}. Reply again, in exactly the form asked for."

_WHY: dict[FailureCode, str] = {
    "no_answer": "it had no <answer> block",
    "unclosed_answer": "its <answer> block had no end",
    "empty": "its <answer> block was empty",
    "not_a_span": "its answer was not one time span in seconds",
    "not_json": "its answer was not one JSON value",
    "not_boxes": "its answer had no box of four numbers",
}


def span_prompt(query: str, duration_s: float, *, think: bool = True) -> str:
    """Stage 1: when is the object seen?

    Args:
        query: The person's sentence.
        duration_s: Length of the whole video, which the frames sample.
        think: Whether reasoning is asked for before the answer.

    Raises:
        InputError: The query is empty.
    """
    return _worded(_SPAN, think).format(query=plain_text(query), duration_s=duration_s)


def box_prompt(query: str, family: Family, model_wh: tuple[int, int], *, think: bool = True) -> str:
    """Stage 2: where is the object in one key frame?

    Args:
        query: The person's sentence.
        family: Decides the coordinates asked for.
        model_wh: Size at which the model sees the frame.
        think: Whether reasoning is asked for before the answer.

    Raises:
        InputError: The query is empty.
    """
    coordinates = _COORDINATES[family.box_convention].format(width=model_wh[0], height=model_wh[1])
    return _worded(_BOX, think).format(query=plain_text(query), coordinates=coordinates)


def answer_prompt(question: str, duration_s: float, *, think: bool = True) -> str:
    """A free-form question about the video; ``think`` as of ``span_prompt``.

    Raises:
        InputError: The question is empty.
    """
    return _worded(_ANSWER, think).format(question=plain_text(question), duration_s=duration_s)


def ask_again(prompt: str, code: FailureCode) -> str:
    """The same question after a reply that could not be read, so that greedy decoding differs too."""
    return prompt + _AGAIN.format(why=_WHY[code])


def plain_text(text: str) -> str:
    """A person's text for a prompt: one line, unable to form a control token such as ``<|im_end|>``.

    Raises:
        InputError: Nothing is left.
    """
    line = " ".join(text.split()).replace("<|", "< |")
    if not line:
        raise InputError("The query is empty.", 'Say what to find, as in "the chair by the window".')
    return line


def prompt_hash(stage: PromptStage, think: bool = True) -> str:
    """Identity of a stage's wording and of how frames are shown; part of fingerprints and reports."""
    texts = {"span": _SPAN, "box": _BOX + repr(_COORDINATES), "answer": _ANSWER}
    identity = "\0".join([_worded(texts[stage], think), _AGAIN, repr(_WHY), time_text(0), FRAME_ENCODING])
    return hashlib.sha256(identity.encode()).hexdigest()[:12]
