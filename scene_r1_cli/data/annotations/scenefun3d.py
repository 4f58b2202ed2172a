"""SceneFun3D's annotation of a visit: interactive elements on the laser scan, tasks, and motions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.annotations import Annotation, AnnotationSet, parsed, read_json
from scene_r1_cli.errors import InputError

NAME = "scenefun3d"
EXCLUDED = "exclude"
SEVERAL = "several"
_SAFE_ID = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True)
class Motion:
    """How an element moves.

    Attributes:
        kind: ``trans`` or ``rot``.
        direction_scan: (3,) float64, in the laser scan's frame.
        origin_index: Point of the laser scan that the axis goes through.
    """

    kind: str
    direction_scan: np.ndarray
    origin_index: int


@dataclass(frozen=True)
class Element:
    """One functional interactive element; its number among a visit's elements is its ``object_id``.

    Attributes:
        annot_id: Its id in the data set.
        affordance: Its label, such as ``hook_pull``.
        point_indices: (K >= 1,) int64 points of the laser scan.
        motion: None where it is not annotated.
    """

    annot_id: str
    affordance: str
    point_indices: np.ndarray
    motion: Motion | None


@dataclass(frozen=True)
class Visit:
    """All annotation of one visit.

    Attributes:
        visit_id: Its name.
        elements: By ``object_id``; empty where there is no annotation (test split).
        excluded: (M,) int64 points that no metric looks at.
        tasks: Its descriptions; ``object_ids`` are the elements that a task needs, ``kind`` their
            affordance or ``several``.
        is_annotated: The visit has an annotation file.
    """

    visit_id: str
    elements: tuple[Element, ...]
    excluded: np.ndarray
    tasks: AnnotationSet
    is_annotated: bool


def visits_below(root: Path) -> list[Path]:
    """Visits with descriptions: the folder itself, or those in it."""
    return [item for item in (root, *sorted(root.glob("*/"))) if _file(item, "descriptions").is_file()]


def read_visit(folder: Path, num_points: int) -> Visit:
    """Read ``<visit>_annotations.json``, ``_descriptions.json`` and ``_motions.json``.

    What cannot be used (a field is missing, an index is beyond the scan, an id is there twice or not known)
    is left out and told in ``tasks.faults``.

    Args:
        folder: The visit.
        num_points: Points of its laser scan.

    Raises:
        InputError: The descriptions are missing, or a file is no such list.
    """
    path = _file(folder, "descriptions")
    faults: list[str] = []
    annotation = _file(folder, "annotations")
    by_id: dict[str, Element] = {}
    excluded = np.zeros(0, dtype=np.int64)
    if annotation.is_file():
        motions = _motions(_file(folder, "motions"), num_points, faults)
        by_id, excluded = _elements(annotation, num_points, motions, faults)
    number_of = {annot_id: number for number, annot_id in enumerate(by_id)}
    elements = tuple(by_id.values())

    def parse(row: dict[str, Any]) -> Annotation:
        wanted = [str(item) for item in row["annot_id"]] if annotation.is_file() else []
        unknown = [item for item in wanted if item not in number_of]
        if unknown:
            raise ValueError(f"{annotation.name} has no usable element {unknown[0]}")
        if annotation.is_file() and not wanted:
            raise ValueError("it names no element")
        kinds = {by_id[item].affordance for item in wanted}
        return Annotation(
            scene_id=folder.resolve().name,
            query_id=_safe_id(row["desc_id"]),
            text=_text(row["description"]),
            object_ids=tuple(number_of[item] for item in dict.fromkeys(wanted)),
            kind=kinds.pop() if len(kinds) == 1 else SEVERAL if kinds else "",
        )

    found = parsed(NAME, path, parse, _rows(path, "descriptions"))
    tasks = AnnotationSet(NAME, path, found.rows, (*faults, *found.faults))
    return Visit(folder.resolve().name, elements, excluded, tasks, annotation.is_file())


def _elements(
    path: Path, num_points: int, motions: Mapping[str, Motion], faults: list[str]
) -> tuple[dict[str, Element], np.ndarray]:
    found: dict[str, Element] = {}
    excluded = [np.zeros(0, dtype=np.int64)]
    for told, row in _each(path, "annotations", faults):
        try:
            indices = _indices(row["indices"], num_points)
            annot_id = str(row["annot_id"])
            if row["label"] == EXCLUDED:
                excluded.append(indices)
            elif annot_id in found:
                faults.append(f"{told}: there is an element {annot_id} already")
            else:
                found[annot_id] = Element(annot_id, str(row["label"]), indices, motions.get(annot_id))
        except KeyError as error:
            faults.append(f"{told}: field {error} is missing")
        except (TypeError, ValueError, OverflowError) as error:
            faults.append(f"{told}: {error}")
    return found, np.unique(np.concatenate(excluded))


def _motions(path: Path, num_points: int, faults: list[str]) -> dict[str, Motion]:
    found: dict[str, Motion] = {}
    if not path.is_file():
        return found
    for told, row in _each(path, "motions", faults):
        try:
            kind, direction = str(row["motion_type"]), np.array(row["motion_dir"], dtype=np.float64)
            origin = _indices([row["motion_origin_idx"]], num_points)[0]
            if kind not in ("trans", "rot"):
                raise ValueError(f"motion_type is trans or rot, not {kind!r}")
            if direction.shape != (3,) or not np.isfinite(direction).all() or not direction.any():
                raise ValueError("motion_dir is no direction of three numbers")
            found.setdefault(str(row["annot_id"]), Motion(kind, direction, int(origin)))
        except KeyError as error:
            faults.append(f"{told}: field {error} is missing")
        except (TypeError, ValueError, OverflowError) as error:
            faults.append(f"{told}: {error}")
    return found


def _each(path: Path, name: str, faults: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with what to call them; one that is no object is a fault."""
    for number, row in enumerate(_rows(path, name), start=1):
        told = f"{path.name}, row {number}"
        if isinstance(row, dict):
            yield told, row
        else:
            faults.append(f"{told}: it is no object")


def _rows(path: Path, name: str) -> Sequence[Any]:
    data = read_json(path)
    rows = data.get(name) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise InputError(f"{path} has no list {name!r}.")
    return rows


def _indices(values: Any, num_points: int) -> np.ndarray:
    indices = np.asarray(values)
    if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu":
        raise ValueError("indices is no list of points")
    if indices.min() < 0 or indices.max() >= num_points:
        outside = indices.min() if indices.min() < 0 else indices.max()
        raise ValueError(f"it has a point {outside}, but the laser scan has {num_points}")
    return np.unique(indices.astype(np.int64))


def _safe_id(value: object) -> str:
    """An id that is a part of a file's name in a submission."""
    if not isinstance(value, str) or not _SAFE_ID.fullmatch(value):
        raise ValueError(f"desc_id {value!r} is not made of letters, digits and dashes")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("its description is empty")
    return value.strip()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{folder.resolve().name}_{name}.json"
