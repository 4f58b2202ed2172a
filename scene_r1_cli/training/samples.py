"""Which labelled queries GRPO is trained on, and why some are not."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_rooms
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.store import scenes_in_store
from scene_r1_cli.errors import InputError
from scene_r1_cli.grpo_config import DataConfig, Stage
from scene_r1_cli.types import Scene

logger = logging.getLogger(__name__)

TIME_SLACK_S = 0.5
"""A run may stick out of the video by this much: clocks are rounded. The reward clips it."""
BOX_SLACK_PX = 1.0
ABSENT_GAP_S = 1.0
"""So far from every run a frame is thought not to show the object; at a run's ends it may show a little."""


class AskedFrame(NamedTuple):
    """A frame that is asked for a box.

    Attributes:
        frame_index: Source index.
        box_xyxy_px: Edges in the original colour image; None if the frame does not show the object.
    """

    frame_index: int
    box_xyxy_px: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Sample:
    """One prompt.

    Attributes:
        path: The scene.
        label: Text and truth.
        frame: The frame asked about, of the stage ``image``.
    """

    path: Path
    label: Label
    frame: AskedFrame | None = None

    @property
    def key(self) -> tuple[str, str, int | None]:
        """Names the sample among all of a store: scene, query, frame."""
        frame_index = self.frame.frame_index if self.frame else None
        return self.label.scene_id, self.label.query_id, frame_index


@dataclass(frozen=True)
class _LeftOut:
    """Why a label cannot be a reward."""

    reason: str


def find_samples(stage: Stage, config: DataConfig, store: Path) -> list[Sample]:
    """Labelled queries of the training scenes, in a fixed order.

    Rooms are made if they are not there. What cannot be a reward (a run outside the video, a box outside the
    frame, an empty answer, a scene that cannot be opened) is left out, and told.

    Raises:
        InputError: There is no such data set, or nothing is left to train on.
    """
    rng = np.random.default_rng(config.seed)
    samples: list[Sample] = []
    left_out: dict[str, list[str]] = {}
    folders = _folders(config, store)
    for scene_id, path in sorted(folders.items()):
        file = path / "labels" / f"{config.labels}.parquet"
        if not file.is_file():
            continue
        try:
            scene = open_scene(path)
        except InputError as error:
            left_out.setdefault("its scene cannot be opened", []).append(f"{scene_id}: {error.message}")
            continue
        of_scene = []
        for label in read_labels(file):
            for found in _samples_of(stage, path, scene, label, config):
                if isinstance(found, Sample):
                    of_scene.append(found)
                else:
                    left_out.setdefault(found.reason, []).append(f"query {label.query_id} of {scene_id}")
        if config.per_scene is not None and len(of_scene) > config.per_scene:
            chosen = rng.choice(len(of_scene), config.per_scene, replace=False)
            of_scene = [of_scene[int(place)] for place in np.sort(chosen)]
        if stage == "image" and config.absent:
            of_scene = _some_absent(of_scene, scene, config.absent, rng)
        samples += of_scene
    told = "; ".join(f"{reason} ({len(which)}, first {which[0]})" for reason, which in left_out.items())
    if not samples:
        raise InputError(
            f"{len(folders)} scenes have no label to train {stage} on in labels/{config.labels}.parquet"
            + (f": {told}." if told else "."),
            "Run preprocess with --annotations, or set data.rooms.",
        )
    if told:
        logger.warning("labels are left out: %s", told)
    return samples


def ordered_by_video(samples: Sequence[Sample], together: int, seed: int) -> list[Sample]:
    """Samples in random order, in runs of ``together`` about one video.

    What videos have beyond whole runs comes last.
    """
    rng = np.random.default_rng(seed)
    of_video: dict[Path, list[Sample]] = {}
    for number in rng.permutation(len(samples)):
        of_video.setdefault(samples[number].path, []).append(samples[number])
    runs, rest = [], []
    for found in of_video.values():
        whole = len(found) - len(found) % together
        runs += [found[start : start + together] for start in range(0, whole, together)]
        rest += found[whole:]
    return [sample for number in rng.permutation(len(runs)) for sample in runs[number]] + rest


def _folders(config: DataConfig, store: Path) -> Mapping[str, Path]:
    """Scene id to folder of the scenes that are trained on."""
    if config.rooms:
        found = make_rooms(store / "rooms", "train", config.rooms, DEMO_OPTIONS)
        return {summary.scene_id: summary.path for summary in found}
    in_store = scenes_in_store(store)
    folders = {name: path for name, path in in_store.items() if config.dataset in _datasets(path)}
    if not folders:
        there = sorted({path.parent.name for path in in_store.values()} - {"scans"})
        raise InputError(
            f"The store {store} has no data set {config.dataset}, so no label to train on; it has "
            f"{', '.join(there) or 'none'}.",
            "Run preprocess first, or set data.dataset or data.rooms.",
        )
    return folders


def _datasets(scene: Path) -> tuple[str, ...]:
    """The data set of a scene's folder, which may lie in its ``scans``."""
    return (
        (scene.parent.name, scene.parent.parent.name)
        if scene.parent.name == "scans"
        else (scene.parent.name,)
    )


def _samples_of(
    stage: Stage, path: Path, scene: Scene, label: Label, config: DataConfig
) -> Iterator[Sample | _LeftOut]:
    if stage == "qa":
        if any(answer.strip() for answer in label.answers):
            yield Sample(path, label)
        elif label.answers:
            yield _LeftOut("its answers are empty")
        return
    if label.answers:
        return
    if stage == "temporal":
        if any(_is_outside(run_s, scene.duration_s) for run_s in label.runs_s):
            yield _LeftOut("a run is outside the video")
        elif max((end - start for start, end in label.runs_s), default=0.0) >= config.min_truth_s:
            yield Sample(path, label)
        return
    frames = set(scene.frame_indices.tolist())
    for view in label.keyframes:
        if view.frame_index not in frames:
            yield _LeftOut("the video has no such key frame")
        elif not _is_inside(view.box_xyxy_px, scene.color_camera.size_wh):
            yield _LeftOut("a box is outside the frame")
        else:
            yield Sample(path, label, AskedFrame(view.frame_index, view.box_xyxy_px))


def _some_absent(
    samples: Sequence[Sample], scene: Scene, share: float, rng: np.random.Generator
) -> list[Sample]:
    """A share of the samples asked about another frame, which does not show the object, if there is one."""
    asked = list(samples)
    for place in rng.choice(len(asked), round(share * len(asked)), replace=False).tolist():
        sample = asked[place]
        times_s = scene.timestamps_s
        is_far = np.ones(len(times_s), dtype=bool)
        for start_s, end_s in sample.label.runs_s:
            is_far &= (times_s < start_s - ABSENT_GAP_S) | (times_s > end_s + ABSENT_GAP_S)
        if is_far.any():
            frame_index = int(rng.choice(scene.frame_indices[is_far]))
            asked[place] = replace(sample, frame=AskedFrame(frame_index, None))
    return asked


def _is_outside(run_s: tuple[float, float], duration_s: float) -> bool:
    start_s, end_s = run_s
    return not (-TIME_SLACK_S <= start_s < end_s <= duration_s + TIME_SLACK_S)


def _is_inside(box_xyxy_px: tuple[float, float, float, float], size_wh: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = box_xyxy_px
    width, height = size_wh
    return (
        -0.5 - BOX_SLACK_PX <= x1 < x2 <= width - 0.5 + BOX_SLACK_PX
        and -0.5 - BOX_SLACK_PX <= y1 < y2 <= height - 0.5 + BOX_SLACK_PX
    )
