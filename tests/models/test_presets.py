"""Every preset that ships is a configuration, and its comments keep what they promise."""

import pytest

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.errors import ConfigError
from scene_r1_cli.models.families import family_in_name, size_on_grid
from scene_r1_cli.models.presets import ablation_paths, list_presets, preset_path


def test_these_presets_ship():
    expected = ["endpoint", "pocket", "qwen2.5-vl-3b", "qwen2.5-vl-7b", "qwen3-vl-4b", "qwen3-vl-8b"]
    assert list_presets() == expected


@pytest.mark.parametrize("name", list_presets())
def test_a_preset_loads_and_is_commented(name):
    config = load_config(preset=name)
    assert config.preset == name
    assert config.model.name
    lines = preset_path(name).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert any(f"--preset {name}" in line for line in lines if line.startswith("#"))


@pytest.mark.parametrize("name", [name for name in list_presets() if name != "pocket"])
def test_frame_sizes_suit_the_family(name):
    """The longest sides are on the family's grid, so a landscape frame gets just that many pixels."""
    config = load_config(preset=name)
    family = family_in_name(config.model.name)
    assert family is not None
    for max_side_px in (config.video.max_side_px, config.box.max_side_px):
        assert size_on_grid((1296, 968), max_side_px, family.grid)[0] == max_side_px


def test_the_default_preset_ships():
    assert GroundConfig().preset in list_presets()


def test_an_unknown_preset_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="known are endpoint, pocket") as error:
        load_config(preset="Qwen3-VL-8B-Instruct")
    assert error.value.hint == "Did you mean qwen3-vl-8b?"


@pytest.mark.parametrize("path", ablation_paths(), ids=lambda path: path.stem)
def test_each_ablation_turns_one_step_off(path):
    changed = differences(GroundConfig().model_dump(), load_config(files=[path]).model_dump())
    preset = differences(GroundConfig().model_dump(), load_config().model_dump())
    assert len(changed - preset) == 1


def test_every_step_that_can_be_off_has_its_ablation():
    switches = {
        f"{section}.{name}"
        for section in ("lifting", "surface", "tracker")
        for name, field in type(getattr(GroundConfig(), section)).model_fields.items()
        if field.default is True or "0 is off" in (field.description or "")
    }
    default = GroundConfig().model_dump()
    off = set()
    for path in ablation_paths():
        off |= differences(default, load_config(files=[path]).model_dump())
    assert switches
    assert switches <= off


def differences(before, after, prefix=""):
    """Dotted keys with other values."""
    found = set()
    for key, value in before.items():
        if isinstance(value, dict):
            found |= differences(value, after[key], f"{prefix}{key}.")
        elif value != after[key]:
            found.add(f"{prefix}{key}")
    return found
