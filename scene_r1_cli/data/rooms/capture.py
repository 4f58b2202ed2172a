"""Films a room: renders every frame, adds what sensors add, and gathers what is visible when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from scene_r1_cli.data.rooms.camera_path import RATE_HZ, walk_through
from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.mesh import MeshBuilder
from scene_r1_cli.data.rooms.options import RoomOptions
from scene_r1_cli.data.rooms.render import RoomRenderer
from scene_r1_cli.data.rooms.sensor import ColorSensor, DepthSensor, drift
from scene_r1_cli.data.sources.sens_writer import SensFrame
from scene_r1_cli.data.supervision import ObjectView, object_views

DEPTH_CLOCK_US = 5_000
"""The depth camera fires a little after the colour camera."""


@dataclass
class Capture:
    """One walk through one room.

    Attributes:
        room: The room.
        options: Sizes and rates.
        scan_from_world: (4, 4) inverse of the axis alignment.
        renderer: Draws the room.
        mesh: Gathers what depth frames show.
        world_from_camera: (N, 4, 4) where the camera truly was in every frame.
        world_from_tracked: (N, 4, 4) where its tracker says it was.
        times_s: (N,) time of every frame.
        views: Per ``object_id``, what frames filmed so far show of it.
    """

    room: Room
    options: RoomOptions
    scan_from_world: np.ndarray
    renderer: RoomRenderer
    mesh: MeshBuilder
    world_from_camera: np.ndarray
    world_from_tracked: np.ndarray
    times_s: np.ndarray
    views: dict[int, list[ObjectView]] = field(default_factory=dict)

    def film(self, save_instances: Callable[[int, np.ndarray], None]) -> Iterator[SensFrame]:
        """Render frame after frame; ``save_instances(frame_index, map)`` is told each instance map."""
        options = self.options
        rng = np.random.default_rng([self.room.seed, 5])
        faces = self.renderer.faces
        structure = frozenset(item.object_id for item in self.room.objects if item.is_structure)
        depth_sensor = DepthSensor(options.depth_camera, faces.rgb, faces.texture, rng)
        color_sensor = ColorSensor.draw(options.duration_s, rng)
        for index, (true_pose, tracked_pose) in enumerate(
            zip(self.world_from_camera, self.world_from_tracked, strict=True)
        ):
            color = self.renderer.color(options.color_camera, true_pose)
            depth = self.renderer.depth(options.depth_camera, true_pose)
            self.mesh.add(depth)
            for object_id, view in object_views(
                color.instances, color.depth_m, options.color_camera, index, structure
            ).items():
                self.views.setdefault(object_id, []).append(view)
            save_instances(index, color.instances)
            rgb, depth_raw = color.rgb, _exact(depth.depth_m)
            if options.noise:
                rgb = color_sensor.expose(rgb, float(self.times_s[index]), rng)
                depth_raw = depth_sensor.read(depth)
            jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, options.jpeg_quality])[1]
            time_us = round(self.times_s[index] * 1e6)
            yield SensFrame(
                scan_from_camera=self.scan_from_world @ tracked_pose,
                color_jpeg=jpeg.tobytes(),
                depth_raw=depth_raw,
                color_timestamp_us=time_us,
                depth_timestamp_us=time_us + DEPTH_CLOCK_US,
            )


def prepare_capture(room: Room, options: RoomOptions, scan_from_world: np.ndarray) -> Capture:
    """Paint a room and plan the walk through it."""
    # Finer than a pixel of a surface three metres away cannot be seen.
    texel_m = float(np.clip(3.0 / options.color_camera.fx, 0.010, 0.020))
    renderer = RoomRenderer(room, texel_m)
    path = walk_through(room, options.duration_s, renderer.first_seen)
    times = np.arange(options.num_frames) / options.fps
    world_from_camera = path[np.rint(times * RATE_HZ).astype(int)]
    rng = np.random.default_rng([room.seed, 4])
    errors = drift(len(times), options.fps, rng)
    world_from_tracked = world_from_camera @ errors if options.noise else world_from_camera
    return Capture(
        room,
        options,
        scan_from_world,
        renderer,
        MeshBuilder(renderer),
        world_from_camera,
        world_from_tracked,
        times,
    )


def _exact(depth_m: np.ndarray) -> np.ndarray:
    """(h, w) uint16 millimetres of an exact depth image; 0 beyond the type's range."""
    millimetres = np.where(np.isfinite(depth_m), depth_m, 0) * 1000
    return np.where(millimetres < 65535, np.rint(millimetres), 0).astype(np.uint16)
