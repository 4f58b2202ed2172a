"""The capture's video with the result drawn in: mask, boxes, the chosen span, the time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from scene_r1_cli.data.video_file import VideoWriter
from scene_r1_cli.errors import InputError
from scene_r1_cli.files import atomic_path
from scene_r1_cli.progress import counted
from scene_r1_cli.query_dir import QueryDir
from scene_r1_cli.serialize import masks_from_json
from scene_r1_cli.types import Box3D, GroundingResult, Scene
from scene_r1_cli.viewer import drawing

MAX_FRAMES = 240
MAX_SIDE_PX = 640
BAR_PX = 22


def write_overlay(
    scene: Scene, result: GroundingResult, artifacts: QueryDir, path: Path, truth_box: Box3D | None = None
) -> Path:
    """Write an MP4 (H.264) of the whole video in its own time, at most MAX_FRAMES frames of it.

    Args:
        scene: The capture.
        result: What was found.
        artifacts: The query's masks.
        path: The file; it appears whole or not at all.
        truth_box: The label's box.
    """
    masks = {item.frame_index: item.mask for item in masks_from_json(artifacts.stored("masks") or [])}
    boxes_2d = {box.frame_index: box for box in result.boxes_2d}
    places = np.linspace(0, len(scene.frames) - 1, min(len(scene.frames), MAX_FRAMES)).astype(int)
    indices = {scene.frames[place].frame_index for place in places} | masks.keys() | boxes_2d.keys()
    frames = [frame for frame in scene.frames if frame.frame_index in indices]
    width, height = scene.color_camera.size_wh
    scale = min(1.0, MAX_SIDE_PX / max(width, height))
    size_wh = (round(width * scale), round(height * scale) + BAR_PX)
    fps = max(1.0, (len(frames) - 1) / max(scene.duration_s, 1e-3))
    boxes_3d = [(truth_box, drawing.TRUTH_RGB), (result.box3d, drawing.PREDICTED_RGB)]
    with atomic_path(path) as partial, VideoWriter(partial, size_wh, fps) as video:
        for frame in counted(frames, len(frames)):
            try:
                image = scene.read_color(frame.frame_index)
            except InputError:
                continue  # the stages have already counted and logged this frame as unreadable
            if frame.frame_index in masks:
                image = drawing.draw_mask(image, masks[frame.frame_index].decode())
            pose = scene.world_from_color_camera(frame.frame_index)
            for box3d, color in boxes_3d:
                if box3d is not None:
                    image = drawing.draw_box3d(image, scene.color_camera, pose, box3d, color)
            if frame.frame_index in boxes_2d:
                image = drawing.draw_box2d(image, boxes_2d[frame.frame_index].xyxy_px)
            image = cv2.resize(image, (size_wh[0], size_wh[1] - BAR_PX), interpolation=cv2.INTER_AREA)
            bar = _time_bar(size_wh[0], frame.timestamp_s, scene.duration_s, result)
            video.add(np.concatenate([image, bar]), frame.timestamp_s)
    return path


def _time_bar(width: int, time_s: float, duration_s: float, result: GroundingResult) -> np.ndarray:
    """(BAR_PX, width, 3) uint8: the span, the present moment, the seconds."""
    bar = np.full((BAR_PX, width, 3), 32, np.uint8)
    per_second = width / max(duration_s, 1e-3)
    if result.span is not None:
        start, end = round(result.span.start_s * per_second), round(result.span.end_s * per_second)
        bar[:, start : max(end, start + 2)] = drawing.PREDICTED_RGB
    now = min(round(time_s * per_second), width - 1)
    bar[:, max(now - 1, 0) : now + 2] = 255
    cv2.putText(
        bar,
        f"{time_s:.1f} s",
        (4, BAR_PX - 6),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.45,
        (255, 255, 255),
        1,
        cv2.LINE_AA,
    )
    return bar
