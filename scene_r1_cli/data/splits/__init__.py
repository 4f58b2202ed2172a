"""Official splits: names of scenes, one a line."""

from __future__ import annotations

from importlib import resources

from scene_r1_cli.errors import UsageError

SCANNET_SPLITS = ("train", "val", "test")


def scannet_split(split: str) -> frozenset[str]:
    """Scene ids of a split of ScanNet v2 (1,201 train, 312 val, 100 test). Raises UsageError."""
    if split not in SCANNET_SPLITS:
        raise UsageError(f"--split takes {', '.join(SCANNET_SPLITS)}, not {split!r}.")
    text = resources.files(__package__ or "").joinpath(f"scannet_{split}.txt").read_text(encoding="utf-8")
    return frozenset(text.split())
