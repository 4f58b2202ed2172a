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
    """Names the object, the time of one frame that shows it, those of the run's others, and the run."""
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


def frames_in(views: RoomViews, run_s: tuple[float, float]) -> np.ndarray:
    """Times of the video's frames that fall into a run."""
    times_s = views.video.times_s
    return times_s[(times_s >= run_s[0]) & (times_s < run_s[1])]


def span_questions(views: RoomViews, rng: np.random.Generator) -> list[Question]:
    """Every sentence about an object that a frame of the video shows.

    An object is seen in several runs, and each is a right answer. One frame is drawn, by how large it shows
    the object; it is named first, and the run it lies in is the answer: what is seen best is what is found
    first, and its run is read off from there.
    """
    times_s, frames = views.video.times_s, views.video.instances.reshape(len(views.video.times_s), -1)
    shown = np.stack([np.bincount(frame, minlength=len(views.labels) + 1)[1:] for frame in frames])
    questions = []
    for sentence in views.sentences:
        seen = [frames_in(views, run_s) for run_s in sentence.runs_s]
        weights = shown[:, sentence.object_id] * np.isin(times_s, np.concatenate(seen))
        if not weights.any():
            continue
        first_s = float(rng.choice(times_s, p=weights / weights.sum()))
        run = next(index for index, of_run in enumerate(seen) if first_s in of_run)
        others_s = [time_s for time_s in seen[run].tolist() if time_s != first_s]
        run_s = sentence.runs_s[run]
        reply = span_reply(name_of(views, sentence.object_id), [first_s, *others_s], run_s)
        questions.append(_question(views, sentence, reply, run_s))
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
