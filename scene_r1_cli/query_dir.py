"""One query's folder in a run directory: the only module that knows the names of its files.

Every stage artifact carries the fingerprint of what it was made from; a stage whose fingerprint matches is
loaded instead of computed again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.errors import InputError
from scene_r1_cli.files import atomic_path, write_json, write_text
from scene_r1_cli.types import PointSet

STAGE_FILES = {
    "span": "span.json",
    "box": "boxes_2d.json",
    "masks": "masks.json",
    "points": "points.ply",
    "box3d": "box3d.json",
    "answer": "answer.json",
}
_FINGERPRINT_COMMENT = "scener1 fingerprint "


def slug(text: str, max_length: int = 40) -> str:
    """A short name safe as a file name: lower-case letters, digits, ``-`` and ``_``."""
    safe = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")[:max_length].strip("-_")
    return safe or "query"


def query_id_of(text: str) -> str:
    """Id of a free-form query: readable, and different for different texts."""
    return f"{slug(text, 32)}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class QueryDir:
    """Artifacts of one query.

    Args:
        path: The folder ``queries/<scene_id>/<query_id>``; created on first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load_json(self, stage: str, stage_fingerprint: str) -> Any | None:
        """The stored data of a stage, or None if absent or made from other inputs."""
        path = self.path / STAGE_FILES[stage]
        if not path.is_file():
            return None
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{path} is not valid JSON ({error}).", "Delete it, or start again with --overwrite."
            ) from error
        return stored["data"] if stored.get("fingerprint") == stage_fingerprint else None

    def save_json(self, stage: str, stage_fingerprint: str, data: Any) -> None:
        """Store a stage's data with the fingerprint of its inputs."""
        write_json(self.path / STAGE_FILES[stage], {"fingerprint": stage_fingerprint, "data": data})

    def stored(self, stage: str) -> Any | None:
        """The stored data of a stage whatever it was made from, or None if absent."""
        path = self.path / STAGE_FILES[stage]
        return json.loads(path.read_text(encoding="utf-8"))["data"] if path.is_file() else None

    def load_points(self, stage_fingerprint: str) -> PointSet | None:
        """The stored points, or None if absent or made from other inputs."""
        from plyfile import PlyData

        path = self.points_path
        if not path.is_file():
            return None
        ply = PlyData.read(str(path))
        if f"{_FINGERPRINT_COMMENT}{stage_fingerprint}" not in ply.comments:
            return None
        vertex = ply["vertex"]
        num_views = next(int(c.split()[-1]) for c in ply.comments if c.startswith("scener1 num_views "))
        return PointSet(
            points_world_m=np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float32),
            colors_rgb=np.stack([vertex[c] for c in ("red", "green", "blue")], axis=1).astype(np.uint8),
            view_counts=np.asarray(vertex["views"], dtype=np.int32),
            num_views=num_views,
        )

    def stored_points(self, *, seen_only: bool = False) -> np.ndarray | None:
        """(N, 3) float32 stored points in world, metres, whatever they were made from; None if absent.

        Args:
            seen_only: Leave out what no view saw, such as the place where an object stands.
        """
        from plyfile import PlyData

        if not self.points_path.is_file():
            return None
        vertex = PlyData.read(str(self.points_path))["vertex"]
        points = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float32)
        return points[np.asarray(vertex["views"]) > 0] if seen_only else points

    def save_coco(self, coco: Mapping[str, Any]) -> None:
        """Store the 2D boxes as ``coco.json``."""
        write_json(self.path / "coco.json", coco)

    def save_points(self, stage_fingerprint: str, points: PointSet) -> None:
        """Store points as binary PLY (x y z, red green blue, views), which MeshLab opens."""
        from plyfile import PlyData, PlyElement

        fields = [("x", "f4"), ("y", "f4"), ("z", "f4")]
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1"), ("views", "i4")]
        vertices = np.empty(len(points.points_world_m), dtype=fields)
        for column, axis in enumerate("xyz"):
            vertices[axis] = points.points_world_m[:, column]
        for column, channel in enumerate(("red", "green", "blue")):
            vertices[channel] = points.colors_rgb[:, column]
        vertices["views"] = points.view_counts
        comments = [f"{_FINGERPRINT_COMMENT}{stage_fingerprint}", f"scener1 num_views {points.num_views}"]
        ply = PlyData([PlyElement.describe(vertices, "vertex")], comments=comments)
        with atomic_path(self.points_path) as partial:
            ply.write(str(partial))

    @property
    def points_path(self) -> Path:
        """Where ``points.ply`` is or will be."""
        return self.path / STAGE_FILES["points"]

    def save_exchanges(self, stage: str, exchanges: Sequence[Mapping[str, Any]]) -> None:
        """Store a stage's model exchanges in ``vlm.jsonl``, replacing its old ones."""
        kept = [row for row in self.read_exchanges() if row["stage"] != stage]
        rows = [json.dumps(row, allow_nan=False, ensure_ascii=False) for row in [*kept, *exchanges]]
        write_text(self.path / "vlm.jsonl", "".join(f"{row}\n" for row in rows))

    def read_exchanges(self) -> list[dict[str, Any]]:
        """All stored model exchanges in order; empty if no model was asked."""
        path = self.path / "vlm.jsonl"
        if not path.is_file():
            return []
        # Not splitlines: a text may hold U+2028, which it takes for an end of line.
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
