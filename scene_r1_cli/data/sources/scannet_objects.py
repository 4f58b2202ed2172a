"""ScanNet's annotated objects: which vertices of the mesh are whose, and the true boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.sources.assemble import folder_name
from scene_r1_cli.data.sources.scannet import axis_alignment, read_meta
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.boxes import aabb_from_points
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.types import Box3D


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of a scene's aggregation file.

    Attributes:
        label: Its raw name.
        vertex_indices: (K,) int64 rising; empty if none of its segments is on the mesh.
    """

    label: str
    vertex_indices: np.ndarray


@dataclass(frozen=True)
class AnnotatedMesh:
    """The vertices of ``_vh_clean_2.ply`` and whose they are.

    Attributes:
        vertices_scan_m: (N, 3) float64.
        objects: By ``objectId`` (an instance picture shows ``objectId + 1``). Objects may share vertices.
    """

    vertices_scan_m: np.ndarray
    objects: dict[int, AnnotatedObject]


@dataclass(frozen=True)
class ObjectTruth:
    """One annotated object.

    Attributes:
        object_id: ``objectId`` of the aggregation file.
        label: Its raw name.
        box3d: Axis-aligned box in the world frame, as ScanRefer makes it.
    """

    object_id: int
    label: str
    box3d: Box3D


def read_annotated_mesh(scene_dir: Path) -> AnnotatedMesh:
    """Read a ScanNet scene's mesh vertices and its objects.

    The annotation is parsed here and not by scenezoo, which keeps one object per vertex and refuses a
    repeated ``objectId``: scene0217_00 lists its objects twice (ScanNet issue 51).

    Args:
        scene_dir: ``…/scans/<scene_id>``.

    Raises:
        InputError: Mesh, segments or aggregation are missing or damaged; the file is named.
    """
    scene_id = folder_name(scene_dir)
    segments_path = scene_dir / f"{scene_id}_vh_clean_2.0.010000.segs.json"
    vertices_scan_m = _read_vertices(scene_dir, scene_id)
    try:
        segments = np.asarray(_read_json(segments_path)["segIndices"], dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{segments_path} has no segIndices, a list of one number per vertex.") from error
    if segments.shape != (len(vertices_scan_m),):
        raise InputError(
            f"{segments_path} names segments of {segments.size} vertices; "
            f"the mesh has {len(vertices_scan_m)}."
        )
    return AnnotatedMesh(vertices_scan_m, _objects(segments, _read_groups(scene_dir)))


def object_names(scene_dir: Path) -> dict[int, str]:
    """Raw names of a ScanNet scene's annotated objects by ``objectId``, without reading the mesh.

    Raises:
        InputError: The aggregation file is missing or damaged.
    """
    names: dict[int, str] = {}
    for object_id, label, _ in _read_groups(scene_dir):
        names.setdefault(object_id, label)
    return names


def object_truths(scene_dir: Path) -> dict[int, ObjectTruth]:
    """True boxes of a ScanNet scene's objects by ``objectId``.

    As ScanRefer's loader: vertices of the object's segments, times ``axisAlignment`` (identity if the
    meta file has none), then their bounds. Objects without vertices are left out.

    Raises:
        InputError: See read_annotated_mesh.
    """
    mesh = read_annotated_mesh(scene_dir)
    meta_path = scene_dir / f"{folder_name(scene_dir)}.txt"
    aligned = axis_alignment(read_meta(meta_path), meta_path)
    vertices_world_m = transform_points(np.eye(4) if aligned is None else aligned, mesh.vertices_scan_m)
    return {
        object_id: ObjectTruth(object_id, item.label, aabb_from_points(vertices_world_m[item.vertex_indices]))
        for object_id, item in mesh.objects.items()
        if len(item.vertex_indices)
    }


def _read_groups(scene_dir: Path) -> list[tuple[int, str, np.ndarray]]:
    path = scene_dir / f"{folder_name(scene_dir)}.aggregation.json"
    try:
        return [
            (int(group["objectId"]), str(group["label"]), np.asarray(group["segments"], dtype=np.int64))
            for group in _read_json(path)["segGroups"]
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} has no segGroups, a list of objectId, label and segments.") from error


def _objects(segments: np.ndarray, groups: list[tuple[int, str, np.ndarray]]) -> dict[int, AnnotatedObject]:
    order = np.argsort(segments, kind="stable")
    in_order = segments[order]
    objects: dict[int, AnnotatedObject] = {}
    for object_id, label, wanted in groups:
        wanted = np.unique(wanted)
        first, last = np.searchsorted(in_order, wanted, "left"), np.searchsorted(in_order, wanted, "right")
        parts = [order[a:b] for a, b in zip(first, last, strict=True)]
        if object_id in objects:
            label = objects[object_id].label
            parts.append(objects[object_id].vertex_indices)
        indices = np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)
        objects[object_id] = AnnotatedObject(label, indices)
    return objects


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing.", "Download ScanNet's mesh and annotation files too."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error


def _read_vertices(scene_dir: Path, scene_id: str) -> np.ndarray:
    path = scene_dir / f"{scene_id}_vh_clean_2.ply"
    if not path.is_file():
        raise InputError(f"{path} is missing.", "Download ScanNet's mesh and annotation files too.")
    from scenezoo import SceneZooError, get_dataset

    # Our folder need not lie in a `scans/`; the file is named relative to it.
    dataset: Any = get_dataset("scannet", scene_dir, decimated_mesh_file="{scene_id}_vh_clean_2.ply")
    try:
        return np.asarray(dataset.get_mesh(scene_id).vertices, dtype=np.float64)
    except SceneZooError as error:
        raise InputError(f"{path} is no mesh: {error}.") from error
