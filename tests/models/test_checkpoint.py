"""Folders and names that are no usable checkpoint: one sentence, the right exit code."""

import json
import shutil

import pytest

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.errors import ConfigError, InputError, SetupError
from scene_r1_cli.models.provider import load_vlm
from scene_r1_cli.models.transformers_vlm import TransformersVLM

TEXT_MODEL = {
    "model_type": "qwen2",
    "vocab_size": 8,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
}


@pytest.fixture
def copy(tiny_vlm_folder, tmp_path):
    """A copy of a good checkpoint, to be broken."""
    return shutil.copytree(tiny_vlm_folder("qwen2.5-vl"), tmp_path / "copy")


def load(name, **settings):
    return load_vlm(ModelConfig(name=str(name), device=settings.pop("device", "cpu"), **settings))


def config_json(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


NOT_CHECKPOINTS = {
    "no such folder": (lambda f: f / "none", "does not exist"),
    "a file": (lambda f: config_json(f, "{}") / "config.json", "is a file"),
    "no config": (lambda f: f, "holds no config.json"),
    "broken config": (lambda f: config_json(f, "{"), "config.json"),
    "config without a type": (lambda f: config_json(f, {}), "config.json"),
    "unknown type": (lambda f: config_json(f, {"model_type": "nonesuch"}), "nonesuch"),
    "text model": (lambda f: config_json(f, TEXT_MODEL), "qwen2 checkpoint, which is no vision-language"),
    "segmentation model": (lambda f: config_json(f, {"model_type": "sam"}), "sam checkpoint, which is no"),
}


@pytest.mark.parametrize("case", NOT_CHECKPOINTS)
def test_what_is_no_checkpoint(case, tmp_path):
    make, message = NOT_CHECKPOINTS[case]
    with pytest.raises(InputError, match=message) as error:
        load(make(tmp_path))
    assert error.value.exit_code == 3
    assert "\n" not in error.value.message


BROKEN = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors"),
    "cut weights": (lambda f: cut(f / "model.safetensors"), "weights"),
    "weights of another size": (
        lambda f: edit(f / "config.json", "text_config", "hidden_size", 32),
        "sizes",
    ),
    "some weights missing": (lambda f: drop_weight(f / "model.safetensors"), "lacks 1 of its weights"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer"),
    "no chat template": (lambda f: (f / "chat_template.jinja").unlink(), "no chat template"),
}


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def edit(path, section, key, value):
    content = json.loads(path.read_text())
    content[section][key] = value
    path.write_text(json.dumps(content))


def drop_weight(path):
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    del weights[next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))]
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("case", BROKEN)
def test_an_incomplete_checkpoint_is_refused(case, copy):
    damage, message = BROKEN[case]
    damage(copy)
    with pytest.raises(InputError, match=message) as error:
        load(copy)
    assert "\n" not in error.value.message


def test_a_name_that_is_not_cached_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SetupError, match="not on this machine") as error:
        load("nobody/no-such-model")
    assert error.value.exit_code == 4
    assert "hf download nobody/no-such-model" in error.value.hint


@pytest.mark.parametrize("name", ["pocket", ""])
def test_pocket_without_its_weights_says_how_to_get_them(name, monkeypatch, tmp_path):
    monkeypatch.setattr("scene_r1_cli.models.pocket.WEIGHTS_DIR", tmp_path)
    with pytest.raises(SetupError, match="weights of pocket are missing") as error:
        load(name)
    assert "install scener1 again" in error.value.hint


def test_family_can_be_given_and_is_checked(copy):
    assert load(copy, family="qwen3-vl").family.name == "qwen3-vl"
    with pytest.raises(ConfigError, match="not known"):
        load(copy, family="qwen9")


@pytest.mark.parametrize(
    ("device", "error"), [("cuda:99", SetupError), ("tpu9", ConfigError), ("nonsense", ConfigError)]
)
def test_devices_that_are_not_there(copy, device, error):
    with pytest.raises(error, match=r"model\.device"):
        load(copy, device=device)


def test_dtype(copy):
    import torch

    def dtype_of(name):
        vlm = load(copy, dtype=name)
        assert isinstance(vlm, TransformersVLM)
        return vlm._model.dtype

    dtypes = {name: dtype_of(name) for name in ("auto", "float32", "bfloat16")}
    assert dtypes == {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16}
