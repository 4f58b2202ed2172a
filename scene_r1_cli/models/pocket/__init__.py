"""pocket: a few-million-parameter model of the Qwen2.5-VL architecture, trained on this project's rooms."""

from __future__ import annotations

from pathlib import Path

POCKET = "pocket"
"""Its name in configurations."""

WEIGHTS_DIR = Path(__file__).parent / "weights"


def pocket_path() -> Path | None:
    """Folder of the shipped checkpoint, loadable like any other; None where none is shipped."""
    return WEIGHTS_DIR if (WEIGHTS_DIR / "model.safetensors").is_file() else None
