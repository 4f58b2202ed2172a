"""TRL's GRPO trainer with a video computed once per step instead of once per completion.

All completions of a prompt share its video, and so do other questions about it. In the loss, they are packed
into one sequence: what their prompts begin with in common, then a branch for each completion, which sees that
beginning and itself, and whose positions go on where the beginning ends. The completion's first token is
predicted by the prompt's last one, which every completion therefore brings along.
In sampling, the beginning is prefilled once. Log-probabilities and gradients are those of stock TRL (tested).

The hooks used are ``_prepare_inputs``, ``_get_per_token_logps_and_entropies``, ``_generate_single_turn`` and
``_generate_and_score_completions`` of TRL 1.16, the one version allowed: they change between versions. TRL's
sampler gives a process whole groups, as long as its rows between two generations are a multiple of a group.
TRL then shuffles the rows, which ``_prepare_inputs`` here does not: prompts are drawn at random anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from scene_r1_cli.config import SamplingConfig
from scene_r1_cli.models.branch_attention import use_branches
from scene_r1_cli.models.shared_prefix import Group, generate_groups
from scene_r1_cli.training.group_packing import PackedGroup, pack_group
from scene_r1_cli.training.once import PatchTable, each_image_once

logger = logging.getLogger(__name__)


class SharedPrefixGRPOTrainer(GRPOTrainer):
    """GRPO for vision-language models of the Qwen families, a group at a time."""

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """As TRL's, but that rows stay in order, so that a group is not spread over the steps that use it."""
        model: Any = self.model
        args: Any = self.args
        if not model.training:
            return super()._prepare_inputs(generation_batch)
        steps = int(args.steps_per_generation)
        if self._step % (steps * self.num_iterations) == 0 or self._buffered_inputs is None:
            scored: Any = split_pixel_values_by_grid(self._generate_and_score_completions(generation_batch))
            parts: Any = split_tensor_dict(scored, steps)
            self._buffered_inputs = [unsplit_pixel_values_by_grid(part) for part in parts]
        return self._buffered_inputs[self._step % steps]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """As TRL's; a frame is prepared and held once, not once for each completion."""
        with self.frames_once():
            return super()._generate_and_score_completions(inputs)

    @contextmanager
    def frames_once(self) -> Iterator[None]:
        """Within it, a batch made by the processor holds places of patches instead of patches."""
        processor: Any = self.processing_class
        with each_image_once(processor.image_processor) as table:
            self._tables[self._mode] = table
            yield

    @property
    def _tables(self) -> dict[str, PatchTable]:
        """Frames of the batches that were made last."""
        return self.__dict__.setdefault("_patch_tables", {})

    @property
    def _mode(self) -> str:
        """Batches to evaluate come between those that training still goes through."""
        model: Any = self.model
        return "train" if model.training else "eval"

    def _patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(P, D) patches of what a batch holds: their places in the table, or themselves."""
        return self._tables.get(self._mode, PatchTable()).patches(pixel_values)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        pixel_values: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        num_images: list[int] | None = None,
        mm_token_type_ids: torch.Tensor | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """As TRL's: (B, logits_to_keep) log-probabilities, and entropies if asked for."""
        known = (pixel_values, image_grid_thw, num_images, mm_token_type_ids)
        if any(item is None for item in known) or any(item is not None for item in others.values()):
            self._tell_stock("the loss")
            if pixel_values is not None:
                pixel_values = self._patches(pixel_values)
            return super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size,
                compute_entropy,
                compute_aux_loss,
                pixel_values=pixel_values,
                image_grid_thw=image_grid_thw,
                num_images=num_images,
                mm_token_type_ids=mm_token_type_ids,
                **others,
            )
        assert pixel_values is not None
        assert image_grid_thw is not None
        assert num_images is not None
        split = input_ids.size(1) - logits_to_keep
        logps = torch.zeros(len(input_ids), logits_to_keep, dtype=torch.float32, device=input_ids.device)
        entropies = torch.zeros_like(logps) if compute_entropy else None
        pixels, grids = _per_sample(pixel_values, image_grid_thw, num_images)
        real = attention_mask.bool()
        prompts = [ids[:split][mask[:split]] for ids, mask in zip(input_ids, real, strict=True)]
        kept = real[:, split:]
        for rows in self._groups(prompts, pixels):
            # A completion that was emptied still has its place in the batch, with nothing to score.
            scored = [row for row in rows if bool(kept[row].any())]
            if not scored:
                continue
            packed = pack_group(
                [prompts[row] for row in scored], [input_ids[row, split:][kept[row]] for row in scored]
            )
            output = self._forward(model, packed, self._patches(pixels[rows[0]]), grids[rows[0]])
            end = packed.branches.shared
            for row, own, length in zip(scored, packed.branches.lengths, packed.lengths, strict=True):
                end += own
                places = kept[row].nonzero()[:, 0]
                place = (torch.full_like(places, row), places)
                logps = logps.index_put(place, output.log_probs[0, end - length : end].float())
                if entropies is not None:
                    entropies = entropies.index_put(
                        place, output.entropy[0, end - length : end].float().detach()
                    )
        return logps, entropies, None

    def _forward(
        self, model: Any, packed: PackedGroup, pixel_values: torch.Tensor, grids: torch.Tensor
    ) -> Any:
        inner = _inner(self.accelerator.unwrap_model(model))
        use_branches(inner)
        start = packed.input_ids[:, : packed.branches.shared]
        types = self._types_of(packed.input_ids)
        positions, _ = inner.model.get_rope_index(
            start, mm_token_type_ids=types[:, : packed.branches.shared], image_grid_thw=grids
        )
        later = positions.amax(dim=(0, 2)) + 1 + packed.branch_positions
        with self.accelerator.autocast():
            return model(
                input_ids=packed.input_ids,
                branches=[packed.branches],
                position_ids=torch.cat([positions, later.expand(3, 1, -1)], dim=2),
                pixel_values=pixel_values,
                image_grid_thw=grids,
                mm_token_type_ids=types,
                shift_labels=packed.labels,
                fused_lm_head=True,
            )

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], Any]:
        """As TRL's; what prompts about the same frames begin with is prefilled once."""
        fields = {"pixel_values", "image_grid_thw", "mm_token_type_ids"}
        if self.use_vllm or images is None or not fields <= multimodal_fields.keys() or has_tool_images:
            if not self.use_vllm:
                self._tell_stock("sampling")
                if "pixel_values" in multimodal_fields:
                    pixels = self._patches(_tensor(multimodal_fields["pixel_values"]))
                    multimodal_fields = {**multimodal_fields, "pixel_values": pixels}
            return super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
        args: Any = self.args
        device = self.accelerator.device
        num_images = [len(of_prompt or ()) for of_prompt in images]
        pixels, grids = _per_sample(
            _tensor(multimodal_fields["pixel_values"]).to(device),
            _tensor(multimodal_fields["image_grid_thw"]).to(device),
            num_images,
        )
        completions: list[list[int]] = [[] for _ in prompt_ids]
        image_id: Any = self._image_pad_token_id
        never = [] if image_id is None else [int(image_id)]
        rows_of = self._groups([torch.tensor(ids) for ids in prompt_ids], pixels)
        groups = []
        for number, rows in enumerate(rows_of):
            types = self._types_of(torch.tensor(prompt_ids[rows[0]], device=device))[None]
            vision = {
                "pixel_values": self._patches(pixels[rows[0]]),
                "image_grid_thw": grids[rows[0]],
                "mm_token_type_ids": types,
            }
            seed = self._seed_of(number)
            seeds = [seed + place for place in range(len(rows))]
            groups.append(Group([prompt_ids[row] for row in rows], vision, seeds))
        model = _inner(self.accelerator.unwrap_model(self.model_wrapped))
        was_training = model.training
        model.eval()
        try:
            replies = generate_groups(
                model,
                groups,
                eos_ids=self.eos_token_ids,
                max_new_tokens=args.max_completion_length,
                sampling=SamplingConfig(temperature=self.temperature, top_p=args.top_p),
                # In a reply it would stand for an image that is not there, and stop the loss.
                never=never,
            )
        finally:
            model.train(was_training)
        for rows, of_group in zip(rows_of, replies, strict=True):
            for row, reply in zip(rows, of_group, strict=True):
                completions[row] = reply
        return completions, None

    def _tell_stock(self, what: str) -> None:
        """Say once that prompts are computed for each completion after all."""
        told = self.__dict__.setdefault("_told_stock", set())
        if what not in told:
            told.add(what)
            logger.warning(
                "%s is stock TRL's, slower: a prefix is shared by Qwen-VL models, with images in a prompt",
                what,
            )

    def _types_of(self, ids: torch.Tensor) -> torch.Tensor:
        """1 where an image stands. The batch's own types are padded on a side that tokenizers choose."""
        image_id: Any = self._image_pad_token_id
        return (ids == image_id).to(torch.int32)

    def _groups(self, prompts: Sequence[torch.Tensor], pixels: Sequence[torch.Tensor]) -> list[list[int]]:
        """Rows whose prompts are the same up to their last image, wherever they lie in the batch."""
        groups: list[list[int]] = []
        heads = [prompt[: int(self._types_of(prompt).nonzero().max()) + 1] for prompt in prompts]
        for row, head in enumerate(heads):
            for group in groups:
                other = group[0]
                if torch.equal(head, heads[other]) and torch.equal(pixels[row], pixels[other]):
                    group.append(row)
                    break
            else:
                groups.append([row])
        return groups

    def _seed_of(self, group: int) -> int:
        """A seed of its own for each step, process and group, the same after a resume."""
        parts = (self.args.seed, self.state.global_step, self.accelerator.process_index, group)
        return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _inner(model: Any) -> Any:
    """The vision-language model inside LoRA's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.tensor(np.array(value))


def _per_sample(
    pixel_values: torch.Tensor, image_grid_thw: torch.Tensor, num_images: Sequence[int]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Patches and grids of each sample of a flat batch."""
    grids = list(torch.split(image_grid_thw, list(num_images)))
    patches = [int(of_sample.prod(dim=-1).sum()) for of_sample in grids]
    return list(torch.split(pixel_values, patches)), grids
