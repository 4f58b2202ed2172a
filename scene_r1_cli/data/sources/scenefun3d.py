"""SceneFun3D: a visit's folder with a laser scan and iPad videos, or the folder of one video.

The scan frame is the laser scan's, in which the visit is annotated. COLMAP's cameras of the high-resolution
frames lie in it; ARKit's cameras of the low-resolution ones are carried there by ``<video>_transform.npy``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scene_r1_cli.data.sources.assemble import folder_name, level_scene, split_usable
from scene_r1_cli.data.sources.image_folder import FrameFiles, ImageFolderReader, image_sizes
from scene_r1_cli.data.sources.trajectory import nearest, read_rows
from scene_r1_cli.data.sources.upright import turned_upright
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import resize_camera
from scene_r1_cli.geometry.transforms import invert, is_rigid
from scene_r1_cli.types import Camera, Scene

LASER_SUFFIX = "_laser_scan.ply"
MIN_CONFIDENCE = 2
"""ARKit's 0 low, 1 medium, 2 high; only the highest is kept."""

MAX_APART_S = 1 / 120
"""A camera transform is of a frame if their times are this close: half the time between frames at 60 Hz."""

_FOCAL_SPREAD_TOLD = 0.002


class Stream(NamedTuple):
    """One of a video's two recordings.

    Attributes:
        name: Folder of colour; with ``_intrinsics``, of one ``.pincam`` a frame.
        suffix: Of colour.
        depth: Folder of depth.
        trajectory: File of camera transforms.
        in_laser_frame: The trajectory's world is the laser scan's frame.
    """

    name: str
    suffix: str
    depth: str
    trajectory: str
    in_laser_frame: bool


STREAMS = (
    Stream("hires_wide", ".jpg", "hires_depth", "hires_poses.traj", True),
    Stream("lowres_wide", ".png", "lowres_depth", "lowres_poses.traj", False),
)


def matches(path: Path) -> bool:
    """A visit (it has its laser scan or descriptions, and a video), or a video with a trajectory."""
    name = folder_name(path)
    is_visit = any((path / f"{name}{suffix}").is_file() for suffix in (LASER_SUFFIX, "_descriptions.json"))
    return stream_of(path) is not None or (is_visit and bool(videos_of(path)))


def stream_of(video: Path) -> Stream | None:
    """The better of the recordings that a video's folder has; None if it is no video's folder."""
    return next((one for one in STREAMS if _is_there(video, one)), None)


def videos_of(visit: Path) -> list[Path]:
    """Folders of a visit's videos."""
    return [item for item in sorted(visit.glob("*/")) if stream_of(item) is not None]


def open_scenefun3d(path: Path) -> Scene:
    """Open a visit, of which the video with the most frames is taken, or one video.

    Raises:
        InputError: No video is there, or its cameras, depth or registration to the laser scan are missing.
    """
    video, notes = _chosen_video(path)
    stream = stream_of(video)
    assert stream is not None
    images = _by_time(video / stream.name, stream.suffix)
    if not images:
        raise InputError(
            f"{video / stream.name} holds no <video>_<seconds>{stream.suffix}.",
            "Download the frames, depth, intrinsics and camera transforms of one kind (hires or lowres).",
        )
    times_s = np.array(list(images))
    transforms = _transforms(video, stream, times_s)
    cameras = _read_cameras(video / f"{stream.name}_intrinsics", times_s)
    size_wh = Counter(camera.size_wh for camera in cameras if isinstance(camera, Camera)).most_common(1)
    if not size_wh:
        raise InputError(
            f"{video / f'{stream.name}_intrinsics'} holds no readable .pincam of a frame.",
            f"Download the asset {stream.name}_intrinsics.",
        )
    depth = _by_time(video / stream.depth, ".png")
    files, rows = {}, []
    for index, time_s in enumerate(images):
        files[index] = FrameFiles(images[time_s], depth.get(time_s), None)
        rows.append((index, _usable(cameras[index], files[index], transforms[index], size_wh[0][0])))
    frames, skipped = split_usable(video, rows, times_s - times_s[0])
    kept = {frame.frame_index: files[frame.frame_index] for frame in frames}
    color_wh, depth_wh = image_sizes(video, kept)
    color, spread = _middle_camera([cameras[index] for index in kept], color_wh)
    if spread > _FOCAL_SPREAD_TOLD:
        notes.append(f"the focal length differs between frames by {spread:.1%}; the middle one is used")
    if stream.in_laser_frame:
        notes.append("depth is drawn from the laser scan, as SceneFun3D ships it for these frames")
    sure = _by_time(video / "confidence", ".png") if not stream.in_laser_frame else {}
    confidence = {index: sure[time_s] for index, time_s in enumerate(images) if time_s in sure}
    reader = ImageFolderReader(kept, color_wh, depth_wh, confidence=confidence, min_confidence=MIN_CONFIDENCE)
    depth_camera = resize_camera(color, depth_wh)
    # The scan's own axes are kept where they prove upright: the annotation lives in them.
    return turned_upright(
        level_scene(
            source="scenefun3d",
            path=path,
            color_camera=color,
            depth_camera=depth_camera,
            frames=frames,
            skipped=skipped,
            clock="timestamps",
            reader=reader,
            keep_upright=True,
            notes=tuple(notes),
        )
    )


def _is_there(video: Path, stream: Stream) -> bool:
    return (video / stream.name).is_dir() and (video / stream.trajectory).is_file()


def _chosen_video(path: Path) -> tuple[Path, list[str]]:
    if stream_of(path) is not None:
        return path, []
    videos = videos_of(path)
    if not videos:
        raise InputError(
            f"{path} has no video with hires_wide/ and hires_poses.traj, nor with the lowres ones.",
            "Download hires_wide, hires_wide_intrinsics, hires_depth and hires_poses.",
        )
    counts = {item: _num_frames(item) for item in videos}
    chosen = max(videos, key=lambda item: counts[item])
    if len(videos) == 1:
        return chosen, []
    return chosen, [f"of {len(videos)} videos, {chosen.name} is taken: it has the most frames"]


def _num_frames(video: Path) -> int:
    stream = stream_of(video)
    return len(_by_time(video / stream.name, stream.suffix)) if stream else 0


def _by_time(folder: Path, suffix: str) -> dict[float, Path]:
    """Files named ``<video>_<seconds><suffix>`` by rising seconds; other names are no frames."""
    found: dict[float, Path] = {}
    for path in folder.glob(f"*{suffix}"):
        try:
            found[float(path.name.removesuffix(suffix).rpartition("_")[2])] = path
        except ValueError:
            continue
    return {time_s: found[time_s] for time_s in sorted(found) if np.isfinite(time_s)}


def _transforms(video: Path, stream: Stream, times_s: np.ndarray) -> np.ndarray:
    """(N, 4, 4) camera to laser scan at each time; NaN where the trajectory has none.

    Raises:
        InputError: The trajectory or the registration is missing or damaged.
    """
    rows = read_rows(video / stream.trajectory, 7)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    laser_from_world = np.eye(4)
    if not stream.in_laser_frame:
        laser_from_world = invert(_registration(video / f"{folder_name(video)}_transform.npy"))
    found = np.full((len(times_s), 4, 4), np.nan)
    for place, row in enumerate(nearest(rows[:, 0], times_s, MAX_APART_S).tolist()):
        if row >= 0 and np.isfinite(rows[row]).all():
            # The file has the world seen from the camera.
            found[place] = laser_from_world @ invert(_rigid(rows[row, 1:4], rows[row, 4:7]))
    return found


def _rigid(rotation_vector: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
    """(4, 4) from an axis times its angle in radians, and a translation."""
    import cv2

    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.ascontiguousarray(rotation_vector))[0]
    matrix[:3, 3] = translation_m
    return matrix


def _registration(path: Path) -> np.ndarray:
    """(4, 4) ``arkit_from_laser``."""
    if not path.is_file():
        raise InputError(
            f"{path} is missing: it places ARKit's cameras in the laser scan.",
            "Download the asset transform, or hires frames, which need none.",
        )
    try:
        matrix = np.load(path, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise InputError(f"{path} is no readable array: {error}.") from error
    if not is_rigid(matrix):
        raise InputError(f"{path} is not a rotation with translation.")
    return matrix


def _read_cameras(folder: Path, times_s: np.ndarray) -> list[Camera | str]:
    """The intrinsics of each frame (``width height fx fy cx cy``), or why there are none."""
    paths = _by_time(folder, ".pincam")
    found: list[Camera | str] = []
    for time_s in times_s.tolist():
        path = paths.get(time_s)
        if path is None:
            found.append("no intrinsics file")
            continue
        try:
            width, height, fx, fy, cx, cy = map(float, path.read_text(encoding="utf-8").split())
            valid = np.isfinite([fx, fy, cx, cy]).all() and min(fx, fy) > 0 and min(width, height) >= 1
            camera = (
                Camera(fx, fy, cx, cy, (int(width), int(height)))
                if valid
                else "its intrinsics are impossible"
            )
        except (OSError, ValueError, OverflowError):
            camera = "its intrinsics file is not six numbers"
        found.append(camera)
    return found


def _usable(
    camera: Camera | str, files: FrameFiles, transform: np.ndarray, size_wh: tuple[int, int]
) -> np.ndarray | str:
    """A frame's camera transform, or why it cannot be used."""
    if files.depth is None:
        return "no depth image"
    if isinstance(camera, str):
        return camera
    if camera.size_wh != size_wh:
        return "its picture has another size than most (held the other way)"
    return "no camera transform at its time" if np.isnan(transform).all() else transform


def _middle_camera(cameras: list[Camera | str], size_wh: tuple[int, int]) -> tuple[Camera, float]:
    """The camera of median intrinsics, and how far focal lengths lie apart, relative to it."""
    own = [camera for camera in cameras if isinstance(camera, Camera)]
    values = np.array([[camera.fx, camera.fy, camera.cx, camera.cy] for camera in own])
    fx, fy, cx, cy = np.median(values, axis=0).tolist()
    return resize_camera(Camera(fx, fy, cx, cy, own[0].size_wh), size_wh), float(np.ptp(values[:, 0]) / fx)
