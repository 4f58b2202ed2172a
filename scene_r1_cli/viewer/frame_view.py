"""Cameras of the live page: frustums to click, standing at a frame, and boxes drawn on its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.types import Box2D, Box3D, Camera, Scene
from scene_r1_cli.viewer import drawing

if TYPE_CHECKING:
    import viser

MAX_CAMERAS = 48
THUMBNAIL_PX = 160
FRUSTUM_M = 0.12
PICTURE_M = 0.3
"""How far before the camera the picture of a frame hangs."""

MARGIN = 1.06
NEAR_M, NEAR_RAD = 0.02, 0.02
"""A camera this close to a frame's stands at it."""

MIN_SIDE_PX = 3


class FrameView:
    """Frustums of a scene's cameras.

    Args:
        server: A viser server.
        scene: The capture.

    Attributes:
        boxes: 3D boxes drawn into the picture of the frame a person stands at.
    """

    def __init__(self, server: viser.ViserServer, scene: Scene) -> None:
        self._scene = scene
        self.boxes: Sequence[tuple[Box3D, Sequence[int]]] = ()
        self._standing: dict[int, int] = {}
        self._shown = True
        self._frustums = [self._add(server, index) for index in spread_frames(scene)]

    def show(self, shown: bool) -> None:
        """Show or hide the frustums; while somebody stands at a frame they would hang before its picture."""
        self._shown = shown
        for frustum in self._frustums:
            frustum.visible = shown and not self._standing

    def forget(self, client: viser.ClientHandle) -> None:
        """A client has gone."""
        self._standing.pop(client.client_id, None)
        self.show(self._shown)

    def _add(self, server: viser.ViserServer, frame_index: int) -> viser.CameraFrustumHandle:
        camera = self._scene.color_camera
        wxyz, position = _place(self._scene.world_from_color_camera(frame_index))
        width, height = camera.size_wh
        handle = server.scene.add_camera_frustum(
            f"/cameras/{frame_index}",
            fov=2 * float(np.arctan2(height / 2, camera.fy)),
            aspect=width / height,
            scale=FRUSTUM_M,
            color=drawing.BOX2D_RGB,
            image=self._thumbnail(frame_index),
            wxyz=wxyz,
            position=position,
        )
        handle.on_click(lambda event: self.stand(event.client, frame_index) if event.client else None)
        return handle

    def _thumbnail(self, frame_index: int) -> np.ndarray | None:
        try:
            image = self._scene.read_color(frame_index)
        except InputError:
            return None  # an unreadable frame still has its place
        scale = THUMBNAIL_PX / max(image.shape[:2])
        return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)

    def stand(self, client: viser.ClientHandle, frame_index: int) -> None:
        """Move a client's camera to a frame and hang the frame's picture before it."""
        scene, camera = self._scene, self._scene.color_camera
        world_from_camera = scene.world_from_color_camera(frame_index)
        wxyz, position = _place(world_from_camera)
        image = scene.read_color(frame_index)
        for box, color in self.boxes:
            image = drawing.draw_box3d(image, camera, world_from_camera, box, color)
        width, height = camera.size_wh
        # The picture's middle is not on the optical axis unless the principal point is.
        beside = ((width - 1) / 2 - camera.cx) / camera.fx, ((height - 1) / 2 - camera.cy) / camera.fy
        middle = world_from_camera @ [beside[0] * PICTURE_M, beside[1] * PICTURE_M, PICTURE_M, 1.0]
        client.scene.add_image(
            "/standing",
            image,
            render_width=width / camera.fx * PICTURE_M,
            render_height=height / camera.fy * PICTURE_M,
            wxyz=wxyz,
            position=middle[:3],
        )
        with client.atomic():
            client.camera.up_direction = -world_from_camera[:3, 1]
            client.camera.position = position
            client.camera.look_at = position + world_from_camera[:3, 2]
            client.camera.fov = fov_that_shows(camera, client.camera.aspect)
        self._standing[client.client_id] = frame_index
        self.show(self._shown)

    def leave(self, client: viser.ClientHandle) -> None:
        """Take the picture down and step back."""
        frame_index = self._standing.get(client.client_id)
        if frame_index is None:
            return
        self.forget(client)
        client.scene.remove_by_name("/standing")
        world_from_camera = self._scene.world_from_color_camera(frame_index)
        client.camera.up_direction = (0.0, 0.0, 1.0)
        client.camera.position = world_from_camera[:3, 3] - 1.5 * world_from_camera[:3, 2] + [0, 0, 1.0]
        client.camera.look_at = world_from_camera[:3, 3] + world_from_camera[:3, 2]

    def box_drawn(
        self, client: viser.ClientHandle, screen_min: Sequence[float], screen_max: Sequence[float]
    ) -> Box2D:
        """The box of the frame's image under a rectangle on the screen.

        Raises:
            UsageError: The client stands at no frame, or the rectangle misses the picture.
        """
        frame_index = self._standing.get(client.client_id)
        if frame_index is None or not _stands_at(client, self._scene.world_from_color_camera(frame_index)):
            raise UsageError("Click a camera first: a box is drawn on the picture of the frame you stand at.")
        corners = (*screen_min, *screen_max)
        xyxy = box_of_screen(self._scene.color_camera, client.camera.fov, client.camera.aspect, corners)
        return Box2D(frame_index=frame_index, xyxy_px=xyxy)


def spread_frames(scene: Scene) -> list[int]:
    """At most MAX_CAMERAS frames, evenly spread."""
    places = np.linspace(0, len(scene.frames) - 1, min(len(scene.frames), MAX_CAMERAS)).astype(int)
    return [scene.frames[place].frame_index for place in np.unique(places)]


def fov_that_shows(camera: Camera, aspect: float) -> float:
    """Vertical field of view, radians, of a symmetric view that holds the whole image and a little more."""
    width, height = camera.size_wh
    across = max(camera.cx + 0.5, width - 0.5 - camera.cx) / camera.fx
    down = max(camera.cy + 0.5, height - 0.5 - camera.cy) / camera.fy
    return 2 * float(np.arctan(MARGIN * max(down, across / aspect)))


def box_of_screen(
    camera: Camera, fov_rad: float, aspect: float, screen_xyxy: Sequence[float]
) -> tuple[float, float, float, float]:
    """The pixels of a frame's image that lie under a rectangle on a screen that stands at the frame.

    Args:
        camera: The colour camera.
        fov_rad: Vertical field of view of the screen.
        aspect: Width of the screen over its height.
        screen_xyxy: Two corners, 0 to 1 from the screen's upper left corner.

    Returns:
        (x1, y1, x2, y2) in original colour pixels, inside the image.

    Raises:
        UsageError: Hardly anything of the image lies under it.
    """
    half = np.tan(fov_rad / 2)
    corners = np.asarray(screen_xyxy, dtype=np.float64).reshape(2, 2)
    rays = (2 * corners - 1) * half * [aspect, 1.0]
    pixels = rays * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    width, height = camera.size_wh
    low = np.maximum(pixels.min(axis=0), -0.5)
    high = np.minimum(pixels.max(axis=0), [width - 0.5, height - 0.5])
    if ((high - low) < MIN_SIDE_PX).any():
        raise UsageError("Draw the box on the picture, around the object.")
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _place(world_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (w, x, y, z) and position that viser takes; its cameras are OpenCV's too."""
    import viser.transforms

    return viser.transforms.SO3.from_matrix(world_from_camera[:3, :3]).wxyz, world_from_camera[:3, 3]


def _stands_at(client: viser.ClientHandle, world_from_camera: np.ndarray) -> bool:
    import viser.transforms

    turned = viser.transforms.SO3(client.camera.wxyz).as_matrix().T @ world_from_camera[:3, :3]
    angle_rad = np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))
    moved_m = np.linalg.norm(client.camera.position - world_from_camera[:3, 3])
    return bool(moved_m < NEAR_M and angle_rad < NEAR_RAD)
