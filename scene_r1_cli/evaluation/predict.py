"""Predictions of all queries of one scene, with the frames read and shown to the model once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.data.instance_maps import InstancePictures, find_instance_zip
from scene_r1_cli.data.labels import Label
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError, SceneR1Error, SetupError
from scene_r1_cli.evaluation.items import Item
from scene_r1_cli.evaluation.truth import score_against_label
from scene_r1_cli.models.ahead import AskedAhead
from scene_r1_cli.models.prompts import answer_prompt, span_prompt
from scene_r1_cli.models.provider import Models
from scene_r1_cli.models.trackers import Tracker
from scene_r1_cli.pipeline import Given, answer_query, ground_query
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.serialize import answer_result_to_json, result_to_json
from scene_r1_cli.types import (
    AnswerResult,
    Box2D,
    Failure,
    FrameMask,
    FrameReader,
    Query,
    RleMask,
    Scene,
    TemporalSpan,
)

Oracle = Literal["span", "box", "mask"]
CACHE_BYTES = 512 * 2**20
ORACLE_BOXES = 3
"""True boxes that an oracle gives: as many as a model is asked for by default, so that presets compare."""

MACHINE = "machine"
"""Stage of a query that failed for no fault of its own: a dead process or node, a server out of reach."""


@dataclass(frozen=True)
class SceneJob:
    """All queries of one scene, sent to a process or a Ray worker.

    Attributes:
        scene_id: The scene.
        path: Where it lies.
        items: Its queries that have no prediction yet.
        config: Settings.
        oracle: The last stage that truth replaces; None leaves all to the model.
        run_path: Run directory for artifacts.
        cache: Folder for what is made once per scene.
        keep_artifacts: Store what each stage makes.
    """

    scene_id: str
    path: Path
    items: tuple[Item, ...]
    config: GroundConfig
    oracle: Oracle | None
    run_path: Path
    cache: Path
    keep_artifacts: bool


def predict_scene(job: SceneJob) -> list[dict[str, Any]]:
    """Rows of all queries of a scene; see ``predictions_of``."""
    return list(predictions_of(job, _models(job.config, asks_model(job.items, job.oracle))))


def asks_model(items: Iterable[Item], oracle: Oracle | None) -> bool:
    """Whether the vision-language model is asked at all: an oracle of boxes leaves it only the questions."""
    return oracle not in ("box", "mask") or any(item.task == "qa" for item in items)


def predictions_of(job: SceneJob, models: Models) -> Iterator[dict[str, Any]]:
    """One row (docs/result.schema.json) after the other. A query that fails is a row with its reason."""
    try:
        scene = cached_scene(open_scene(job.path))
    except InputError as error:
        for item in job.items:
            yield failed_row(item, "video", error.message)
        return
    asked = AskingModels(models)
    for task in ("ground", "qa"):
        items = [item for item in job.items if item.task == task]
        make = span_prompt if task == "ground" else answer_prompt
        think = (job.config.span if task == "ground" else job.config.answer).think
        if items and not (task == "ground" and job.oracle):
            asked.vlm.expect([make(item.label.text, scene.duration_s, think=think) for item in items])
        for item in items:
            try:
                yield _row(item, scene, job, asked)
            except SceneR1Error as error:
                stage = MACHINE if isinstance(error, SetupError) else "run"
                yield failed_row(item, stage, error.message)
            except Exception as error:
                # One query that meets a bug must not cost the run; the log and the row name it.
                yield failed_row(item, "bug", f"{type(error).__name__}: {error}")


def failed_row(item: Item, stage: str, reason: str) -> dict[str, Any]:
    """The row of a query that no stage could work on."""
    query = Query(item.label.scene_id, item.label.query_id, item.label.text)
    row = answer_result_to_json(AnswerResult(query, None, {"total": 0.0}, Failure(stage, reason)))
    return _named(row, item)


def _named(row: dict[str, Any], item: Item) -> dict[str, Any]:
    """The row with the ids that its benchmark gives the query."""
    if item.names is None:
        return row
    return row | {"object_id": item.names[0], "ann_id": item.names[1]}


class AskingModels(Models):
    """The models of a run, with a VLM that answers ahead."""

    def __init__(self, models: Models) -> None:
        self._models = models

    @cached_property
    def vlm(self) -> AskedAhead:
        """See Models."""
        return AskedAhead(self._models.vlm)

    @property
    def tracker(self) -> Tracker:
        """See Models."""
        return self._models.tracker


def _row(item: Item, scene: Scene, job: SceneJob, models: Models) -> dict[str, Any]:
    query = Query(item.label.scene_id, item.label.query_id, item.label.text)
    run = RunDir(job.run_path, resume=True)
    artifacts = run.query(query.scene_id, query.query_id) if job.keep_artifacts else None
    if item.task == "qa":
        row = answer_result_to_json(answer_query(scene, query, job.config, models, artifacts=artifacts))
    else:
        given = truth_given(item.label, scene, job) if job.oracle else Given()
        result = ground_query(
            scene, query, job.config, models, given=given, artifacts=artifacts, cache=job.cache
        )
        result = replace(result, truth=score_against_label(result, item.label))
        row = result_to_json(result)
    return _named(row, item)


def truth_given(label: Label, scene: Scene, job: SceneJob) -> Given:
    """Truth in place of the first stages, up to the oracle's.

    Raises:
        InputError: The query's truth is not known that far.
    """
    if label.main_run is None or not label.runs_s:
        raise InputError("the query has no visible run to give")
    span = TemporalSpan(*label.runs_s[label.main_run])
    if job.oracle == "span":
        return Given(span=span)
    readable = set(scene.frame_indices.tolist())
    best = sorted(
        (view for view in label.keyframes if view.frame_index in readable), key=lambda view: -view.visibility
    )[:ORACLE_BOXES]
    if not best:
        raise InputError("the query has no key frame to give")
    boxes = tuple(Box2D(view.frame_index, view.box_xyxy_px) for view in best)
    if job.oracle == "box":
        return Given(span=span, boxes_2d=boxes)
    return Given(span=span, boxes_2d=boxes, masks=_true_masks(label, scene, job.config.tracker.max_views))


def _true_masks(label: Label, scene: Scene, max_views: int) -> tuple[FrameMask, ...]:
    folder = scene.path if scene.path.is_dir() else scene.path.parent
    path = find_instance_zip(folder, scene.scene_id)
    if path is None or label.object_id is None:
        raise InputError("the oracle of masks needs ScanNet's instance pictures beside the capture")
    pictures = InstancePictures(path, scene.color_camera.size_wh)
    inside = [
        frame.frame_index
        for frame in scene.frames
        if any(start <= frame.timestamp_s < end for start, end in label.runs_s)
    ]
    chosen = [inside[int(place)] for place in np.linspace(0, len(inside) - 1, min(max_views, len(inside)))]
    masks = []
    for index in chosen:
        mask = pictures.read(index) == label.object_id + 1
        if mask.any():
            masks.append(FrameMask(index, RleMask.encode(mask), 1.0))
    return tuple(masks)


class CachedReader:
    """Keeps decoded images while queries of one scene are worked on, up to a number of bytes."""

    def __init__(self, reader: FrameReader, max_bytes: int = CACHE_BYTES) -> None:
        self._reader, self._max_bytes = reader, max_bytes
        self._kept: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._num_bytes = 0

    def read_color(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        return self._read("color", frame_index, self._reader.read_color)

    def read_depth(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        return self._read("depth", frame_index, self._reader.read_depth)

    def _read(self, kind: str, frame_index: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
        key = (kind, frame_index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        image = read(frame_index)
        # Shared by all queries of the scene: a stage that draws on it must copy.
        image.flags.writeable = False
        self._kept[key] = image
        self._num_bytes += image.nbytes
        while self._num_bytes > self._max_bytes and len(self._kept) > 1:
            self._num_bytes -= self._kept.popitem(last=False)[1].nbytes
        return image


def cached_scene(scene: Scene) -> Scene:
    """The scene with a CachedReader."""
    return replace(scene, reader=CachedReader(scene.reader))


@lru_cache(maxsize=1)
def _models_of(config_json: str) -> Models:
    return Models(GroundConfig.model_validate_json(config_json))


def _models(config: GroundConfig, with_vlm: bool) -> Models:
    """One process loads its models once."""
    models = _models_of(config.model_dump_json())
    models.load(with_vlm=with_vlm)
    return models


def by_scene(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items of each scene, in order."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.label.scene_id, []).append(item)
    return found
