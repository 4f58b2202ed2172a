"""ScanNet's annotated objects: mesh, instances and true boxes, read through ``scenezoo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.sources.scannet import axis_alignment, read_meta
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.boxes import aabb_from_points
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.types import Box3D


@dataclass(frozen=True)
class ObjectTruth:
    """One annotated object.

    Attributes:
        object_id: ``objectId`` of the aggregation file (an instance picture shows ``objectId + 1``).
        label: Its raw name.
        box3d: Axis-aligned box in the world frame, as ScanRefer makes it.
    """

    object_id: int
    label: str
    box3d: Box3D


def scannet_instances(scene_dir: Path) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """The annotated mesh of a ScanNet scene.

    Args:
        scene_dir: ``…/scans/<scene_id>``.

    Returns:
        (N, 3) float64 vertices in the scan frame, (N,) int object ids (-1 = no object), and names by id.

    Raises:
        InputError: Mesh, segments or aggregation are missing or damaged; the file is named.
    """
    from scenezoo import SceneZooError, get_dataset

    scene_id = scene_dir.resolve().name
    for suffix in ("_vh_clean_2.ply", "_vh_clean_2.0.010000.segs.json", ".aggregation.json"):
        if not (scene_dir / f"{scene_id}{suffix}").is_file():
            raise InputError(
                f"{scene_dir} has no {scene_id}{suffix}.", "Download ScanNet's mesh and annotation files too."
            )
    # Our folder need not lie in a `scans/`; name the files relative to it.
    dataset: Any = get_dataset(
        "scannet",
        scene_dir,
        decimated_mesh_file="{scene_id}_vh_clean_2.ply",
        segmentation_file="{scene_id}_vh_clean_2.0.010000.segs.json",
        aggregation_file="{scene_id}.aggregation.json",
    )
    try:
        vertices = np.asarray(dataset.get_mesh(scene_id).vertices, dtype=np.float64)
        segmentation = dataset.get_segmentation(scene_id)
    except (SceneZooError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The annotation of {scene_dir} is damaged: {error}") from error
    if len(segmentation.labels) != len(vertices):
        raise InputError(
            f"{scene_dir}: segments of {len(segmentation.labels)} vertices, a mesh of {len(vertices)}."
        )
    return vertices, segmentation.labels, segmentation.id_to_name


def object_truths(scene_dir: Path) -> dict[int, ObjectTruth]:
    """True boxes of a ScanNet scene's objects by ``objectId``.

    As ScanRefer's loader: vertices of the object's segments, times ``axisAlignment`` (identity if the
    meta file has none), then their bounds. Objects without vertices are left out.

    Raises:
        InputError: See scannet_instances.
    """
    vertices_scan, object_ids, names = scannet_instances(scene_dir)
    meta_path = scene_dir / f"{scene_dir.resolve().name}.txt"
    aligned = axis_alignment(read_meta(meta_path), meta_path)
    vertices_world = transform_points(np.eye(4) if aligned is None else aligned, vertices_scan)
    return {
        object_id: ObjectTruth(object_id, label, aabb_from_points(vertices_world[object_ids == object_id]))
        for object_id, label in names.items()
        if (object_ids == object_id).any()
    }
