"""What GRPO asks: labelled queries with the very prompts that inference uses, drawn when they are needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.grpo_config import Stage
from scene_r1_cli.models.prompts import answer_prompt, box_prompt, span_prompt
from scene_r1_cli.models.vlm import VLM, VideoPrefix
from scene_r1_cli.stages.video import resize_rgb, sample_positions, sample_video
from scene_r1_cli.training.samples import Sample
from scene_r1_cli.types import Scene

OPEN_SCENES = 8


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

        # It cannot tell what a function makes, which only matters where rows are kept on disk.
        logging.getLogger("datasets.fingerprint").setLevel(logging.ERROR)

        def rows(batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
            # A prompt is there once for each of its completions: it is made once.
            made = {number: self[number] for number in dict.fromkeys(batch["number"])}
            return {
                name: [made[number][name] for number in batch["number"]]
                for name in ("prompt", "images", "number")
            }

        return Dataset.from_dict({"number": list(range(len(self)))}).with_transform(rows)

    def prompt_of(self, number: int) -> tuple[VideoPrefix, str]:
        """Frames and question of a sample."""
        sample = self._samples[number]
        scene = self._scene(sample.path)
        if self._stage == "image":
            assert sample.frame is not None
            return self._one_frame(scene, sample.frame.frame_index), self._text_of(sample, scene)
        return self._video(sample.path), self._text_of(sample, scene)

    def blank_prompt_of(self, number: int) -> tuple[VideoPrefix, str]:
        """As ``prompt_of`` with black frames, which no image is read for: it has as many tokens."""
        sample = self._samples[number]
        scene = self._scene(sample.path)
        video, original_wh = self._config.video, scene.color_camera.size_wh
        if sample.frame is not None:
            width, height = self._vlm.model_size_wh(original_wh, self._config.box.max_side_px)
            times_s = np.array([scene.frame(sample.frame.frame_index).timestamp_s])
        else:
            width, height = self._vlm.model_size_wh(original_wh, video.max_side_px)
            times_s = scene.timestamps_s
            times_s = times_s[sample_positions(times_s, video.fps, video.max_frames)]
        black = np.broadcast_to(np.zeros(1, np.uint8), (len(times_s), height, width, 3))
        return VideoPrefix(black, times_s), self._text_of(sample, scene)

    def _text_of(self, sample: Sample, scene: Scene) -> str:
        """The question, as inference asks it."""
        text, config = sample.label.text, self._config
        if self._stage == "temporal":
            return span_prompt(text, scene.duration_s, think=config.span.think)
        if self._stage == "qa":
            return answer_prompt(text, scene.duration_s, think=config.answer.think)
        model_wh = self._vlm.model_size_wh(scene.color_camera.size_wh, config.box.max_side_px)
        return box_prompt(text, self._vlm.family, model_wh, think=config.box.think)

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
        assert sample.frame is not None
        frame_index, box_xyxy_px = sample.frame
        if box_xyxy_px is None:
            return f"not in frame {frame_index}"
        corners = ", ".join(f"{value:.0f}" for value in box_xyxy_px)
        return f"{corners} px, of the original frame {frame_index}"

    def truth_of(self, number: int) -> Mapping[str, Any]:
        """What the reward of a sample needs."""
        sample = self._samples[number]
        scene = self._scene(sample.path)
        if self._stage == "temporal":
            return {"runs_s": sample.label.runs_s, "duration_s": scene.duration_s}
        if self._stage == "qa":
            return {"answers": sample.label.answers, "kind": sample.label.answer_type}
        assert sample.frame is not None
        original_wh = scene.color_camera.size_wh
        return {
            "box_xyxy_px": sample.frame.box_xyxy_px,
            "family": self._vlm.family,
            "model_wh": self._vlm.model_size_wh(original_wh, self._config.box.max_side_px),
            "original_wh": original_wh,
        }

    def _sampled(self, path: Path) -> VideoPrefix:
        return sample_video(self._scene(path), self._config.video, self._vlm.model_size_wh).prefix

    def _one_frame(self, scene: Scene, frame_index: int) -> VideoPrefix:
        image_rgb = scene.read_color(frame_index)
        model_wh = self._vlm.model_size_wh(scene.color_camera.size_wh, self._config.box.max_side_px)
        time_s = scene.frame(frame_index).timestamp_s
        return VideoPrefix(resize_rgb(image_rgb, model_wh)[None], np.array([time_s]))
