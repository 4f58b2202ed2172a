"""Any image-text-to-text checkpoint of transformers, from a folder or the hub's cache."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch

from scene_r1_cli.config import ModelConfig, SamplingConfig
from scene_r1_cli.errors import SetupError
from scene_r1_cli.models.families import Family, ImageGrid, family_of, size_on_grid
from scene_r1_cli.models.shared_prefix import Group, generate_groups
from scene_r1_cli.models.vlm import Asked, AsksOne, Reply, VideoPrefix, times_before

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

logger = logging.getLogger(__name__)


_Rendered = tuple[VideoPrefix, Sequence[str]]
_Written = tuple[Sequence[Sequence[int]], list[list[int]]]
"""Tokens of each prompt, and of each reply."""


class TransformersVLM(AsksOne):
    """A loaded checkpoint; see ``VLM``.

    Args:
        name: Hub name or folder, for people.
        model: An image-text-to-text model in evaluation mode.
        processor: Its processor.
        family: Row of the family table.
        sampling: How replies are decoded unless a call says otherwise.
    """

    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        family: Family,
        sampling: SamplingConfig,
    ) -> None:
        self.name = name
        self.family = family
        self._model: Any = model
        self._processor: Any = processor
        self._sampling = sampling
        self._grid = _grid_of(self._processor, family)
        # By what the model is, not by the family it was given for its box coordinates.
        own_family = family_of(self._model.config.model_type)
        self._shares_prefix = own_family is not None and own_family.shares_prefix

    @classmethod
    def load(cls, config: ModelConfig) -> TransformersVLM:
        """Load ``config.name``.

        Raises:
            InputError: The folder holds no complete vision-language checkpoint.
            SetupError: The weights are not on this machine, or do not fit on the device.
            ConfigError: The family is not known and not given.
        """
        from scene_r1_cli.models.checkpoint import load_checkpoint

        model, processor, family = load_checkpoint(config)
        return cls(config.name, model, processor, family, config.sampling)

    def model_size_wh(self, original_wh: tuple[int, int], max_side_px: int) -> tuple[int, int]:
        """See ``VLM.model_size_wh``."""
        return size_on_grid(original_wh, max_side_px, self._grid)

    def generate_each(
        self, asked: Sequence[Asked], *, max_new_tokens: int, sampling: SamplingConfig | None = None
    ) -> list[list[Reply]]:
        """See ``VLM.generate_each``.

        Raises:
            ValueError: Frames are not at ``model_size_wh``, so the processor would resize them.
            SetupError: The device has too little memory.
        """
        rendered = [
            (prefix, [self.render(prefix, suffix) for suffix in suffixes])
            for prefix, suffixes in asked
            if suffixes
        ]
        generate = self._generate_shared if self._shares_prefix else self._generate_batches
        try:
            written = iter(generate(rendered, max_new_tokens, sampling or self._sampling))
        except torch.OutOfMemoryError as error:
            questions = sum(len(suffixes) for _, suffixes in asked)
            frames = sum(len(prefix.frames_rgb) for prefix, _ in asked)
            width, height = asked[0].prefix.size_wh
            raise SetupError(
                f"{self.name} ran out of memory on {self._model.device} at {questions} question(s) "
                f"about {frames} frames of {width}×{height} pixels.",
                "Use fewer or smaller frames (video.max_frames, video.max_side_px) or a smaller model.",
            ) from error
        return [
            [self._reply(len(row), tokens) for row, tokens in zip(*next(written), strict=True)]
            if suffixes
            else []
            for _, suffixes in asked
        ]

    def render(self, prefix: VideoPrefix, suffix: str) -> str:
        """The whole prompt as text through the checkpoint's chat template, one placeholder per frame."""
        content: list[dict[str, str]] = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in prefix.parts()
        ]
        content.append({"type": "text", "text": suffix})
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def count_tokens(self, prefix: VideoPrefix, suffixes: Sequence[str]) -> list[int]:
        """Tokens of each prompt, without looking at the frames' pixels."""
        width, height = prefix.size_wh
        per_frame = (width // self._grid.factor_px) * (height // self._grid.factor_px)
        tokenizer = self._processor.tokenizer
        frame_text = tokenizer(self.render(prefix, ""), add_special_tokens=False)["input_ids"]
        before = len(frame_text) + len(prefix.frames_rgb) * (per_frame - 1)
        questions = tokenizer(list(suffixes), add_special_tokens=False)["input_ids"]
        return [before + len(question) for question in questions]

    def _generate_shared(
        self, asked: Sequence[_Rendered], max_new_tokens: int, sampling: SamplingConfig
    ) -> list[_Written]:
        """Prompt tokens and new tokens of each text; frames are encoded and prefilled once."""
        groups = [
            Group(*self.encode_shared(prefix, texts), _seeds(texts, sampling.seed)) for prefix, texts in asked
        ]
        replies = generate_groups(
            self._model,
            groups,
            eos_ids=self._eos_ids,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
        )
        return [(group.rows, of_group) for group, of_group in zip(groups, replies, strict=True)]

    def encode_shared(
        self, prefix: VideoPrefix, texts: Sequence[str]
    ) -> tuple[list[list[int]], dict[str, torch.Tensor]]:
        """Tokens of each rendered prompt, and the vision inputs of the frames they share.

        The image processor runs once. Control tokens split a text before anything else does, so the text
        after the last image can be encoded apart.
        """
        first = self._encode([texts[0]], [prefix])
        ids = first["input_ids"][0]
        num_with_images = int((ids == self._processor.image_token_id).nonzero()[-1]) + 1
        head = ids[:num_with_images].tolist()
        image_token = self._processor.image_token
        tails = [text.rpartition(image_token)[2] for text in texts]
        tail_ids = self._processor.tokenizer(tails, add_special_tokens=False)["input_ids"]
        vision = {key: first[key] for key in ("pixel_values", "image_grid_thw", "mm_token_type_ids")}
        return [head + tail for tail in tail_ids], vision

    def _generate_batches(
        self, asked: Sequence[_Rendered], max_new_tokens: int, sampling: SamplingConfig
    ) -> list[_Written]:
        """As ``_generate_shared`` for other architectures: ordinary batches through ``generate``."""
        written = []
        for prefix, texts in asked:
            # A batch has one source of random numbers, so what is drawn is drawn for each text alone.
            parts = [list(texts)] if sampling.temperature == 0 else [list(part) for _, part in groupby(texts)]
            done = [self._generate_batch(prefix, part, max_new_tokens, sampling) for part in parts]
            written.append(([row for rows, _ in done for row in rows], [new for _, of in done for new in of]))
        return written

    def _generate_batch(
        self, prefix: VideoPrefix, texts: Sequence[str], max_new_tokens: int, sampling: SamplingConfig
    ) -> _Written:
        from transformers import GenerationConfig

        inputs = self._encode(texts, [prefix] * len(texts))
        # Built from nothing: a checkpoint's own generation config may hide a repetition penalty.
        generation = GenerationConfig(
            max_new_tokens=max_new_tokens, eos_token_id=self._eos_ids, pad_token_id=self._eos_ids[0]
        )
        if sampling.temperature > 0:
            generation.update(do_sample=True, temperature=sampling.temperature, top_p=sampling.top_p, top_k=0)
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(_seeds(texts[:1], sampling.seed)[0])
            output = self._model.generate(**inputs, generation_config=generation)
        masks = inputs["attention_mask"].bool()
        rows = [ids[mask].tolist() for ids, mask in zip(inputs["input_ids"], masks, strict=True)]
        new = [self._up_to_end(ids) for ids in output[:, masks.shape[1] :].tolist()]
        return rows, new

    def _encode(self, texts: Sequence[str], prefixes: Sequence[VideoPrefix]) -> Mapping[str, torch.Tensor]:
        """The processor's tensors on the model's device.

        Raises:
            ValueError: The processor resized the frames.
        """
        from PIL import Image

        images = [[Image.fromarray(frame) for frame in prefix.frames_rgb] for prefix in prefixes]
        inputs = self._processor(
            text=list(texts), images=images, padding=True, padding_side="left", return_tensors="pt"
        )
        _check_grids(inputs, prefixes, self._processor.image_processor)
        return inputs.to(self._model.device)

    def _up_to_end(self, tokens: list[int]) -> list[int]:
        """Tokens up to the first that ends a reply; ``generate`` pads behind it."""
        end = next((index for index, token in enumerate(tokens) if token in self._eos_ids), len(tokens))
        return tokens[: end + 1]

    def _reply(self, num_prompt_tokens: int, tokens: list[int]) -> Reply:
        is_ended = bool(tokens) and tokens[-1] in self._eos_ids
        return Reply(
            text=self._processor.tokenizer.decode(tokens, skip_special_tokens=True),
            finish_reason="stop" if is_ended else "length",
            num_prompt_tokens=num_prompt_tokens,
            num_new_tokens=len(tokens),
        )

    @property
    def _eos_ids(self) -> list[int]:
        eos = self._model.generation_config.eos_token_id
        if eos is None:
            eos = self._processor.tokenizer.eos_token_id
        return list(eos) if isinstance(eos, list) else [eos]


def _seeds(texts: Sequence[str], seed: int) -> list[int]:
    """One a reply. With the same numbers for all prompts, one unlucky draw would be that of all of them."""
    return [
        zlib.crc32(f"{seed} {time} {text}".encode())
        for text, time in zip(texts, times_before(texts), strict=True)
    ]


def _grid_of(processor: Any, family: Family) -> ImageGrid:
    """The grid of the checkpoint's own image processor, which may be narrower than the family's."""
    images = processor.image_processor
    size = images.size or {}
    patch_px = getattr(images, "patch_size", None) or family.patch_px
    merge = getattr(images, "merge_size", None) or family.merge
    return ImageGrid(
        factor_px=int(patch_px * merge),
        min_pixels=int(size.get("shortest_edge") or family.min_pixels),
        max_pixels=int(size.get("longest_edge") or family.max_pixels),
    )


def _check_grids(inputs: Mapping[str, Any], prefixes: Sequence[VideoPrefix], image_processor: Any) -> None:
    """Check on the processor's output that it took every frame as it was.

    Processors that make no grid of patches show every image at one size of their own: nothing to check.
    """
    if "image_grid_thw" not in inputs:
        return
    patch_px = image_processor.patch_size
    sizes_wh = [prefix.size_wh for prefix in prefixes for _ in prefix.frames_rgb]
    given_wh = [(grid[2] * patch_px, grid[1] * patch_px) for grid in inputs["image_grid_thw"].tolist()]
    if given_wh != sizes_wh:
        raise ValueError(
            f"the processor resized frames of {sizes_wh[0]} pixels to {given_wh[0]}; use model_size_wh"
        )
