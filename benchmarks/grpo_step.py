"""What does a GRPO step cost when a prompt is computed once per group? Beside stock TRL, in the same run.

A model of the Qwen2.5-VL architecture with random weights (what is computed does not depend on them), one
prompt of frames and a question, G completions. Measured: the loss pass (forward and backward), sampling, and
what the loss pass adds to the peak memory, each in a process of its own; on a GPU, where the allocator knows
(and gradients are there before), in one. "prefill" is sampling of a single token.

    python -m benchmarks.grpo_step --generations 8 --frames 16 --side 224
    python -m benchmarks.grpo_step --size 100m --generations 8
    python -m benchmarks.grpo_step --generations 8 --questions 6
    python -m benchmarks.grpo_step --device cuda --size 7b --generations 8 --checkpointing

Of several questions about the frames, stock TRL and "apart" (a prompt computed once per group) take one at a
time, as they would different videos; "shared" takes all of them as one pass.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sized_models import SIZES

COMPLETION = 128


def make_trainer(stock: bool, model: Any, processor: Any, arguments: argparse.Namespace, folder: Path) -> Any:
    """A trainer of the model; its data set is never read."""
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer

    on_cpu = arguments.device == "cpu"
    config = GRPOConfig(
        output_dir=str(folder), per_device_train_batch_size=arguments.generations,
        num_generations=arguments.generations, report_to=[], use_cpu=on_cpu, bf16=not on_cpu,
        gradient_checkpointing=arguments.checkpointing, max_completion_length=COMPLETION,
    )  # fmt: skip
    cls = GRPOTrainer if stock else SharedPrefixGRPOTrainer
    data = Dataset.from_dict({"prompt": [[{"role": "user", "content": "x"}]] * arguments.generations})
    return cls(
        model=model,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=config,
        train_dataset=data,
        processing_class=processor,
    )


def make_batch(
    trainer: Any, frames: int, side: int, generations: int, questions: Sequence[int]
) -> tuple[dict[str, Any], list[Any]]:
    """The loss's inputs for some numbered questions, and the prompts for sampling."""
    import torch
    from PIL import Image

    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (side, side, 3)).astype(np.uint8)) for _ in range(frames)]
    content: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        content += [{"type": "text", "text": f"<{number}.0 seconds>"}, {"type": "image", "image": image}]
    asked = [f"When is the brown chair number {number} in view?" for number in questions]
    prompts = [
        [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]
        for text in asked
        for _ in range(generations)
    ]
    processor = trainer.processing_class
    texts = [
        processor.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        for prompt in prompts
    ]
    inputs = processor(text=texts, images=[images] * len(texts), padding=True, return_tensors="pt")
    generator = torch.Generator().manual_seed(0)
    completions = torch.randint(20, 200, (len(texts), COMPLETION), generator=generator)
    types = inputs["mm_token_type_ids"]
    batch = {
        "input_ids": torch.cat([inputs["input_ids"], completions], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], torch.ones_like(completions)], dim=1),
        "logits_to_keep": COMPLETION,
        "compute_entropy": True,
        "pixel_values": inputs["pixel_values"],
        "image_grid_thw": inputs["image_grid_thw"],
        "num_images": [frames] * len(texts),
        "mm_token_type_ids": torch.cat([types, types.new_zeros(completions.shape)], dim=1),
    }
    return batch, prompts


def measure(which: str, model: Any, processor: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the loss pass, of sampling and of prefill, and what the loss pass adds to the memory."""
    import torch

    generations, rounds = arguments.generations, arguments.rounds
    with tempfile.TemporaryDirectory() as name:
        trainer = make_trainer(which == "stock", model, processor, arguments, Path(name))
        if arguments.checkpointing:
            trainer.model.gradient_checkpointing_enable({"use_reentrant": False})
        numbers = list(range(arguments.questions))
        passes = [numbers] if which == "shared" else [[number] for number in numbers]
        made = [make_batch(trainer, arguments.frames, arguments.side, generations, part) for part in passes]
        batches = [{key: _on(value, arguments.device) for key, value in batch.items()} for batch, _ in made]

        def loss_pass() -> None:
            for batch in batches:
                logps, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, **batch)
                logps.sum().backward()

        on_gpu = arguments.device != "cpu"
        if on_gpu:
            loss_pass()  # Compiles kernels, and makes the gradients, which both have.
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
        else:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        loss_s = []
        for _ in range(rounds):
            loss_s.append(_timed(loss_pass, on_gpu))
            trainer.model.zero_grad(set_to_none=not on_gpu)
        peak = (
            torch.cuda.max_memory_allocated()
            if on_gpu
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )
        tokenized = [trainer._tokenize_prompts(prompts) for _, prompts in made]
        written: list[list[int]] = []

        def sample() -> None:
            written.clear()
            for part in tokenized:
                written.extend(trainer._generate_single_turn(*part, generations)[0])

        sample_s = [_timed(sample, on_gpu) for _ in range(rounds)]
        sampled = sum(map(len, written))
        trainer.args.max_completion_length = trainer.generation_config.max_new_tokens = 1
        prefill_s = [_timed(sample, on_gpu) for _ in range(rounds)]
        return {
            "prompt_tokens": int(made[0][0]["input_ids"].shape[1]) - COMPLETION,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            "loss_s": statistics.median(loss_s),
            "sample_s": statistics.median(sample_s),
            "prefill_s": statistics.median(prefill_s),
            "sampled_tokens": sampled,
            "loss_added_mb": (peak - before) / 2**20,
        }


def _on(value: Any, device: str) -> Any:
    return value.to(device) if hasattr(value, "to") else value


def _timed(call: Callable[[], None], on_gpu: bool) -> float:
    import torch

    if on_gpu:
        torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _model(arguments: argparse.Namespace) -> tuple[Any, Any]:
    from benchmarks.sized_models import make_model

    model, processor, _ = make_model(arguments.size, arguments.device)
    model.train()
    processor.tokenizer.padding_side = "left"  # pyright: ignore
    return model, processor


def measure_on_gpu(which: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """One model for all of them; one that has not the memory is told."""
    import gc

    import torch

    model, processor = _model(arguments)
    found = {}
    for name in which:
        try:
            found[name] = measure(name, model, processor, arguments)
        except torch.cuda.OutOfMemoryError:
            found[name] = {"out_of_memory": True}
        model.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        print(name, found[name], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="pocket")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--checkpointing", action="store_true", help="compute layers again in backward")
    parser.add_argument("--questions", type=int, default=1, help="about the same frames, with G each")
    parser.add_argument("--only", choices=("stock", "apart", "shared"), help="one of them, in this process")
    parser.add_argument("--skip", nargs="+", default=[], choices=("stock", "apart"), help="not measured")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    which = [
        name
        for name in (("stock", "apart", "shared") if arguments.questions > 1 else ("stock", "shared"))
        if name not in arguments.skip
    ]
    if arguments.only:
        print(json.dumps(measure(arguments.only, *_model(arguments), arguments)))
        return
    if arguments.device != "cpu":
        found = measure_on_gpu(which, arguments)
    else:
        found = {}
        for name in which:
            command = [sys.executable, "-m", "benchmarks.grpo_step", *sys.argv[1:], "--only", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            print(name, found[name], flush=True)
    if arguments.out:
        arguments.out.write_text(
            json.dumps({"settings": vars(arguments) | {"out": None}, **found}, default=str)
        )
    for name in which:
        if name != "shared" and all("loss_s" in found[which] for which in (name, "shared")):
            ratios = {
                figure: round(found[name][figure] / max(found["shared"][figure], 1e-9), 2)
                for figure in ("loss_s", "sample_s", "prefill_s", "loss_added_mb")
            }
            print(f"{name} / shared:", ratios)


if __name__ == "__main__":
    main()
