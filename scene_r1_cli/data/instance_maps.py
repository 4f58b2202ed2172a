"""Which object each pixel of a frame shows: from ScanNet's instance pictures, or from its annotated mesh."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from scene_r1_cli.data.sources.images import encoded_size
from scene_r1_cli.data.sources.scannet import MESH_SUFFIX
from scene_r1_cli.data.sources.scannet_objects import read_annotated_mesh
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import pixel_rays, resize_camera
from scene_r1_cli.types import Scene

MAX_PICTURE_BYTES = 64 * 2**20
"""A picture of 1296 x 968 takes 50 kB; a member that claims more than this is no picture."""

PREFERRED = ("_2d-instance-filt.zip", "_2d-instance.zip")


class InstanceMaps(Protocol):
    """Object pictures of one scene."""

    def read(self, frame_index: int) -> np.ndarray:
        """(H, W) integers at the colour image's size, 0 = none, object_id + 1 else. Raises InputError."""
        ...


def find_instance_zip(scene_dir: Path, scene_id: str) -> Path | None:
    """The zip of instance pictures; the filtered one if both are there."""
    paths = (scene_dir / f"{scene_id}{suffix}" for suffix in PREFERRED)
    return next((path for path in paths if path.is_file()), None)


class InstancePictures:
    """Reads ``<scene_id>_2d-instance(-filt).zip``; nothing is unpacked to disk.

    Raises:
        InputError: It is no zip file.
    """

    def __init__(self, path: Path, size_wh: tuple[int, int]) -> None:
        self._path, self._size_wh = path, size_wh
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is no readable zip file: {error}.") from error
        # Only names made of a folder and a number are looked up, so no member can lead elsewhere.
        self._members = {
            int(Path(info.filename).stem): info
            for info in self._archive.infolist()
            if info.filename.endswith(".png") and Path(info.filename).stem.isdecimal()
        }

    def read(self, frame_index: int) -> np.ndarray:
        """See InstanceMaps."""
        info = self._members.get(frame_index)
        name = f"{self._path.name}, frame {frame_index}"
        if info is None:
            raise InputError(f"{name}: there is no picture of this frame")
        if info.file_size > MAX_PICTURE_BYTES:
            raise InputError(f"{name}: the picture claims {info.file_size} bytes")
        try:
            data = self._archive.read(info)
        except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"{name}: the picture is damaged ({error})") from error
        found = encoded_size(data, name)
        if found != self._size_wh:
            raise InputError(f"{name}: the picture is {found[0]}×{found[1]}, not {self._size_wh}")
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 2:
            raise InputError(f"{name}: the picture is not grey")
        return picture


class MeshInstances:
    """Sees the annotated mesh through the colour camera; what stands in front hides what is behind.

    Args:
        scene: The capture.
        scene_dir: ScanNet's folder of it.
        max_side_px: Longer side of the picture rendered; it is scaled up to the colour image's size.

    Raises:
        InputError: The mesh or its annotation is missing or damaged.
    """

    def __init__(self, scene: Scene, scene_dir: Path, max_side_px: int) -> None:
        import open3d

        o3d: Any = open3d
        annotated = read_annotated_mesh(scene_dir)
        mesh = o3d.io.read_triangle_mesh(str(scene_dir / f"{scene_dir.resolve().name}{MESH_SUFFIX}"))
        triangles = np.asarray(mesh.triangles)
        of_vertex = np.zeros(len(annotated.vertices_scan_m), dtype=np.int32)
        for object_id, item in annotated.objects.items():
            of_vertex[item.vertex_indices] = object_id + 1
        # Two of three corners decide, so that an outline is not grown by a ring of triangles.
        a, b, c = of_vertex[triangles].T
        self._of_triangle = np.where(b == c, b, a)
        self._rays = o3d.t.geometry.RaycastingScene()
        self._rays.add_triangles(
            o3d.core.Tensor(annotated.vertices_scan_m.astype(np.float32)),
            o3d.core.Tensor(triangles.astype(np.uint32)),
        )
        self._tensor = o3d.core.Tensor
        self._scene = scene
        width, height = scene.color_camera.size_wh
        scale = min(1.0, max_side_px / max(width, height))
        self._camera = resize_camera(scene.color_camera, (round(width * scale), round(height * scale)))

    def read(self, frame_index: int) -> np.ndarray:
        """See InstanceMaps."""
        scene = self._scene
        scan_from_color = scene.frame(frame_index).scan_from_camera @ scene.depth_from_color
        directions = pixel_rays(self._camera) @ scan_from_color[:3, :3].T.astype(np.float32)
        origins = np.broadcast_to(scan_from_color[:3, 3].astype(np.float32), directions.shape)
        rays = np.concatenate([origins, directions], axis=2).astype(np.float32)
        hit = self._rays.cast_rays(self._tensor(np.ascontiguousarray(rays)))["primitive_ids"].numpy()
        found = np.zeros(hit.shape, dtype=np.int32)
        on_mesh = hit != 0xFFFFFFFF
        found[on_mesh] = self._of_triangle[hit[on_mesh]]
        picture = cv2.resize(
            found.astype(np.uint16), scene.color_camera.size_wh, interpolation=cv2.INTER_NEAREST
        )
        return picture.astype(np.int32)
