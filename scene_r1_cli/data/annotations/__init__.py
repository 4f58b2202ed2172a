"""Annotation files of the benchmarks: one reader per format, told apart by what is inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scene_r1_cli.errors import InputError


@dataclass(frozen=True)
class Annotation:
    """One sentence or question about a scene.

    Attributes:
        scene_id: The scene.
        query_id: Unique within the scene and the set.
        text: The sentence; of a situated question the situation first.
        object_ids: What it is about; empty where the set does not say, or where nothing fits (Multi3DRefer).
        answers: Accepted answers of a question.
        kind: What the set calls this kind of row (``question_type``, ``eval_type``), or empty.
        extra: Fields that its benchmark's scorer needs, as they lie in the file.
    """

    scene_id: str
    query_id: str
    text: str
    object_ids: tuple[int, ...]
    answers: tuple[str, ...] = ()
    kind: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AnnotationSet:
    """One annotation file.

    Attributes:
        name: ``scanrefer``, ``nr3d``, ``sr3d``, ``multi3drefer``, ``scanqa``, ``sqa3d``, ``vsibench`` or
            ``scenefun3d``.
        path: The file.
        rows: Usable rows, in order.
        faults: One sentence for each row that is not.
    """

    name: str
    path: Path
    rows: tuple[Annotation, ...]
    faults: tuple[str, ...]

    def by_scene(self) -> dict[str, list[Annotation]]:
        """Rows of each scene."""
        found: dict[str, list[Annotation]] = {}
        for row in self.rows:
            found.setdefault(row.scene_id, []).append(row)
        return found


KNOWN = "ScanRefer, Nr3D, Sr3D, Multi3DRefer, ScanQA, SQA3D (the questions file) and VSI-Bench"


def read_annotations(path: Path) -> AnnotationSet:
    """Read an annotation file of any known benchmark.

    A row that cannot be used (a field is missing, an id is there twice) is left out and told.

    Raises:
        InputError: The file cannot be read, or is of no known format.
    """
    from scene_r1_cli.data.annotations import questions, referring

    if path.suffix == ".csv":
        name, parse, rows = referring.of_csv(path, read_text(path))
    elif path.suffix in (".jsonl", ".parquet"):
        name, parse, rows = questions.of_table(path)
    else:
        data = read_json(path)
        if data in ([], {}):
            raise InputError(f"The annotation file {path} is empty: it has no row.")
        first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
        if isinstance(data, dict) and "questions" in data:
            name, parse, rows = questions.of_sqa3d(path, data)
        elif "description" in first:
            name, parse, rows = referring.of_json(first, list(data))
        elif {"question", "scene_id"} <= first.keys():
            name, parse, rows = "scanqa", questions.scanqa_row, list(data)
        else:
            raise InputError(f"{path} is no annotation file that scener1 knows.", f"Known are {KNOWN}.")
    return parsed(name, path, parse, rows)


def parsed(name: str, path: Path, parse: Any, rows: Sequence[Any]) -> AnnotationSet:
    """Rows as annotations; one that ``parse`` refuses, or whose id is there already, is a fault."""
    usable: list[Annotation] = []
    faults: list[str] = []
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, start=1):
        try:
            annotation = parse(row)
        except KeyError as error:
            faults.append(f"{path.name}, row {number}: field {error} is missing")
            continue
        except (TypeError, ValueError, OverflowError, AttributeError, SyntaxError) as error:
            faults.append(f"{path.name}, row {number}: {error}")
            continue
        if annotation is None:
            continue
        key = (annotation.scene_id, annotation.query_id)
        if key in seen:
            faults.append(
                f"{path.name}, row {number}: {annotation.scene_id} has a query {annotation.query_id} already"
            )
            continue
        seen.add(key)
        usable.append(annotation)
    return AnnotationSet(name, path, tuple(usable), tuple(faults))


def read_text(path: Path) -> str:
    """A UTF-8 text file. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"The annotation file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The annotation file {path} is not UTF-8 text.") from error


def read_json(path: Path) -> Any:
    """A JSON file. Raises InputError."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"The annotation file {path} is not valid JSON: {error}.") from error
