"""What a model's reply says: a span, boxes, an answer, or a typed failure. Pure; never raises.

Only the reply is read, so nothing in a prompt can count as an answer.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from scene_r1_cli.models.reply_blocks import Body, ParseFailure, answer_body, blocks_of


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


def parse_think(text: str) -> str:
    """The reasoning of a reply: its first ``<think>`` block, also if not closed; empty if it has none."""
    return blocks_of(text).think


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
    body = answer_body(text)
    if isinstance(body, ParseFailure):
        return body
    inner = " ".join(body.text.strip(_DECORATION).split())
    if inner and _BRACKETS.get(inner[0]) == inner[-1]:
        inner = inner[1:-1].strip()
    match = _SPAN.fullmatch(inner)
    if match is None:
        return body.failure("not_a_span", "is not a time span")
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
    body = answer_body(text)
    if isinstance(body, ParseFailure):
        return body
    found = _only_json(body)
    if isinstance(found, ParseFailure):
        return found
    boxes = _boxes_of(found.value)
    if boxes is None:
        return body.failure("not_boxes", "holds no box of four finite numbers")
    return BoxesReply(tuple(boxes))


@dataclass(frozen=True)
class _Json:
    value: Any


_FENCE = re.compile(r"```[a-z0-9]{0,12}", re.IGNORECASE | re.ASCII)


def _only_json(body: Body) -> _Json | ParseFailure:
    """The one JSON object, list or ``null`` of an answer; words around it are allowed only between tags."""
    text = _FENCE.sub("", body.text).strip()
    if text.strip(_DECORATION).lower() == "null":
        return _Json(None)
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0 or (start > 0 and not body.is_tagged):
        return body.failure("not_json", "is not JSON")
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return body.failure("not_json", "is not JSON")
    rest = text[end:].strip()
    if rest and (not body.is_tagged or "{" in rest or "[" in rest):
        return body.failure("not_json", "holds more than one JSON value")
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
    answer = blocks_of(text).answer
    if answer is None:
        return ParseFailure("no_answer", "no <answer> block")
    if isinstance(answer, ParseFailure):
        return answer
    return AnswerReply(answer) if answer else ParseFailure("empty", "the <answer> block is empty")
