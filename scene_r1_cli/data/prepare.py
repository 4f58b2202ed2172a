"""One capture to one prepared scene: a folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scene_r1_cli import __version__
from scene_r1_cli.data.room_marker import RECIPE
from scene_r1_cli.data.segments import read_segments
from scene_r1_cli.data.sources import open_scene, scannet
from scene_r1_cli.data.sources.assemble import folder_name
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
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.preprocess_config import FramesConfig
from scene_r1_cli.types import Scene, SkippedFrame

MAX_SKIPPED_LISTED = 1000
"""Skipped frames listed one by one in ``scene.json``; all are counted."""

FORMAT = 1
"""Raised when the same settings would write something else than before."""


@dataclass(frozen=True)
class Capture:
    """One capture to prepare.

    Attributes:
        path: File or folder of the source.
        source: Its format, a key of SOURCES.
        scene_id: Its name.
    """

    path: Path
    source: str
    scene_id: str


@dataclass(frozen=True)
class SceneReport:
    """What became of one capture.

    Attributes:
        scene_id: Its name.
        status: ``prepared`` now, ``kept`` from before, or ``planned`` by a dry run.
        num_source_frames: Frames of the source, usable or not.
        num_frames: Frames kept.
        num_bytes: Bytes of the images kept; an estimate in a dry run of what is not a ``.sens``.
        skipped: Frames that cannot be used, counted by reason.
        notes: What a person should know of this capture.
        labels: Per annotation set, counts of queries and of what was left out.
    """

    scene_id: str
    status: Literal["prepared", "kept", "planned"]
    num_source_frames: int
    num_frames: int
    num_bytes: int
    skipped: dict[str, int]
    notes: tuple[str, ...] = ()
    labels: dict[str, dict[str, int]] = field(default_factory=dict)


def prepare_scene(capture: Capture, folder: Path, config: FramesConfig) -> SceneReport:
    """Prepare one capture, unless that is done already with these settings from this source.

    Args:
        capture: The source.
        folder: Where the scene goes.
        config: Which frames are kept, and how.

    Returns:
        What is there now.

    Raises:
        InputError: The capture cannot be read, no frame is usable, or ``folder`` is something else.
    """
    made_from = fingerprint(FORMAT, config, source_identity(capture))
    record = _record_of(folder)
    if record is not None and record.get("fingerprint") == made_from:
        return report_of(record, "kept")
    remove_leftovers(folder)
    partial = folder.with_name(f".{folder.name}.{socket.gethostname()}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        record = _write_scene(open_scene(capture.path, capture.source), capture, partial, config, made_from)
        if folder.exists():
            aside = partial.with_suffix(".old")
            os.replace(folder, aside)
            os.replace(partial, folder)
            shutil.rmtree(aside)
        else:
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report_of(record, "prepared")


def plan_scene(capture: Capture, folder: Path, config: FramesConfig) -> SceneReport:
    """What ``prepare_scene`` would do; writes nothing."""
    record = _record_of(folder)
    if record is not None and record.get("fingerprint") == fingerprint(
        FORMAT, config, source_identity(capture)
    ):
        return report_of(record, "kept")
    scene = open_scene(capture.path, capture.source)
    table = choose_frames(scene, encoded_frames(scene.reader), config)
    num_kept = int(table.sampled.sum())
    num_bytes = 0
    if not config.in_place:
        if isinstance(scene.reader, SensReader):
            index, kept = scene.reader.index, table.frame_index[table.sampled]
            num_bytes = int(index.color_range[kept, 1].sum() + index.depth_range[kept, 1].sum())
        else:
            width, height = scene.depth_camera.size_wh
            # Depth of real sensors shrinks to about this many bytes a pixel.
            num_bytes = int(table.sharpness[table.sampled].sum() + num_kept * width * height)
    return SceneReport(
        scene.scene_id,
        "planned",
        len(scene.frames) + len(scene.skipped),
        num_kept,
        num_bytes,
        dict(Counter(item.reason for item in scene.skipped)),
        scene.notes,
    )


def choose_frames(scene: Scene, encoded: EncodedFrames, config: FramesConfig) -> FrameTable:
    """All usable frames, and which of them are kept: the sharpest of each ``1 / fps`` seconds.

    Raises:
        InputError: ``sharpness`` is ``pixels`` and an image cannot be decoded.
    """
    indices, times = scene.frame_indices, scene.timestamps_s
    if config.fps is None:
        sharpness = np.zeros(len(indices))
        sampled = np.ones(len(indices), dtype=bool)
    else:
        measure = encoded.color_num_bytes if config.sharpness == "bytes" else _pixel_sharpness(scene)
        sharpness = np.array([measure(int(index)) for index in indices], dtype=np.float64)
        # A time that is a multiple of the period must not fall below it by rounding.
        bins = np.floor(times * config.fps + 1e-6).astype(np.int64)
        order = np.lexsort((indices, -sharpness, bins))
        first = np.unique(bins[order], return_index=True)[1]
        sampled = np.zeros(len(indices), dtype=bool)
        sampled[order[first]] = True
    ranges = None
    if config.in_place and isinstance(scene.reader, SensReader):
        index = scene.reader.index
        ranges = np.concatenate([index.color_range[indices], index.depth_range[indices]], axis=1)
    transforms = np.stack([frame.scan_from_camera for frame in scene.frames])
    return FrameTable(indices, times, transforms, sharpness, sampled, ranges)


def report_of(record: dict[str, Any], status: Literal["prepared", "kept"]) -> SceneReport:
    """The report of a prepared scene, from its ``scene.json``."""
    return SceneReport(
        record["scene_id"],
        status,
        record["num_source_frames"],
        record["num_frames"],
        record["num_bytes"],
        record["skipped_counts"],
        tuple(record["notes"]),
    )


def source_identity(capture: Capture) -> list[Any]:
    """What tells that a source has changed: names, sizes and modification times of its files."""
    path = capture.path
    if capture.source == "scannet":
        sens = path if path.is_file() else next(iter(sorted(path.glob("*.sens"))), path)
        stem = sens.with_suffix("")
        files = [sens, stem.with_suffix(".txt")]
        files += [Path(f"{stem}{suffix}") for suffix in (scannet.MESH_SUFFIX, scannet.SEGMENTS_SUFFIX)]
    else:
        files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files if file.is_file()]
    return [
        capture.source,
        os.path.abspath(path),
        *([file.name, stat.st_size, stat.st_mtime_ns] for file, stat in stats),
    ]


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process of this machine left beside a scene's folder."""
    for item in folder.parent.glob(f".{folder.name}.{socket.gethostname()}.*"):
        parts = item.name.split(".")
        if parts[-2].isdecimal() and not _is_running(int(parts[-2])):
            if item.suffix == ".old" and not folder.exists():
                os.replace(item, folder)
            else:
                shutil.rmtree(item, ignore_errors=True)


def _is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # A killed process that nobody has waited for still has its number.
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in "ZX"


def _record_of(folder: Path) -> dict[str, Any] | None:
    """The ``scene.json`` of a prepared scene; None if there is no folder or its record is damaged."""
    if not folder.exists():
        return None
    path = folder / SCENE_FILE
    if not path.is_file():
        raise InputError(
            f"{folder} is there already and is no prepared scene.", "Give another --store, or move it away."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}


def _write_scene(
    scene: Scene, capture: Capture, folder: Path, config: FramesConfig, made_from: str
) -> dict[str, Any]:
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


def _pixel_sharpness(scene: Scene) -> Callable[[int], float]:
    """Variance of the Laplacian of the grey image."""
    import cv2

    def measure(frame_index: int) -> float:
        grey = cv2.cvtColor(scene.read_color(frame_index), cv2.COLOR_RGB2GRAY)
        return float(cv2.Laplacian(grey, cv2.CV_32F).var())

    return measure


def capture_of(path: Path, source: str) -> Capture:
    """The capture at a path, named as its reader names it."""
    scene_id = path.stem if path.is_file() else folder_name(path)
    return Capture(path, source, scene_id)
