"""What training changed: spans and 2D boxes of models on held-out rooms, paired against the first model.

python -m benchmarks.learning --store data --split val --rooms 16 --models pocket runs/temporal
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_rooms
from scene_r1_cli.evaluation.statistics import mean_by_scene, paired_difference
from scene_r1_cli.grpo_config import Stage
from scene_r1_cli.models.provider import load_vlm
from scene_r1_cli.run_dir import model_in
from scene_r1_cli.training.grpo_data import PromptDataset, Sample
from scene_r1_cli.training.rewards import box_reward, format_reward, temporal_reward


def samples_of(stage: Stage, folders: list[Path], per_room: int) -> list[Sample]:
    """Labelled queries, evenly spread over each room's; of the stage ``image`` the best key frame of each."""
    samples = []
    for folder in folders:
        labels = [
            label
            for label in read_labels(folder / "labels" / "rooms.parquet")
            if not label.answers and label.runs_s and label.keyframes
        ]
        for label in labels[:: max(1, len(labels) // per_room)][:per_room]:
            best = max(label.keyframes, key=lambda view: view.visibility)
            samples.append(Sample(folder, label, best if stage == "image" else None))
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path("data"))
    parser.add_argument("--split", default="val")
    parser.add_argument("--rooms", type=int, default=16)
    parser.add_argument("--per-room", type=int, default=20)
    parser.add_argument("--stage", choices=("temporal", "image"), default="temporal")
    parser.add_argument("--models", nargs="+", default=["pocket"], help="names, folders or runs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    config = load_config(preset="pocket")
    rooms = make_rooms(arguments.store / "rooms", arguments.split, arguments.rooms, DEMO_OPTIONS)
    samples = samples_of(arguments.stage, [room.path for room in rooms], arguments.per_room)
    scenes = [sample.label.scene_id for sample in samples]
    found: dict[str, list[float]] = {}
    for name in arguments.models:
        vlm = load_vlm(config.model.model_copy(update={"name": str(model_in(Path(name)))}))
        dataset = PromptDataset(arguments.stage, samples, vlm, config)
        ious, forms = [], []
        # Questions about one video follow each other, so they are asked together.
        place = 0
        while place < len(samples):
            prefix, _ = dataset.prompt_of(place)
            end = place + 1
            while arguments.stage == "temporal" and end < len(samples) and scenes[end] == scenes[place]:
                end += 1
            texts = [dataset.prompt_of(number)[1] for number in range(place, end)]
            for number, reply in enumerate(vlm.generate(prefix, texts, max_new_tokens=96), start=place):
                truth = dataset.truth_of(number)
                reward = temporal_reward if arguments.stage == "temporal" else box_reward
                ious.append(reward(reply.text, **truth))
                forms.append(format_reward(reply.text))
            place = end
        found[name] = ious
        print(name, mean_by_scene(ious, scenes), f"form {sum(forms) / len(forms):.3f}", flush=True)
    first, *others = arguments.models
    for name in others:
        print(f"{name} - {first}:", paired_difference(found[first], found[name], scenes))
    for scene in sorted(set(scenes)) if len(arguments.models) > 1 else ():
        of_scene = [place for place, one in enumerate(scenes) if one == scene]
        means = {name: sum(ious[place] for place in of_scene) / len(of_scene) for name, ious in found.items()}
        print(scene, {name: round(value, 3) for name, value in means.items()})
    if arguments.out:
        arguments.out.write_text(json.dumps({"scenes": scenes, "ious": found}))


if __name__ == "__main__":
    main()
