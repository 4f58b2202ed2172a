"""Sentences that point at objects: ScanRefer, Nr3D and Sr3D (ReferIt3D), Multi3DRefer."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scene_r1_cli.data.annotations import Annotation
from scene_r1_cli.errors import InputError

Parser = Callable[[Any], Annotation | None]
Found = tuple[str, Parser, Sequence[Any]]

_CSV_COLUMNS = ("scan_id", "target_id", "utterance")


def of_json(first: dict[str, Any], rows: Sequence[Any]) -> Found:
    """Which of the JSON sets this is."""
    if "object_ids" in first:
        return "multi3drefer", multi3drefer_row, rows
    return "scanrefer", scanrefer_row, rows


def of_csv(path: Path, text: str) -> Found:
    """Nr3D or Sr3D. Raises InputError when columns are missing."""
    try:
        reader = csv.DictReader(io.StringIO(text))
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}.") from error
    missing = [name for name in _CSV_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)} of Nr3D and Sr3D.")
    is_sr3d = "coarse_reference_type" in (reader.fieldnames or ()) or "sr3d" in path.name.lower()
    name = "sr3d" if is_sr3d else "nr3d"
    return name, referit3d_row, [row | {"row_number": number} for number, row in enumerate(rows)]


def scanrefer_row(row: dict[str, Any]) -> Annotation:
    """A row of ``ScanRefer_filtered_*.json``."""
    object_id = int(row["object_id"])
    return Annotation(
        scene_id=_name(row["scene_id"]),
        query_id=f"{object_id}_{row['ann_id']}",
        text=_text(row["description"]),
        object_ids=(_not_negative(object_id),),
        extra={"object_name": str(row.get("object_name", "")), "ann_id": str(row["ann_id"])},
    )


def multi3drefer_row(row: dict[str, Any]) -> Annotation:
    """A row of ``multi3drefer_*.json``; no object, one, or several."""
    object_ids = tuple(_not_negative(int(item)) for item in row["object_ids"])
    about = "-".join(map(str, object_ids)) or "none"
    return Annotation(
        scene_id=_name(row["scene_id"]),
        query_id=f"{about}_{row['ann_id']}",
        text=_text(row["description"]),
        object_ids=object_ids,
        kind=str(row.get("eval_type", "")),
        extra={"object_name": str(row.get("object_name", "")), "ann_id": str(row["ann_id"])},
    )


def referit3d_row(row: dict[str, Any]) -> Annotation:
    """A row of ``nr3d.csv`` or ``sr3d.csv``."""
    target = int(row["target_id"])
    number = row.get("assignmentid") or row["row_number"]
    stimulus = row.get("stimulus_id") or ""
    tokens = ast.literal_eval(row["tokens"]) if row.get("tokens") else []
    return Annotation(
        scene_id=_name(row["scan_id"]),
        query_id=f"{target}_{number}",
        text=_text(row["utterance"]),
        object_ids=(_not_negative(target),),
        extra={
            "stimulus_id": stimulus,
            "tokens": [str(token) for token in tokens],
            "instance_type": row.get("instance_type") or "",
            "mentions_target_class": row.get("mentions_target_class") or "",
            "correct_guess": row.get("correct_guess") or "",
        },
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("its sentence is empty")
    return value.strip()


def _name(value: object) -> str:
    if not isinstance(value, str) or not value or "/" in value or value.startswith("."):
        raise ValueError(f"{value!r} is no scene id")
    return value


def _not_negative(object_id: int) -> int:
    if object_id < 0:
        raise ValueError(f"{object_id} is no object id")
    return object_id
