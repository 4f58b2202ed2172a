"""What a camera in a room sees: colour, depth and which object each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from scene_r1_cli.data.rooms.layout import Room
from scene_r1_cli.data.rooms.paint import paint_room
from scene_r1_cli.data.rooms.solids import join_faces
from scene_r1_cli.data.rooms.surface import ray_scene, triangle_normals
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.types import Camera

NOTHING = 0
"""Instance value of a pixel that shows no object."""


@dataclass(frozen=True)
class ColorView:
    """What the colour camera sees.

    Attributes:
        rgb: (H, W, 3) uint8, before the camera's own noise.
        instances: (H, W) uint8 ScanNet instance values: object_id + 1.
        depth_m: (H, W) float32 exact distance along +z; inf where there is nothing.
    """

    rgb: np.ndarray
    instances: np.ndarray
    depth_m: np.ndarray


@dataclass(frozen=True)
class DepthView:
    """What a perfect depth camera sees.

    Attributes:
        depth_m: (H, W) float32 exact distance along +z; inf where there is nothing.
        cos_incidence: (H, W) float32, 1 where a surface is seen straight on.
        face: (H, W) int32 face each pixel shows, -1 for none.
        uv: (H, W, 2) float32 surface coordinates on it.
    """

    depth_m: np.ndarray
    cos_incidence: np.ndarray
    face: np.ndarray
    uv: np.ndarray


class RoomRenderer:
    """Casts rays into one painted room.

    Attributes:
        faces: All faces of the room's objects, joined in order of ``object_id``.
        face_object: (F,) int32 ``object_id`` of each face.
    """

    def __init__(self, room: Room, texel_m: float) -> None:
        rng = np.random.default_rng([room.seed, 2])
        self.faces = join_faces([item.faces for item in room.objects])
        self.face_object = np.repeat(
            np.arange(len(room.objects), dtype=np.int32), [len(item.faces) for item in room.objects]
        )
        self._scene = ray_scene(self.faces)
        self.atlas = paint_room(room, self.faces, self._scene, texel_m, rng)
        # One more row stands for "no triangle": Open3D gives the greatest uint32, taken as -1.
        self._maps = np.concatenate([self.atlas.triangle_maps(), np.zeros((1, 6), np.float32)])
        values = np.repeat(self.face_object + 1, 2).astype(np.uint8)
        self._instance_of = np.append(values, np.uint8(NOTHING))
        self._normals = np.concatenate([triangle_normals(self.faces), np.zeros((1, 3), np.float32)])

    def color(self, camera: Camera, world_from_camera: np.ndarray) -> ColorView:
        """Render the colour image and the instance map of one frame."""
        triangle, uv, depth = self._cast(camera, world_from_camera)
        place = np.take(self._maps, triangle, axis=0)
        u, v = uv[..., 0], uv[..., 1]
        map_x = place[..., 0] + u * place[..., 2] + v * place[..., 4]
        map_y = place[..., 1] + u * place[..., 3] + v * place[..., 5]
        rgb = cv2.remap(self.atlas.image, map_x, map_y, cv2.INTER_LINEAR)
        return ColorView(rgb, np.take(self._instance_of, triangle), depth)

    def depth(self, camera: Camera, world_from_camera: np.ndarray) -> DepthView:
        """Render the exact depth of one frame, and how each surface is met."""
        triangle, uv, depth = self._cast(camera, world_from_camera)
        rays = pixel_rays(camera)
        normals_camera = self._normals @ world_from_camera[:3, :3].astype(np.float32)
        met = np.einsum("hwi,hwi->hw", np.take(normals_camera, triangle, axis=0), rays)
        cos = np.abs(met) / np.linalg.norm(rays, axis=-1)
        face = np.where(triangle < 0, -1, triangle >> 1)
        second = (triangle & 1 == 1)[..., None]
        u, v = uv[..., :1], uv[..., 1:]
        on_face = np.where(second, np.concatenate([u, u + v], -1), np.concatenate([u + v, v], -1))
        return DepthView(depth, cos, face, on_face)

    def first_seen(self, from_m: np.ndarray, to_m: np.ndarray) -> np.ndarray:
        """(N,) ``object_id`` first met on the way from (N, 3) points towards others, -1 for none."""
        import open3d as o3d

        rays = np.concatenate([from_m, to_m - from_m], axis=1).astype(np.float32)
        triangle = (
            self._scene.cast_rays(o3d.core.Tensor.from_numpy(rays))["primitive_ids"].numpy().view(np.int32)
        )
        return np.where(triangle < 0, -1, self.face_object[triangle >> 1])

    def _cast(
        self, camera: Camera, world_from_camera: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(H, W) int32 triangle (-1 for none), (H, W, 2) barycentrics, (H, W) float32 depth along +z."""
        import open3d as o3d

        camera_rays = pixel_rays(camera)
        rays = np.empty((*camera_rays.shape[:2], 6), dtype=np.float32)
        rays[..., :3] = world_from_camera[:3, 3]
        for axis, (across, down, ahead) in enumerate(world_from_camera[:3, :3].astype(np.float32)):
            # A sum of one row and one column is much quicker than turning a million vectors.
            along_row = camera_rays[0, :, 0] * across + ahead
            np.add(along_row, camera_rays[:, :1, 1] * down, out=rays[..., 3 + axis])
        # Directions have z = 1 in the camera, so the hit parameter is the depth itself.
        hits = self._scene.cast_rays(o3d.core.Tensor.from_numpy(rays))
        triangle = hits["primitive_ids"].numpy().view(np.int32)
        return triangle, hits["primitive_uvs"].numpy(), hits["t_hit"].numpy()
