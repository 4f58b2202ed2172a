"""Many processes: launch files that accelerate reads, and groups that stay on one device."""

from pathlib import Path
from typing import Any

import pytest
import torch

ACCELERATE = sorted((Path("configs") / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda path: path.stem)
def test_accelerate_reads_every_launch_file(path, monkeypatch):
    """Unknown keys are refused by accelerate itself; the plugins are made from what it passes on."""
    from accelerate.commands.config.config_args import load_config_from_file

    config: Any = load_config_from_file(str(path))
    assert config.num_processes == {"cpu": 1, "one-gpu": 1, "zero3": 8, "fsdp2": 8}[path.stem]
    if path.stem == "fsdp2":
        from accelerate import FullyShardedDataParallelPlugin

        for name, value in config.fsdp_config.items():
            monkeypatch.setenv(name.upper(), str(value).lower() if isinstance(value, bool) else str(value))
        plugin = FullyShardedDataParallelPlugin()
        assert plugin.fsdp_version == 2
        # Checkpoints are safetensors only if their weights are gathered.
        assert "FULL" in str(plugin.state_dict_type)
    if path.stem == "zero3":
        assert config.deepspeed_config["zero_stage"] == 3
        assert config.deepspeed_config["zero3_save_16bit_model"]


@pytest.mark.parametrize(("batch", "passes"), [(1, 8), (2, 8), (8, 1), (16, 1)])
def test_groups_stay_together_on_eight_gpus(batch, passes):
    """TRL's sampler and accelerate's split, as on eight GPUs: every device gets whole groups of eight."""
    from accelerate.data_loader import prepare_data_loader
    from torch.utils.data import DataLoader
    from trl.trainer.utils import RepeatSampler

    from scene_r1_cli.training.grpo_setup import whole_groups

    devices, group = 8, 8
    values = {
        "num_generations": group,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": passes,
    }
    values |= whole_groups(values)
    # TRL asks for the rows of a whole optimizer step at a time.
    rows = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    assert rows == batch * passes
    numbers = torch.arange(300)
    seen = []
    for device in range(devices):
        sampler = RepeatSampler(
            numbers,  # pyright: ignore
            mini_repeat_count=group,
            batch_size=devices * rows // group,
            repeat_count=values["gradient_accumulation_steps"],
            seed=0,
        )
        loader = prepare_data_loader(
            DataLoader(numbers, batch_size=rows, sampler=sampler),  # pyright: ignore
            num_processes=devices,
            process_index=device,
            put_on_device=False,
        )
        first = next(iter(loader)).tolist()
        assert len(first) == rows
        groups = [first[start : start + group] for start in range(0, rows, group)]
        assert all(len(set(one)) == 1 for one in groups)
        seen += [one[0] for one in groups]
    assert len(set(seen)) == len(seen) == devices * rows // group
