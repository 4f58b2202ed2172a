"""Questions with answers: ScanQA, SQA3D, VSI-Bench."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scene_r1_cli.data.annotations import Annotation, read_json, read_text
from scene_r1_cli.errors import InputError

Parser = Callable[[Any], Annotation | None]
Found = tuple[str, Parser, Sequence[Any]]

_VSI_FIELDS = {"scene_name", "question_type", "question", "ground_truth"}


def scanqa_row(row: dict[str, Any]) -> Annotation:
    """A row of ``ScanQA_v1.0_*.json``; a test split has no answers and no objects."""
    return Annotation(
        scene_id=str(row["scene_id"]),
        query_id=str(row["question_id"]),
        text=_question(row["question"]),
        object_ids=tuple(int(item) for item in row.get("object_ids") or ()),
        answers=tuple(str(answer) for answer in row.get("answers") or ()),
    )


def of_sqa3d(path: Path, data: dict[str, Any]) -> Found:
    """SQA3D's questions, joined with the annotations file beside them on ``question_id``.

    Raises:
        InputError: The annotations file cannot be read.
    """
    beside = path.with_name(path.name.replace("_questions_", "_sqa_annotations_"))
    if beside == path:
        raise InputError(
            f"{path} has SQA3D's questions, but not its name.",
            "Keep v1_balanced_questions_…json and v1_balanced_sqa_annotations_…json side by side.",
        )
    answers: dict[Any, Any] = {}
    if beside.is_file():
        try:
            answers = {row["question_id"]: row for row in read_json(beside)["annotations"]}
        except (KeyError, TypeError) as error:
            raise InputError(f"{beside} is no annotations file of SQA3D.") from error
    return "sqa3d", partial(_sqa3d_row, answers=answers), data["questions"]


def _sqa3d_row(row: dict[str, Any], answers: dict[Any, Any]) -> Annotation:
    found = answers.get(row["question_id"], {})
    question = _question(row["question"])
    return Annotation(
        scene_id=str(row["scene_id"]),
        query_id=str(row["question_id"]),
        text=f"{row['situation'].strip()} {question}",
        object_ids=(),
        answers=tuple(str(item["answer"]) for item in found.get("answers", ())),
        kind=str(found.get("question_type", "")),
        extra={"question": question, "situation": row["situation"].strip()},
    )


def of_table(path: Path) -> Found:
    """VSI-Bench as JSON lines or Parquet. Raises InputError when it is something else."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path} is no readable Parquet file: {error}.") from error
    else:
        try:
            rows = [json.loads(line) for line in read_text(path).split("\n") if line.strip()]
        except ValueError as error:
            raise InputError(f"{path} has a line that is no JSON: {error}.") from error
    if not rows:
        raise InputError(f"The annotation file {path} is empty: it has no row.")
    if not isinstance(rows[0], dict) or not rows[0].keys() >= _VSI_FIELDS:
        raise InputError(f"{path} is no VSI-Bench file; it needs {', '.join(sorted(_VSI_FIELDS))}.")
    return "vsibench", vsibench_row, rows


def vsibench_row(row: dict[str, Any]) -> Annotation:
    """A row of VSI-Bench; ``answers`` is its one ``ground_truth``, options stand behind the question."""
    options = [str(option) for option in row.get("options") or ()]
    text = _question(row["question"])
    return Annotation(
        scene_id=str(row["scene_name"]),
        query_id=str(row["id"]),
        text=text + ("\nOptions:\n" + "\n".join(options) if options else ""),
        object_ids=(),
        answers=(str(row["ground_truth"]),),
        kind=str(row["question_type"]),
        extra={"options": options, "dataset": str(row.get("dataset", ""))},
    )


def _question(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("its question is empty")
    return value.strip()
