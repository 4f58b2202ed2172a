"""A mesh's over-segmentation, as ScanNet or a prepared scene stores it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def read_segments(path: Path) -> np.ndarray:
    """(V,) int64 segment of every vertex. Raises the errors of its reader."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False).astype(np.int64)
    return np.asarray(json.loads(path.read_bytes())["segIndices"], dtype=np.int64)
