"""A folder of LoRA weights, as training leaves it, is a checkpoint like any other."""

import json

import pytest
import torch

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.models.checkpoint import load_checkpoint


def load(name):
    return load_checkpoint(ModelConfig(name=str(name), device="cpu"))


@pytest.fixture
def base(tiny_vlm_folder):
    return tiny_vlm_folder("qwen2.5-vl")


@pytest.fixture
def adapter(base, tmp_path):
    """LoRA weights that change something, in the last checkpoint of a run, and what they merge to."""
    from peft import LoraConfig, get_peft_model

    from scene_r1_cli.grpo_config import LoraSettings

    model, processor, _ = load(base)
    settings = LoraSettings(r=4, lora_alpha=8).model_dump()
    tuned = get_peft_model(model, LoraConfig(**settings, task_type="CAUSAL_LM"))  # pyright: ignore
    torch.manual_seed(0)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight.data, std=0.1)
    folder = tmp_path / "run" / "checkpoints" / "checkpoint-20"
    tuned.save_pretrained(str(folder))
    processor.save_pretrained(folder)
    (folder.parent / "checkpoint-3").mkdir()
    merged = tuned.merge_and_unload()  # pyright: ignore
    return folder, {name: weight.clone() for name, weight in merged.state_dict().items()}


def check(found, expected):
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, msg=name)


def test_lora_weights_are_merged_when_loaded(adapter, base):
    folder, merged = adapter
    model, _, family = load(folder)
    assert family.name == "qwen2.5-vl"
    check(model.state_dict(), merged)
    plain = load(base)[0].state_dict()
    assert any(not torch.equal(plain[name], weight) for name, weight in merged.items())


def test_lora_weights_of_another_model_are_told(adapter):
    folder, _ = adapter
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"r": 2}))
    with pytest.raises(InputError, match=r"LoRA weights of .* cannot be used"):
        load(folder)
    file.write_text(json.dumps(config | {"base_model_name_or_path": "no/such/folder"}))
    with pytest.raises(InputError, match="no/such/folder does not exist"):
        load(folder)


def test_an_interrupted_run_is_merged_from_its_last_checkpoint(adapter, tmp_path):
    from typer.testing import CliRunner

    from scene_r1_cli.cli.app import app

    folder, merged = adapter
    out = tmp_path / "merged"
    done = CliRunner().invoke(app, ["runs", "merge", str(folder.parent.parent), str(out)])
    assert done.exit_code == 0, done.output
    assert not (out / "adapter_config.json").exists()
    check(load(out)[0].state_dict(), merged)
    again = CliRunner().invoke(app, ["runs", "merge", str(folder), str(out)])
    assert isinstance(again.exception, UsageError)
