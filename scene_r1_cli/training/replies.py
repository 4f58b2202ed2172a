"""What pocket is taught to write, in the paper's form, with a ``<think>`` that names what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.data.supervision import MIN_IMAGE_SHARE, without_specks
from scene_r1_cli.training.room_views import RoomViews

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Question:
    """One question about some frames of a room.

    Attributes:
        text: The sentence, or a question to answer.
        reply: What to write.
        truth: The span (2,) or box (4,) in what the model writes; empty for "not in this frame" and answers.
        named: Object of each time, or of the box, in the reply, in order; the last for all further ones.
        is_find: The answer is a span or a box; False: words or a number.
    """

    text: str
    reply: str
    truth: tuple[float, ...]
    named: tuple[int, ...]
    is_find: bool = True

    def said(self, think: bool) -> str:
        """The reply, or its answer block alone."""
        return self.reply if think else self.reply[self.reply.index("<answer>") :]


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


def answer_reply(name: str, seen_s: Sequence[float], answer: str) -> str:
    """Names what the answer is about and when it is seen, if that is one object or a few, and answers."""
    times = ", ".join(f"{time_s:.1f}" for time_s in seen_s)
    thought = f"I see the {name} at {times} seconds." if times else "This is about all that I see."
    return f"<think>{thought}</think><answer>{answer}</answer>"


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
    times_s, shown = views.video.times_s, _shown_px(views)
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
        questions.append(Question(sentence.text, reply, run_s, (sentence.object_id,)))
    return questions


def room_questions(views: RoomViews, rng: np.random.Generator) -> list[Question]:
    """Every question about the room; of its objects, a time is named at which each is to be seen.

    Of one object a frame is drawn by how large it shows it, as for spans; several objects are named at the
    times that show them best, so that counting them is counting times. Left out is what no frame shows.
    """
    times_s, shown = views.video.times_s, _shown_px(views)
    questions = []
    for asked in views.questions:
        ids = asked.object_ids
        weights = shown[:, list(ids)].astype(float)
        if not weights.any(axis=0).all():
            continue
        if len(ids) == 1:
            seen = [(float(rng.choice(times_s, p=weights[:, 0] / weights.sum())), ids[0])]
            name = name_of(views, ids[0])
        else:
            seen = sorted(zip(times_s[weights.argmax(axis=0)].tolist(), ids, strict=True))
            name = " and the ".join(dict.fromkeys(views.labels[i] for _, i in seen))
        reply = answer_reply(name, [time_s for time_s, _ in seen], asked.answer)
        questions.append(Question(asked.text, reply, (), tuple(i for _, i in seen), is_find=False))
    return questions


def _shown_px(views: RoomViews) -> np.ndarray:
    """(T, objects) pixels of each object in each frame of the video."""
    frames = views.video.instances.reshape(len(views.video.times_s), -1)
    return np.stack([np.bincount(frame, minlength=len(views.labels) + 1)[1:] for frame in frames])


def box_questions(views: RoomViews, frame: int, rng: np.random.Generator, absent: int = 2) -> list[Question]:
    """Sentences about what one key frame shows, and a few about what it does not show.

    Of the latter, one is about another object of a class that the frame does show, if there is one: there the
    sentence must be read. Objects of which only a sliver is seen are asked about in neither way.
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
            questions.append(Question(sentence.text, reply, found[0], (sentence.object_id,)))
    classes = {views.labels[object_id] for object_id in boxes}
    order = [missing[index] for index in rng.permutation(len(missing))]
    alike = [sentence for sentence in order if views.labels[sentence.object_id] in classes][:1]
    for sentence in [*alike, *(sentence for sentence in order if sentence not in alike)][:absent]:
        questions.append(Question(sentence.text, box_reply("", "", time_s, None), (), (sentence.object_id,)))
    return questions


def frame_boxes(instances: np.ndarray) -> dict[int, tuple[Box, int]]:
    """Per ``object_id`` of an (H, W) map: box as edges from the image's left and top, and visible pixels."""
    found = {}
    for value in np.unique(instances[instances > 0]).tolist():
        mask = without_specks(instances == value)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        found[value - 1] = (box, int(mask.sum()))
    return found
