"""Training and evaluation labels of a scene: one Parquet file, written by rooms and by preprocess alike."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.types import Box3D, Scene


@dataclass(frozen=True)
class KeyframeLabel:
    """Where the object is in one frame.

    Attributes:
        frame_index: Source index of the frame.
        box_xyxy_px: Edges of what is visible of the object, in the original colour image.
        visibility: How much of the object the frame shows, relative to the frame that shows most, in (0, 1].
    """

    frame_index: int
    box_xyxy_px: tuple[float, float, float, float]
    visibility: float


@dataclass(frozen=True)
class Label:
    """What is known about one query.

    Attributes:
        scene_id: Scene it is asked of.
        query_id: Unique within the scene.
        text: The sentence or question.
        object_id: The one object meant, or None for a question that is not about one object.
        runs_s: All visible runs of the object, half-open, by rising time; empty if there is no object.
        main_run: Index into ``runs_s`` of the run that shows the object best; None without runs.
        keyframes: Frames that show the object well, by rising frame index; empty if there is no object.
        answers: Accepted answers, the usual one first; empty for a query that asks for an object only.
        answer_type: Kind of question, as its benchmark names it; empty for a query without answers.
        box3d: Axis-aligned box in the world frame, for evaluation only, or None.
    """

    scene_id: str
    query_id: str
    text: str
    object_id: int | None
    runs_s: tuple[tuple[float, float], ...]
    main_run: int | None
    keyframes: tuple[KeyframeLabel, ...]
    answers: tuple[str, ...] = ()
    answer_type: str = ""
    box3d: Box3D | None = None


_COLUMNS = (
    "scene_id", "query_id", "text", "object_id", "runs_s", "main_run", "keyframes", "answers", "answer_type",
    "box3d",
)  # fmt: skip


def write_labels(path: Path, labels: Sequence[Label]) -> None:
    """Write labels to a Parquet file, which appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = pa.float64()
    schema = pa.schema(
        [
            ("scene_id", pa.string()),
            ("query_id", pa.string()),
            ("text", pa.string()),
            ("object_id", pa.int32()),
            ("runs_s", pa.list_(pa.list_(number))),
            ("main_run", pa.int32()),
            (
                "keyframes",
                pa.list_(
                    pa.struct(
                        [
                            ("frame_index", pa.int64()),
                            ("box_xyxy_px", pa.list_(number)),
                            ("visibility", number),
                        ]
                    )
                ),
            ),
            ("answers", pa.list_(pa.string())),
            ("answer_type", pa.string()),
            ("box3d", pa.struct([("center_m", pa.list_(number)), ("size_m", pa.list_(number))])),
        ]
    )
    table = pa.Table.from_pylist([_to_row(label) for label in labels], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        pq.write_table(table, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_labels(path: Path) -> list[Label]:
    """Read labels.

    Raises:
        InputError: There is no such file, it is no Parquet file, or a column is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(
            f"There is no label file {path}.", hint="Make rooms, or run preprocess with annotations."
        )
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is no readable Parquet file: {error}.") from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"The label file {path} lacks the columns {', '.join(missing)}.")
    return [_from_row(row) for row in table.to_pylist()]


def find_label(scene: Scene, text: str) -> Label | None:
    """The label of a scene that points at an object with exactly this sentence, or None."""
    folder = scene.path if scene.path.is_dir() else scene.path.parent
    for path in sorted((folder / "labels").glob("*.parquet")):
        for label in read_labels(path):
            if label.text == text and label.keyframes:
                return label
    return None


def _to_row(label: Label) -> dict[str, Any]:
    box = label.box3d
    return {
        "scene_id": label.scene_id,
        "query_id": label.query_id,
        "text": label.text,
        "object_id": label.object_id,
        "runs_s": [list(run) for run in label.runs_s],
        "main_run": label.main_run,
        "keyframes": [
            {
                "frame_index": view.frame_index,
                "box_xyxy_px": list(view.box_xyxy_px),
                "visibility": view.visibility,
            }
            for view in label.keyframes
        ],
        "answers": list(label.answers),
        "answer_type": label.answer_type,
        "box3d": None if box is None else {"center_m": box.center_m.tolist(), "size_m": box.size_m.tolist()},
    }


def _from_row(row: dict[str, Any]) -> Label:
    return Label(
        scene_id=row["scene_id"],
        query_id=row["query_id"],
        text=row["text"],
        object_id=row["object_id"],
        runs_s=tuple((run[0], run[1]) for run in row["runs_s"]),
        main_run=row["main_run"],
        keyframes=tuple(
            KeyframeLabel(view["frame_index"], _four(view["box_xyxy_px"]), view["visibility"])
            for view in row["keyframes"]
        ),
        answers=tuple(row["answers"]),
        answer_type=row["answer_type"],
        box3d=None if row["box3d"] is None else _box(row["box3d"]),
    )


def _four(values: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def _box(row: dict[str, list[float]]) -> Box3D:
    center, size = np.array(row["center_m"]), np.array(row["size_m"])
    return aabb_from_bounds(center - size / 2, center + size / 2)
