"""Labels of one scene: annotated sentences and questions joined with when and where objects are visible."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from scene_r1_cli.data import supervision
from scene_r1_cli.data.annotations import Annotation
from scene_r1_cli.data.instance_maps import (
    InstanceMaps,
    InstancePictures,
    MeshInstances,
    find_instance_zip,
)
from scene_r1_cli.data.labels import Label, write_labels
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.prepared import FRAMES_FILE, read_frames
from scene_r1_cli.data.sources.scannet_objects import ObjectTruth, object_truths
from scene_r1_cli.data.supervision import ObjectView, Visibility, find_visibility, object_views
from scene_r1_cli.errors import InputError
from scene_r1_cli.files import write_json
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.preprocess_config import LabelsConfig
from scene_r1_cli.types import Scene

logger = logging.getLogger(__name__)

THRESHOLDS = {
    name: getattr(supervision, name)
    for name in (
        "SPECK_SHARE",
        "MIN_IMAGE_SHARE",
        "MIN_VISIBILITY",
        "MAX_GAP_S",
        "MIN_RUN_S",
        "MAX_KEYFRAMES",
        "KEYFRAME_GAP_S",
        "CUT_WEIGHT",
    )
}
FORMAT = 1
MAX_UNKNOWN_TOLD = 5


@dataclass(frozen=True)
class Annotated:
    """The annotated objects of one capture.

    Attributes:
        maps: Makes the pictures that show where they are.
        truths: Their true boxes by ``object_id``.
        min_image_share: An object that covers less of the image is not visible.
    """

    maps: Callable[[], InstanceMaps]
    truths: Mapping[int, ObjectTruth]
    min_image_share: float = supervision.MIN_IMAGE_SHARE


def label_scene(
    source: Path,
    folder: Path,
    sets: Mapping[str, Sequence[Annotation]],
    config: LabelsConfig,
    made_from: str,
) -> dict[str, dict[str, int]]:
    """Label a scene of ScanNet; see ``write_label_sets``.

    Args:
        source: ScanNet's folder of the scene, or its ``.sens``.
        folder: The prepared scene.
        sets: Annotations of this scene by set.
        config: Where objects are looked for.
        made_from: Fingerprint of the prepared scene.
    """
    scene_dir = source if source.is_dir() else source.parent

    def annotated(scene: Scene) -> Annotated:
        return Annotated(partial(instance_maps, scene, scene_dir, config), _truths(scene_dir))

    return write_label_sets(source, "scannet", folder, sets, config, made_from, annotated)


def write_label_sets(
    source: Path,
    format_name: str,
    folder: Path,
    sets: Mapping[str, Sequence[Annotation]],
    config: LabelsConfig,
    made_from: str,
    annotated: Callable[[Scene], Annotated],
) -> dict[str, dict[str, int]]:
    """Write ``labels/<set>.parquet`` of a prepared scene, with a ``.json`` beside it that says how.

    Args:
        source: The capture.
        format_name: Its format, a key of SOURCES.
        folder: The prepared scene.
        sets: Annotations of this scene by set.
        config: Where objects are looked for.
        made_from: Fingerprint of the prepared scene and what else decides its objects.
        annotated: Finds the objects of the opened capture.

    Returns:
        Per set: ``queries`` written, and what was left out by reason.

    Raises:
        InputError: The objects' places in the capture cannot be read.
    """
    counts: dict[str, dict[str, int]] = {}
    wanted: dict[str, Sequence[Annotation]] = {}
    prints = {
        name: fingerprint(FORMAT, made_from, list(rows), config, THRESHOLDS) for name, rows in sets.items()
    }
    for name, rows in sets.items():
        stored = _stored_counts(folder / "labels" / f"{name}.json", prints[name])
        if stored is None:
            wanted[name] = rows
        else:
            counts[name] = stored
    if not wanted:
        return counts
    scene = open_scene(source, format_name)
    objects = annotated(scene)
    prepared = open_scene(folder, "prepared")
    asked = {object_id for rows in wanted.values() for row in rows for object_id in row.object_ids}
    indices = _labelled_frames(prepared)
    seen, failed = (
        visibility_of(scene, indices, objects.maps(), asked, objects.min_image_share) if asked else ({}, 0)
    )
    thresholds = THRESHOLDS | {"MIN_IMAGE_SHARE": objects.min_image_share}
    for name, rows in wanted.items():
        labels, counts[name] = make_labels(rows, seen, objects.truths)
        if failed:
            counts[name]["frames without instances"] = failed
        write_labels(folder / "labels" / f"{name}.parquet", labels)
        manifest = {"fingerprint": prints[name], "thresholds": thresholds, "counts": counts[name]}
        write_json(
            folder / "labels" / f"{name}.json", manifest | {"settings": config.model_dump(mode="json")}
        )
    return counts


def instance_maps(scene: Scene, scene_dir: Path, config: LabelsConfig) -> InstanceMaps:
    """The scene's instance pictures, or its annotated mesh where there are none.

    Raises:
        InputError: Neither can be read.
    """
    pictures = find_instance_zip(scene_dir, scene.scene_id)
    if config.instances == "images" and pictures is None:
        raise InputError(f"{scene_dir} has no {scene.scene_id}_2d-instance-filt.zip.")
    if pictures is not None and config.instances != "mesh":
        return InstancePictures(pictures, scene.color_camera.size_wh)
    return MeshInstances(scene, scene_dir, config.mesh_side_px)


def visibility_of(
    scene: Scene,
    frame_indices: Iterable[int],
    maps: InstanceMaps,
    asked: set[int],
    min_image_share: float = supervision.MIN_IMAGE_SHARE,
) -> tuple[dict[int, Visibility], int]:
    """When and where objects are visible.

    Args:
        scene: The capture, with all frames.
        frame_indices: Frames to look at, rising.
        maps: What they show.
        asked: ``object_id`` of the objects.
        min_image_share: See ``find_visibility``.

    Returns:
        Visibility by ``object_id``, without objects that are never visible; and how many frames could not
        be read.
    """
    views: dict[int, list[ObjectView]] = {object_id: [] for object_id in asked}
    times: dict[int, float] = {}
    failed = 0
    for index in frame_indices:
        try:
            instances, depth_m = maps.read(index), scene.read_depth(index)
        except InputError as error:
            failed += 1
            logger.warning("%s: no labels from this frame: %s", scene.scene_id, error.message)
            continue
        times[index] = scene.frame(index).timestamp_s
        others = frozenset(range(int(instances.max()))) - asked
        for object_id, view in object_views(instances, depth_m, scene.color_camera, index, others).items():
            if object_id in views:
                views[object_id].append(view)
    period_s = float(np.median(np.diff(list(times.values())))) if len(times) > 1 else 1.0
    found = {
        object_id: find_visibility(seen, times, period_s, scene.color_camera.size_wh, min_image_share)
        for object_id, seen in views.items()
    }
    return {
        object_id: seen for object_id, seen in found.items() if seen is not None and seen.keyframes
    }, failed


def make_labels(
    rows: Sequence[Annotation], seen: Mapping[int, Visibility], truths: Mapping[int, ObjectTruth]
) -> tuple[list[Label], dict[str, int]]:
    """Join annotations with visibility.

    A sentence about one object carries its runs, key frames and true box. One about several carries the
    union of their runs; one about none, no runs. A sentence about an object that no frame shows well is
    left out; a question stays, since it can be asked all the same.

    Returns:
        Labels, and counts: ``queries`` and what was left out by reason.
    """
    labels: list[Label] = []
    counts: Counter[str] = Counter(queries=0)
    for row in rows:
        unknown = [item for item in row.object_ids if truths and item not in truths]
        if unknown:
            counts["unknown object"] += 1
            if counts["unknown object"] <= MAX_UNKNOWN_TOLD:
                logger.warning(
                    "%s, query %s: object %d is not in the scene's annotation",
                    row.scene_id,
                    row.query_id,
                    unknown[0],
                )
            continue
        hidden = [item for item in row.object_ids if item not in seen]
        if hidden and not row.answers:
            counts["never visible"] += 1
            continue
        only = row.object_ids[0] if len(row.object_ids) == 1 and not hidden else None
        runs = _union([seen[item].runs_s for item in row.object_ids if item in seen])
        labels.append(
            Label(
                scene_id=row.scene_id,
                query_id=row.query_id,
                text=row.text,
                object_id=only,
                runs_s=seen[only].runs_s if only is not None else runs,
                main_run=seen[only].main_run if only is not None else _longest(runs),
                keyframes=seen[only].keyframes if only is not None else (),
                answers=row.answers,
                answer_type=row.kind if row.answers else "",
                box3d=truths[only].box3d if only is not None and only in truths else None,
            )
        )
        counts["queries"] += 1
    return labels, dict(counts)


def _union(runs_of: Sequence[Sequence[tuple[float, float]]]) -> tuple[tuple[float, float], ...]:
    """Disjoint intervals that cover what any object's runs cover."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(run for runs in runs_of for run in runs):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def _longest(runs: Sequence[tuple[float, float]]) -> int | None:
    return int(np.argmax([end - start for start, end in runs])) if runs else None


def _truths(scene_dir: Path) -> dict[int, ObjectTruth]:
    """True boxes for evaluation; none where the scene has no annotated mesh."""
    try:
        return object_truths(scene_dir)
    except InputError as error:
        logger.warning("labels have no true boxes: %s", error.message)
        return {}


def _labelled_frames(prepared: Scene) -> list[int]:
    table = read_frames(prepared.path / FRAMES_FILE)
    return table.frame_index[table.sampled].tolist()


def _stored_counts(path: Path, made_from: str) -> dict[str, int] | None:
    if not path.is_file() or not path.with_suffix(".parquet").is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return manifest["counts"] if manifest["fingerprint"] == made_from else None
    except (ValueError, KeyError, TypeError):
        return None
