"""What GRPO asks: labelled queries with the very prompts that inference uses, drawn when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.data.labels import KeyframeLabel, Label, read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_rooms
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.store import scenes_in_store
from scene_r1_cli.errors import InputError
from scene_r1_cli.grpo_config import DataConfig, Stage
from scene_r1_cli.models.prompts import answer_prompt, box_prompt, span_prompt
from scene_r1_cli.models.vlm import VLM, VideoPrefix
from scene_r1_cli.stages.video import resize_rgb, sample_video
from scene_r1_cli.types import Scene

OPEN_SCENES = 8


@dataclass(frozen=True)
class Sample:
    """One prompt.

    Attributes:
        path: The scene.
        label: Text and truth.
        keyframe: The frame asked about, of the stage ``image``.
    """

    path: Path
    label: Label
    keyframe: KeyframeLabel | None = None


def find_samples(stage: Stage, config: DataConfig, store: Path) -> list[Sample]:
    """Labelled queries of the training scenes, in a fixed order.

    Rooms are made if they are not there. A label that cannot be a reward (no run, no key frame, no answer,
    a run outside the video) is left out.

    Raises:
        InputError: Nothing is left to train on.
    """
    if config.rooms:
        found = make_rooms(store / "rooms", "train", config.rooms, DEMO_OPTIONS)
        folders = {summary.scene_id: summary.path for summary in found}
    else:
        folders = {
            name: path for name, path in scenes_in_store(store).items() if path.parent.name == config.dataset
        }
    rng = np.random.default_rng(config.seed)
    samples: list[Sample] = []
    for _, path in sorted(folders.items()):
        file = path / "labels" / f"{config.labels}.parquet"
        if not file.is_file():
            continue
        of_scene = [
            sample for label in read_labels(file) for sample in _samples_of(stage, path, label, config)
        ]
        if config.per_scene is not None and len(of_scene) > config.per_scene:
            chosen = rng.choice(len(of_scene), config.per_scene, replace=False)
            of_scene = [of_scene[int(place)] for place in np.sort(chosen)]
        samples += of_scene
    if not samples:
        raise InputError(
            f"{len(folders)} scenes have no label to train {stage} on in labels/{config.labels}.parquet.",
            "Run preprocess with --annotations, or set data.rooms.",
        )
    return samples


def _samples_of(stage: Stage, path: Path, label: Label, config: DataConfig) -> list[Sample]:
    if stage == "qa":
        return [Sample(path, label)] if label.answers else []
    if label.answers:
        return []
    if stage == "temporal":
        seconds = max((end - start for start, end in label.runs_s), default=0.0)
        return [Sample(path, label)] if seconds >= config.min_truth_s else []
    return [Sample(path, label, view) for view in label.keyframes]


class PromptDataset:
    """A map-style dataset: prompt, images and truth of each sample, made when asked for.

    Args:
        stage: What is asked.
        samples: The queries.
        vlm: Decides sizes and coordinates; its weights are not used.
        config: Frames, as inference takes them.
    """

    def __init__(self, stage: Stage, samples: Sequence[Sample], vlm: VLM, config: GroundConfig) -> None:
        self._stage, self._samples, self._vlm, self._config = stage, list(samples), vlm, config
        self._scene = lru_cache(OPEN_SCENES)(open_scene)
        self._video = lru_cache(OPEN_SCENES)(self._sampled)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """``prompt`` (conversational, image placeholders), ``images`` (PIL), ``number``: the sample."""
        from PIL import Image

        prefix, text = self.prompt_of(number)
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in prefix.parts()
        ]
        content.append({"type": "text", "text": text})
        images = [Image.fromarray(frame) for frame in prefix.frames_rgb]
        return {"prompt": [{"role": "user", "content": content}], "images": images, "number": int(number)}

    def as_dataset(self) -> Any:
        """A ``datasets.Dataset`` that makes rows when they are read."""
        from datasets import Dataset

        def rows(batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
            made = [self[number] for number in batch["number"]]
            return {name: [row[name] for row in made] for name in ("prompt", "images", "number")}

        return Dataset.from_dict({"number": list(range(len(self)))}).with_transform(rows)

    def prompt_of(self, number: int) -> tuple[VideoPrefix, str]:
        """Frames and question of a sample."""
        sample = self._samples[number]
        scene = self._scene(sample.path)
        if self._stage == "image":
            assert sample.keyframe is not None
            return self._key_frame(scene, sample.keyframe, sample.label.text)
        prefix = self._video(sample.path)
        make = span_prompt if self._stage == "temporal" else answer_prompt
        return prefix, make(sample.label.text, scene.duration_s)

    def sample(self, number: int) -> Sample:
        """The query behind a number."""
        return self._samples[number]

    def truth_text(self, number: int) -> str:
        """What is right, for people."""
        sample = self._samples[number]
        if self._stage == "temporal":
            return ", ".join(f"{start:.1f} s to {end:.1f} s" for start, end in sample.label.runs_s)
        if self._stage == "qa":
            return " / ".join(sample.label.answers)
        assert sample.keyframe is not None
        box = ", ".join(f"{value:.0f}" for value in sample.keyframe.box_xyxy_px)
        return f"{box} px, of the original frame {sample.keyframe.frame_index}"

    def truth_of(self, number: int) -> Mapping[str, Any]:
        """What the reward of a sample needs."""
        sample = self._samples[number]
        scene = self._scene(sample.path)
        if self._stage == "temporal":
            return {"runs_s": sample.label.runs_s, "duration_s": scene.duration_s}
        if self._stage == "qa":
            return {"answers": sample.label.answers, "kind": sample.label.answer_type}
        assert sample.keyframe is not None
        original_wh = scene.color_camera.size_wh
        return {
            "box_xyxy_px": sample.keyframe.box_xyxy_px,
            "family": self._vlm.family,
            "model_wh": self._vlm.model_size_wh(original_wh, self._config.box.max_side_px),
            "original_wh": original_wh,
        }

    def _sampled(self, path: Path) -> VideoPrefix:
        return sample_video(self._scene(path), self._config.video, self._vlm.model_size_wh).prefix

    def _key_frame(self, scene: Scene, keyframe: KeyframeLabel, text: str) -> tuple[VideoPrefix, str]:
        image_rgb = scene.read_color(keyframe.frame_index)
        model_wh = self._vlm.model_size_wh(scene.color_camera.size_wh, self._config.box.max_side_px)
        time_s = scene.frame(keyframe.frame_index).timestamp_s
        prefix = VideoPrefix(resize_rgb(image_rgb, model_wh)[None], np.array([time_s]))
        return prefix, box_prompt(text, self._vlm.family, model_wh)
