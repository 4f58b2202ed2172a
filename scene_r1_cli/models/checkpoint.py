"""Loads a vision-language checkpoint, or says in one sentence why it cannot be one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.errors import ConfigError, InputError, SetupError
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.models.families import FAMILIES, Family, family_named, family_of
from scene_r1_cli.models.pocket import POCKET, pocket_path
from scene_r1_cli.run_dir import model_in

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin


ADAPTER = "adapter_config.json"
"""The file that makes a folder one of LoRA weights (peft's name)."""


def load_checkpoint(config: ModelConfig) -> tuple[PreTrainedModel, ProcessorMixin, Family]:
    """Load model and processor of ``config.name`` onto ``config.device``; LoRA weights are merged.

    Returns:
        The model in evaluation mode, its processor, its family.

    Raises:
        InputError: The folder holds no complete vision-language checkpoint.
        SetupError: The weights are not on this machine, or do not fit on the device.
        ConfigError: The family is not known and not given.
    """
    from transformers.utils import logging as transformers_logging

    # What it would warn of (weights that are missing or do not fit) is an error here.
    transformers_logging.set_verbosity_error()
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()
    device = choose_device(config.device)
    where = _where(config.name)
    base = _base_of(where)
    checkpoint_config = _read_config(base, config.name)
    family = _family(config, checkpoint_config.model_type)
    processor = _load_processor(where, config.name)
    model = _load_model(base, config, device)
    if base != where:
        model = _with_adapter(model, where, config.name)
    return model, processor, family


def load_as_stored(name: str) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Model and processor on the CPU in the checkpoint's own precision, to be written again.

    Raises:
        As ``load_checkpoint``.
    """
    dtype = str(_read_config(_base_of(_where(name)), name).dtype or "float32").removeprefix("torch.")
    model, processor, _ = load_checkpoint(ModelConfig(name=name, device="cpu", dtype=dtype))  # pyright: ignore
    return model, processor


def weights_fingerprint(name: str) -> str:
    """Identity of a checkpoint: its files' names, sizes and times; of a hub name the name itself."""
    where = pocket_path() if name in ("", POCKET) else model_in(Path(name).expanduser())
    if where is None or not where.is_dir():
        return fingerprint(name)
    files = sorted((*where.glob("*.safetensors"), *where.glob("*.json")))
    return fingerprint([(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files])


def choose_device(name: str, key: str = "model.device") -> torch.device:
    """``auto`` is a GPU where there is one; ``key`` is the setting to name in errors.

    Raises:
        SetupError: The device named is not there.
        ConfigError: It is no device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"{key} {name!r} is no device; accepted are auto, cpu, cuda, cuda:1, mps."
        ) from error
    missing_cuda = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if missing_cuda or (device.type == "mps" and not torch.backends.mps.is_available()):
        raise SetupError(
            f"{key} is {name}, which this machine does not have.",
            f"Set {key}=cpu, or auto.",
        )
    return device


def _where(name: str) -> str:
    """A folder if ``name`` is one, else the hub name; a path that is not there is an InputError."""
    path = model_in(Path(name).expanduser())
    if path.is_dir():
        if not any((path / file).is_file() for file in ("config.json", ADAPTER)):
            raise InputError(
                f"{name} holds no config.json, so it is no checkpoint.",
                "Give the folder that holds config.json and model.safetensors.",
            )
        return str(path)
    looks_like_path = name.startswith((".", "~", "/")) or name.count("/") != 1
    if path.exists() or looks_like_path:
        what = "is a file" if path.exists() else "does not exist"
        raise InputError(f"The checkpoint folder {name} {what}.", "Give a folder, or a hub name as ORG/NAME.")
    return name


def _base_of(where: str) -> str:
    """The checkpoint that LoRA weights in ``where`` belong to; ``where`` itself if it is a whole one."""
    file = Path(where) / ADAPTER
    if not file.is_file():
        return where
    return _where(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"])


def _with_adapter(model: Any, where: str, name: str) -> Any:
    """The model with LoRA weights merged into its own."""
    try:
        from peft import PeftModel
    except ImportError as error:
        raise SetupError(
            f"{name} holds LoRA weights, which need the package peft.", "pip install 'scener1[train]'"
        ) from error
    try:
        return PeftModel.from_pretrained(model, where).merge_and_unload().eval()
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(f"The LoRA weights of {name} cannot be used: {_first_line(error)}") from error


def _read_config(where: str, name: str) -> PreTrainedConfig:
    """The checkpoint's configuration, checked to be of an image-text-to-text model."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    try:
        config = AutoConfig.from_pretrained(where)
    except OSError as error:
        raise _not_there(where, name, error) from error
    except (ValueError, KeyError) as error:
        raise InputError(
            f"The config.json of {name} cannot be used: {_first_line(error)}",
            "Check that it is a transformers checkpoint and that the installed transformers knows its type.",
        ) from error
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise InputError(
            f"{name} is a {config.model_type} checkpoint, which is no vision-language model.",
            f"Give a checkpoint that reads images and text, of a family such as {', '.join(FAMILIES)}.",
        )
    return config


def _not_there(where: str, name: str, error: OSError) -> InputError | SetupError:
    if Path(where).is_dir():
        return InputError(f"The checkpoint {name} cannot be read: {_first_line(error)}")
    return SetupError(
        f"The model {name} is not on this machine and cannot be fetched.",
        f"Where there is a network: hf download {name} (or give a folder with --model).",
    )


def _family(config: ModelConfig, model_type: str) -> Family:
    """The family named in the configuration, else that of the checkpoint's type."""
    if config.family is not None:
        return family_named(config.family)
    family = family_of(model_type)
    if family is None:
        raise ConfigError(
            f"What box coordinates a {model_type} model writes is not known.",
            f"Name a family that writes them alike: --set model.family=… ({', '.join(FAMILIES)}).",
        )
    return family


def _load_processor(where: str, name: str) -> ProcessorMixin:
    from transformers import AutoProcessor

    try:
        processor: Any = AutoProcessor.from_pretrained(where)
    except OSError as error:
        raise _not_there(where, name, error) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"The processor of {name} cannot be loaded: {_first_line(error)}") from error
    if getattr(processor, "image_processor", None) is None:
        raise InputError(f"The processor of {name} reads no images (no preprocessor_config.json).")
    if getattr(processor, "chat_template", None) is None:
        raise InputError(
            f"{name} has no chat template (chat_template.jinja), so it cannot be asked anything."
        )
    # Without its files, a tokenizer loads with an empty vocabulary and no complaint.
    words = "a chair"
    if processor.tokenizer.decode(processor.tokenizer(words, add_special_tokens=False)["input_ids"]) != words:
        raise InputError(f"The tokenizer of {name} cannot write plain words (is tokenizer.json there?).")
    return processor


def _load_model(where: str, config: ModelConfig, device: torch.device) -> PreTrainedModel:
    """Weights onto the device; a checkpoint that lacks some is refused, not filled with random numbers."""
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    dtype = config.dtype
    if dtype == "auto" and device.type == "cpu":
        dtype = "float32"  # half precision is slow on most CPUs
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            where, dtype=dtype, output_loading_info=True
        )
        model, info = loaded
        model = model.to(device)
    except torch.OutOfMemoryError as error:
        raise SetupError(
            f"{config.name} does not fit into the memory of {device}.",
            "Use a smaller model or another device.",
        ) from error
    except OSError as error:
        raise _not_there(where, config.name, error) from error
    except RuntimeError as error:
        raise InputError(
            f"The weights of {config.name} do not have the sizes its config.json says.",
            "The files are of different models; copy or download the checkpoint again.",
        ) from error
    except (ValueError, SafetensorError) as error:
        raise InputError(f"The weights of {config.name} cannot be loaded: {_first_line(error)}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"{config.name} lacks {len(missing)} of its weights, the first being {missing[0]}.",
            "The checkpoint is not complete; copy or download it again.",
        )
    return model.eval()


def _first_line(error: Exception) -> str:
    """The first line of another library's message."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
