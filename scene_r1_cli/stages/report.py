"""The report of one query: pictures with boxes and masks, and a page that shows each step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from scene_r1_cli.errors import InputError
from scene_r1_cli.files import atomic_path
from scene_r1_cli.geometry.intervals import Interval
from scene_r1_cli.query_dir import QueryDir
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.serialize import masks_from_json, result_to_json
from scene_r1_cli.types import Box3D, GroundingResult, Scene
from scene_r1_cli.viewer import drawing
from scene_r1_cli.viewer.html import THREE, Picture, write_page
from scene_r1_cli.viewer.scene3d import view_3d

_MAX_PICTURE_SIDE_PX = 960
_MAX_VIEWS = 6
_STAGES = ("span", "box", "masks", "surface", "points", "box3d")


def write_report(
    scene: Scene,
    result: GroundingResult,
    run: RunDir,
    artifacts: QueryDir,
    truth_box: Box3D | None = None,
    truth_runs_s: Sequence[Interval] = (),
    overlay: str | None = None,
) -> Path:
    """Write ``report/index.html``, its pictures and its 3D view.

    Args:
        scene: The capture the result belongs to.
        result: What was found; a failed result gets a page too, with what there is.
        run: Run directory.
        artifacts: The query's artifacts: masks and model exchanges are read from there.
        truth_box: The label's box, drawn beside the predicted one when known.
        truth_runs_s: When the object is in view, by the label.
        overlay: The video with the result drawn in, relative to the report folder.

    Returns:
        Path of the page.
    """
    stored_masks = artifacts.stored("masks")
    masks = {item.frame_index: item.mask for item in masks_from_json(stored_masks or [])}
    boxes_2d = {box.frame_index: box for box in result.boxes_2d}
    further = spread([index for index in masks if index not in boxes_2d], _MAX_VIEWS)
    pictures = []
    for frame_index in [*boxes_2d, *further]:
        try:
            image = scene.read_color(frame_index)
        except InputError:
            continue  # the stages have already counted and logged this frame as unreadable
        if frame_index in masks:
            image = drawing.draw_mask(image, masks[frame_index].decode())
        for box3d, color in ((truth_box, drawing.TRUTH_RGB), (result.box3d, drawing.PREDICTED_RGB)):
            if box3d is not None:
                world_from_camera = scene.world_from_color_camera(frame_index)
                image = drawing.draw_box3d(image, scene.color_camera, world_from_camera, box3d, color)
        if frame_index in boxes_2d:
            image = drawing.draw_box2d(image, boxes_2d[frame_index].xyxy_px)
        name = f"frames/{frame_index:06d}.jpg"
        write_jpeg(run.report_dir / name, image)
        time_s = scene.frame(frame_index).timestamp_s
        caption = f"frame {frame_index}, {time_s:.1f} s"
        pictures.append(Picture(name, caption, frame_index in boxes_2d))
    row = result_to_json(result)
    values = {
        "result": row,
        "pictures": pictures,
        "exchanges": artifacts.read_exchanges(),
        "duration_s": scene.duration_s,
        "keyframe_times_s": [scene.frame(index).timestamp_s for index in boxes_2d],
        "truth_runs_s": truth_runs_s,
        "stages": [(name, row["timings_s"][name]) for name in _STAGES if name in row["timings_s"]],
        "source": scene.source,
        "gravity": scene.gravity,
        "skipped": len(scene.skipped),
        "usable": len(scene.frames),
        "has_truth": truth_box is not None,
        "overlay": overlay,
    }
    view = view_3d(scene, artifacts.stored_points(), result.box3d, truth_box)
    return write_page(
        run.report_dir, "ground.html", values, data={"view3d": view}, scripts=(THREE, "scene3d.js")
    )


def spread(frame_indices: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the frames, evenly spread, in rising order."""
    ordered = sorted(frame_indices)
    if len(ordered) <= count:
        return ordered
    return [ordered[round(i)] for i in np.linspace(0, len(ordered) - 1, count)]


def write_jpeg(path: Path, image_rgb: np.ndarray) -> None:
    """Write a picture of a report, made smaller if it is large."""
    scale = _MAX_PICTURE_SIDE_PX / max(image_rgb.shape[:2])
    if scale < 1:
        image_rgb = cv2.resize(image_rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))[1]
    with atomic_path(path) as partial:
        partial.write_bytes(encoded.tobytes())
