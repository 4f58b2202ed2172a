"""Labels of a visit of SceneFun3D: its tasks joined with when and where their elements are visible."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.annotations.scenefun3d import Element, read_visit
from scene_r1_cli.data.label_scene import Annotated, write_label_sets
from scene_r1_cli.data.laser_scan import LaserInstances, read_laser_scan
from scene_r1_cli.data.sources.scannet_objects import ObjectTruth
from scene_r1_cli.data.supervision import ELEMENT_MIN_IMAGE_SHARE
from scene_r1_cli.files import write_json
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.geometry.boxes import aabb_from_points
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.preprocess_config import LabelsConfig
from scene_r1_cli.types import Scene

ELEMENTS_FILE = "elements.json"


def label_visit(
    visit: Path, folder: Path, config: LabelsConfig, made_from: str
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Label a visit from the annotation files in its folder, and write ``elements.json``.

    Args:
        visit: The visit's folder.
        folder: The prepared scene.
        config: Settings, which stand in the labels' manifest.
        made_from: Fingerprint of the prepared scene.

    Returns:
        Counts as of ``write_label_sets``, empty for a visit without annotation (test split); and one sentence
        for each row that cannot be used.

    Raises:
        InputError: The laser scan or an annotation file cannot be read.
    """
    points = read_laser_scan(visit)
    found = read_visit(visit, len(points))
    if not found.is_annotated:
        return {}, ()

    def annotated(scene: Scene) -> Annotated:
        write_json(folder / ELEMENTS_FILE, [_element_record(scene, points, item) for item in found.elements])
        truths = {
            number: ObjectTruth(number, item.affordance, aabb_from_points(_in_world(scene, points, item)))
            for number, item in enumerate(found.elements)
        }
        maps = partial(LaserInstances, scene, points, found.elements)
        return Annotated(maps, truths, ELEMENT_MIN_IMAGE_SHARE)

    made_from = fingerprint(
        made_from,
        [[item.annot_id, item.affordance, item.point_indices, item.motion] for item in found.elements],
    )
    counts = write_label_sets(
        visit, "scenefun3d", folder, {found.tasks.name: found.tasks.rows}, config, made_from, annotated
    )
    for name in counts:
        counts[name]["unusable rows"] = len(found.tasks.faults)
    return counts, found.tasks.faults


def _in_world(scene: Scene, points_scan_m: np.ndarray, element: Element) -> np.ndarray:
    return transform_points(scene.world_from_scan, points_scan_m[element.point_indices])


def _element_record(scene: Scene, points_scan_m: np.ndarray, element: Element) -> dict[str, Any]:
    """An element as ``elements.json`` has it, where its row is its ``object_id``; in world, metres."""
    box = aabb_from_points(_in_world(scene, points_scan_m, element))
    record: dict[str, Any] = {
        "annot_id": element.annot_id,
        "affordance": element.affordance,
        "num_points": len(element.point_indices),
        "box3d": {"center_m": box.center_m.tolist(), "size_m": box.size_m.tolist()},
        "motion": None,
    }
    if element.motion is not None:
        origin = points_scan_m[element.motion.origin_index]
        record["motion"] = {
            "kind": element.motion.kind,
            "direction": (scene.world_from_scan[:3, :3] @ element.motion.direction_scan).tolist(),
            "origin_m": transform_points(scene.world_from_scan, origin).tolist(),
        }
    return record
