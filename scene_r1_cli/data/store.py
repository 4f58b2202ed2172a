"""Finds a scene by what a person types: a path, a scene id in the store, or ``demo``."""

from __future__ import annotations

import difflib
from pathlib import Path

from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.types import Scene

DEFAULT_STORE = Path("data")

CACHE_FOLDER = "derived"
"""Folder of a store for what is made once per scene and can be made again."""


def resolve_scene(name: str, store: Path, source: str | None = None) -> Scene:
    """Open the scene a person named.

    Args:
        name: Path of a capture (folder or ``.sens`` file), the id of a scene in the store, or ``demo``
            for a synthetic room.
        store: Folder searched for ids: ``<store>/<dataset>/<scene_id>`` and
            ``<store>/<dataset>/scans/<scene_id>``.
        source: Capture format, when it should not be detected.

    Raises:
        InputError: Nothing is there, or it cannot be read.
    """
    path = Path(name)
    if path.exists():
        return open_scene(path, source)
    if name == "demo":
        return demo_room(0, store)
    scenes = scenes_in_store(store)
    if name in scenes:
        return open_scene(scenes[name], source)
    close = difflib.get_close_matches(name, scenes, n=3)
    where = f"in the store {store}" if store.is_dir() else f"(there is no store at {store})"
    raise InputError(
        f"There is no file or folder {name!r}, and no scene of that id {where}.",
        f"Did you mean {', '.join(close)}?"
        if close
        else "Give the path of a capture, set --store, or try: scener1 demo",
    )


def demo_room(number: int, store: Path) -> Scene:
    """The ``number``-th held-out room (modulo the test seeds), made on first use and kept in the store."""
    # What makes rooms takes longer to load than everything else here.
    from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_room, split_seeds

    seeds = split_seeds("test")
    return open_scene(make_room(seeds[number % len(seeds)], store / "rooms", DEMO_OPTIONS).path)


def scenes_in_store(store: Path) -> dict[str, Path]:
    """Scene id to folder of every scene in the store; empty if there is no store."""
    folders = [*store.glob("*/scans/*/"), *store.glob("*/*/")]
    return {folder.name: folder for folder in folders if folder.name != "scans"}
