"""What a shell offers behind TAB: presets, scene ids, runs, configurations, sources."""

from __future__ import annotations

import os
from pathlib import Path

RUNS = Path("runs")
CONFIGS = Path(__file__).parents[1] / "configs"


def presets(incomplete: str) -> list[str]:
    """Names of presets."""
    names = sorted(path.stem for path in (CONFIGS / "ground").glob("*.yaml"))
    return [name for name in names if name.startswith(incomplete) and not name.startswith("ablation-")]


def scenes(incomplete: str) -> list[str]:
    """Scene ids of the store (``SCENER1_STORE``, else ``data``), and ``demo``."""
    store = Path(os.environ.get("SCENER1_STORE", "data"))
    folders = [*store.glob("*/scans/*/"), *store.glob("*/*/")]
    names = {"demo"} | {folder.name for folder in folders if folder.name != "scans"}
    return sorted(name for name in names if name.startswith(incomplete))


def runs(incomplete: str) -> list[str]:
    """Run directories in ``runs``."""
    found = sorted(str(path.parent) for path in RUNS.glob("*/run.json"))
    return [path for path in found if path.startswith(incomplete)]


def configs(incomplete: str) -> list[str]:
    """Configurations that are shipped, as ``configs list`` names them."""
    names = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))
    return [name for name in names if name.startswith(incomplete)]
