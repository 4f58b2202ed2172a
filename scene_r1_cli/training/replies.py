"""What pocket is taught to write, in the paper's form, with a ``<think>`` that names what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.supervision import MIN_IMAGE_SHARE, without_specks
from scene_r1_cli.training.room_views import RoomViews, Sentence

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Question:
    """One question about some frames of a room.

    Attributes:
        text: The sentence.
        reply: What to write.
        truth: The span (2,) or box (4,) in what the model writes; empty for "not in this frame".
        label: Class of the object meant.
        color: Its colour; empty if nobody would name one.
        object_id: The object meant.
    """

    text: str
    reply: str
    truth: tuple[float, ...]
    label: str
    color: str
    object_id: int


def span_reply(name: str, seen_s: Sequence[float], run_s: tuple[float, float]) -> str:
    """Names the object and the times of the frames that show it, then the run they belong to."""
    times = ", ".join(f"{time_s:.1f}" for time_s in seen_s)
    answer = f"{run_s[0]:.1f}s to {run_s[1]:.1f}s"
    return f"<think>I see the {name} at {times} seconds.</think><answer>{answer}</answer>"


def box_reply(name: str, label: str, time_s: float, box_xyxy: Box | None) -> str:
    """Names the object and the frame's time, then its box in pixels of the frame; None is "not here"."""
    if box_xyxy is None:
        return f'<think>I do not see it at {time_s:.1f} seconds.</think><answer>{{"bbox_2d": null}}</answer>'
    corners = ", ".join(str(round(value)) for value in box_xyxy)
    answer = f'{{"bbox_2d": [{corners}], "label": "{label}"}}'
    return f"<think>I see the {name} at {time_s:.1f} seconds.</think><answer>{answer}</answer>"


def name_of(views: RoomViews, object_id: int) -> str:
    """Colour and class, or the class alone."""
    return f"{views.colors[object_id]} {views.labels[object_id]}".strip()


def span_questions(views: RoomViews) -> list[Question]:
    """Every sentence about a run that at least one frame of the video falls into."""
    questions = []
    for sentence in views.sentences:
        start_s, end_s = sentence.run_s
        seen_s = views.video.times_s[(views.video.times_s >= start_s) & (views.video.times_s < end_s)]
        if len(seen_s):
            reply = span_reply(name_of(views, sentence.object_id), seen_s.tolist(), sentence.run_s)
            questions.append(_question(views, sentence, reply, sentence.run_s))
    return questions


def box_questions(views: RoomViews, frame: int, rng: np.random.Generator, absent: int = 2) -> list[Question]:
    """Sentences about what one key frame shows, and a few about what it does not show.

    Objects of which only a sliver is seen are asked about in neither way.
    """
    boxes = frame_boxes(views.key.instances[frame])
    time_s = float(views.key.times_s[frame])
    min_area = MIN_IMAGE_SHARE * views.key.instances[frame].size
    questions, missing = [], []
    for sentence in views.sentences:
        found = boxes.get(sentence.object_id)
        if found is None:
            missing.append(sentence)
        elif found[1] >= min_area:
            label = views.labels[sentence.object_id]
            reply = box_reply(name_of(views, sentence.object_id), label, time_s, found[0])
            questions.append(_question(views, sentence, reply, found[0]))
    for index in rng.permutation(len(missing))[:absent]:
        questions.append(_question(views, missing[index], box_reply("", "", time_s, None), ()))
    return questions


def _question(views: RoomViews, sentence: Sentence, reply: str, truth: tuple[float, ...]) -> Question:
    object_id = sentence.object_id
    return Question(sentence.text, reply, truth, views.labels[object_id], views.colors[object_id], object_id)


def frame_boxes(instances: np.ndarray) -> dict[int, tuple[Box, int]]:
    """Per ``object_id`` of an (H, W) map: box as edges from the image's left and top, and visible pixels."""
    found = {}
    for value in np.unique(instances[instances > 0]).tolist():
        mask = without_specks(instances == value)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        found[value - 1] = (box, int(mask.sum()))
    return found
