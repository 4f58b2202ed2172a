"""How well pocket finds objects in held-out rooms: span, box, and what its thinking names.

Rooms of test seeds are rendered by the quick path of training (no capture is written: that takes a minute a
room) and asked through the prompts, sizes, processor and parsers of `scener1 ground`: the span from the whole
video, and the box in the frame, of twelve drawn at random, that shows most of the object ("the right key
frame"). Spans are compared with answering the whole video and with the best constant span, boxes with a
random visible object of the right class.

    python -m benchmarks.pocket --rooms 40 --per-room 6 --out pocket.json

Intervals are 95 % bootstrap intervals over scenes.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.estimates import estimate
from scene_r1_cli.config import ModelConfig
from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.data.rooms.vocabulary import COLORS
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.models.parse import BoxesReply, SpanReply, parse_boxes, parse_span, parse_think
from scene_r1_cli.models.pocket import pocket_path
from scene_r1_cli.models.prompts import box_prompt, span_prompt
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.models.vlm import VideoPrefix
from scene_r1_cli.training.replies import frame_boxes
from scene_r1_cli.training.room_views import RoomViews, Sentence, load_views, make_views
from scene_r1_cli.training_config import ViewsConfig

MAX_NEW_TOKENS = 96


@dataclass(frozen=True)
class Row:
    """One query's scores; None where there is nothing to score."""

    scene_id: str
    text: str
    runs_s: tuple
    span_reply: str
    span_iou: float
    whole_video_iou: float
    names_class: float
    names_color: float | None
    names_times: float
    box_reply: str | None = None
    box_iou: float | None = None
    random_box_iou: float | None = None


def ask_room(vlm: TransformersVLM, views: RoomViews, count: int) -> list[Row]:
    """Ask some sentences of one room; its video is encoded once."""
    order = np.random.default_rng(views.seed).permutation(len(views.sentences))[:count]
    sentences = [views.sentences[index] for index in order]
    prefix = VideoPrefix(views.video.rgb, views.video.times_s)
    prompts = [span_prompt(sentence.text, views.duration_s) for sentence in sentences]
    replies = vlm.generate(prefix, prompts, max_new_tokens=MAX_NEW_TOKENS)
    rows = []
    for sentence, reply in zip(sentences, replies, strict=True):
        span = parse_span(reply.text)
        think = parse_think(reply.text)
        color = views.colors[sentence.object_id]
        rows.append(
            Row(
                scene_id=f"room{views.seed}",
                text=sentence.text,
                runs_s=sentence.runs_s,
                span_reply=reply.text,
                span_iou=best_run_iou((span.start_s, span.end_s), sentence.runs_s)
                if isinstance(span, SpanReply)
                else 0.0,
                whole_video_iou=best_run_iou((0.0, views.duration_s), sentence.runs_s),
                names_class=float(_class_named(think) == views.labels[sentence.object_id]),
                names_color=float(color in think.split()) if color else None,
                names_times=_share_in_runs(think, sentence.runs_s),
                **_ask_box(vlm, views, sentence),
            )
        )
    return rows


def _ask_box(vlm: TransformersVLM, views: RoomViews, sentence: Sentence) -> dict:
    """Scores of the box in the frame that shows most of the object; nothing if no frame shows it."""
    boxes = [frame_boxes(instances) for instances in views.key.instances]
    frame = max(range(len(boxes)), key=lambda index: boxes[index].get(sentence.object_id, ((), 0))[1])
    if sentence.object_id not in boxes[frame]:
        return {}
    truth = boxes[frame][sentence.object_id][0]
    image_rgb = views.key.rgb[frame]
    size_wh = (image_rgb.shape[1], image_rgb.shape[0])
    prefix = VideoPrefix(image_rgb[None], views.key.times_s[frame : frame + 1])
    reply = vlm.generate(
        prefix, [box_prompt(sentence.text, vlm.family, size_wh)], max_new_tokens=MAX_NEW_TOKENS
    )[0]
    found = parse_boxes(reply.text)
    box = found.boxes[0].xyxy_model if isinstance(found, BoxesReply) and found.boxes else None
    label = views.labels[sentence.object_id]
    alike = [xyxy for object_id, (xyxy, _) in boxes[frame].items() if views.labels[object_id] == label]
    return {
        "box_reply": reply.text,
        "box_iou": box2d_iou(box, truth) if box else 0.0,
        "random_box_iou": float(np.mean([box2d_iou(xyxy, truth) for xyxy in alike])),
    }


def _class_named(think: str) -> str | None:
    """The class that the thinking names, or None."""
    match = re.match(rf"I see the (?:(?:{'|'.join(COLORS)}) )?(.+) at ", think)
    return match[1] if match else None


def _share_in_runs(think: str, runs_s: tuple) -> float:
    """Share of the times named at which the object is visible; 0 if none is named."""
    times = [float(text) for text in re.findall(r"\d+\.\d", think)]
    # Times are written in tenths, so one at the very end or start of a run may be rounded out of it.
    inside = [any(start - 0.06 <= time_s < end + 0.06 for start, end in runs_s) for time_s in times]
    return float(np.mean(inside)) if inside else 0.0


def best_constant(rows: list[Row]) -> float:
    """Mean IoU of the one span that would score best on these very queries."""
    edges = np.arange(0, 62, 2.0)
    spans = [(start, end) for start in edges for end in edges if end > start]
    return max(float(np.mean([best_run_iou(span, row.runs_s) for row in rows])) for span in spans)


def main() -> None:
    """Run the benchmark and print one JSON object."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--model", type=Path, default=pocket_path(), help="Checkpoint folder.")
    parser.add_argument("--views", type=Path, default=Path("rooms_pocket"), help="Where rooms are kept.")
    parser.add_argument("--split", default="test")
    parser.add_argument("--rooms", type=int, default=40)
    parser.add_argument("--per-room", type=int, default=6)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.model is None:
        parser.error("pocket is not shipped here; name a checkpoint with --model")
    vlm = TransformersVLM.load(ModelConfig(name=str(args.model), device="cpu"))
    start = time.monotonic()
    rows: list[Row] = []
    for path in make_views(args.views, split_seeds(args.split)[: args.rooms], ViewsConfig(short_share=0.0)):
        rows += ask_room(vlm, load_views(path), args.per_room)
    names = (
        "span_iou", "whole_video_iou", "box_iou", "random_box_iou", "names_class", "names_color",
        "names_times",
    )  # fmt: skip
    result: dict = {name: estimate(rows, lambda row, name=name: getattr(row, name)) for name in names}
    result["box_iou_at_half"] = estimate(
        rows, lambda row: None if row.box_iou is None else float(row.box_iou >= 0.5)
    )
    result["best_constant_span_iou"] = round(best_constant(rows), 3)
    result |= {"split": args.split, "rooms": args.rooms, "queries": len(rows), "machine": platform.machine()}
    result["seconds"] = round(time.monotonic() - start, 1)
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result | {"rows": [asdict(row) for row in rows]}, indent=1))


if __name__ == "__main__":
    main()
