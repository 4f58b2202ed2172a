"""Turns sideways captures upright: a phone held in portrait stores its landscape sensor's picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scene_r1_cli.types import Camera, Frame, FrameReader, Scene


def quarter_turns_upright(scene: Scene) -> int:
    """How many quarter turns, counter-clockwise, put gravity at the bottom of most pictures (0 to 3)."""
    # "Up" of the world as the camera sees it: x to the right, y down.
    ups = np.array(
        [(scene.world_from_scan @ frame.scan_from_camera)[2, :2] for frame in scene.frames], dtype=np.float64
    )
    right, down = np.median(ups, axis=0)
    if max(abs(right), abs(down)) < 0.3:
        return 0  # the camera looked at the floor or the ceiling: there is no upright
    if abs(down) >= abs(right):
        return 0 if down < 0 else 2
    return 1 if right > 0 else 3


def turned_upright(scene: Scene) -> Scene:
    """The scene with pictures, cameras and camera transforms turned; the same scene if it is upright."""
    turns = quarter_turns_upright(scene)
    if not turns:
        return scene
    camera_from_turned = np.eye(4)
    camera_from_turned[:3, :3] = _camera_from_turned(turns)
    frames = tuple(
        Frame(frame.frame_index, frame.timestamp_s, frame.scan_from_camera @ camera_from_turned)
        for frame in scene.frames
    )
    turned_from_camera = camera_from_turned.T
    return replace(
        scene,
        color_camera=turned_camera(scene.color_camera, turns),
        depth_camera=turned_camera(scene.depth_camera, turns),
        depth_from_color=turned_from_camera @ scene.depth_from_color @ camera_from_turned,
        frames=frames,
        reader=TurnedReader(scene.reader, turns),
        notes=(*scene.notes, f"the pictures lie on their side and are turned by {90 * turns}°"),
    )


class TurnedReader:
    """Turns decoded images by quarter turns, counter-clockwise."""

    def __init__(self, reader: FrameReader, quarter_turns: int) -> None:
        self._reader, self._turns = reader, quarter_turns

    def read_color(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        return np.ascontiguousarray(np.rot90(self._reader.read_color(frame_index), self._turns))

    def read_depth(self, frame_index: int) -> np.ndarray:
        """See FrameReader."""
        return np.ascontiguousarray(np.rot90(self._reader.read_depth(frame_index), self._turns))


def turned_camera(camera: Camera, quarter_turns: int) -> Camera:
    """The camera of an image turned counter-clockwise."""
    for _ in range(quarter_turns):
        width, height = camera.size_wh
        # Counter-clockwise: the right border becomes the top.
        camera = Camera(camera.fy, camera.fx, camera.cy, width - 1 - camera.cx, (height, width))
    return camera


def _camera_from_turned(quarter_turns: int) -> np.ndarray:
    """(3, 3) rotation about the optical axis, from the turned camera's axes to the camera's."""
    # One turn: turned x points along the old y (down), turned y against the old x.
    one = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return np.linalg.matrix_power(one, quarter_turns)
