"""A quick way from a room's seed to training images: a few small frames and what each pixel shows.

A whole capture takes minutes and a training set needs thousands of rooms, so nothing of ScanNet's layout is
written: frames are rendered near the size the model sees, and the labels come from the same functions that
label a capture. One room takes about two seconds of one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from scene_r1_cli.data.rooms.capture import Capture, prepare_capture
from scene_r1_cli.data.rooms.expressions import describe_objects
from scene_r1_cli.data.rooms.labelling import label_room, write_texts
from scene_r1_cli.data.rooms.layout import Room, lay_out_room
from scene_r1_cli.data.rooms.options import RoomOptions
from scene_r1_cli.data.rooms.sensor import TILE, ColorSensor
from scene_r1_cli.data.rooms.vocabulary import shows_color
from scene_r1_cli.data.supervision import ObjectView, Visibility, find_visibility, object_views
from scene_r1_cli.errors import InputError
from scene_r1_cli.files import write_json
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.training_config import ViewsConfig

RECIPE = "views.json"
"""Beside a folder's rooms: how they were rendered."""


@dataclass(frozen=True)
class Frames:
    """Some frames of a room at one size.

    Attributes:
        times_s: (T,) float64, rising.
        rgb: (T, H, W, 3) uint8.
        instances: (T, H, W) uint8, object_id + 1; 0 where nothing can be asked for.
    """

    times_s: np.ndarray
    rgb: np.ndarray
    instances: np.ndarray


@dataclass(frozen=True)
class Sentence:
    """A sentence and the object it means, all its visible runs, and the main one of them."""

    text: str
    object_id: int
    run_s: tuple[float, float]
    runs_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class RoomQuestion:
    """A question about the room, its usual answer, and the objects it is about, where they are known."""

    text: str
    answer: str
    kind: str
    object_ids: tuple[int, ...]


@dataclass(frozen=True)
class RoomViews:
    """What training sees of a room.

    Attributes:
        seed: The room's seed.
        duration_s: Length of its video.
        labels: Class of each ``object_id``.
        colors: Colour of each ``object_id``; empty where nobody would name one.
        video: Frames of the whole video, for the span.
        key: Single frames, for the box.
        sentences: What can be looked for.
        questions: What can be asked, worded as the labels of captures have it.
    """

    seed: int
    duration_s: float
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    video: Frames
    key: Frames
    sentences: tuple[Sentence, ...]
    questions: tuple[RoomQuestion, ...] = ()


def view_room(seed: int, config: ViewsConfig) -> RoomViews:
    """Render one room; the same seed and configuration give the same views."""
    rng = np.random.default_rng([seed, 11])
    room = lay_out_room(seed)
    options = RoomOptions(
        fps=config.fps, color_size_wh=config.render_wh, depth_size_wh=config.visibility_wh, noise=False
    )
    capture = prepare_capture(room, options, np.eye(4))
    duration_s = options.duration_s
    if rng.random() < config.short_share:
        duration_s = float(rng.uniform(0.4, 1.0) * duration_s)
    num_frames = int(duration_s * config.fps)
    seen = _visibility(capture, room, num_frames)
    video_at = np.unique(np.rint(np.linspace(0, num_frames - 1, config.video_frames)).astype(int))
    key_at = np.sort(rng.choice(num_frames, min(config.key_frames, num_frames), replace=False))
    sensor = _sensor(duration_s, rng)
    sentences = tuple(
        Sentence(found.text, found.object_id, shown.runs_s[shown.main_run], shown.runs_s)
        for found in describe_objects(room)
        if (shown := seen.get(found.object_id)) is not None
    )
    return RoomViews(
        seed=seed,
        duration_s=float(capture.times_s[num_frames - 1]),
        labels=tuple(item.label for item in room.objects),
        colors=tuple(item.color if shows_color(item.label) else "" for item in room.objects),
        video=_film(capture, video_at, config.video_wh, sensor, rng),
        key=_film(capture, key_at, config.key_wh, sensor, rng),
        sentences=sentences,
        questions=_questions(room, seen),
    )


def _questions(room: Room, seen: dict[int, Visibility]) -> tuple[RoomQuestion, ...]:
    """What the labels of a capture of this room ask, in their words.

    Sizes and distances are those of whole objects, where a capture's are those of what its frames show.
    """
    boxes = {item.object_id: aabb_from_bounds(*item.faces.bounds_m) for item in room.furniture}
    texts = write_texts(room, seen, boxes)
    asked = [*texts.questions, *(q for situation in texts.situations for q in situation.questions)]
    about = [*(question.object_ids for question in asked), *(() for _ in texts.spatial)]
    labels = [label for label in label_room("", texts, seen, boxes) if label.answers]
    return tuple(
        RoomQuestion(label.text, label.answers[0], label.answer_type, object_ids)
        for label, object_ids in zip(labels, about, strict=True)
    )


def _visibility(capture: Capture, room: Room, num_frames: int) -> dict[int, Visibility]:
    """When each object is visible, by the rules of captures, from small instance maps."""
    camera = capture.options.depth_camera
    structure = frozenset(item.object_id for item in room.objects if item.is_structure)
    views: dict[int, list[ObjectView]] = {}
    for index in range(num_frames):
        image = capture.renderer.color(camera, capture.world_from_camera[index])
        found = object_views(image.instances, image.depth_m, camera, index, structure)
        for object_id, view in found.items():
            views.setdefault(object_id, []).append(view)
    times = dict(enumerate(capture.times_s[:num_frames].tolist()))
    period_s = 1 / capture.options.fps
    seen = {key: find_visibility(value, times, period_s, camera.size_wh) for key, value in views.items()}
    return {key: value for key, value in seen.items() if value is not None and value.keyframes}


def _film(
    capture: Capture,
    frames: np.ndarray,
    size_wh: tuple[int, int],
    sensor: ColorSensor,
    rng: np.random.Generator,
) -> Frames:
    """Frames rendered larger and reduced, as those of a capture are."""
    rgb, instances = [], []
    structure = np.array([0, *(item.is_structure for item in capture.room.objects)], dtype=bool)
    for index in frames.tolist():
        view = capture.renderer.color(capture.options.color_camera, capture.world_from_camera[index])
        exposed = sensor.expose(view.rgb, float(capture.times_s[index]), rng)
        rgb.append(cv2.resize(exposed, size_wh, interpolation=cv2.INTER_AREA))
        askable = np.where(structure[view.instances], 0, view.instances).astype(np.uint8)
        instances.append(cv2.resize(askable, size_wh, interpolation=cv2.INTER_NEAREST))
    return Frames(capture.times_s[frames], np.stack(rgb), np.stack(instances))


@cache
def _noise_tile() -> np.ndarray:
    """(TILE, TILE, 3) int8 noise that all rooms share: drawing it costs more than a room's frames."""
    rng = np.random.default_rng(13)
    return (rng.standard_normal((TILE, TILE, 3), dtype=np.float32) * 2.6).astype(np.int8)


def _sensor(duration_s: float, rng: np.random.Generator) -> ColorSensor:
    """A colour camera with its own exposure and white balance."""
    steps = np.cumsum(rng.normal(0, 0.03, int(duration_s) + 12))
    return ColorSensor(
        _noise_tile(), np.clip(1 + steps - steps.mean(), 0.75, 1.25), 1 + rng.uniform(-0.04, 0.04, 3)
    )


def save_views(path: Path, views: RoomViews) -> None:
    """Write one room's views; the file appears whole or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        head=np.array([views.seed, views.duration_s]),
        labels=np.array(views.labels),
        colors=np.array(views.colors),
        texts=np.array([sentence.text for sentence in views.sentences]),
        objects=np.array([sentence.object_id for sentence in views.sentences], dtype=np.int64),
        runs_s=np.array([sentence.run_s for sentence in views.sentences]).reshape(-1, 2),
        all_runs=np.array([run for sentence in views.sentences for run in sentence.runs_s]).reshape(-1, 2),
        num_runs=np.array([len(sentence.runs_s) for sentence in views.sentences], dtype=np.int64),
        video_times=views.video.times_s,
        video_rgb=_to_jpegs(views.video.rgb),
        video_instances=views.video.instances,
        key_times=views.key.times_s,
        key_rgb=_to_jpegs(views.key.rgb),
        key_instances=views.key.instances,
        questions=np.array(json.dumps([astuple(question) for question in views.questions])),
    )
    partial.replace(path)


def load_views(path: Path) -> RoomViews:
    """Read what ``save_views`` wrote."""
    with np.load(path) as data:
        seed, duration_s = data["head"].tolist()
        rows = zip(data["texts"].tolist(), data["objects"].tolist(), data["runs_s"].tolist(), strict=True)
        every_run = [(start_s, end_s) for start_s, end_s in data["all_runs"].tolist()]
        ends = np.cumsum(data["num_runs"]).tolist()
        begins = [0, *ends[:-1]]
        sentences = tuple(
            Sentence(text, object_id, (run[0], run[1]), tuple(every_run[begin:end]))
            for (text, object_id, run), begin, end in zip(rows, begins, ends, strict=True)
        )
        return RoomViews(
            seed=int(seed),
            duration_s=duration_s,
            labels=tuple(data["labels"].tolist()),
            colors=tuple(data["colors"].tolist()),
            video=Frames(data["video_times"], _from_jpegs(data["video_rgb"]), data["video_instances"]),
            key=Frames(data["key_times"], _from_jpegs(data["key_rgb"]), data["key_instances"]),
            sentences=sentences,
            questions=tuple(
                RoomQuestion(text, answer, kind, tuple(object_ids))
                for text, answer, kind, object_ids in json.loads(str(data["questions"]))
            ),
        )


def _to_jpegs(rgb: np.ndarray) -> np.ndarray:
    """Frames as one row of JPEG bytes behind their lengths; a capture's images are JPEG too."""
    packed = [
        cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].ravel() for frame in rgb
    ]
    lengths = np.array([len(part) for part in packed], dtype=np.uint32).view(np.uint8)
    return np.concatenate([np.array([len(packed)], dtype=np.uint32).view(np.uint8), lengths, *packed])


def _from_jpegs(row: np.ndarray) -> np.ndarray:
    count = int(row[:4].view(np.uint32)[0])
    lengths = row[4 : 4 + 4 * count].copy().view(np.uint32)
    ends = 4 + 4 * count + np.cumsum(lengths)
    parts = (row[end - length : end] for end, length in zip(ends, lengths, strict=True))
    images = [np.asarray(cv2.imdecode(part, cv2.IMREAD_COLOR)) for part in parts]
    return np.ascontiguousarray(np.stack(images)[..., ::-1])


def make_views(folder: Path, seeds: Sequence[int], config: ViewsConfig) -> Iterator[Path]:
    """Files of these rooms, made where they are not there yet.

    Raises:
        InputError: The folder holds rooms that were rendered otherwise.
    """
    _check_recipe(folder, config)
    for seed in seeds:
        path = folder / f"room{seed}.npz"
        if not path.is_file():
            save_views(path, view_room(seed, config))
        yield path


def _check_recipe(folder: Path, config: ViewsConfig) -> None:
    """Keep with the rooms of a folder how they are rendered; raises InputError if they were otherwise."""
    file, asked = folder / RECIPE, config.model_dump(mode="json")
    if file.is_file():
        kept = json.loads(file.read_text())
        different = sorted(name for name in asked.keys() | kept.keys() if asked.get(name) != kept.get(name))
        if different:
            raise InputError(
                f"{folder} holds rooms rendered with another {', '.join(different)}.", "Name another folder."
            )
    elif any(folder.glob("room*.npz")):
        raise InputError(
            f"{folder} holds rooms of which nobody knows how they were rendered: it has no {RECIPE}.",
            "Name another folder.",
        )
    else:
        write_json(file, asked)
