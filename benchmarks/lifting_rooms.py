"""What ``benchmarks/lifting.py`` measures on: objects of rooms, their views, masks and oracle boxes."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks import mask_errors
from benchmarks.one_box import OPTIONS, labels_per_object
from scene_r1_cli.config import SurfaceConfig
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import make_room
from scene_r1_cli.data.scene_surface import SceneSurface, read_segmented_mesh, scene_surface
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.scannet_objects import read_annotated_mesh
from scene_r1_cli.data.supervision import MIN_IMAGE_SHARE, ObjectView, object_views
from scene_r1_cli.geometry.boxes import aabb_from_points
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.masks import look_up
from scene_r1_cli.geometry.transforms import invert, transform_points
from scene_r1_cli.geometry.visibility import SEEN, classify_points
from scene_r1_cli.types import Box3D, FrameMask, RleMask, Scene

MAX_OBJECTS = 10
MAX_VIEWS = 30
STRUCTURE = frozenset({"wall", "floor", "ceiling"})
"""Classes that a tracker does not take for the object."""


@dataclass(frozen=True)
class DecodedReader:
    """Every image of a capture, decoded: reading one costs nothing while the clock runs."""

    color: dict[int, np.ndarray]
    depth: dict[int, np.ndarray]

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8; see FrameReader."""
        return self.color[frame_index]

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(H, W) float32 metres; see FrameReader."""
        return self.depth[frame_index]


@dataclass(frozen=True)
class LoadedRoom:
    """One room in memory.

    Attributes:
        seed: Its seed.
        scene: The capture, with a DecodedReader.
        labels: One per object that a sentence points at.
        instances: Per usable frame (H, W) uint8 at colour size, 0 = none, object_id + 1 otherwise.
        class_of: Class of every object but walls, floor and ceiling.
        vertices_world_m: (V, 3) float64 of the room's noise-free mesh of what any depth frame showed.
        vertex_objects: (V,) ``object_id``.
    """

    seed: int
    scene: Scene
    labels: list[Label]
    instances: dict[int, np.ndarray]
    class_of: dict[int, str]
    vertices_world_m: np.ndarray
    vertex_objects: np.ndarray


@dataclass(frozen=True)
class Target:
    """One object to lift.

    Attributes:
        object_id: The object.
        label: Says its true box.
        view_indices: Frames that show it best, rising; MAX_VIEWS unless another number was asked for.
        spare_indices: As many next best ones, rising: for second passes.
    """

    object_id: int
    label: Label
    view_indices: tuple[int, ...]
    spare_indices: tuple[int, ...]


def load_room(seed: int, root: Path, depth_size_wh: tuple[int, int] = OPTIONS.depth_size_wh) -> LoadedRoom:
    """Make a room if it is not there yet, and decode all of it."""
    folder = make_room(seed, root, replace(OPTIONS, depth_size_wh=depth_size_wh)).path
    scene = open_scene(folder)
    indices = scene.frame_indices.tolist()
    reader = DecodedReader(
        {index: scene.read_color(index) for index in indices},
        {index: scene.read_depth(index) for index in indices},
    )
    annotated = read_annotated_mesh(folder)
    vertices_scan = annotated.vertices_scan_m
    vertex_objects = np.full(len(vertices_scan), -1)
    names = {}
    for object_id, item in annotated.objects.items():
        vertex_objects[item.vertex_indices] = object_id
        names[object_id] = item.label
    return LoadedRoom(
        seed,
        replace(scene, reader=reader),
        labels_per_object(read_labels(folder / "labels" / "rooms.parquet")),
        read_instances(folder / f"{folder.name}_2d-instance-filt.zip", indices),
        {object_id: name for object_id, name in names.items() if name not in STRUCTURE},
        transform_points(scene.world_from_scan, vertices_scan),
        vertex_objects,
    )


def room_surfaces(room: LoadedRoom, cache: Path) -> tuple[SceneSurface | None, SceneSurface]:
    """The surface fused from the room's depth images, and the one its files hold: free of noise."""
    fused = scene_surface(room.scene, SurfaceConfig(use="fused"), cache)
    mesh, segments = room.scene.surface_path, room.scene.superpoints_path
    assert mesh is not None
    assert segments is not None
    return fused, read_segmented_mesh(mesh, segments, room.scene.world_from_scan)


def read_instances(path: Path, frame_indices: Sequence[int]) -> dict[int, np.ndarray]:
    """(H, W) uint8 instance pictures of a ScanNet zip, by frame."""
    pictures = {}
    with zipfile.ZipFile(path) as archive:
        for index in frame_indices:
            png = np.frombuffer(archive.read(f"instance-filt/{index}.png"), np.uint8)
            picture = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
            assert picture is not None
            pictures[index] = picture
    return pictures


def choose_targets(room: LoadedRoom, max_views: int = MAX_VIEWS) -> list[Target]:
    """At most MAX_OBJECTS labelled objects, drawn by the room's seed, with their ``max_views`` best views."""
    width, height = room.scene.color_camera.size_wh
    views: dict[int, list[ObjectView]] = {}
    for index, instances in room.instances.items():
        shown = object_views(instances, room.scene.read_depth(index), room.scene.color_camera, index)
        for object_id, view in shown.items():
            if view.area_px >= MIN_IMAGE_SHARE * width * height:
                views.setdefault(object_id, []).append(view)
    labels = [
        label
        for label in room.labels
        if label.box3d is not None and label.object_id in views and label.object_id in room.class_of
    ]
    labels.sort(key=lambda label: label.object_id or 0)
    drawn = np.random.default_rng([room.seed, mask_errors.VERSION]).permutation(len(labels))[:MAX_OBJECTS]
    targets = []
    for label in [labels[place] for place in sorted(drawn)]:
        object_id = int(label.object_id or 0)
        best = sorted(views[object_id], key=lambda view: (-view.surface_m2, view.frame_index))
        frames = [view.frame_index for view in best[: 2 * max_views]]
        chosen, spare = sorted(frames[:max_views]), sorted(frames[max_views:])
        targets.append(Target(object_id, label, tuple(chosen), tuple(spare)))
    return targets


def masks_of(
    room: LoadedRoom, object_id: int, frame_indices: Sequence[int], source: mask_errors.MaskSource
) -> list[FrameMask]:
    """Masks of one object by a mask source; frames without one are left out."""
    masks = []
    for index in frame_indices:
        mask = mask_errors.make_mask(
            source, room.instances[index], object_id, room.class_of, room.seed, index
        )
        if mask is not None:
            masks.append(FrameMask(index, RleMask.encode(mask), 1.0))
    return masks


def oracle_boxes(room: LoadedRoom, target: Target) -> tuple[Box3D | None, Box3D | None]:
    """Boxes of the object's noise-free surface that depth showed: in any frame, and in the given views.

    A mesh vertex was observed if a depth reading agrees with it in a frame whose true mask covers it.
    """
    vertices = room.vertices_world_m[room.vertex_objects == target.object_id]
    given = set(target.view_indices)
    seen_in_any = np.zeros(len(vertices), dtype=bool)
    seen_in_given = np.zeros(len(vertices), dtype=bool)
    for index, instances in room.instances.items():
        mask = instances == target.object_id + 1
        if not mask.any():
            continue
        state, _ = classify_points(
            vertices,
            room.scene.world_from_depth_camera(index),
            room.scene.depth_camera,
            room.scene.read_depth(index),
        )
        camera_from_world = invert(room.scene.world_from_color_camera(index))
        pixels_xy, _ = project(room.scene.color_camera, transform_points(camera_from_world, vertices))
        # A vertex on the outline falls beside the mask as often as on it: one pixel of depth is let through.
        around = mask_errors.grown(mask, 2)
        seen = (state == SEEN) & look_up(around, (0, 0, mask.shape[1], mask.shape[0]), pixels_xy)
        seen_in_any |= seen
        if index in given:
            seen_in_given |= seen
    boxes = [
        aabb_from_points(vertices[seen]) if seen.any() else None for seen in (seen_in_any, seen_in_given)
    ]
    return boxes[0], boxes[1]
