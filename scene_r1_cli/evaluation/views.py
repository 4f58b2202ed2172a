"""How an object is seen in its capture: parts of a benchmark by distance and by time in view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scene_r1_cli.data.labels import Label
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.items import ItemSet
from scene_r1_cli.types import Scene

BY_DISTANCE = "distance from the camera in the key frame that shows most"
BY_SECONDS = "visibility (seconds in view)"
NEAR_M, FAR_M = 1.5, 3.0
BRIEF_S, LONG_S = 3.0, 8.0


def with_views(items: ItemSet) -> tuple[ItemSet, str]:
    """Sort the objects by how they are seen, as far as labels and captures are there.

    Returns:
        The items with groups BY_SECONDS (where visible runs are known) and BY_DISTANCE (where key frames,
        the true box and the capture are known), and what the frames come from, for the report.
    """
    opened = _opened(items)
    chosen = []
    for item in items.items:
        label, groups = item.label, dict(item.groups)
        if item.task == "ground" and label.runs_s:
            groups[BY_SECONDS] = seconds_in_view(label.runs_s)
        if item.task == "ground" and label.scene_id in opened:
            distance_m = distance_of(label, opened[label.scene_id])
            if distance_m is not None:
                groups[BY_DISTANCE] = distance_group(distance_m)
        chosen.append(replace(item, groups=groups))
    return replace(items, items=tuple(chosen)), _frame_source(list(opened.values()))


def _opened(items: ItemSet) -> dict[str, Scene]:
    found: dict[str, Scene] = {}
    for scene_id in {item.label.scene_id for item in items.items} & items.scenes.keys():
        try:
            found[scene_id] = open_scene(items.scenes[scene_id])
        except InputError:
            continue  # its queries fail with the reason once they are asked
    return found


def seconds_in_view(runs_s: Sequence[tuple[float, float]]) -> str:
    """How long an object is in view, over all its runs."""
    seconds = sum(end - start for start, end in runs_s)
    if seconds < BRIEF_S:
        return f"under {BRIEF_S:g} s"
    return f"{BRIEF_S:g} to {LONG_S:g} s" if seconds < LONG_S else f"{LONG_S:g} s or more"


def distance_of(label: Label, scene: Scene) -> float | None:
    """Metres from the colour camera to the middle of the true box, in the best key frame; None if unknown."""
    if label.box3d is None:
        return None
    for view in sorted(label.keyframes, key=lambda view: -view.visibility):
        try:
            camera_m = scene.world_from_color_camera(view.frame_index)[:3, 3]
        except KeyError:  # the capture here lacks that frame
            continue
        return float(np.linalg.norm(label.box3d.center_m - camera_m))
    return None


def distance_group(distance_m: float) -> str:
    """The part of BY_DISTANCE."""
    if distance_m < NEAR_M:
        return f"under {NEAR_M:g} m"
    return f"{NEAR_M:g} to {FAR_M:g} m" if distance_m < FAR_M else f"{FAR_M:g} m or more"


def _frame_source(scenes: Sequence[Scene]) -> str:
    if not scenes:
        return "not known: no capture of these scenes is in the store"
    formats = sorted({f"{scene.source} ({scene.gravity.replace('_', ' ')})" for scene in scenes})
    counts = [len(scene.frames) for scene in scenes]
    return (
        f"{len(scenes)} captures read as {', '.join(formats)}, {min(counts)} to {max(counts)} frames with "
        "camera transforms each"
    )
