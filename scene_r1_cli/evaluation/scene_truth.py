"""True boxes of all objects of a scene: from ``--gt-boxes``, or from ScanNet's annotated meshes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from scene_r1_cli.data.annotations import read_json
from scene_r1_cli.data.sources.scannet import SCANS_FOLDERS
from scene_r1_cli.data.sources.scannet_objects import object_names, object_truths
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.types import Box3D

Boxes = dict[tuple[str, int], Box3D]


def read_gt_boxes(path: Path) -> Boxes:
    """True boxes of ``{scene_id: {object_id: [cx, cy, cz, dx, dy, dz]}}``, world frame, full lengths.

    Raises:
        InputError: It is no such file, or a box is not finite or has a negative side.
    """
    boxes: Boxes = {}
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} is no object of scenes.")
    for scene_id, objects in data.items():
        try:
            for object_id, values in objects.items():
                numbers = [float(value) for value in values]
                if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or min(numbers[3:]) < 0:
                    raise ValueError(f"object {object_id} has the box {values}")
                center, size = np.array(numbers[:3]), np.array(numbers[3:])
                boxes[scene_id, int(object_id)] = aabb_from_bounds(center - size / 2, center + size / 2)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(
                f"{path}, scene {scene_id}: {error}; a box is [cx, cy, cz, dx, dy, dz], finite, full lengths."
            ) from error
    return boxes


def scannet_boxes(root: Path, scene_ids: Iterable[str]) -> Boxes:
    """True boxes of all objects of some scenes, as ScanRefer's loader makes them.

    Raises:
        InputError: A scene is not there, or its mesh or annotation is damaged.
    """
    return {
        (scene_id, object_id): truth.box3d
        for scene_id in sorted(scene_ids)
        for object_id, truth in object_truths(_scene_dir(root, scene_id)).items()
    }


def scannet_names(root: Path, scene_ids: Iterable[str]) -> Mapping[str, list[str]]:
    """Raw names of all annotated objects of some scenes. Raises InputError as ``scannet_boxes``."""
    return {
        scene_id: list(object_names(_scene_dir(root, scene_id)).values()) for scene_id in sorted(scene_ids)
    }


def _scene_dir(root: Path, scene_id: str) -> Path:
    for name in SCANS_FOLDERS:
        if (root / name / scene_id).is_dir():
            return root / name / scene_id
    raise InputError(f"{root} has no scans/{scene_id}.", "Give --scannet-root ScanNet's folder with scans/.")
