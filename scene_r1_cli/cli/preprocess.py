"""``scener1 preprocess``: captures to prepared scenes and labels."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scene_r1_cli.cli import options, output
from scene_r1_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from scene_r1_cli.data.annotations import AnnotationSet
    from scene_r1_cli.data.preprocess import Summary

MAX_LISTED = 10
EXIT_SOME_FAILED = 5


def preprocess(
    scannet_root: Annotated[
        Path | None, typer.Option("--scannet-root", help="ScanNet's root (with scans/), or one scene.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Format of other captures.", metavar="NAME")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Folder of other captures, or one capture.")
    ] = None,
    store: options.Store = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Only this official split of ScanNet: train, val or test.")
    ] = None,
    scene: Annotated[
        list[str] | None, typer.Option("--scene", help="Only this scene; may be given more than once.")
    ] = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(
            "--annotations", help="Annotation file to make labels from; more than one may be given."
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option("--fps", min=0.01, help="Frames kept a second.", show_default="2")
    ] = None,
    sharpness: Annotated[
        str | None,
        typer.Option(
            "--sharpness",
            help="How the sharpest is told: bytes (size of the image), or pixels (decoded; slow).",
            show_default="bytes",
        ),
    ] = None,
    depth: Annotated[str | None, typer.Option("--depth", help="z16 or png.", show_default="z16")] = None,
    in_place: Annotated[
        bool | None,
        typer.Option("--in-place", help="Index the source and copy no image.", show_default=False),
    ] = None,
    video: Annotated[
        bool | None, typer.Option("--video", help="Also write video.mp4.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes.", show_default="one per core")
    ] = None,
    executor: Annotated[str, typer.Option("--executor", help="local or ray.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help="Ray cluster; else RAY_ADDRESS, else a local one.")
    ] = None,
    config: options.ConfigFiles = None,
    sets: options.Sets = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count frames and bytes; write nothing.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Turn ScanNet or other captures into prepared scenes and labels.

    Takes the sharpest frame of each half second, copies its bytes as they are, and writes one
    self-contained folder per scene. Scenes that are done are kept; run it again to go on.

    Examples:

      scener1 preprocess --scannet-root scannet --split val --annotations ScanRefer_filtered_val.json

      scener1 preprocess --source exported --root my_captures --fps 5
    """
    place, format_name = _what(scannet_root, source, root)
    workers = workers or os.cpu_count() or 1
    if workers > 1 and executor == "local" and place.is_dir() and not any(place.glob("*.sens")):
        from scene_r1_cli.parallel import warm_up

        # A root of many captures: its workers load these while this process loads and looks.
        warm_up("scene_r1_cli.data.preprocess", "cv2", "pyarrow.parquet")
    from scene_r1_cli.config_load import load_settings
    from scene_r1_cli.data import preprocess as work
    from scene_r1_cli.data.annotations import read_annotations
    from scene_r1_cli.data.store import DEFAULT_STORE
    from scene_r1_cli.preprocess_config import PreprocessConfig

    if executor not in ("local", "ray"):
        raise UsageError(f"--executor takes local or ray, not {executor!r}.")
    if split is not None and format_name != "scannet":
        raise UsageError("--split takes the official lists of ScanNet; other captures have none.")
    flags = {
        "frames.fps": fps,
        "frames.sharpness": sharpness,
        "frames.depth": depth,
        "frames.in_place": in_place,
        "frames.video": video,
    }
    settings = load_settings(PreprocessConfig, files=config or (), sets=sets or (), flags=flags)
    found = work.find_captures(place, format_name)
    captures, missing = work.choose_captures(found, split, scene or ())
    if not captures:
        raise InputError(f"{place} holds none of the scenes asked for.")
    with output.going_on(resume=False), output.logging_to(None):
        read = [read_annotations(path) for path in annotations or ()]
        if read and format_name != "scannet":
            raise UsageError(
                "--annotations are of ScanNet's objects; SceneFun3D's lie in each visit, others have none."
            )
        out = (store or DEFAULT_STORE) / format_name
        with _Progress(len(captures)) as progress:
            summary = work.preprocess(
                captures,
                out,
                settings,
                read,
                workers=workers,
                executor=executor,
                ray_address=ray_address,
                dry_run=dry_run,
                progress=progress,
            )
    for scene_id in missing:
        summary.failures[scene_id] = f"{place} has no such scene"
    data = _as_json(summary, out, read, dry_run)
    data["annotated_scenes_not_there"] = work.absent_scenes(found, read)
    if dry_run:
        data["free_bytes"] = work.free_bytes(out)
    if as_json:
        output.print_json(data)
    else:
        _tell(summary, data, read)
    if summary.failures:
        raise typer.Exit(EXIT_SOME_FAILED)
    if dry_run:
        output.next_step("the same command without --dry-run")
    else:
        where = f"--store {store} " if store else ""
        output.next_step(f'scener1 ground {where}{next(iter(sorted(summary.reports)))} "the chair"')


def _what(scannet_root: Path | None, source: str | None, root: Path | None) -> tuple[Path, str]:
    if scannet_root is not None and source is None and root is None:
        return scannet_root, "scannet"
    if scannet_root is None and source is not None and root is not None:
        return root, source
    raise UsageError("Give --scannet-root DIR, or --source NAME with --root DIR.")


class _Progress:
    """A bar over scenes, with the rate of frames."""

    def __init__(self, total: int) -> None:
        self._bar = output.progress_bar("scenes", total)
        self._begun = time.monotonic()

    def __enter__(self) -> _Progress:
        self._update: Any = self._bar.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.__exit__(*exception)

    def __call__(self, summary: Summary) -> None:
        frames = sum(r.num_frames for r in summary.reports.values() if r.status == "prepared")
        rate = frames / max(time.monotonic() - self._begun, 1e-3)
        done = len(summary.reports) + len(summary.failures)
        self._update(done, f"{rate:.0f} frames/s")


def _as_json(summary: Summary, out: Path, sets: list[AnnotationSet], dry_run: bool) -> dict[str, Any]:
    reports = summary.reports.values()
    faults = {item.name: len(item.faults) for item in sets}
    return {
        "schema_version": 1,
        "store": str(out.parent),
        "dry_run": dry_run,
        "scenes": {
            status: sum(report.status == status for report in reports)
            for status in ("prepared", "kept", "planned")
        }
        | {"failed": len(summary.failures)},
        "source_frames": sum(report.num_source_frames for report in reports),
        "frames": sum(report.num_frames for report in reports),
        "bytes": sum(report.num_bytes for report in reports),
        "skipped_frames": dict(summary.skipped().most_common()),
        "labels": {
            name: {"unusable rows": faults.get(name, 0), **counts}
            for name, counts in summary.labels().items()
        },
        "annotation_faults": [fault for item in sets for fault in item.faults],
        "failures": [
            {"scene_id": scene_id, "reason": reason} for scene_id, reason in sorted(summary.failures.items())
        ],
    }


def _tell(summary: Summary, data: dict[str, Any], sets: list[AnnotationSet]) -> None:
    scenes = data["scenes"]
    counted = ", ".join(f"{count} {status}" for status, count in scenes.items() if count)
    output.print_data(
        f"{sum(scenes.values())} scenes: {counted}; {data['frames']} of {data['source_frames']} frames, "
        f"{data['bytes'] / 1e6:.1f} MB"
    )
    if "free_bytes" in data:
        output.print_data(f"free in {data['store']}: {data['free_bytes'] / 1e6:.0f} MB")
    for name, counts in data["labels"].items():
        left_out = ", ".join(
            f"{count} {what}" for what, count in counts.items() if what != "queries" and count
        )
        output.print_data(
            f"labels {name}: {counts['queries']} queries" + (f"; left out: {left_out}" if left_out else "")
        )
    if data["skipped_frames"]:
        output.note_table(
            "frames left out",
            ("frames", "reason"),
            [(str(count), reason) for reason, count in data["skipped_frames"].items()],
        )
    for report in list(summary.reports.values())[:MAX_LISTED]:
        for line in report.notes:
            output.note(f"{report.scene_id}: {line}")
    for name, scenes in data["annotated_scenes_not_there"].items():
        listed = ", ".join(scenes[:MAX_LISTED]) + (", …" if len(scenes) > MAX_LISTED else "")
        output.note(f"{name} is about {len(scenes)} scenes that are not here: {listed}")
    for item in sets:
        for fault in item.faults[:MAX_LISTED]:
            output.note(fault)
        if len(item.faults) > MAX_LISTED:
            output.note(
                f"… and {len(item.faults) - MAX_LISTED} more rows of {item.path.name}; --json has all"
            )
    for failure in data["failures"]:
        output.note(f"{failure['scene_id']} failed: {failure['reason']}")
