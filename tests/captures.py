"""Tiny captures on disk, for tests of readers and commands."""

from pathlib import Path

import cv2
import numpy as np

from scene_r1_cli.data.sources.sens_writer import SensFrame, write_sens
from scene_r1_cli.types import Camera

COLOR = Camera(60.0, 60.0, 31.5, 23.5, (64, 48))
DEPTH = Camera(30.0, 30.0, 15.5, 11.5, (32, 24))
ALIGNMENT = np.array([[0, -1, 0, 1.0], [1, 0, 0, 2.0], [0, 0, 1, 0.5], [0, 0, 0, 1]])


def camera_transform(index: int) -> np.ndarray:
    """A camera 1.5 m high that looks along +y of the scan frame and moves along +x."""
    transform = np.eye(4)
    transform[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    transform[:3, 3] = [0.1 * index, 0, 1.5]
    return transform


def color_image(index: int, camera: Camera = COLOR) -> np.ndarray:
    width, height = camera.size_wh
    image = np.full((height, width, 3), 40 + 10 * index, dtype=np.uint8)
    image[: height // 2] = 200
    return image


def depth_mm(index: int, camera: Camera = DEPTH) -> np.ndarray:
    width, height = camera.size_wh
    depth = np.full((height, width), 2000 + index, dtype=np.uint16)
    depth[0, 0] = 0
    return depth


def jpeg(image: np.ndarray, suffix: str = ".jpg") -> bytes:
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


def pgm(depth: np.ndarray) -> bytes:
    """A 16-bit PGM."""
    return cv2.imencode(".pgm", depth)[1].tobytes()


def write_test_sens(path: Path, num_frames: int = 4, transforms: dict[int, np.ndarray] | None = None) -> Path:
    """A ``.sens`` of a few frames at 10 Hz; ``transforms`` replaces some camera transforms."""
    frames = (
        SensFrame(
            scan_from_camera=(transforms or {}).get(i, camera_transform(i)),
            color_jpeg=jpeg(color_image(i)),
            depth_raw=depth_mm(i),
            color_timestamp_us=5_000_000 + 100_000 * i,
            depth_timestamp_us=5_000_000 + 100_000 * i,
        )
        for i in range(num_frames)
    )
    write_sens(path, color_camera=COLOR, depth_camera=DEPTH, frames=frames)
    return path


def write_meta(path: Path, newline: str = "\n", alignment: np.ndarray | None = ALIGNMENT) -> None:
    lines = ["numColorFrames = 4", "fx_depth = 30.0", "fy_depth = 30.0", "mx_depth = 15.5", "my_depth = 11.5"]
    if alignment is not None:
        lines.append("axisAlignment = " + " ".join(str(value) for value in alignment.ravel()))
    path.write_bytes((newline.join(lines) + newline).encode())


def write_exported(folder: Path, num_frames: int = 4) -> Path:
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    for i in range(num_frames):
        (folder / "color" / f"{i}.jpg").write_bytes(jpeg(color_image(i)))
        cv2.imwrite(str(folder / "depth" / f"{i}.png"), depth_mm(i))
        np.savetxt(folder / "pose" / f"{i}.txt", camera_transform(i))
    for name, camera in (("color", COLOR), ("depth", DEPTH)):
        matrix = np.eye(4)
        matrix[:3, :3] = camera.matrix
        np.savetxt(folder / "intrinsic" / f"intrinsic_{name}.txt", matrix)
    return folder


def write_tsdf(folder: Path, num_frames: int = 4) -> Path:
    folder.mkdir(parents=True)
    for i in range(num_frames):
        (folder / f"frame-{i:06d}.color.jpg").write_bytes(jpeg(color_image(i)))
        cv2.imwrite(str(folder / f"frame-{i:06d}.depth.png"), depth_mm(i))
        np.savetxt(folder / f"frame-{i:06d}.pose.txt", camera_transform(i))
    np.savetxt(folder / "camera-intrinsics.txt", DEPTH.matrix)
    return folder
