"""ScanNet: a scene folder, a single ``.sens`` file, or a ScanNet root with one scene."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from scene_r1_cli.data.sources.assemble import DEFAULT_FPS, build_scene, level_world, split_usable
from scene_r1_cli.data.sources.sens import SensIndex, SensReader, index_sens
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Clock, Frame, Scene

# Without an alignment a scan that is already upright within this angle keeps its own axes.
_UPRIGHT_DEG = 15.0


def matches(path: Path) -> bool:
    """A ``.sens`` file, a folder that holds one, or a folder with ``scans/``."""
    if path.is_file():
        return path.suffix == ".sens"
    return any(path.glob("*.sens")) or (path / "scans").is_dir()


def open_scannet(path: Path) -> Scene:
    """Open a ScanNet capture.

    Colour is registered to depth in ScanNet, so ``depth_from_color`` is the identity:
    ``colorToDepthExtrinsics`` of the meta file must not be applied (ScanNet issues 9, 92, 101).

    Args:
        path: ``…/scans/<scene_id>``, ``….sens``, or a root whose ``scans/`` holds one scene.

    Raises:
        InputError: Not exactly one ``.sens``, or it cannot be read.
    """
    sens_path = _find_sens(path)
    scene_id = sens_path.stem
    folder = sens_path.parent
    index = index_sens(sens_path)
    reader = SensReader(index)
    timestamps_s, clock = _clock(index)
    rows = [_row(index, number) for number in range(len(index.color_us))]
    frames, skipped = split_usable(sens_path, rows, timestamps_s)
    notes = []
    if index.num_missing:
        notes.append(
            f"{sens_path.name} is cut: its header declares {index.header.num_frames_declared} frames, "
            f"{len(index.color_us)} are whole, {index.num_missing} are lost"
        )
    meta = read_meta(folder / f"{scene_id}.txt")
    world_from_scan, gravity = _alignment(meta, folder, index, frames, reader)
    surface = folder / f"{scene_id}_vh_clean_2.ply"
    superpoints = folder / f"{scene_id}_vh_clean_2.0.010000.segs.json"
    return build_scene(
        scene_id=scene_id,
        source="scannet",
        path=path,
        color_camera=index.header.color_camera,
        depth_camera=index.header.depth_camera,
        depth_from_color=np.eye(4),
        world_from_scan=world_from_scan,
        gravity=gravity,
        frames=frames,
        skipped=skipped,
        clock=clock,
        reader=reader,
        surface_path=surface if surface.is_file() else None,
        superpoints_path=superpoints if superpoints.is_file() else None,
        notes=tuple(notes),
    )


def read_meta(path: Path) -> dict[str, str]:
    """The ``key = value`` lines of a scene's ``.txt``, with LF or CRLF ends; empty if there is none."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def axis_alignment(meta: dict[str, str], path: Path) -> np.ndarray | None:
    """(4, 4) ``world_from_scan`` of a meta file, or None if it has none.

    Raises:
        InputError: ``axisAlignment`` is not 16 finite numbers.
    """
    text = meta.get("axisAlignment")
    if text is None:
        return None
    try:
        matrix = np.array([float(word) for word in text.split()], dtype=np.float64)
    except ValueError:
        matrix = np.zeros(0)
    if matrix.size != 16 or not np.isfinite(matrix).all():
        raise InputError(f"{path} has an axisAlignment that is not 16 numbers.")
    return matrix.reshape(4, 4)


def _find_sens(path: Path) -> Path:
    if path.is_file():
        return path
    inside = sorted(path.glob("*.sens"))
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(item.name for item in inside[:5])
        raise InputError(f"{path} holds {len(inside)} .sens files ({names}).", "Name one of them.")
    scans = sorted((path / "scans").glob("*/*.sens"))
    if len(scans) == 1:
        return scans[0]
    if scans:
        raise InputError(
            f"{path} is a ScanNet root with {len(scans)} scenes; one scene is needed.",
            f"Name one, for example {scans[0].parent}.",
        )
    raise InputError(f"{path} holds no .sens file, neither itself nor in scans/<scene_id>/.")


def _row(index: SensIndex, number: int) -> tuple[int, np.ndarray | str]:
    if index.color_range[number, 1] == 0 or index.depth_range[number, 1] == 0:
        return number, "no colour or no depth image"
    return number, index.scan_from_camera[number]


def _clock(index: SensIndex) -> tuple[np.ndarray, Clock]:
    """Seconds since the first frame: the colour clock if it rises plausibly, else index / 30."""
    microseconds = index.color_us
    seconds = (microseconds - microseconds[0]) / 1e6
    if len(seconds) > 1:
        period_s = seconds[-1] / (len(seconds) - 1)
        if (np.diff(microseconds) > 0).all() and 1e-3 <= period_s <= 60:
            return seconds, "sens"
    return np.arange(len(microseconds)) / DEFAULT_FPS, "fps"


def _alignment(
    meta: dict[str, str], folder: Path, index: SensIndex, frames: tuple[Frame, ...], reader: SensReader
) -> tuple[np.ndarray, Literal["axis_alignment", "measured", "estimated"]]:
    aligned = axis_alignment(meta, folder / f"{index.path.stem}.txt")
    if aligned is not None:
        return aligned, "axis_alignment"
    estimated, how = level_world(index.header.depth_camera, frames, reader)
    # ScanNet's own scans are upright before alignment, and scores without one use the scan's axes.
    if meta and np.degrees(np.arccos(np.clip(estimated[2, 2], -1, 1))) < _UPRIGHT_DEG:
        return np.eye(4), "axis_alignment"
    return estimated, how
