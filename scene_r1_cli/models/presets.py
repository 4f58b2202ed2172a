"""Presets: YAML files that name model, tracker and sampling together; see configs/ground/."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from scene_r1_cli.errors import ConfigError

CONFIGS_DIR = Path(__file__).parent.parent / "configs"
PRESETS_DIR = CONFIGS_DIR / "ground"


def shipped_configs() -> dict[str, Path]:
    """Every configuration of the package by its name, such as ``train/pocket-image``."""
    return {
        path.relative_to(CONFIGS_DIR).with_suffix("").as_posix(): path
        for path in CONFIGS_DIR.glob("*/*.yaml")
    }


def list_presets() -> list[str]:
    """Names for ``--preset``, sorted."""
    return sorted(path.stem for path in set(PRESETS_DIR.glob("*.yaml")).difference(ablation_paths()))


def ablation_paths() -> list[Path]:
    """Files that turn one step of lifting or tracking off, to be laid over a preset with ``--config``."""
    return sorted(PRESETS_DIR.glob("ablation-*.yaml"))


def preset_path(name: str) -> Path:
    """The YAML file of a preset.

    Raises:
        ConfigError: There is no such preset.
    """
    known = list_presets()
    if name in known:
        return PRESETS_DIR / f"{name}.yaml"
    close = get_close_matches(name.lower(), known, n=1)
    raise ConfigError(
        f"Preset {name!r} is not known; known are {', '.join(known)}.",
        f"Did you mean {close[0]}?" if close else "A file of your own is given with --config.",
    )
