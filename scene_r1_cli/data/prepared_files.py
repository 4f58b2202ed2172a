"""The files of one prepared scene, written into a folder that is not in its place yet."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli import __version__
from scene_r1_cli.data.capture import Capture
from scene_r1_cli.data.frame_choice import choose_frames
from scene_r1_cli.data.room_marker import RECIPE
from scene_r1_cli.data.segments import read_segments
from scene_r1_cli.data.sources.encoded import EncodedFrames, encoded_frames, png_of_z16
from scene_r1_cli.data.sources.images import decode_color, decode_depth_raw
from scene_r1_cli.data.sources.prepared import (
    DEPTH_SUFFIXES,
    FRAMES_FILE,
    SCENE_FILE,
    SCHEMA_VERSION,
    SUPERPOINTS_FILE,
    SURFACE_FILE,
    FrameTable,
    camera_record,
    check_color,
    write_frames,
)
from scene_r1_cli.data.sources.sens import SensReader
from scene_r1_cli.data.video_file import VideoWriter
from scene_r1_cli.errors import InputError
from scene_r1_cli.preprocess_config import FramesConfig
from scene_r1_cli.types import Scene, SkippedFrame

MAX_SKIPPED_LISTED = 1000
"""Skipped frames listed one by one in ``scene.json``; all are counted."""


def write_scene(
    scene: Scene, capture: Capture, folder: Path, config: FramesConfig, made_from: str
) -> dict[str, Any]:
    """Write everything a prepared scene holds.

    Args:
        scene: The opened capture.
        capture: What it was opened from.
        folder: An empty folder.
        config: Which frames are kept, and how.
        made_from: Fingerprint of source and settings, for the record.

    Returns:
        The record, as written to ``scene.json``.

    Raises:
        InputError: No frame has images that can be read, or the capture's segments are damaged.
    """
    encoded = encoded_frames(scene.reader)
    table = choose_frames(scene, encoded, config)
    skipped = list(scene.skipped)
    num_bytes = 0
    if not config.in_place:
        table, lost, num_bytes = _copy_frames(scene, encoded, table, folder, config)
        skipped += lost
    if config.video:
        _write_video(scene, table, folder / "video.mp4", config)
    write_frames(folder / FRAMES_FILE, table)
    surface_source = _copy_surface(scene, folder)
    _copy_recipe(scene, folder)
    record = {
        "schema_version": SCHEMA_VERSION,
        "scene_id": capture.scene_id,
        "source": scene.source,
        "scener1_version": __version__,
        "fingerprint": made_from,
        "settings": config.model_dump(mode="json"),
        "color_camera": camera_record(scene.color_camera),
        "depth_camera": camera_record(scene.depth_camera),
        "depth_from_color": scene.depth_from_color.tolist(),
        "world_from_scan": scene.world_from_scan.tolist(),
        "gravity": scene.gravity,
        "clock": scene.clock,
        "depth_format": config.depth,
        "depth_units_per_metre": encoded.depth_units_per_metre,
        "num_source_frames": len(scene.frames) + len(scene.skipped),
        "num_frames": int(table.sampled.sum()),
        "num_bytes": num_bytes,
        "skipped_counts": dict(Counter(item.reason for item in skipped)),
        "skipped": [[item.frame_index, item.reason] for item in skipped[:MAX_SKIPPED_LISTED]],
        "notes": list(scene.notes),
        "surface_source": surface_source,
        "in_place": _in_place(scene, capture) if config.in_place else None,
    }
    (folder / SCENE_FILE).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return record


def _copy_frames(
    scene: Scene, encoded: EncodedFrames, table: FrameTable, folder: Path, config: FramesConfig
) -> tuple[FrameTable, list[SkippedFrame], int]:
    """Write the images of the chosen frames; one that cannot be read is left out and told."""
    (folder / "color").mkdir()
    (folder / "depth").mkdir()
    sampled = table.sampled.copy()
    lost: list[SkippedFrame] = []
    num_bytes = 0
    for row in np.flatnonzero(table.sampled):
        index = int(table.frame_index[row])
        try:
            color, suffix = encoded.color_file(index)
            check_color(color, scene.color_camera.size_wh, "the colour image")
            depth = encoded.depth_z16(index)
            if config.verify:
                decode_color(color, scene.color_camera.size_wh, "the colour image")
            if config.depth == "png":
                depth = png_of_z16(depth, scene.depth_camera.size_wh, "the depth image")
            elif config.verify:
                decode_depth_raw(depth, scene.depth_camera.size_wh, True, "the depth image")
        except InputError as error:
            sampled[row] = False
            lost.append(SkippedFrame(index, error.message.rstrip(".")))
            continue
        _write_new(f"{folder}/color/{index}{suffix}", color)
        _write_new(f"{folder}/depth/{index}{DEPTH_SUFFIXES[config.depth]}", depth)
        num_bytes += len(color) + len(depth)
    if not sampled.any():
        raise InputError(f"{scene.path} has no frame whose images can be read: {lost[0].reason}.")
    return replace(table, sampled=sampled), lost, num_bytes


def _write_new(path: str, data: bytes) -> None:
    """Write a file with three system calls; a buffered file takes twice as many, for half a million files."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def _write_video(scene: Scene, table: FrameTable, path: Path, config: FramesConfig) -> None:
    rows = np.flatnonzero(table.sampled)
    with VideoWriter(path, scene.color_camera.size_wh, config.fps or 30.0) as video:
        for row in rows:
            video.add(scene.read_color(int(table.frame_index[row])), float(table.timestamp_s[row]))


def _copy_surface(scene: Scene, folder: Path) -> str | None:
    """The data set's own mesh and superpoints; None if it has none (they are fused on first use)."""
    if scene.surface_path is None or scene.superpoints_path is None:
        return None
    try:
        segments = read_segments(scene.superpoints_path)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"The segments {scene.superpoints_path} are damaged: {error}") from error
    shutil.copyfile(scene.surface_path, folder / SURFACE_FILE)
    np.save(folder / SUPERPOINTS_FILE, segments.astype(np.int32))
    return "scannet"


def _copy_recipe(scene: Scene, folder: Path) -> None:
    """A prepared room is still told from a real capture."""
    source = scene.path if scene.path.is_dir() else scene.path.parent
    if (source / RECIPE).is_file():
        shutil.copyfile(source / RECIPE, folder / RECIPE)


def _in_place(scene: Scene, capture: Capture) -> dict[str, Any]:
    path = scene.reader.index.path if isinstance(scene.reader, SensReader) else capture.path
    num_bytes = path.stat().st_size if path.is_file() else None
    return {"path": os.path.abspath(path), "source": capture.source, "num_bytes": num_bytes}
