r"""What training changed, on held-out rooms: spans, 2D boxes, and 3D boxes from the sentence.

An arm is a name and the models of its seeds; a model alone is an arm of one. The first arm is what the others
are compared with, query by query: intervals are 95 % bootstrap intervals over scenes and seeds.

    python -m benchmarks.learning --what temporal image ground --out learning --arms \
        pocket grpo=runs/t0,runs/t1,runs/t2 sft=runs/s0,runs/s1,runs/s2

The model is asked as ``ground`` asks, for several replies where the preset says so; one greedy reply is that
of --set span.replies=1 box.replies=1.

What a model scored is kept in --out, so a second call adds arms without asking again, and calls with
different arms may run beside each other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_rooms
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.store import CACHE_FOLDER
from scene_r1_cli.errors import StageFailure
from scene_r1_cli.evaluation.predict import AskingModels, cached_scene
from scene_r1_cli.evaluation.statistics import difference_of_seeds, mean_of_seeds
from scene_r1_cli.evaluation.truth import score_against_label
from scene_r1_cli.files import write_json
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.models.checkpoint import weights_fingerprint
from scene_r1_cli.models.prompts import span_prompt
from scene_r1_cli.models.provider import Models
from scene_r1_cli.pipeline import ground_query
from scene_r1_cli.stages.box import boxes_in_frames
from scene_r1_cli.stages.span import ground_span
from scene_r1_cli.stages.video import sample_video
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.rewards import box_reward, format_reward, temporal_reward
from scene_r1_cli.training.samples import AskedFrame, Sample
from scene_r1_cli.types import Box2D, Query, Scene

What = Literal["temporal", "image", "ground"]
Scores = dict[str, list[float]]


def samples_of(what: What, folders: Sequence[Path], per_room: int) -> list[Sample]:
    """Labelled queries, every k-th of each room's list; of ``image`` the best key frame of each."""
    samples = []
    for folder in folders:
        labels = [
            label
            for label in read_labels(folder / "labels" / "rooms.parquet")
            if not label.answers and label.runs_s and label.keyframes and label.box3d is not None
        ]
        for label in labels[:: max(1, len(labels) // per_room)][:per_room]:
            best = max(label.keyframes, key=lambda view: view.visibility)
            frame = AskedFrame(best.frame_index, best.box_xyxy_px) if what == "image" else None
            samples.append(Sample(folder, label, frame))
    return samples


def score(what: What, samples: list[Sample], config: GroundConfig, cache: Path) -> Scores:
    """What a configuration's model scores on each sample."""
    models = Models(config)
    if what == "temporal":
        return _spans(samples, config, models)
    return _boxes(samples, config, models) if what == "image" else _ground(samples, config, models, cache)


def _by_scene(samples: Sequence[Sample]) -> Iterator[tuple[Scene, list[Sample]]]:
    """Samples of a scene follow each other."""
    for path, of_scene in groupby(samples, lambda sample: sample.path):
        yield cached_scene(open_scene(path)), list(of_scene)


def _query(sample: Sample) -> Query:
    return Query(sample.label.scene_id, sample.label.query_id, sample.label.text)


def _spans(samples: list[Sample], config: GroundConfig, models: Models) -> Scores:
    """IoU of the span that the stage takes, of the replies one by one, and their form."""
    found = {"span IoU": [], "span IoU of a reply": [], "form": []}
    for scene, of_scene in _by_scene(samples):
        video = sample_video(scene, config.video, models.vlm.model_size_wh)
        asked = _expecting(models, scene, of_scene, config)
        for sample in of_scene:
            runs_s = sample.label.runs_s
            rows: list[Mapping[str, Any]] = []
            try:
                span = ground_span(asked.vlm, video, _query(sample), config.span, rows.append)
                iou = best_run_iou((span.start_s, span.end_s), runs_s)
            except StageFailure:
                iou = 0.0
            earned = [temporal_reward(row["reply"], runs_s, video.duration_s) for row in rows]
            forms = [format_reward(row["reply"], think=config.span.think) for row in rows]
            for values, value in zip(found.values(), (iou, fmean(earned), fmean(forms)), strict=True):
                values.append(value)
    return found


def _expecting(models: Models, scene: Scene, samples: list[Sample], config: GroundConfig) -> AskingModels:
    """Models that are asked for the spans of a scene's sentences together, as ``evaluate`` asks."""
    asked = AskingModels(models)
    asked.vlm.expect(
        [span_prompt(sample.label.text, scene.duration_s, think=config.span.think) for sample in samples]
    )
    return asked


def _boxes(samples: list[Sample], config: GroundConfig, models: Models) -> Scores:
    """IoU of the box the stage takes in the best key frame, of its replies one by one, and their form."""
    dataset = PromptDataset("image", samples, models.vlm, config)
    found = {"2D box IoU": [], "2D box IoU of a reply": [], "form": []}
    each = ((scene, sample) for scene, of_scene in _by_scene(samples) for sample in of_scene)
    for number, (scene, sample) in enumerate(each):
        frame = sample.frame
        assert frame is not None
        assert frame.box_xyxy_px is not None
        key_frame = (scene.frame(frame.frame_index), scene.read_color(frame.frame_index))
        rows: list[Mapping[str, Any]] = []
        (box,) = boxes_in_frames(models.vlm, [key_frame], _query(sample), config.box, rows.append)
        iou = box2d_iou(box.xyxy_px, frame.box_xyxy_px) if isinstance(box, Box2D) else 0.0
        earned = [box_reward(row["reply"], **dataset.truth_of(number)) for row in rows]
        forms = [format_reward(row["reply"], think=config.box.think) for row in rows]
        for values, value in zip(found.values(), (iou, fmean(earned), fmean(forms)), strict=True):
            values.append(value)
    return found


def _ground(samples: list[Sample], config: GroundConfig, models: Models, cache: Path) -> Scores:
    """3D boxes of the whole pipeline, from the sentence alone."""
    ious = []
    for scene, of_scene in _by_scene(samples):
        asked = _expecting(models, scene, of_scene, config)
        for sample in of_scene:
            result = ground_query(scene, _query(sample), config, asked, cache=cache)
            ious.append(score_against_label(result, sample.label).box3d_iou or 0.0)
    return {
        "Acc@0.25": [float(iou >= 0.25) for iou in ious],
        "Acc@0.5": [float(iou >= 0.5) for iou in ious],
        "3D box IoU": ious,
    }


def kept_score(what: What, model: str, samples: list[Sample], arguments: argparse.Namespace) -> Scores:
    """What a model scores, from --out if it was asked these samples before."""
    config = load_config(preset=arguments.preset, sets=arguments.set, flags={"model.name": model})
    asked = [[sample.label.scene_id, sample.label.query_id] for sample in samples]
    identity = fingerprint(what, asked, config, weights_fingerprint(model))
    file = None if arguments.out is None else arguments.out / f"{what}-{identity}.json"
    if file is not None and file.is_file():
        return json.loads(file.read_text())["scores"]
    scores = score(what, samples, config, arguments.store / CACHE_FOLDER)
    if file is not None:
        write_json(file, {"model": model, "what": what, "asked": asked, "scores": scores})
    return scores


def arms_of(texts: Sequence[str]) -> dict[str, list[str]]:
    """``NAME=MODEL,MODEL`` or ``MODEL`` to the models of each name."""
    arms = {}
    for text in texts:
        name, equals, models = text.partition("=")
        arms[name] = models.split(",") if equals else [text]
    return arms


def tell(what: What, found: Mapping[str, Sequence[Scores]], scenes: Sequence[str]) -> None:
    """Print each metric of each arm, and how far it is from the first arm."""
    first = next(iter(found))
    for metric in found[first][0]:
        print(f"\n{what}: {metric}")
        for name, runs in found.items():
            values = [run[metric] for run in runs]
            mean = mean_of_seeds(values, scenes)
            line = f"  {name:24} {mean.value:.3f} {_interval(mean.ci95)} n={mean.n} seeds={len(runs)}"
            if name != first:
                less = difference_of_seeds([run[metric] for run in found[first]], values, scenes)
                line += f"   {less.value:+.3f} {_interval(less.ci95, '+')} p={less.p:.4f}"
            print(line, flush=True)
            if len(runs) > 1:
                print("    of each:", " ".join(f"{sum(run) / len(run):.3f}" for run in values))


def _interval(ci95: tuple[float, float] | None, sign: str = "") -> str:
    return "" if ci95 is None else f"[{ci95[0]:{sign}.3f}, {ci95[1]:{sign}.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path("data"))
    parser.add_argument("--split", default="val")
    parser.add_argument("--rooms", type=int, default=16)
    parser.add_argument("--per-room", type=int, default=20)
    parser.add_argument("--what", nargs="+", choices=get_args(What), default=["temporal"])
    parser.add_argument("--arms", nargs="+", default=["pocket"], help="NAME=MODEL,MODEL or MODEL")
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--set", nargs="+", default=[], help="settings of ground, as KEY=VALUE")
    parser.add_argument("--out", type=Path, help="folder that keeps what models scored")
    arguments = parser.parse_args()
    rooms = make_rooms(arguments.store / "rooms", arguments.split, arguments.rooms, DEMO_OPTIONS)
    for what in arguments.what:
        samples = samples_of(what, [room.path for room in rooms], arguments.per_room)
        scenes = [sample.label.scene_id for sample in samples]
        found: dict[str, list[Scores]] = {}
        for name, models in arms_of(arguments.arms).items():
            found[name] = []
            for model in models:
                found[name].append(kept_score(what, model, samples, arguments))
                means = {metric: sum(v) / len(v) for metric, v in found[name][-1].items()}
                print(what, model, {metric: round(value, 3) for metric, value in means.items()}, flush=True)
        tell(what, found, scenes)


if __name__ == "__main__":
    main()
