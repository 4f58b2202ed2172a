"""One capture to prepare: what it is, and what tells that it has changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene_r1_cli.data.sources import scannet
from scene_r1_cli.data.sources.assemble import folder_name


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


def capture_of(path: Path, source: str) -> Capture:
    """The capture at a path, named as its reader names it."""
    scene_id = path.stem if path.is_file() else folder_name(path)
    return Capture(path, source, scene_id)


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
