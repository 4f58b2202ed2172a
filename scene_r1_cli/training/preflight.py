"""Before step 1 the longest prompts run once, forward and backward, with completions of full length.

What runs out of memory does so now, and not after a night; what will be needed is told.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from scene_r1_cli.errors import SetupError
from scene_r1_cli.training.grpo_data import PromptDataset

logger = logging.getLogger(__name__)

ADAM_STATES = 2
"""Numbers that AdamW keeps beside each trained weight, from the first step on."""
GIB = 2**30


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU or the machine has no memory left; PyTorch has a type of its own for GPUs only."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def out_of_memory(when: str, arguments: Any, longest: int) -> SetupError:
    """One sentence, and what to lower."""
    return SetupError(
        f"Memory ran out {when}: per-device batch {arguments.per_device_train_batch_size}, prompts of up to "
        f"{longest} tokens, completions of up to {arguments.max_completion_length}.",
        "Lower trl.per_device_train_batch_size, max_prompt_tokens or trl.max_completion_length, or set "
        "trl.gradient_checkpointing: true, dtype: bfloat16, or lora: {r: 64}.",
    )


def preflight(
    trainer: Any, dataset: PromptDataset, lengths: Sequence[int], tell: Callable[[str], object]
) -> Any:
    """A callback that runs the longest prompts once when training begins, after the model was spread.

    Args:
        trainer: The GRPO trainer.
        dataset: Its prompts.
        lengths: Tokens of each prompt.
        tell: Told what peak memory will be.
    """
    from transformers import TrainerCallback

    class Preflight(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if trainer.is_deepspeed_enabled:
                # Its engine ties a backward pass to an optimizer step, which would change the weights.
                tell("preflight: left out, since DeepSpeed cannot run a pass without a step")
                return
            tell(f"preflight: {_measure(trainer, dataset, lengths)}")

    return Preflight()


def _measure(trainer: Any, dataset: PromptDataset, lengths: Sequence[int]) -> str:
    """Run the pass; what was used, in words.

    Raises:
        SetupError: It does not fit, or will not once the optimizer has its state.
    """
    args, device = trainer.args, trainer.accelerator.device
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    is_cuda = device.type == "cuda"
    if is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    try:
        # Dropout draws; training must go on as if this had not been.
        with torch.random.fork_rng(devices=[device] if is_cuda else []):
            _run(trainer, dataset, order)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory("in the preflight", args, max(lengths)) from error
        raise
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    later = 0 if trainer.optimizer.state else ADAM_STATES * sum(w.numel() * w.element_size() for w in trained)
    if is_cuda:
        used, total = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1]
        torch.cuda.empty_cache()
        if used + later > total:
            raise out_of_memory(
                f"in the preflight ({(used + later) / GIB:.1f} GiB with the optimizer's state, of "
                f"{total / GIB:.1f} GiB)",
                args,
                max(lengths),
            )
        what = f"peak memory {(used + later) / GIB:.2f} GiB of {total / GIB:.1f} GiB on {device}"
    else:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        what = f"peak resident memory {(used + later) / GIB:.2f} GiB"
    return (
        f"{what}, the optimizer's state included; longest prompt {max(lengths)} tokens, "
        f"{args.num_generations} completions of {args.max_completion_length}"
    )


def _run(trainer: Any, dataset: PromptDataset, order: Sequence[int]) -> None:
    """Forward and backward of one pass of a device, as TRL's loss does it; no weight changes.

    Sampling keeps less: of each token only keys and values, no activations.
    """
    args, device = trainer.args, trainer.accelerator.device
    rows_of_pass, group = args.per_device_train_batch_size, args.num_generations
    distinct = order[: max(1, rows_of_pass // group)]
    rows = [dataset[number] for number in distinct for _ in range(min(group, rows_of_pass))]
    processor = trainer.processing_class
    texts = [
        processor.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        for row in rows
    ]
    images = [row["images"] for row in rows]
    model = trainer.model
    model.train()
    with getattr(trainer, "frames_once", nullcontext)():
        inputs = processor(text=texts, images=images, padding=True, return_tensors="pt").to(device)
    prompts, mask = inputs.pop("input_ids"), inputs.pop("attention_mask")
    shape = (len(rows), args.max_completion_length)
    completions = torch.full(shape, trainer.processing_class.tokenizer.eos_token_id, device=device)
    for name in {"token_type_ids", "mm_token_type_ids"} & inputs.keys():
        inputs[name] = torch.cat([inputs[name], inputs[name].new_zeros(shape)], dim=1)
    with trainer.compute_loss_context_manager():
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            model,
            torch.cat([prompts, completions], dim=1),
            torch.cat([mask, torch.ones_like(completions)], dim=1),
            args.max_completion_length,
            compute_entropy=True,
            num_images=[len(of_row) for of_row in images],
            **inputs,
        )
    logps.sum().backward()
    model.zero_grad(set_to_none=True)
