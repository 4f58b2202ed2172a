"""One capture to one prepared scene: a folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scene_r1_cli.data.capture import Capture, source_identity
from scene_r1_cli.data.frame_choice import choose_frames
from scene_r1_cli.data.prepared_files import write_scene
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.encoded import encoded_frames
from scene_r1_cli.data.sources.prepared import SCENE_FILE
from scene_r1_cli.data.sources.sens import SensReader
from scene_r1_cli.errors import InputError
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.preprocess_config import FramesConfig

FORMAT = 1
"""Raised when the same settings would write something else than before."""


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
        record = write_scene(open_scene(capture.path, capture.source), capture, partial, config, made_from)
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
