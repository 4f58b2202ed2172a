"""The surface of a whole scene and its superpoints: the data set's own, or fused from the depth images."""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scene_r1_cli.config import SurfaceConfig
from scene_r1_cli.data.room_marker import is_room
from scene_r1_cli.data.segments import read_segments
from scene_r1_cli.errors import InputError
from scene_r1_cli.files import atomic_path
from scene_r1_cli.fingerprint import fingerprint, scene_fingerprint
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.masks import color_pixels_of_depth, colors_at
from scene_r1_cli.geometry.superpoints import edge_weights, mesh_edges, oversegment, smooth_normals
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.progress import counted
from scene_r1_cli.types import Frame, Scene

logger = logging.getLogger(__name__)

Source = Literal["scannet", "fused"]

BLOCK_CELLS = 16
"""Voxels along a side of a block; only blocks near a surface are allocated."""

FIRST_BLOCKS = 20_000
"""Blocks allocated at first; the grid grows by itself."""


@dataclass(frozen=True)
class SceneSurface:
    """A scene's surface, cut into superpoints.

    Attributes:
        vertices_world_m: (V, 3) float32.
        normals: (V, 3) float32 unit; zero where no triangle says.
        superpoints: (V,) int32, numbered from 0 without gaps.
        source: ``scannet`` is the data set's mesh and segments, ``fused`` is made here.
    """

    vertices_world_m: np.ndarray
    normals: np.ndarray
    superpoints: np.ndarray
    source: Source


def scene_surface(scene: Scene, config: SurfaceConfig, cache: Path | None) -> SceneSurface | None:
    """The surface of a scene, made on first use.

    Args:
        scene: The capture.
        config: Which surface, and how it is fused.
        cache: Folder where fused surfaces are kept; None keeps nothing.

    Returns:
        The surface; None if it is switched off or depth shows no surface.

    Raises:
        InputError: The data set's mesh or segments cannot be read.
    """
    source = surface_source(scene, config)
    if source is None:
        return None
    if source == "scannet" and scene.surface_path and scene.superpoints_path:
        return read_segmented_mesh(scene.surface_path, scene.superpoints_path, scene.world_from_scan)
    path = None
    if cache is not None:
        path = cache / f"surface_{fingerprint(scene_fingerprint(scene), config)}.npz"
        if (stored := _load(path)) is not None:
            return stored
    surface = fuse_scene(scene, config)
    if path is not None and surface is not None:
        try:
            with atomic_path(path) as partial, partial.open("wb") as file:
                np.savez(
                    file,
                    vertices_world_m=surface.vertices_world_m,
                    normals=surface.normals,
                    superpoints=surface.superpoints,
                )
        except OSError as error:
            logger.warning("the surface is not kept for the next query: %s", error)
    return surface


def surface_source(scene: Scene, config: SurfaceConfig) -> Source | None:
    """Which surface ``scene_surface`` takes; None if it is switched off.

    The segments of a synthetic room come from its truth, so lifting never sees them.
    """
    if config.use == "off":
        return None
    own = scene.surface_path is not None and scene.superpoints_path is not None and not is_room(scene)
    return "scannet" if own and config.use == "auto" else "fused"


def fuse_scene(scene: Scene, config: SurfaceConfig) -> SceneSurface | None:
    """Fuse depth images to a mesh (truncated signed distances) and over-segment it.

    Args:
        scene: The capture.
        config: Voxels, frames, limits.

    Returns:
        The surface, ``source`` ``fused``; None if the depth images show none.
    """
    import open3d

    o3d: Any = open3d  # Its stubs refuse tuples and arrays, which it takes.
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"),
        (o3d.core.float32, o3d.core.float32, o3d.core.float32),
        ((1,), (1,), (3,)),
        config.voxel_m,
        BLOCK_CELLS,
        FIRST_BLOCKS,
    )
    intrinsic = o3d.core.Tensor(scene.depth_camera.matrix)
    limits = (1.0, config.max_depth_m, config.truncation_voxels)
    fused = 0
    frames = scene.frames[:: -(-len(scene.frames) // config.max_frames)]
    for frame in counted(frames, len(frames)):
        images = registered_images(scene, frame, config.max_depth_m)
        if images is None:
            continue
        depth, color = (o3d.t.geometry.Image(o3d.core.Tensor(image)) for image in images)
        extrinsic = o3d.core.Tensor(invert(scene.world_from_depth_camera(frame.frame_index)))
        blocks = grid.compute_unique_block_coordinates(depth, intrinsic, extrinsic, *limits)
        grid.integrate(blocks, depth, color, intrinsic, intrinsic, extrinsic, *limits)
        fused += 1
    if not fused:
        return None
    # A surface that one frame alone showed is kept where there is but one frame.
    mesh = grid.extract_triangle_mesh(float(min(config.min_frames, fused)))
    if not len(mesh.vertex.positions):
        return None
    vertices, colors, triangles = _in_order(mesh)
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(vertices), o3d.utility.Vector3iVector(triangles)
    )
    mesh.compute_vertex_normals()
    edges = mesh_edges(triangles)
    normals = np.asarray(mesh.vertex_normals)
    smooth = smooth_normals(normals, edges, config.smooth_rounds)
    weights = edge_weights(vertices, smooth, colors, edges, config.color_weight)
    superpoints = oversegment(len(vertices), edges, weights, config.threshold, config.min_vertices)
    logger.info(
        "surface: %d frames, %d vertices, %d superpoints", fused, len(vertices), superpoints.max() + 1
    )
    return SceneSurface(vertices.astype(np.float32), normals.astype(np.float32), superpoints, "fused")


def _in_order(mesh: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, 3) vertices, (V, 3) colours and (T, 3) triangles, always in the same order.

    Open3D's threads number them as they come.
    """
    vertices = mesh.vertex.positions.numpy().astype(np.float64)
    order = np.lexsort(vertices.T)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    triangles = rank[mesh.triangle.indices.numpy()]
    # Turned so that the smallest corner comes first, which keeps the side it faces.
    first = np.argmin(triangles, axis=1)[:, None]
    triangles = np.take_along_axis(triangles, (first + np.arange(3)) % 3, axis=1)
    triangles = triangles[np.lexsort(triangles.T)]
    return vertices[order], mesh.vertex.colors.numpy()[order], triangles


def registered_images(scene: Scene, frame: Frame, max_depth_m: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(H, W) float32 depth, 0 = no reading, and (H, W, 3) float32 colour in [0, 1] of each depth pixel."""
    try:
        depth_m, image = scene.read_depth(frame.frame_index), scene.read_color(frame.frame_index)
    except InputError as error:
        logger.warning("frame %d is passed over: %s", frame.frame_index, error.message)
        return None
    valid = np.isfinite(depth_m) & (depth_m > 0) & (depth_m < max_depth_m)
    if not valid.any():
        return None
    depth_m = np.where(valid, depth_m, 0).astype(np.float32)
    points = pixel_rays(scene.depth_camera)[valid] * depth_m[valid, None]
    pixels = color_pixels_of_depth(points, scene.color_camera, scene.depth_from_color)
    inside, seen_rgb = colors_at(image, pixels)
    painted = np.full((len(points), 3), 0.5, np.float32)
    painted[inside] = seen_rgb / np.float32(255)
    color = np.zeros((*depth_m.shape, 3), np.float32)
    color[valid] = painted
    return depth_m, color


def read_segmented_mesh(mesh_path: Path, segments_path: Path, world_from_scan: np.ndarray) -> SceneSurface:
    """ScanNet's decimated mesh and its over-segmentation.

    Args:
        mesh_path: ``<scene_id>_vh_clean_2.ply``, in the scan frame.
        segments_path: ``<scene_id>_vh_clean_2.0.010000.segs.json``, or its numbers as ``.npy``.
        world_from_scan: (4, 4) axis alignment.

    Raises:
        InputError: A file is damaged, or they do not belong together.
    """
    import open3d as o3d

    # A mesh that cannot be read comes back empty.
    mesh = o3d.io.read_triangle_mesh(mesh_path)
    vertices = np.asarray(mesh.vertices)
    if not len(vertices):
        raise InputError(f"The mesh {mesh_path} is damaged or empty.")
    try:
        segments = read_segments(segments_path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"The segments {segments_path} are damaged: {error}") from error
    if len(segments) != len(vertices):
        raise InputError(f"{segments_path} has {len(segments)} segments for {len(vertices)} vertices.")
    numbered = np.unique(segments, return_inverse=True)[1].astype(np.int32)
    mesh.compute_vertex_normals()
    normals = np.nan_to_num(np.asarray(mesh.vertex_normals)) @ world_from_scan[:3, :3].T
    return SceneSurface(
        transform_points(world_from_scan, vertices).astype(np.float32),
        normals.astype(np.float32),
        numbered,
        "scannet",
    )


def _load(path: Path) -> SceneSurface | None:
    if not path.is_file():
        return None
    try:
        with np.load(path) as stored:
            return SceneSurface(stored["vertices_world_m"], stored["normals"], stored["superpoints"], "fused")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        logger.warning("%s is damaged and made again: %s", path, error)
        return None
