"""What is evaluated: queries with their truth, from rooms or from a benchmark's annotation file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from scene_r1_cli.data.annotations import Annotation, AnnotationSet, read_annotations
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.rooms import DEMO_OPTIONS, make_rooms
from scene_r1_cli.data.splits import SCANNET_SPLITS, scannet_split
from scene_r1_cli.data.store import scenes_in_store
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.evaluation.answers import scanqa_type, sqa3d_type
from scene_r1_cli.evaluation.groups import (
    BY_ALL,
    BY_ANNOTATED,
    mentions_class,
    read_nyu_classes,
    referit3d_groups,
    scanrefer_class,
    unique_or_multiple,
    unique_or_multiple_of_all,
)
from scene_r1_cli.evaluation.scene_truth import Boxes, read_gt_boxes, scannet_boxes, scannet_names
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
        boxes: True boxes of all objects by (scene_id, object_id), where a source of them is given.
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
        groups = _scanrefer_groups(annotations, nyu, scannet_names(root, [summary.scene_id]))
        # The rooms' own names are finer than ScanRefer's 17 classes.
        class_of = {row.query_id: str(row.extra["object_name"]).replace("_", " ") for row in annotations}
        for label in read_labels(summary.path / "labels" / "rooms.parquet"):
            if label.answers and "qa" in tasks:
                items.append(
                    Item(label, "qa", {"kind": label.answer_type, "set": _question_set(label.query_id)})
                )
            elif not label.answers and "ground" in tasks:
                of_row = groups[label.scene_id, label.query_id] | {"class": class_of[label.query_id]}
                items.append(Item(label, "ground", of_row))
    scenes = {summary.scene_id: summary.path for summary in summaries}
    return ItemSet("rooms", tuple(items), scenes, "the rooms' own geometry")


def annotated_items(
    benchmark: str,
    annotations: Path,
    store: Path,
    *,
    split: str = "val",
    gt_boxes: Path | None = None,
    scannet_root: Path | None = None,
) -> ItemSet:
    """Queries of a benchmark's annotation file.

    Boxes of the truth come from ``gt_boxes``, else from ``scannet_root``, else from the labels that
    preprocess made in the store; never from two of them.

    Raises:
        InputError: The file is of another benchmark, is empty, or a truth file is damaged.
        UsageError: Two sources of true boxes are given, or the split is none.
    """
    if gt_boxes and scannet_root:
        raise UsageError("--gt-boxes and --scannet-root both give true boxes.", "Give one of them.")
    found = read_annotations(annotations)
    if found.name != benchmark:
        raise InputError(
            f"{annotations} is an annotation file of {found.name}, not of {benchmark}.",
            f"Give --benchmark {found.name}, or the file of {benchmark}.",
        )
    rows, notes = _taken(found, split)
    scene_ids = {row.scene_id for row in rows}
    scenes = scenes_in_store(store)
    labels = _stored_labels(found, scenes)
    boxes: Boxes | None = None
    source = "ScanNet's annotated mesh, by preprocess (labels in the store)"
    if gt_boxes:
        boxes, source = read_gt_boxes(gt_boxes), f"--gt-boxes {gt_boxes.name}"
    elif scannet_root and benchmark not in QUESTIONS:
        boxes = scannet_boxes(scannet_root, scene_ids)
        source = f"ScanNet's annotated meshes in {scannet_root}"
    groups, told = _groups(found, rows, _label_table(annotations, scannet_root), scannet_root)
    items = []
    for row in rows:
        label = labels.get((row.scene_id, row.query_id)) or _bare_label(row)
        if boxes is not None and len(row.object_ids) == 1:
            only = row.object_ids[0]
            label = replace(label, object_id=only, box3d=boxes.get((row.scene_id, only)))
        ann_id = str(row.extra.get("ann_id", ""))
        names = (str(row.object_ids[0]), ann_id) if row.object_ids and ann_id else None
        task: Task = "qa" if benchmark in QUESTIONS else "ground"
        items.append(Item(label, task, groups.get((row.scene_id, row.query_id), {}), names, row.object_ids))
    items.sort(key=lambda item: item.label.scene_id)
    return ItemSet(benchmark, tuple(items), scenes, source, (*found.faults[:5], *notes, *told), boxes or {})


def _taken(found: AnnotationSet, split: str) -> tuple[list[Annotation], list[str]]:
    """The rows that the benchmark's own test takes, and what was left out. Raises InputError if none is."""
    rows, notes = list(found.rows), []
    if found.name in ("nr3d", "sr3d"):
        # One file holds all splits; ReferIt3D's are those of ScanNet.
        others = frozenset().union(*(scannet_split(name) for name in SCANNET_SPLITS if name != split))
        in_split = [row for row in rows if row.scene_id not in others - scannet_split(split)]
        rows = [row for row in in_split if mentions_class(row)]
        notes.append(f"of {len(found.rows)} rows {len(found.rows) - len(in_split)} are of other splits")
        if len(rows) < len(in_split):
            notes.append(
                f"{len(in_split) - len(rows)} rows whose sentence does not name the object's class are left "
                "out, as in ReferIt3D's test"
            )
    if not rows:
        raise InputError(f"{found.path} has no usable row of the split {split}.", *found.faults[:1])
    return rows, notes


def _label_table(annotations: Path, scannet_root: Path | None) -> Path | None:
    folders = [annotations.parent, *([scannet_root] if scannet_root else [])]
    return next((folder / LABEL_TABLE for folder in folders if (folder / LABEL_TABLE).is_file()), None)


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


def _groups(
    found: AnnotationSet, rows: Sequence[Annotation], table: Path | None, scannet_root: Path | None
) -> tuple[dict[tuple[str, str], dict[str, str]], list[str]]:
    """Parts of the benchmark each query belongs to, and what is not known."""
    if found.name == "scanrefer":
        if table is None:
            return {}, [
                "classes, unique and multiple are not computed: "
                f"there is no {LABEL_TABLE} beside the annotations or in --scannet-root"
            ]
        nyu = read_nyu_classes(table)
        if scannet_root is None:
            told = [f"“{BY_ALL}” is not computed: it needs --scannet-root"]
            return _scanrefer_groups(rows, nyu, None), told
        names = scannet_names(scannet_root, {row.scene_id for row in rows})
        return _scanrefer_groups(rows, nyu, names), []
    if found.name in ("nr3d", "sr3d"):
        return {(row.scene_id, row.query_id): referit3d_groups(row) for row in rows}, []
    groups = {}
    for row in rows:
        kind = row.kind
        if found.name == "sqa3d":
            kind = sqa3d_type(str(row.extra["question"]))
        elif found.name == "scanqa":
            kind = scanqa_type(row.text)
        if kind:
            groups[row.scene_id, row.query_id] = {"kind": kind}
    return groups, []


def _scanrefer_groups(
    rows: Sequence[Annotation], nyu: Mapping[str, str], names_in: Mapping[str, Sequence[str]] | None
) -> dict[tuple[str, str], dict[str, str]]:
    annotated = unique_or_multiple(rows, nyu)
    of_all = unique_or_multiple_of_all(rows, nyu, names_in) if names_in is not None else {}
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        key = (row.scene_id, row.query_id)
        groups[key] = {BY_ANNOTATED: annotated[key]}
        if names_in is not None:
            groups[key][BY_ALL] = of_all[key]
        groups[key]["class"] = scanrefer_class(str(row.extra["object_name"]), nyu)
    return groups


def _question_set(query_id: str) -> str:
    return {"ask": "scanqa", "situated": "sqa3d", "spatial": "vsibench"}[query_id.split("_")[0]]


def check_benchmark(name: str) -> None:
    """Raises UsageError for a name that is no benchmark."""
    if name not in BENCHMARKS:
        raise UsageError(f"--benchmark takes {', '.join(BENCHMARKS)}, not {name!r}.")
