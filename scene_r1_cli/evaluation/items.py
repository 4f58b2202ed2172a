"""What is evaluated: queries with their truth, from rooms or from a benchmark's annotation file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from scene_r1_cli.data.annotations import Annotation, AnnotationSet, read_annotations, read_json
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_rooms
from scene_r1_cli.data.store import scenes_in_store
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.evaluation.groups import (
    read_nyu_classes,
    referit3d_groups,
    scanrefer_class,
    unique_or_multiple,
)
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.types import Box3D

Task = Literal["ground", "qa"]
GROUNDING = ("scanrefer", "nr3d", "sr3d", "multi3drefer")
QUESTIONS = ("scanqa", "sqa3d", "vsibench")
BENCHMARKS = ("rooms", *GROUNDING, *QUESTIONS, "scenefun3d")
LABEL_TABLE = "scannetv2-labels.combined.tsv"


@dataclass(frozen=True)
class Item:
    """One query with what is known of it.

    Attributes:
        label: Text and truth; its ``box3d`` is None where the truth is not known.
        task: ``ground`` or ``qa``.
        groups: Parts of the benchmark it belongs to, by kind.
        names: Ids under which a prediction may name it besides ``query_id``: (object_id, ann_id).
        object_ids: All objects meant.
    """

    label: Label
    task: Task
    groups: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, str] | None = None
    object_ids: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """(scene_id, query_id)."""
        return self.label.scene_id, self.label.query_id


@dataclass(frozen=True)
class ItemSet:
    """All queries of an evaluation.

    Attributes:
        benchmark: Its name.
        items: The queries, by scene.
        scenes: Folder of every scene that is there.
        truth_source: Where true boxes come from, for the report.
        notes: What a person should know, for the report.
        boxes: True boxes of all objects by (scene_id, object_id), where ``--gt-boxes`` gives them.
        visits: Folder of every visit with its laser scan, of SceneFun3D.
    """

    benchmark: str
    items: tuple[Item, ...]
    scenes: Mapping[str, Path]
    truth_source: str
    notes: tuple[str, ...] = ()
    boxes: Mapping[tuple[str, int], Box3D] = field(default_factory=dict)
    visits: Mapping[str, Path] = field(default_factory=dict)


def room_items(store: Path, split: str, count: int, tasks: Sequence[Task]) -> ItemSet:
    """Queries of synthetic rooms, which are made if they are not there.

    Args:
        store: Store; rooms lie in ``<store>/rooms``.
        split: ``train``, ``val`` or ``test``.
        count: How many rooms.
        tasks: What to ask.
    """
    root = store / "rooms"
    summaries = make_rooms(root, split, count, DEMO_OPTIONS)
    nyu = read_nyu_classes(root / LABEL_TABLE)
    items: list[Item] = []
    for summary in summaries:
        rows = json.loads((summary.path / "annotations" / "rooms.json").read_text(encoding="utf-8"))[
            "scanrefer"
        ]
        annotations = [
            Annotation(summary.scene_id, f"find_{number:03d}", row["description"], (int(row["object_id"]),),
                       extra={"object_name": row["object_name"]})
            for number, row in enumerate(rows)
        ]  # fmt: skip
        class_of = {row.query_id: str(row.extra["object_name"]) for row in annotations}
        kinds = unique_or_multiple(annotations, nyu)
        for label in read_labels(summary.path / "labels" / "rooms.parquet"):
            if label.answers and "qa" in tasks:
                items.append(
                    Item(label, "qa", {"kind": label.answer_type, "set": _question_set(label.query_id)})
                )
            elif not label.answers and "ground" in tasks:
                groups = {
                    "unique or multiple": kinds[label.scene_id, label.query_id],
                    "class": class_of[label.query_id].replace("_", " "),
                    "in view": _share_in_view(label),
                }
                items.append(Item(label, "ground", groups))
    scenes = {summary.scene_id: summary.path for summary in summaries}
    return ItemSet("rooms", tuple(items), scenes, "the rooms' own geometry")


def annotated_items(
    benchmark: str, annotations: Path, store: Path, gt_boxes: Path | None, label_table: Path | None
) -> ItemSet:
    """Queries of a benchmark's annotation file.

    Truth comes from labels that preprocess made in the store, or from ``gt_boxes``.

    Raises:
        InputError: The file is of another benchmark, is empty, or a truth file is damaged.
    """
    found = read_annotations(annotations)
    if found.name != benchmark:
        raise InputError(
            f"{annotations} is an annotation file of {found.name}, not of {benchmark}.",
            f"Give --benchmark {found.name}, or the file of {benchmark}.",
        )
    if not found.rows:
        raise InputError(f"{annotations} has no usable row.")
    scenes = scenes_in_store(store)
    table = label_table or annotations.parent / LABEL_TABLE
    nyu = read_nyu_classes(table) if table.is_file() else None
    groups = _groups(found, nyu)
    boxes = read_gt_boxes(gt_boxes) if gt_boxes else {}
    labels = _stored_labels(found, scenes)
    items = []
    for row in found.rows:
        label = labels.get((row.scene_id, row.query_id)) or _bare_label(row)
        if label.box3d is None and len(row.object_ids) == 1:
            label = replace(
                label, object_id=row.object_ids[0], box3d=boxes.get((row.scene_id, row.object_ids[0]))
            )
        names = (str(row.object_ids[0]), str(row.extra.get("ann_id", ""))) if row.object_ids else None
        task: Task = "qa" if benchmark in QUESTIONS else "ground"
        items.append(Item(label, task, groups.get((row.scene_id, row.query_id), {}), names, row.object_ids))
    items.sort(key=lambda item: item.label.scene_id)
    notes = [*found.faults[:5]]
    if benchmark == "scanrefer" and nyu is None:
        notes.append(
            f"unique and multiple are not computed: there is no {LABEL_TABLE} beside the annotations"
        )
    source = f"--gt-boxes {gt_boxes.name}" if gt_boxes else "ScanNet's annotated mesh, by preprocess"
    return ItemSet(benchmark, tuple(items), scenes, source, tuple(notes), boxes)


def choose(items: ItemSet, limit: int | None, scene_ids: Sequence[str], query_ids: Sequence[str]) -> ItemSet:
    """The queries of some scenes or ids; of a limit, evenly spread over all.

    Raises:
        InputError: Nothing is left.
    """
    chosen = [
        item
        for item in items.items
        if (not scene_ids or item.label.scene_id in scene_ids)
        and (not query_ids or item.label.query_id in query_ids)
    ]
    if limit is not None and limit < len(chosen):
        chosen = [chosen[int(place)] for place in np.linspace(0, len(chosen) - 1, limit).round()]
    if not chosen:
        raise InputError("No query is left to evaluate.", "Look at --scene, --query-id and --limit.")
    return replace(items, items=tuple(chosen))


def read_subset(path: Path) -> frozenset[tuple[str, ...]]:
    """Ids of a published subset: rows with scene_id (or scan_id) and query_id, or object and annotation ids.

    Raises:
        InputError: It is no such file.
    """
    import csv

    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = read_json(path)
    ids: set[tuple[str, ...]] = set()
    try:
        for row in rows:
            scene = str(row.get("scene_id") or row["scan_id"])
            if row.get("query_id"):
                ids.add((scene, str(row["query_id"])))
            else:
                target = row.get("object_id") or row["target_id"]
                ids.add((scene, str(target), str(row.get("ann_id") or "")))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no list of queries: {error!r}.") from error
    return frozenset(ids)


def in_subset(items: ItemSet, ids: frozenset[tuple[str, ...]]) -> ItemSet:
    """The queries that a subset names. Raises InputError when it names none of them."""
    chosen = tuple(
        item
        for item in items.items
        if item.key in ids or (item.names is not None and (item.label.scene_id, *item.names) in ids)
    )
    if not chosen:
        raise InputError("The subset names no query of this benchmark and split.")
    return replace(items, items=chosen)


def read_gt_boxes(path: Path) -> dict[tuple[str, int], Box3D]:
    """True boxes of ``{scene_id: {object_id: [cx, cy, cz, dx, dy, dz]}}``, world frame, full lengths.

    Raises:
        InputError: It is no such file, or a box is not finite or has a negative side.
    """
    boxes: dict[tuple[str, int], Box3D] = {}
    data = read_json(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} is no object of scenes.")
    for scene_id, objects in data.items():
        try:
            for object_id, values in objects.items():
                numbers = [float(value) for value in values]
                if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or min(numbers[3:]) < 0:
                    raise ValueError(f"object {object_id} has the box {values}")
                center, size = np.array(numbers[:3]), np.array(numbers[3:])
                boxes[scene_id, int(object_id)] = aabb_from_bounds(center - size / 2, center + size / 2)
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path}, scene {scene_id}: {error}; a box is [cx, cy, cz, dx, dy, dz], finite, full lengths."
            ) from error
    return boxes


def _stored_labels(found: AnnotationSet, scenes: Mapping[str, Path]) -> dict[tuple[str, str], Label]:
    labels: dict[tuple[str, str], Label] = {}
    for scene_id in {row.scene_id for row in found.rows} & scenes.keys():
        path = scenes[scene_id] / "labels" / f"{found.name}.parquet"
        if path.is_file():
            labels |= {(label.scene_id, label.query_id): label for label in read_labels(path)}
    return labels


def _bare_label(row: Annotation) -> Label:
    only = row.object_ids[0] if len(row.object_ids) == 1 else None
    return Label(row.scene_id, row.query_id, row.text, only, (), None, (), row.answers, row.kind)


def _groups(found: AnnotationSet, nyu: Mapping[str, str] | None) -> dict[tuple[str, str], dict[str, str]]:
    if found.name == "scanrefer" and nyu is not None:
        kinds = unique_or_multiple(found.rows, nyu)
        return {
            (row.scene_id, row.query_id): {
                "unique or multiple": kinds[row.scene_id, row.query_id],
                "class": scanrefer_class(str(row.extra["object_name"]), nyu),
            }
            for row in found.rows
        }
    if found.name in ("nr3d", "sr3d"):
        return {(row.scene_id, row.query_id): referit3d_groups(row) for row in found.rows}
    return {(row.scene_id, row.query_id): {"kind": row.kind} for row in found.rows if row.kind}


def _question_set(query_id: str) -> str:
    return {"ask": "scanqa", "situated": "sqa3d", "spatial": "vsibench"}[query_id.split("_")[0]]


def _share_in_view(label: Label) -> str:
    """How long the object is in view."""
    seconds = sum(end - start for start, end in label.runs_s)
    if seconds < 3:
        return "under 3 s"
    return "3 to 8 s" if seconds < 8 else "8 s or more"


def check_benchmark(name: str) -> None:
    """Raises UsageError for a name that is no benchmark."""
    if name not in BENCHMARKS:
        raise UsageError(f"--benchmark takes {', '.join(BENCHMARKS)}, not {name!r}.")
