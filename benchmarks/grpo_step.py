"""What does a GRPO step cost when a prompt is computed once per group? Beside stock TRL, in the same run.

A model of the Qwen2.5-VL architecture with random weights (what is computed does not depend on them), one
prompt of frames and a question, G completions. Measured: the loss pass (forward and backward), sampling, and
the peak memory of the loss pass, each in a process of its own.

    python -m benchmarks.grpo_step --generations 8 --frames 16 --side 224
    python -m benchmarks.grpo_step --size 100m --generations 8
    python -m benchmarks.grpo_step --generations 8 --questions 6

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sized_models import SIZES, Size

COMPLETION = 128


def make_trainer(stock: bool, size: Size, generations: int, folder: Path) -> Any:
    """A trainer over a fresh model; its data set is never read."""
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from benchmarks.sized_models import make_model
    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer

    model, processor, _ = make_model(size)
    model.train()
    processor.tokenizer.padding_side = "left"  # pyright: ignore
    arguments = GRPOConfig(
        output_dir=str(folder), per_device_train_batch_size=generations, num_generations=generations,
        report_to=[], gradient_checkpointing=False, use_cpu=True, bf16=False,
        max_completion_length=COMPLETION,
    )  # fmt: skip
    cls = GRPOTrainer if stock else SharedPrefixGRPOTrainer
    data = Dataset.from_dict({"prompt": [[{"role": "user", "content": "x"}]] * generations})
    return cls(
        model=model,
        reward_funcs=[lambda completions, **_: [0.0] * len(completions)],
        args=arguments,
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


def measure(which: str, size: Size, arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the loss pass and of sampling, and what the loss pass added to the peak memory."""
    generations, rounds = arguments.generations, arguments.rounds
    with tempfile.TemporaryDirectory() as name:
        trainer = make_trainer(which == "stock", size, generations, Path(name))
        numbers = list(range(arguments.questions))
        passes = [numbers] if which == "shared" else [[number] for number in numbers]
        made = [make_batch(trainer, arguments.frames, arguments.side, generations, part) for part in passes]
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        loss_s, sample_s = [], []
        for _ in range(rounds):
            started = time.perf_counter()
            for batch, _ in made:
                logps, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, **batch)
                logps.sum().backward()
            loss_s.append(time.perf_counter() - started)
            trainer.model.zero_grad()
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
        tokenized = [trainer._tokenize_prompts(prompts) for _, prompts in made]
        sampled = 0
        for _ in range(rounds):
            started = time.perf_counter()
            written = [trainer._generate_single_turn(*part, generations)[0] for part in tokenized]
            sample_s.append(time.perf_counter() - started)
            sampled = sum(len(reply) for replies in written for reply in replies)
        return {
            "prompt_tokens": int(made[0][0]["input_ids"].shape[1]) - COMPLETION,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            "loss_s": statistics.median(loss_s),
            "sample_s": statistics.median(sample_s),
            "sampled_tokens": sampled,
            "loss_added_mb": peak_mb,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="pocket")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=1, help="about the same frames, with G each")
    parser.add_argument("--only", choices=("stock", "apart", "shared"), help="one of them, in this process")
    parser.add_argument("--skip", nargs="+", default=[], choices=("stock", "apart"), help="not measured")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.size, arguments)))
        return
    found = {}
    for which in ("stock", "apart", "shared") if arguments.questions > 1 else ("stock", "shared"):
        if which in arguments.skip:
            continue
        command = [sys.executable, "-m", "benchmarks.grpo_step", *sys.argv[1:], "--only", which]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[which] = json.loads(done.stdout.splitlines()[-1])
        print(which, found[which], flush=True)
    for which in [name for name in found if name != "shared"]:
        ratios = {
            name: round(found[which][name] / max(found["shared"][name], 1e-9), 2)
            for name in ("loss_s", "sample_s", "loss_added_mb")
        }
        print(f"{which} / shared:", ratios)
    if arguments.out:
        arguments.out.write_text(
            json.dumps({"settings": vars(arguments) | {"out": None}, **found}, default=str)
        )


if __name__ == "__main__":
    main()
