"""One GRPO stage: data, rewards, TRL's trainer, checkpoints that can be resumed."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.errors import ConfigError, InputError
from scene_r1_cli.grpo_config import GrpoConfig, Stage
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.training.grpo_data import PromptDataset, find_samples
from scene_r1_cli.training.report import SampleLog
from scene_r1_cli.training.rewards import answer_reward, box_reward, format_reward, temporal_reward
from scene_r1_cli.training.watch import Progress, reporter

logger = logging.getLogger(__name__)


def train_grpo(
    stage: Stage,
    config: GrpoConfig,
    run: RunDir,
    store: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train one stage and leave a model that ``--model`` takes.

    Args:
        stage: ``temporal``, ``image`` or ``qa``.
        config: Settings.
        run: Run directory: checkpoints and the final model go there.
        store: Where scenes are.
        resume: Go on from the last checkpoint, if there is one.
        progress: Told step, steps and what TRL measured.

    Returns:
        Folder of the trained model.

    Raises:
        ConfigError: A key of ``trl`` is none of TRL's, or its values do not fit together.
        InputError: There is nothing to train on.
        SetupError: The model is not there.
    """
    from transformers.trainer_callback import PrinterCallback
    from transformers.trainer_utils import get_last_checkpoint
    from trl.trainer.grpo_config import GRPOConfig as TrlConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from scene_r1_cli.models.transformers_vlm import TransformersVLM
    from scene_r1_cli.training.shared_grpo import SharedPrefixGRPOTrainer
    from scene_r1_cli.training.whole_checkpoints import WholeCheckpoints

    # TRL's own use of names that transformers renames is nothing a user can mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    ground = load_config(preset=config.preset)
    model, processor, family = _load(config, ground.model)
    vlm = TransformersVLM(config.model or ground.model.name, model, processor, family, ground.model.sampling)
    samples = find_samples(stage, config.data, store)
    dataset = PromptDataset(stage, samples, vlm, ground)
    logger.info("%s: %d samples", stage, len(samples))
    tokens = ground.box.max_new_tokens if stage == "image" else ground.span.max_new_tokens
    arguments = _trl_arguments(TrlConfig, config, run.checkpoints_path, tokens)
    rewards, weights = _rewards(stage, config, dataset, SampleLog(run, dataset))
    arguments.reward_weights = weights
    if config.freeze_vision:
        model.model.visual.requires_grad_(False)
    base: Any = SharedPrefixGRPOTrainer if config.shared_prefix else GRPOTrainer
    trainer_class: Any = type("Trainer", (WholeCheckpoints, base), {})
    trainer = trainer_class(
        model=model,
        reward_funcs=rewards,
        args=arguments,
        train_dataset=dataset.as_dataset(),
        processing_class=processor,
        peft_config=_lora(config),
        callbacks=[reporter(run, progress)],
    )
    # It prints to stdout, which is for data.
    trainer.remove_callback(PrinterCallback)
    found = resume and run.checkpoints_path.is_dir()
    last = get_last_checkpoint(str(run.checkpoints_path)) if found else None
    trainer.train(resume_from_checkpoint=last)
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(trained, "merge_and_unload"):
        trained = trained.merge_and_unload()
    return run.save_model(trained, processor, _card(stage, config, len(samples), trainer.state.global_step))


def _load(config: GrpoConfig, preset: ModelConfig) -> tuple[Any, Any, Any]:
    from scene_r1_cli.models.checkpoint import load_checkpoint
    from scene_r1_cli.models.pocket import POCKET, pocket_path

    name = config.model or preset.name
    if preset.endpoint is not None and config.model is None:
        raise ConfigError("A model behind an endpoint cannot be trained.", "Name a checkpoint with --model.")
    if name in ("", POCKET):
        name = str(pocket_path())
    model, processor, family = load_checkpoint(
        preset.model_copy(update={"name": name, "dtype": config.dtype, "endpoint": None})
    )
    # TRL pads prompts on the left, but leaves the processor's own padding to the tokenizer.
    processor.tokenizer.padding_side = "left"  # pyright: ignore
    model.train()
    return model, processor, family


def _trl_arguments(trl_config: Any, config: GrpoConfig, out: Path, max_tokens: int) -> Any:
    """TRL's own configuration; what is not given is TRL's default, but for what a small machine needs."""
    import torch

    defaults = {
        "output_dir": str(out),
        "per_device_train_batch_size": 8,
        "num_generations": 8,
        "max_completion_length": max_tokens,
        "report_to": [],
        "logging_steps": 1,
        "save_strategy": "steps",
        "bf16": config.dtype == "bfloat16",
        "gradient_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
        # Pictures are read when a step needs them.
        "dataloader_num_workers": 0,
    }
    values = defaults | config.trl
    if int(values["num_generations"]) < 2:
        raise ConfigError("trl.num_generations must be at least 2: advantages compare a group's completions.")
    if config.shared_prefix:
        values |= _whole_groups(values)
    try:
        return trl_config(**values)
    except TypeError as error:
        raise ConfigError(f"trl: {error}.", "Keys are those of TRL's GRPOConfig.") from error
    except ValueError as error:
        raise ConfigError(f"trl: {error}") from error


def _whole_groups(values: Mapping[str, Any]) -> dict[str, int]:
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


def _rewards(
    stage: Stage, config: GrpoConfig, dataset: PromptDataset, samples: SampleLog
) -> tuple[list[Any], list[float]]:
    """TRL reward functions: one number per completion, by the sample's number."""
    settings = config.reward

    def score(text: str, truth: Mapping[str, Any]) -> float:
        if stage == "temporal":
            return temporal_reward(text, **truth, rule=settings.runs, soft_weight=settings.soft_weight)
        return box_reward(text, **truth) if stage == "image" else answer_reward(text, **truth)

    def task(completions: list[Any], number: list[int], trainer_state: Any, **_: Any) -> list[float]:
        texts = [_text(completion) for completion in completions]
        earned = [score(text, dataset.truth_of(index)) for text, index in zip(texts, number, strict=True)]
        samples.add(trainer_state, number, texts, earned)
        return earned

    def form(completions: list[Any], **_: Any) -> list[float]:
        return [format_reward(_text(completion)) for completion in completions]

    task.__name__, form.__name__ = (
        {"temporal": "span_iou", "image": "box_iou", "qa": "answer"}[stage],
        "format",
    )
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


def _lora(config: GrpoConfig) -> Any:
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(**config.lora.model_dump(), task_type="CAUSAL_LM")


def _card(stage: Stage, config: GrpoConfig, num_samples: int, steps: int) -> str:
    settings = json.dumps(config.model_dump(mode="json"), indent=1)
    start = config.model or config.preset
    return (
        f"# Trained by scener1 train-{stage}\n\n"
        f"GRPO on {num_samples} labelled queries, {steps} steps, from {start}. Settings:\n\n"
        f"```json\n{settings}\n```\n"
    )


def check_store(store: Path, config: GrpoConfig) -> None:
    """Raises InputError early when there is no store to train from."""
    if not config.data.rooms and not store.is_dir():
        raise InputError(f"There is no store at {store}.", "Run preprocess first, or set data.rooms.")
