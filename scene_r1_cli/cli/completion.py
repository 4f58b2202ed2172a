"""What a shell offers behind TAB: presets, scene ids, runs, configurations, sources."""

from __future__ import annotations

import os
from pathlib import Path

from scene_r1_cli.models.presets import list_presets, shipped_configs

RUNS = Path("runs")


def presets(incomplete: str) -> list[str]:
    """Names of presets."""
    return [name for name in list_presets() if name.startswith(incomplete)]


def scenes(incomplete: str) -> list[str]:
    """Scene ids of the store (``SCENER1_STORE``, else ``data``), and ``demo``."""
    # ``scenes_in_store`` knows the same, but loading its module takes longer than a person waits for TAB.
    store = Path(os.environ.get("SCENER1_STORE", "data"))
    folders = [*store.glob("*/scans/*/"), *store.glob("*/*/")]
    names = {"demo"} | {folder.name for folder in folders if folder.name != "scans"}
    return sorted(name for name in names if name.startswith(incomplete))


def runs(incomplete: str) -> list[str]:
    """Run directories in ``runs``."""
    found = sorted(str(path.parent) for path in RUNS.glob("*/run.json"))
    return [path for path in found if path.startswith(incomplete)]


def runs_and_scenes(incomplete: str) -> list[str]:
    """What ``view`` takes."""
    return runs(incomplete) + scenes(incomplete)


def configs(incomplete: str) -> list[str]:
    """Configurations that are shipped, as ``configs list`` names them."""
    return [name for name in sorted(shipped_configs()) if name.startswith(incomplete)]
