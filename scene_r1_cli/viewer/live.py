"""A live 3D page: the scene, what was found in it, cameras to stand at, new queries typed or drawn."""

from __future__ import annotations

import contextlib
import html
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scene_r1_cli.errors import SceneR1Error, SetupError, UsageError
from scene_r1_cli.geometry.boxes import BOX_EDGES, box3d_corners
from scene_r1_cli.serialize import box3d_from_json
from scene_r1_cli.types import Box2D, Box3D, Scene
from scene_r1_cli.viewer import drawing
from scene_r1_cli.viewer.frame_view import FrameView
from scene_r1_cli.viewer.scene3d import VOXEL_M, scene_points

if TYPE_CHECKING:
    import viser

UNNAMED = "the object in the box"
HELP = (
    "Click a camera to stand there; hold shift and drag to draw a box on its picture. "
    "Type what to find and press Find."
)


@dataclass(frozen=True)
class Found:
    """One result that the page can show.

    Attributes:
        row: The object of docs/result.schema.json.
        points_m: (N, 3) points of the object in world, metres, or None.
        truth: The label's box, or None.
    """

    row: Mapping[str, Any]
    points_m: np.ndarray | None = None
    truth: Box3D | None = None

    @property
    def box(self) -> Box3D | None:
        """The predicted box."""
        return box3d_from_json(self.row["box3d"]) if self.row.get("box3d") else None


Ground = Callable[[str, tuple[Box2D, ...]], Found]
"""Finds what a sentence describes; boxes that are given replace the language model."""


class LiveView:
    """What the page of one scene shows and does.

    Args:
        server: A viser server.
        scene: The capture.
        ground: Called for each new query, one at a time.
        known: Results to begin with; the last is shown.
    """

    def __init__(
        self, server: viser.ViserServer, scene: Scene, ground: Ground, known: Sequence[Found] = ()
    ) -> None:
        self._server, self._scene, self._ground = server, scene, ground
        self._found: list[Found] = list(known)
        self._busy = threading.Lock()
        self._frames = FrameView(server, scene)
        points, colors = scene_points(scene)
        surface = server.scene.add_point_cloud("/scene", points, colors, point_size=VOXEL_M)
        self._add_controls(surface)
        # The share button would send the scene through somebody else's server.
        server.gui.configure_theme(show_share_button=False, show_logo=False)
        server.scene.set_up_direction("+z")
        middle = np.median(points, axis=0) if len(points) else np.zeros(3)
        server.initial_camera.look_at = middle
        server.initial_camera.position = middle + np.array([3.0, 3.0, 3.5])
        server.on_client_disconnect(self._frames.forget)
        server.scene.on_rect_select(modifier="shift")(self._on_box)
        self._show(len(self._found) - 1)

    def find(self, text: str, boxes: tuple[Box2D, ...] = ()) -> Found | None:
        """Ground a sentence and show the result; what the Find button calls.

        Args:
            text: The sentence, as typed.
            boxes: Boxes drawn on frames.

        Returns:
            The result; None if it could not be asked (the page then says why).
        """
        if not text.strip() and not boxes:
            self._tell("Type what to find first, e.g. the chair by the window.")
            return None
        if not self._busy.acquire(blocking=False):
            self._tell("Still at work on the last query.")
            return None
        try:
            self._button.disabled = True
            self._tell(f"looking for “{text.strip() or UNNAMED}” …")
            found = self._ground(text.strip() or UNNAMED, boxes)
        except SceneR1Error as error:
            self._tell(f"{error.message} {error.hint}")
            return None
        except BaseException:
            self._tell("A bug in scener1 stopped this query; the terminal shows it.")
            raise
        finally:
            self._button.disabled = False
            self._busy.release()
        self._found.append(found)
        self._results.options = self._titles()
        self._show(len(self._found) - 1)
        return found

    def _on_find(self, _: object) -> None:
        self.find(self._text.value)

    def _add_controls(self, surface: viser.PointCloudHandle) -> None:
        gui = self._server.gui
        self._text = gui.add_text("Query", "")
        self._button = gui.add_button("Find")
        self._button.on_click(self._on_find)
        self._status = gui.add_html("")
        self._results = gui.add_dropdown("Result", self._titles(), initial_value=self._titles()[-1])
        self._results.on_update(self._on_choice)
        gui.add_button("Leave the frame").on_click(
            lambda event: self._frames.leave(event.client) if event.client else None
        )
        points = gui.add_checkbox("Points", True)
        points.on_update(lambda _: setattr(surface, "visible", points.value))
        cameras = gui.add_checkbox("Cameras", True)
        cameras.on_update(lambda _: self._frames.show(cameras.value))
        gui.add_html(_paragraphs(HELP))

    def _on_choice(self, event: viser.GuiEvent) -> None:
        if event.client is not None:  # else we have set it ourselves
            self._show(self._titles().index(self._results.value) - 1)

    def _titles(self) -> list[str]:
        numbered = [f"{i}. {one.row['query'][:60]}" for i, one in enumerate(self._found, start=1)]
        return ["–", *numbered]

    def _tell(self, text: str) -> None:
        self._status.content = _paragraphs(text)

    def _show(self, number: int) -> None:
        """Draw one result; a negative number draws none."""
        self._results.value = self._titles()[number + 1]
        found = self._found[number] if number >= 0 else None
        boxes = (
            ("/box", found.box if found else None, drawing.PREDICTED_RGB),
            ("/label", found.truth if found else None, drawing.TRUTH_RGB),
        )
        for name, box, color in boxes:
            lines = box3d_corners(box)[np.array(BOX_EDGES)] if box is not None else np.zeros((0, 2, 3))
            self._server.scene.add_line_segments(name, lines, color, thickness=0.015)
        points = found.points_m if found and found.points_m is not None else np.zeros((0, 3), np.float32)
        self._server.scene.add_point_cloud("/object", points, drawing.BOX2D_RGB, point_size=VOXEL_M)
        self._frames.boxes = [(box, color) for _, box, color in boxes if box is not None]
        self._tell(_summary(found.row) if found else "")

    def _on_box(self, event: viser.SceneRectSelectEvent) -> None:
        try:
            box = self._frames.box_drawn(event.client, event.screen_min, event.screen_max)
        except UsageError as error:
            self._tell(error.message)
            return
        self.find(self._text.value, (box,))


def serve(host: str, port: int, label: str) -> viser.ViserServer:
    """A viser server on this host alone unless ``host`` says otherwise.

    Raises:
        SetupError: viser is not installed, or the address cannot be taken.
    """
    try:
        import viser
    except ImportError as error:
        raise SetupError("The live view needs viser.", "pip install 'scener1[view]'") from error
    try:
        socket.create_server((host, 0)).close()  # viser would try for ever
    except OSError as error:
        raise SetupError(
            f"{host} cannot be listened on: {error.strerror}.", "Give --host an address of this machine."
        ) from error
    with contextlib.redirect_stdout(None):  # viser greets; stdout is for data
        return viser.ViserServer(host=host, port=port, label=label, verbose=False)


def _summary(row: Mapping[str, Any]) -> str:
    lines = [f"“{row['query']}”"]
    if row.get("failure"):
        lines.append(f"nothing found: {row['failure']['stage']} – {row['failure']['reason']}")
    if row.get("span_s"):
        lines.append("span {:.1f} s to {:.1f} s".format(*row["span_s"]))
    if row.get("box3d"):
        lines.append("centre {:.2f}, {:.2f}, {:.2f} m".format(*row["box3d"]["center_m"]))
        lines.append("size {:.2f} × {:.2f} × {:.2f} m".format(*row["box3d"]["size_m"]))
    if row.get("truth") and row["truth"].get("box3d_iou") is not None:
        lines.append(f"3D IoU with the label {row['truth']['box3d_iou']:.3f}")
    lines += [text for text in (row.get("rationale") or {}).values() if text]
    if row.get("run_dir"):
        lines.append(f"kept in {row['run_dir']}")
    return "\n".join(lines)


def _paragraphs(text: str) -> str:
    """Text as HTML that shows it; sentences and replies are never read as tags or as markdown."""
    lines = (f"<div>{html.escape(line)}</div>" for line in text.splitlines())
    return f'<div style="padding:0 .75em .5em;overflow-wrap:anywhere;font-size:.9em">{"".join(lines)}</div>'
