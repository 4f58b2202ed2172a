"""How well pocket finds objects in held-out rooms: span, box, and what its thinking names.

Captures of test seeds are made once under --root and read as any other capture. Of every room some labels
are asked, through the same prompts, sizes and parsers as `scener1 ground`: the span from the whole video,
and the box in the label's best key frame ("the right key frame"). Spans are compared with answering the
whole video and with the best constant span; "random" is a random visible object of the named class.

    python benchmarks/pocket.py --rooms 40 --per-room 5 --out pocket.json

Intervals are 95 % bootstrap intervals over scenes.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_room, split_seeds
from scene_r1_cli.data.rooms.layout import Room, lay_out_room
from scene_r1_cli.data.rooms.vocabulary import shows_color
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.models.families import box_to_original
from scene_r1_cli.models.parse import BoxesReply, SpanReply, parse_boxes, parse_span, parse_think
from scene_r1_cli.models.pocket import pocket_path
from scene_r1_cli.models.prompts import box_prompt, span_prompt
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.models.vlm import VideoPrefix
from scene_r1_cli.stages.video import resize_rgb, sample_video
from scene_r1_cli.types import Scene


@dataclass(frozen=True)
class Row:
    """One query's scores; None where a fact is not named."""

    scene_id: str
    text: str
    span_iou: float
    whole_video_iou: float
    box_iou: float
    random_box_iou: float
    span_reply: str
    box_reply: str
    names_class: float
    names_color: float | None
    names_times: float
    runs_s: list


def ask_room(vlm: TransformersVLM, scene: Scene, room: Room, labels: list[Label], config) -> list[Row]:
    """Ask every label of one room; the video is encoded once."""
    video = sample_video(scene, config.video, vlm.model_size_wh)
    prompts = [span_prompt(label.text, video.duration_s) for label in labels]
    span_replies = vlm.generate(video.prefix, prompts, max_new_tokens=config.span.max_new_tokens)
    boxes_by_frame: dict[int, list[tuple[int, tuple]]] = defaultdict(list)
    for label in read_labels(scene.path / "labels" / "rooms.parquet"):
        for keyframe in label.keyframes:
            boxes_by_frame[keyframe.frame_index].append((label.object_id or 0, keyframe.box_xyxy_px))
    rows = []
    for label, span_reply in zip(labels, span_replies, strict=True):
        keyframe = max(label.keyframes, key=lambda item: item.visibility)
        image_rgb = scene.read_color(keyframe.frame_index)
        original_wh = (image_rgb.shape[1], image_rgb.shape[0])
        model_wh = vlm.model_size_wh(original_wh, config.box.max_side_px)
        time_s = scene.frame(keyframe.frame_index).timestamp_s
        prefix = VideoPrefix(resize_rgb(image_rgb, model_wh)[None], np.array([time_s]))
        prompt = box_prompt(label.text, vlm.family, model_wh)
        box_reply = vlm.generate(prefix, [prompt], max_new_tokens=config.box.max_new_tokens)[0]
        box = parse_boxes(box_reply.text)
        xyxy = None
        if isinstance(box, BoxesReply) and box.boxes:
            xyxy = box_to_original(box.boxes[0].xyxy_model, vlm.family, model_wh, original_wh)
        item = room.objects[label.object_id or 0]
        alike = {
            object_id: other
            for object_id, other in boxes_by_frame[keyframe.frame_index]
            if room.objects[object_id].label == item.label
        }
        span = parse_span(span_reply.text)
        found = (span.start_s, span.end_s) if isinstance(span, SpanReply) else None
        think = parse_think(span_reply.text)
        rows.append(
            Row(
                scene_id=label.scene_id,
                text=label.text,
                span_iou=best_run_iou(found, label.runs_s) if found else 0.0,
                whole_video_iou=best_run_iou((0.0, video.duration_s), label.runs_s),
                box_iou=box2d_iou(xyxy, keyframe.box_xyxy_px) if xyxy else 0.0,
                random_box_iou=float(np.mean([box2d_iou(b, keyframe.box_xyxy_px) for b in alike.values()])),
                span_reply=span_reply.text,
                box_reply=box_reply.text,
                names_class=float(_names(think, item.label)),
                names_color=float(item.color in think.split()) if shows_color(item.label) else None,
                names_times=_share_in_runs(think, label),
                runs_s=[list(run) for run in label.runs_s],
            )
        )
    return rows


def _names(think: str, label: str) -> bool:
    """True if the thinking names exactly this class ("chair" is not "office chair")."""
    match = re.match(
        r"I see the (?:(?:red|orange|yellow|green|blue|purple|brown|black|white|gray) )?(.+) at ", think
    )
    return match is not None and match[1] == label


def _share_in_runs(think: str, label: Label) -> float:
    """Share of the times named at which the object is visible; 0 if none is named."""
    times = [float(text) for text in re.findall(r"\d+\.\d", think)]
    inside = [any(start <= time_s < end for start, end in label.runs_s) for time_s in times]
    return float(np.mean(inside)) if inside else 0.0


def best_constant(rows: list[Row]) -> float:
    """Mean IoU of the one span that would score best on these very queries."""
    starts, ends = np.arange(0, 60, 2.0), np.arange(2, 62, 2.0)
    return max(
        float(np.mean([best_run_iou((start, end), row.runs_s) for row in rows]))
        for start in starts for end in ends if end > start
    )  # fmt: skip


def by_scene(rows: list[Row], value: Callable[[Row], float | None]) -> dict:
    """Mean with a 95 % bootstrap interval over scenes."""
    scenes: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        number = value(row)
        if number is not None:
            scenes[row.scene_id].append(number)
    groups = list(scenes.values())
    rng = np.random.default_rng(0)
    means = []
    for _ in range(2000):
        drawn = [groups[index] for index in rng.integers(len(groups), size=len(groups))]
        means.append(np.mean([number for group in drawn for number in group]))
    everything = [number for group in groups for number in group]
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "value": round(float(np.mean(everything)), 4),
        "n": len(everything),
        "ci95": [round(float(low), 4), round(float(high), 4)],
    }


def main() -> None:
    """Run the benchmark and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=pocket_path(), help="Checkpoint folder.")
    parser.add_argument("--root", type=Path, default=Path("rooms_pocket"))
    parser.add_argument("--split", default="test")
    parser.add_argument("--first", type=int, default=0, help="Rooms of the split to skip.")
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--per-room", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.model is None:
        parser.error("pocket is not shipped here; name a checkpoint with --model")
    config = load_config(preset="pocket")
    vlm = TransformersVLM.load(ModelConfig(name=str(args.model), device="cpu"))
    rows: list[Row] = []
    start = time.monotonic()
    for seed in split_seeds(args.split)[args.first : args.first + args.rooms]:
        summary = make_room(seed, args.root, DEMO_OPTIONS)
        scene = open_scene(summary.path)
        labels = [
            label for label in read_labels(summary.path / "labels" / "rooms.parquet") if not label.answers
        ]
        chosen = np.random.default_rng(seed).permutation(len(labels))[: args.per_room]
        rows += ask_room(vlm, scene, lay_out_room(seed), [labels[index] for index in chosen], config)
    fields = (
        "span_iou",
        "whole_video_iou",
        "box_iou",
        "random_box_iou",
        "names_class",
        "names_color",
        "names_times",
    )
    result: dict = {name: by_scene(rows, lambda row, name=name: getattr(row, name)) for name in fields}
    result["box_iou_at_half"] = by_scene(rows, lambda row: float(row.box_iou >= 0.5))
    result["best_constant_span_iou"] = round(best_constant(rows), 4)
    result |= {"rooms": args.rooms, "queries": len(rows), "seconds": round(time.monotonic() - start, 1)}
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result | {"rows": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    main()
