"""Renders HTML pages from templates; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scene_r1_cli.types import Scene

_STAGES = ("span", "box", "masks", "surface", "points", "box3d")


def render_ground(
    *,
    result: Mapping[str, Any],
    pictures: Sequence[Any],
    exchanges: Sequence[Mapping[str, Any]],
    scene: Scene,
    has_truth: bool,
) -> str:
    """The page of one ``ground`` query.

    Args:
        result: Object of docs/result.schema.json.
        pictures: ``Picture`` rows of the report stage.
        exchanges: Model exchanges of ``vlm.jsonl``.
        scene: The capture, for its time line.
        has_truth: Whether a label's box is drawn in the pictures.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Select by name would leave `.html.j2` unescaped; escape always.
    environment = Environment(
        loader=PackageLoader("scene_r1_cli.viewer"), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("ground.html")
    times = [box_time(scene, box["frame_index"]) for box in result["boxes_2d"]]
    return template.render(
        result=result,
        pictures=pictures,
        exchanges=exchanges,
        duration_s=scene.duration_s,
        keyframe_times_s=times,
        stages=[(name, result["timings_s"][name]) for name in _STAGES if name in result["timings_s"]],
        source=scene.source,
        gravity=scene.gravity,
        skipped=len(scene.skipped),
        usable=len(scene.frames),
        has_truth=has_truth,
    )


def box_time(scene: Scene, frame_index: int) -> float:
    """Seconds of a frame since the first source frame."""
    return scene.frame(frame_index).timestamp_s
