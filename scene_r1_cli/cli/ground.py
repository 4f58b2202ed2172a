"""``scener1 ground``: from a sentence to a 3D box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.cli.run_query import EXIT_QUERY_FAILED, run_query, show_result
from scene_r1_cli.errors import UsageError

if TYPE_CHECKING:
    from scene_r1_cli.config import GroundConfig
    from scene_r1_cli.data.labels import Label
    from scene_r1_cli.pipeline import Given
    from scene_r1_cli.types import Box2D, Query, Scene


def ground(
    scene: options.SceneName,
    query: Annotated[str, typer.Argument(help="What to find, e.g. 'the chair by the window'.")],
    frame: Annotated[
        list[int] | None,
        typer.Option(
            "--frame", help="Source frame index of a --box; skips the language model. Repeat with --box."
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", help="Box in original colour pixels on that --frame.", metavar="X1,Y1,X2,Y2"),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option("--span", help="Seconds to look in; skips temporal grounding.", metavar="A,B"),
    ] = None,
    preset: options.Preset = None,
    model: Annotated[str | None, typer.Option("--model", help="Checkpoint folder or hub name.")] = None,
    tracker: Annotated[str | None, typer.Option("--tracker", help="geometric or sam2.")] = None,
    think: options.Think = None,
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    source: options.Source = None,
    store: options.Store = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write a video with mask and boxes drawn in.")
    ] = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find the object a sentence describes.

    Span, 2D boxes, masks, points, 3D box; each step is stored and shown in the report.

    Examples:

      scener1 ground data/scans/scene0011_00 "the chair by the window" --preset qwen2.5-vl-7b

      scener1 ground my_capture "the mug" --frame 120 --box 310,205,362,270
    """
    from scene_r1_cli.config_load import load_config
    from scene_r1_cli.data.store import CACHE_FOLDER, DEFAULT_STORE, resolve_scene
    from scene_r1_cli.query_dir import query_id_of
    from scene_r1_cli.types import Query

    text = query.strip()
    if not text:
        raise UsageError("The query is empty.", 'Say what to find, e.g. "the chair by the window".')
    flags = {"model.name": model, "tracker.name": tracker, **options.think_flags(think)}
    settings = load_config(preset=preset, files=config or [], sets=sets or [], flags=flags)
    opened = resolve_scene(scene, store or DEFAULT_STORE, source)
    if not quiet:
        for text_for_people in opened.notes:
            output.note(f"note: {text_for_people}")
    given = parse_given(opened, frame or [], box or [], span)
    asked = Query(scene_id=opened.scene_id, query_id=query_id_of(text), text=text)
    if dry_run:
        output.print_json(_plan(opened, asked, given, settings))
        return
    result = run_query(
        opened,
        asked,
        given,
        settings,
        command="ground",
        label=_label_of(opened, text),
        out=out,
        resume=resume,
        overwrite=overwrite,
        overlay=overlay,
        quiet=quiet,
        cache=(store or DEFAULT_STORE) / CACHE_FOLDER,
        any_scene=preset is not None,
    )
    show_result(result, as_json=as_json, quiet=quiet)
    if result.failure:
        raise typer.Exit(EXIT_QUERY_FAILED)


def parse_given(scene: Scene, frames: list[int], boxes: list[str], span: str | None) -> Given:
    """Answers given on the command line, checked against the scene.

    Raises:
        UsageError: Not one box per frame, a frame the scene lacks, a box outside the image, an empty span.
    """
    from scene_r1_cli.pipeline import Given
    from scene_r1_cli.types import TemporalSpan

    if len(frames) != len(boxes):
        raise UsageError(
            f"{len(frames)} --frame and {len(boxes)} --box were given; each box needs its frame.",
            "For example: --frame 120 --box 310,205,362,270",
        )
    given_span = None
    if span is not None:
        start_s, end_s = options.parse_numbers(span, 2, "--span", "5.0,10.0")
        if not 0 <= start_s < end_s or start_s >= scene.duration_s:
            raise UsageError(
                f"--span {span} is not inside the video, which runs from 0 to {scene.duration_s:.1f} s.",
                "Give start,end in seconds with start < end.",
            )
        given_span = TemporalSpan(start_s, min(end_s, scene.duration_s))
    pairs = zip(frames, boxes, strict=True)
    return Given(
        span=given_span, boxes_2d=tuple(_given_box(scene, index, box_text) for index, box_text in pairs)
    )


def _given_box(scene: Scene, frame_index: int, text: str) -> Box2D:
    from scene_r1_cli.types import Box2D

    usable = scene.frame_indices
    if frame_index not in usable:
        nearest = usable[abs(usable - frame_index).argmin()]
        skipped = {item.frame_index: item.reason for item in scene.skipped}
        why = f" ({skipped[frame_index]})" if frame_index in skipped else ""
        raise UsageError(
            f"Frame {frame_index} of {scene.scene_id} is not usable{why}; "
            f"usable frames lie between {usable[0]} and {usable[-1]}.",
            f"The nearest is --frame {nearest}.",
        )
    x1, y1, x2, y2 = options.parse_numbers(text, 4, "--box", "310,205,362,270")
    width, height = scene.color_camera.size_wh
    # The image covers [-0.5, width - 0.5]: an integer is a pixel centre.
    clipped = (max(x1, -0.5), max(y1, -0.5), min(x2, width - 0.5), min(y2, height - 0.5))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise UsageError(
            f"--box {text} has no area inside the {width}×{height} colour image.",
            "Give x1,y1,x2,y2 in original colour pixels with x1 < x2 and y1 < y2.",
        )
    if clipped != (x1, y1, x2, y2):
        output.note(f"note: --box {text} was clipped to the {width}×{height} image")
    return Box2D(frame_index=frame_index, xyxy_px=clipped)


def _label_of(scene: Scene, text: str) -> Label | None:
    from scene_r1_cli.data.labels import find_label

    return find_label(scene, text)


def _plan(scene: Scene, query: Query, given: Given, config: GroundConfig) -> dict:
    stages = ["masks", "points", "box3d"]
    if not given.boxes_2d:
        stages = (["span"] if given.span is None else []) + ["box", *stages]
    return {
        "schema_version": 1,
        "scene_id": scene.scene_id,
        "query": query.text,
        "source": scene.source,
        "frames": len(scene.frames),
        "skipped_frames": len(scene.skipped),
        "duration_s": round(scene.duration_s, 3),
        "stages": stages,
        "config": config.model_dump(mode="json"),
    }
