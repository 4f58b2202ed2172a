"""What a GRPO stage is made of: the start model, TRL's arguments, the rewards, LoRA."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.errors import ConfigError, SetupError
from scene_r1_cli.grpo_config import GrpoConfig, Stage
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.report import SampleLog
from scene_r1_cli.training.rewards import answer_reward, box_reward, format_reward, temporal_reward

logger = logging.getLogger(__name__)

NO_REPORT = ("none", "all")
"""Values of ``report_to`` that name no package."""
TASK_NAMES: dict[Stage, str] = {"temporal": "span_iou", "image": "box_iou", "qa": "answer"}


def start_model(config: GrpoConfig, preset: ModelConfig) -> tuple[Any, Any, Any, str]:
    """Model, processor and family that training starts from, and its name or folder.

    Raises:
        ConfigError: The preset's model is behind an endpoint.
        InputError: It is no vision-language checkpoint.
        SetupError: It is not there.
    """
    from scene_r1_cli.models.checkpoint import load_checkpoint
    from scene_r1_cli.models.pocket import POCKET, pocket_path

    name = config.model or preset.name
    if preset.endpoint is not None and config.model is None:
        raise ConfigError("A model behind an endpoint cannot be trained.", "Name a checkpoint with --model.")
    if name in ("", POCKET):
        name = str(pocket_path())
    changes = {"name": name, "dtype": config.dtype, "endpoint": None, "device": own_device(preset.device)}
    model, processor, family = load_checkpoint(preset.model_copy(update=changes))
    # TRL pads prompts on the left, but leaves the processor's own padding to the tokenizer.
    processor.tokenizer.padding_side = "left"  # pyright: ignore
    model.train()
    return model, processor, family, name


def own_device(device: str) -> str:
    """The device of this process: of several processes on a machine, each has a GPU of its own."""
    import torch

    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if device == "auto" and rank is not None and torch.cuda.is_available() else device


def trl_arguments(trl_config: Any, config: GrpoConfig, out: Path, max_tokens: int) -> Any:
    """TRL's own configuration; what is not given is TRL's default, but for what a small machine needs."""
    import torch

    defaults = {
        "output_dir": str(out),
        "per_device_train_batch_size": 8,
        "num_generations": 8,
        "max_completion_length": max_tokens,
        "report_to": ["tensorboard"],
        "logging_steps": 1,
        "save_strategy": "steps",
        "bf16": config.dtype == "bfloat16",
        "gradient_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
        # Pictures are read when a step needs them.
        "dataloader_num_workers": 0,
    }
    _check_numbers(trl_config, config.trl)
    values = defaults | config.trl
    values["report_to"] = reported_to(values["report_to"])
    if values.get("use_vllm") and importlib.util.find_spec("vllm") is None:
        raise SetupError("trl.use_vllm needs the package vllm, which is not installed.", "pip install vllm")
    if int(values["num_generations"]) < 2:
        raise ConfigError("trl.num_generations must be at least 2: advantages compare a group's completions.")
    if config.shared_prefix:
        values |= whole_groups(values)
    try:
        return trl_config(**values)
    except TypeError as error:
        raise ConfigError(f"trl: {error}.", "Keys are those of TRL's GRPOConfig.") from error
    except ValueError as error:
        raise ConfigError(f"trl: {error}") from error


def _check_numbers(trl_config: Any, given: Mapping[str, Any]) -> None:
    """TRL takes what it is given, and would fail in the middle of a step.

    Raises:
        ConfigError: A word where TRL's default is a number.
    """
    for field in fields(trl_config):
        value = given.get(field.name)
        if isinstance(field.default, int | float) and isinstance(value, str):
            kind = type(field.default).__name__
            raise ConfigError(f"trl.{field.name} is {value!r}, where TRL takes {kind}.")


def reported_to(names: Any) -> list[str]:
    """Where curves go, as a list of packages.

    Raises:
        SetupError: One is not installed.
    """
    listed = [names] if isinstance(names, str) else list(names or [])
    for name in listed:
        if name not in NO_REPORT and importlib.util.find_spec(name) is None:
            raise SetupError(
                f"Reporting to {name} needs the package {name}, which is not installed.",
                f"pip install {name}, or --report-to none; train.jsonl and the report are written anyway.",
            )
    return listed


def whole_groups(values: Mapping[str, Any]) -> dict[str, int]:
    """Batch size and accumulation with which a group is one pass of one device; a step has as many rows.

    Raises:
        ConfigError: The rows of a device between two optimizer steps are not whole groups.
    """
    group = int(values["num_generations"])
    batch, passes = (
        int(values["per_device_train_batch_size"]),
        int(values.get("gradient_accumulation_steps", 1)),
    )
    if batch % group == 0:
        return {}
    if batch * passes % group:
        raise ConfigError(
            f"trl.per_device_train_batch_size {batch} times trl.gradient_accumulation_steps {passes} splits "
            f"groups of {group}.",
            "Make the product a multiple of trl.num_generations, or set shared_prefix: false.",
        )
    logger.info(
        "a group of %d is one pass: per-device batch %d, accumulation %d",
        group,
        group,
        batch * passes // group,
    )
    return {"per_device_train_batch_size": group, "gradient_accumulation_steps": batch * passes // group}


def task_score(stage: Stage, config: GrpoConfig, dataset: PromptDataset) -> Callable[[str, int], float]:
    """What a reply to a sample earns for what it says."""
    settings = config.reward

    def score(text: str, number: int) -> float:
        truth = dataset.truth_of(number)
        if stage == "temporal":
            return temporal_reward(text, **truth, rule=settings.runs, soft_weight=settings.soft_weight)
        return box_reward(text, **truth) if stage == "image" else answer_reward(text, **truth)

    return score


def reward_functions(
    stage: Stage, config: GrpoConfig, dataset: PromptDataset, samples: SampleLog
) -> tuple[list[Any], list[float]]:
    """TRL reward functions: one number per completion, by the sample's number; and their weights."""
    settings = config.reward
    score = task_score(stage, config, dataset)

    def task(completions: list[Any], number: list[int], trainer_state: Any, **_: Any) -> list[float]:
        texts = [_text(completion) for completion in completions]
        earned = [score(text, index) for text, index in zip(texts, number, strict=True)]
        samples.add(trainer_state, number, texts, earned)
        return earned

    def form(completions: list[Any], **_: Any) -> list[float]:
        return [format_reward(_text(completion), think=config.think) for completion in completions]

    task.__name__, form.__name__ = TASK_NAMES[stage], "format"
    chosen = [(task, settings.iou), (form, settings.format)]
    chosen = [(function, weight) for function, weight in chosen if weight > 0]
    if not chosen:
        raise ConfigError("reward.iou and reward.format are both 0: there is nothing to learn.")
    return [function for function, _ in chosen], [weight for _, weight in chosen]


def _text(completion: Any) -> str:
    """The text of a completion, conversational or not."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def lora_settings(config: GrpoConfig) -> Any:
    """Peft's configuration, or None for full fine-tuning."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(**config.lora.model_dump(), task_type="CAUSAL_LM")
