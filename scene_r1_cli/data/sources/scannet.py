"""ScanNet: a scene folder, a single ``.sens`` file, or a ScanNet root with one scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene_r1_cli.data.sources.assemble import DEFAULT_FPS, FrameRow, build_scene, level_world, split_usable
from scene_r1_cli.data.sources.sens import SensIndex, SensReader, index_sens
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.transforms import is_rigid
from scene_r1_cli.types import Clock, Scene

SCANS_FOLDERS = ("scans", "scans_test")
MESH_SUFFIX = "_vh_clean_2.ply"
SEGMENTS_SUFFIX = "_vh_clean_2.0.010000.segs.json"
_PLAUSIBLE_PERIOD_S = (1e-3, 5.0)
# Lost frames are listed one by one up to here; a damaged frame count can declare 2**64.
_MAX_LOST_LISTED = 10_000
_CAMERA_FIELDS = ("fx", "fy", "mx", "my")


def matches(path: Path) -> bool:
    """A ``.sens`` file, a folder that holds one, or a folder with ``scans/`` or ``scans_test/``."""
    if path.is_file():
        return path.suffix == ".sens"
    return any(path.glob("*.sens")) or any((path / name).is_dir() for name in SCANS_FOLDERS)


def open_scannet(path: Path) -> Scene:
    """Open a ScanNet capture.

    Colour is registered to depth in ScanNet, so ``depth_from_color`` is the identity:
    ``colorToDepthExtrinsics`` of the meta file must not be applied (ScanNet issues 9, 92, 101).
    Intrinsics are those of the ``.sens`` header; a note tells if the meta file has others. Without an
    ``axisAlignment`` an upright scan keeps its own axes, and ``gravity`` says "estimated".

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
    num_whole = len(index.color_us)
    rows: list[FrameRow] = [_row(index, number) for number in range(num_whole)]
    last_listed = min(index.header.num_frames_declared, num_whole + _MAX_LOST_LISTED)
    rows += [(number, "lost: the .sens file is cut before it") for number in range(num_whole, last_listed)]
    frames, skipped = split_usable(sens_path, rows, timestamps_s)
    meta = read_meta(folder / f"{scene_id}.txt")
    notes = [note for note in (_note_of_loss(index), _note_of_meta(index, meta)) if note]
    aligned = axis_alignment(meta, folder / f"{scene_id}.txt")
    if aligned is not None:
        world_from_scan, gravity = aligned, "axis_alignment"
    else:
        # Only a scan from ScanNet itself, which the meta file tells, is known to have +z up.
        camera = index.header.depth_camera
        world_from_scan, gravity = level_world(camera, frames, reader, keep_upright=bool(meta))
    surface = folder / f"{scene_id}{MESH_SUFFIX}"
    superpoints = folder / f"{scene_id}{SEGMENTS_SUFFIX}"
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


def meta_number(meta: dict[str, str], key: str) -> float | None:
    """One finite number of a meta file, or None if it is missing or no number."""
    try:
        value = float(meta.get(key, ""))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def axis_alignment(meta: dict[str, str], path: Path) -> np.ndarray | None:
    """(4, 4) ``world_from_scan`` of a meta file, or None if it has none.

    Raises:
        InputError: ``axisAlignment`` is not 16 numbers that make a rotation with translation.
    """
    text = meta.get("axisAlignment")
    if text is None:
        return None
    try:
        matrix = np.array([float(word) for word in text.split()], dtype=np.float64)
    except ValueError:
        matrix = np.zeros(0)
    if matrix.size != 16:
        raise InputError(f"{path} has an axisAlignment that is not 16 numbers.")
    if not is_rigid(matrix.reshape(4, 4)):
        raise InputError(f"{path} has an axisAlignment that is not a rotation with translation.")
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
    scans = sorted(item for name in SCANS_FOLDERS for item in (path / name).glob("*/*.sens"))
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
        shortest_s, longest_s = _PLAUSIBLE_PERIOD_S
        if (np.diff(microseconds) > 0).all() and shortest_s <= period_s <= longest_s:
            return seconds, "sens"
    return np.arange(len(microseconds)) / DEFAULT_FPS, "fps"


def _note_of_loss(index: SensIndex) -> str:
    if not index.num_missing:
        return ""
    return (
        f"{index.path.name} is cut: its header declares {index.header.num_frames_declared} frames, "
        f"{len(index.color_us)} are whole, {index.num_missing} are lost"
    )


def _note_of_meta(index: SensIndex, meta: dict[str, str]) -> str:
    """Which intrinsics of the meta file are more than a pixel from the header's; empty if none."""
    header = index.header
    differing = []
    for sensor, camera in (("color", header.color_camera), ("depth", header.depth_camera)):
        values = (camera.fx, camera.fy, camera.cx, camera.cy)
        for field, value in zip(_CAMERA_FIELDS, values, strict=True):
            stated = meta_number(meta, f"{field}_{sensor}")
            if stated is not None and abs(stated - value) > 1:
                differing.append(f"{field}_{sensor} {stated:g} instead of {value:g}")
    if not differing:
        return ""
    return f"the meta file states {', '.join(differing)}; the header of {index.path.name} is followed"
