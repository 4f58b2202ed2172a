"""A prompt computed once per group gives the log-probabilities and gradients of stock TRL."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from scene_r1_cli.training.group_packing import pack_group
from tests.tiny_models import save_tiny_vlm


def test_a_group_is_the_prompt_and_then_each_completion_behind_the_prompts_last_token():
    prompt = torch.tensor([1, 2, 3])
    packed = pack_group([prompt, prompt], [torch.tensor([4, 5]), torch.tensor([6])])
    assert packed.input_ids.tolist() == [[1, 2, 3, 4, 3]]
    assert packed.labels.tolist() == [[-100, -100, 4, 5, 6]]
    assert packed.branch_positions.tolist() == [0, 1, 0]
    assert packed.branches == (2, (2, 1))
    assert packed.lengths == (2, 1)


def test_of_two_questions_only_what_they_begin_with_is_shared():
    packed = pack_group(
        [torch.tensor([1, 2, 3]), torch.tensor([1, 7, 8, 9])], [torch.tensor([4]), torch.tensor([5, 6])]
    )
    assert packed.input_ids.tolist() == [[1, 2, 3, 7, 8, 9, 5]]
    assert packed.labels.tolist() == [[-100, -100, 4, -100, -100, 5, 6]]
    assert packed.branch_positions.tolist() == [0, 1, 0, 1, 2, 3]
    assert packed.branches == (1, (2, 4))
    assert packed.lengths == (1, 2)


def trainer_of(cls, folder, lora=None, **more):
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl.trainer.grpo_config import GRPOConfig

    settings: Any = {"gradient_checkpointing": False} | more
    arguments = GRPOConfig(
        output_dir=str(folder / "out"), per_device_train_batch_size=4, num_generations=4, report_to=[],
        use_cpu=True, bf16=False, max_completion_length=12, **settings,
    )  # fmt: skip
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return cls(
        model=model,
        reward_funcs=[lambda completions, **_: [float(i) for i in range(len(completions))]],
        args=arguments,
        train_dataset=prompts(),
        processing_class=AutoProcessor.from_pretrained(folder),
        peft_config=lora,
    )


class Prompts:
    """Two frames and a question; ten numbers are ten questions about one video."""

    def __getitem__(self, number):
        rng = np.random.default_rng(int(number) // 10)
        images = [Image.fromarray(rng.integers(0, 255, (56, 84, 3)).astype(np.uint8)) for _ in range(2)]
        content: list[Any] = [{"type": "text", "text": "<0.0 seconds>"}, {"type": "image"}]
        content += [{"type": "text", "text": "<1.0 seconds>"}, {"type": "image"}]
        content += [{"type": "text", "text": f"When is chair {'x' * (int(number) // 3)}{number} in view?"}]
        return {"prompt": [{"role": "user", "content": content}], "images": images}


def prompts():
    from datasets import Dataset

    def rows(batch):
        made = [Prompts()[number] for number in batch["number"]]
        return {name: [row[name] for row in made] for name in ("prompt", "images")}

    return Dataset.from_dict({"number": [0, 10, 20, 30]}).with_transform(rows)


def batch_of(trainer, numbers, lengths):
    """What TRL's loss sees: left-padded prompts, right-padded completions."""
    rows = [Prompts()[number] for number in numbers]
    processor = trainer.processing_class
    texts = [processor.apply_chat_template(row["prompt"], add_generation_prompt=True) for row in rows]
    inputs = processor(
        text=texts,
        images=[row["images"] for row in rows],
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    longest = max(lengths)
    generator = torch.Generator().manual_seed(0)
    completions = torch.randint(20, 300, (len(rows), longest), generator=generator)
    mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    types = inputs["mm_token_type_ids"]
    return {
        "input_ids": torch.cat([inputs["input_ids"], completions], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], mask.long()], dim=1),
        "logits_to_keep": longest,
        "compute_entropy": True,
        "pixel_values": inputs["pixel_values"],
        "image_grid_thw": inputs["image_grid_thw"],
        "num_images": [2] * len(rows),
        "mm_token_type_ids": torch.cat([types, types.new_zeros(completions.shape)], dim=1),
    }, mask


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "LoRA": {"lora": True},
    "LoRA and gradient checkpointing": {"lora": True, "gradient_checkpointing": True},
    "temperature": {"temperature": 0.7},
}


BATCHES = {"two videos": [0, 10, 0, 10, 0], "one video": [0, 5, 0, 5, 0], "both": [0, 10, 5, 10, 0]}


@pytest.mark.parametrize("family", ["qwen2.5-vl", "qwen3-vl"])
@pytest.mark.parametrize(
    ("variant", "batch"),
    [*((variant, "two videos") for variant in VARIANTS), ("as it is", "one video"), ("LoRA", "both")],
)
def test_log_probabilities_and_gradients_are_those_of_stock_trl(tmp_path, family, variant, batch):
    from peft import LoraConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer

    folder = save_tiny_vlm(tmp_path / "tiny", family)
    settings = dict(VARIANTS[variant])
    if settings.pop("lora", False):
        # Not initialised as peft would: then half of the gradients are zero.
        settings["lora"] = LoraConfig(
            r=4, target_modules=r".*language_model.*\.(q|v|down)_proj", init_lora_weights=False
        )
    found = []
    for cls in (GRPOTrainer, SharedPrefixGRPOTrainer):
        torch.manual_seed(0)
        trainer: Any = trainer_of(cls, folder, **settings)
        if settings.get("gradient_checkpointing"):
            trainer.model.gradient_checkpointing_enable()  # what ``train`` begins with
            trainer.model.enable_input_require_grads()
        trainer.model.train()
        # Groups that do not lie side by side, with completions of different length.
        inputs, mask = batch_of(trainer, BATCHES[batch], [5, 9, 1, 4, 7])
        logps, entropies, _ = trainer._get_per_token_logps_and_entropies(trainer.model, **inputs)
        weights = torch.linspace(-1, 1, mask.numel()).reshape(mask.shape)
        (logps * weights * mask).sum().backward()
        gradients = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
        found.append((logps[mask], entropies[mask], gradients))
    (logps, entropies, gradients), (our_logps, our_entropies, our_gradients) = found
    torch.testing.assert_close(our_logps, logps, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(our_entropies, entropies, rtol=1e-5, atol=1e-5)
    assert our_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        error = (our_gradients[name] - gradient).norm() / gradient.norm().clamp(min=1e-6)
        assert error < 1e-5, name


def test_a_batch_that_holds_each_frame_once_says_the_same(tmp_path):
    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer

    trainer: Any = trainer_of(SharedPrefixGRPOTrainer, save_tiny_vlm(tmp_path / "tiny", "qwen2.5-vl"))
    numbers, lengths = [0, 10, 5, 10, 0], [5, 7, 3, 7, 1]
    whole, mask = batch_of(trainer, numbers, lengths)
    trainer.model.train()
    with trainer.frames_once():
        held, _ = batch_of(trainer, numbers, lengths)
    # What is evaluated in between has frames of its own.
    trainer.model.eval()
    with trainer.frames_once():
        batch_of(trainer, [20], [2])
    trainer.model.train()
    assert held["pixel_values"].shape == (len(whole["pixel_values"]), 1)
    # Without types of tokens the loss is stock TRL's.
    for left_out in (set(), {"mm_token_type_ids"}):
        logps = [
            trainer._get_per_token_logps_and_entropies(
                trainer.model, **{name: value for name, value in batch.items() if name not in left_out}
            )[0]
            for batch in (whole, held)
        ]
        assert torch.equal(logps[0][mask], logps[1][mask])
        assert logps[0][mask].abs().min() > 0


def test_sampling_prefills_once_and_every_group_learns_something(tmp_path):
    """A whole step through TRL: sampling, rewards, loss, optimizer."""
    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer

    folder = save_tiny_vlm(tmp_path / "tiny", "qwen2.5-vl")
    more = {"max_steps": 2, "logging_steps": 1, "learning_rate": 1e-3, "save_strategy": "no"}
    trainer = trainer_of(SharedPrefixGRPOTrainer, folder, **more)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    assert any(not torch.equal(value, before[name]) for name, value in trainer.model.named_parameters())
    rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert rewards == [1.5, 1.5]


@pytest.mark.integration
def test_groups_stay_together_on_two_processes(tmp_path):
    import json
    import subprocess
    import sys

    folder = save_tiny_vlm(tmp_path / "tiny", "qwen2.5-vl")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29517",
    ]
    command += ["-m", "tests.training.two_processes", str(folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for number in (0, 1):
        found = json.loads((tmp_path / f"{number}.json").read_text())
        # Two optimizer steps of two passes; each pass is one whole group of four.
        assert found == {"lengths": [4, 4, 4, 4], "processes": 2}
