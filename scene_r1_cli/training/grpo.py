"""One GRPO stage: data, rewards, TRL's trainer, checkpoints that can be resumed."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.errors import ConfigError, InputError
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.grpo_config import GrpoConfig, Stage
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.training.difficulty import (
    choose_by_difficulty,
    difficulty_file,
    measure_difficulty,
    read_difficulty,
)
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.grpo_setup import (
    lora_settings,
    reward_functions,
    start_model,
    task_score,
    trl_arguments,
)
from scene_r1_cli.training.once import keep_features
from scene_r1_cli.training.preflight import is_out_of_memory, out_of_memory, preflight
from scene_r1_cli.training.prompt_size import fit_frames, prompt_lengths
from scene_r1_cli.training.report import SampleLog
from scene_r1_cli.training.samples import Sample, find_samples, ordered_by_video
from scene_r1_cli.training.watch import Progress, reporter

logger = logging.getLogger(__name__)


@contextmanager
def ended_together() -> Iterator[None]:
    """Ends the group of processes behind what is inside, failed or not.

    Left to the interpreter's exit, gloo's threads can still run then, and abort the process when all is done.
    """
    from torch import distributed

    try:
        yield
    finally:
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


@ended_together()
def train_grpo(
    stage: Stage,
    config: GrpoConfig,
    run: RunDir,
    store: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], object] = logger.info,
) -> Path:
    """Train one stage and leave a model that ``--model`` takes.

    Args:
        stage: ``temporal``, ``image`` or ``qa``.
        config: Settings.
        run: Run directory: checkpoints and the final model go there.
        store: Where scenes are.
        resume: Go on from the last checkpoint, if there is one.
        progress: Told step, steps and what TRL measured.
        tell: Told what happens before the first step.

    Returns:
        Folder of the trained model.

    Raises:
        ConfigError: A key of ``trl`` is none of TRL's, or its values do not fit together or the model.
        InputError: There is nothing to train on, or other data than when the run began.
        SetupError: The model is not there, memory or disk space runs out.
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
    thinks = {f"{part}.think": config.think for part in ("span", "box", "answer")}
    ground = load_config(preset=config.preset, flags=thinks)
    tokens = ground.box.max_new_tokens if stage == "image" else ground.span.max_new_tokens
    # Before the model: DeepSpeed spreads weights as they are loaded only if it is told so first.
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(run.tensorboard_dir))
    arguments = trl_arguments(TrlConfig, config, run.checkpoints_path, tokens)
    model, processor, family, name = start_model(config, ground.model)
    _check_length(model, arguments)
    vlm = TransformersVLM(config.model or ground.model.name, model, processor, family, ground.model.sampling)
    with arguments.main_process_first():  # rooms are made by one process
        samples = find_samples(stage, config.data, store)
    if config.max_prompt_tokens is not None:
        ground = fit_frames(stage, samples, vlm, ground, config.max_prompt_tokens)
    if config.data.difficulty is not None:
        model.eval()
        samples = _by_difficulty(stage, config, ground, samples, vlm, name, arguments, store, tell)
        model.train()
    if config.data.together > 1:
        samples = ordered_by_video(samples, config.data.together, config.data.seed)
        arguments.shuffle_dataset = False
    _check_number(samples, arguments)
    if arguments.process_index == 0:
        run.keep_data(len(samples), fingerprint([sample.key for sample in samples]))
    dataset = PromptDataset(stage, samples, vlm, ground)
    lengths = prompt_lengths(dataset, vlm)
    tell(f"{stage}: {len(samples)} queries, prompts of {min(lengths)} to {max(lengths)} tokens")
    rewards, weights = reward_functions(stage, config, dataset, SampleLog(run, dataset))
    arguments.reward_weights = weights
    if config.freeze_vision:
        model.model.visual.requires_grad_(False)
        if model.device.type == "cpu":
            # On a GPU the tower is quicker than telling which frames these are.
            keep_features(model.model.visual)
    base: Any = SharedPrefixGRPOTrainer if config.shared_prefix else GRPOTrainer
    trainer_class: Any = type("Trainer", (WholeCheckpoints, base), {})
    trainer = trainer_class(
        model=model,
        reward_funcs=rewards,
        args=arguments,
        train_dataset=dataset.as_dataset(),
        processing_class=processor,
        peft_config=lora_settings(config),
        callbacks=[reporter(run, progress)],
    )
    # It prints to stdout, which is for data.
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(preflight(trainer, dataset, lengths, tell))
    found = resume and run.checkpoints_path.is_dir()
    last = get_last_checkpoint(str(run.checkpoints_path)) if found else None
    try:
        trainer.train(resume_from_checkpoint=last)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            when = f"at step {trainer.state.global_step + 1} (its checkpoints are kept: --resume goes on)"
            raise out_of_memory(when, arguments, max(lengths)) from error
        raise
    card = _card(stage, config, ground, len(samples), trainer.state.global_step)
    return _save_trained(trainer, run, processor, card)


def _by_difficulty(
    stage: Stage,
    config: GrpoConfig,
    ground: GroundConfig,
    samples: Sequence[Sample],
    vlm: Any,
    name: str,
    arguments: Any,
    store: Path,
    tell: Callable[[str], object],
) -> list[Sample]:
    """Samples that the start model can learn something from."""
    settings = config.data.difficulty
    assert settings is not None
    tokens = int(arguments.max_completion_length)
    file = difficulty_file(stage, settings, ground, name, tokens, store)
    dataset = PromptDataset(stage, samples, vlm, ground)
    measure_difficulty(
        dataset,
        vlm,
        task_score(stage, config, dataset),
        settings,
        file,
        tokens,
        part=(arguments.process_index, arguments.world_size),
        tell=tell,
    )
    if arguments.world_size > 1:
        arguments.distributed_state.wait_for_everyone()
    return choose_by_difficulty(samples, read_difficulty(file), settings)


def _check_length(model: Any, arguments: Any) -> None:
    """Raises ConfigError if completions may be longer than all the model can read.

    The preflight would try, and a machine that swaps or kills says nothing a user can read.
    """
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if most is not None and arguments.max_completion_length > most:
        raise ConfigError(
            f"trl.max_completion_length {arguments.max_completion_length} is more than the {most} tokens the "
            "model reads.",
            "A reply of a few hundred tokens holds the reasoning and the answer.",
        )


def _check_number(samples: Sequence[Sample], arguments: Any) -> None:
    """Raises InputError if the data set is smaller than one step, since TRL then makes no step at all."""
    prompts = arguments.generation_batch_size // arguments.num_generations
    if len(samples) < prompts:
        raise InputError(
            f"There are fewer queries ({len(samples)}) than one step asks ({prompts}).",
            "Lower trl.per_device_train_batch_size or trl.gradient_accumulation_steps, or add data.",
        )


def _save_trained(trainer: Any, run: RunDir, processor: Any, card: str) -> Path:
    """Write the trained model, LoRA merged; weights that are spread over processes are gathered first."""
    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    is_spread = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if is_spread else None
    if not trainer.args.should_save:
        return run.model_path
    if not hasattr(trained, "merge_and_unload"):
        return run.save_model(trained, processor, card, state)
    if not is_spread:
        return run.save_model(trained.merge_and_unload(), processor, card)
    from scene_r1_cli.models.checkpoint import load_as_stored

    adapter = run.checkpoints_path / "adapter"
    trained.save_pretrained(adapter, state_dict=state)
    processor.save_pretrained(adapter)
    merged, _ = load_as_stored(str(adapter))
    return run.save_model(merged, processor, card)


def _card(stage: Stage, config: GrpoConfig, ground: GroundConfig, num_samples: int, steps: int) -> str:
    settings = json.dumps(config.model_dump(mode="json"), indent=1)
    frames = json.dumps({"video": ground.video.model_dump(), "box.max_side_px": ground.box.max_side_px})
    start = config.model or config.preset
    return (
        f"# Trained by scener1 train-{stage}\n\n"
        f"GRPO on {num_samples} labelled queries, {steps} steps, from {start}. "
        f"Frames: {frames}. Settings:\n\n"
        f"```json\n{settings}\n```\n"
    )


def check_store(store: Path, config: GrpoConfig) -> None:
    """Raises InputError early when there is no store to train from."""
    if not config.data.rooms and not store.is_dir():
        raise InputError(f"There is no store at {store}.", "Run preprocess first, or set data.rooms.")
