"""SceneFun3D's task-driven affordance grounding: its queries, and figures of masks on the laser scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.data.annotations import Annotation
from scene_r1_cli.data.annotations.scenefun3d import Visit, read_visit, visits_below
from scene_r1_cli.data.labels import Label, read_labels
from scene_r1_cli.data.laser_scan import count_points
from scene_r1_cli.data.store import scenes_in_store
from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.element_masks import read_query
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.mask_ap import METRICS, Overlaps, overlaps_of
from scene_r1_cli.evaluation.score import Scored

DRAWS = 1000
"""Of the bootstrap over visits; AP is no mean over queries, so every draw computes it anew."""


def visit_items(root: Path, store: Path) -> ItemSet:
    """The descriptions of all visits below a root.

    A visit is looked at as it was prepared in the store, or as it lies in the root.

    Raises:
        InputError: There is none, or a visit's files are damaged.
    """
    if not root.is_dir():
        raise InputError(f"There is no folder {root}.", "Give SceneFun3D's root as --annotations.")
    folders = {folder.resolve().name: folder for folder in visits_below(root)}
    if not folders:
        raise InputError(f"{root} holds no visit with <visit>_descriptions.json.")
    prepared = scenes_in_store(store)
    items: list[Item] = []
    notes: list[str] = []
    unknown = 0
    for visit_id, folder in folders.items():
        visit = read_visit(folder, count_points(folder))
        unknown += not visit.is_annotated
        notes += visit.tasks.faults[:5]
        labels = _labels(prepared.get(visit_id))
        for row in visit.tasks.rows:
            label = labels.get(row.query_id) or _bare(row)
            groups = {"affordance": row.kind} if row.kind else {}
            # Figures are of masks; a box is not what this benchmark asks for.
            items.append(Item(replace(label, box3d=None), "ground", groups, None, row.object_ids))
    if unknown:
        notes.append(f"{unknown} visits have no annotation (test split): nothing is scored there")
    scenes = folders | {name: path for name, path in prepared.items() if name in folders}
    return ItemSet(
        "scenefun3d",
        tuple(items),
        scenes,
        "SceneFun3D's annotation of the laser scan",
        tuple(notes),
        visits=folders,
    )


def overlaps_by_query(items: ItemSet, masks: Path) -> tuple[dict[tuple[str, str], Overlaps], list[str]]:
    """Masks of a submission folder against the annotated elements.

    Returns:
        By query; one without a file has no masks, and one of a visit without annotation is not there. And one
        sentence for each query whose files are damaged, which counts as one without masks.
    """
    found: dict[tuple[str, str], Overlaps] = {}
    faults: list[str] = []
    for visit_id, folder in items.visits.items():
        of_visit = [item for item in items.items if item.label.scene_id == visit_id]
        if not of_visit:
            continue
        num_points = count_points(folder)
        visit = read_visit(folder, num_points)
        if not visit.is_annotated:
            continue
        for item in of_visit:
            try:
                predicted = read_query(masks, item.key, num_points) or []
            except InputError as error:
                faults.append(f"{error.message.rstrip('.')}; it counts as wrong")
                predicted = []
            found[item.key] = overlaps_of(predicted, _elements(visit, item), visit.excluded)
    return found, faults


def submitted(items: ItemSet, masks: Path) -> tuple[ItemSet, list[dict[str, Any]]]:
    """The queries without what a submission does not tell (when), and a row for each of its files.

    Raises:
        InputError: It has a file of none of the queries.
    """
    parts = [path.stem.partition("_") for path in sorted(masks.glob("*.txt"))]
    rows = [{"scene_id": visit_id, "query_id": query_id} for visit_id, _, query_id in parts]
    if not {item.key for item in items.items} & {(row["scene_id"], row["query_id"]) for row in rows}:
        raise InputError(f"{masks} has no <visit>_<desc>.txt of these queries.")
    bare = [replace(item, label=replace(item.label, runs_s=(), main_run=None)) for item in items.items]
    return replace(items, items=tuple(bare)), rows


def with_mask_iou(scored: Sequence[Scored], found: Mapping[tuple[str, str], Overlaps]) -> list[Scored]:
    """Scores with ``mask_iou``: of each element the best mask's IoU, in the mean."""
    return [
        replace(row, scores={**row.scores, "mask_iou": _mean_best(found[row.item.key])})
        if row.item.key in found and found[row.item.key].ious.shape[1]
        else row
        for row in scored
    ]


def add_average_precision(
    report: dict[str, Any], items: ItemSet, found: Mapping[tuple[str, str], Overlaps]
) -> None:
    """Put AP and recall into a report, over all queries and over each affordance."""
    chosen = [item for item in items.items if item.key in found]
    report["metrics"] = _figures(chosen, found) | report["metrics"]
    for part, values in report["groups"].get("affordance", {}).items():
        of_part = [item for item in chosen if item.groups.get("affordance") == part]
        report["groups"]["affordance"][part] = _figures(of_part, found) | values


def _figures(items: Sequence[Item], found: Mapping[tuple[str, str], Overlaps]) -> dict[str, Any]:
    visits: dict[str, list[Overlaps]] = {}
    for item in items:
        visits.setdefault(item.label.scene_id, []).append(found[item.key])
    return {name: _figure(metric, list(visits.values()), len(items)) for name, metric in METRICS.items()}


def _figure(
    metric: Callable[[Sequence[Overlaps]], float | None], visits: Sequence[Sequence[Overlaps]], n: int
) -> dict[str, Any]:
    """A figure with its 95 % bootstrap interval over visits; no interval for a single visit."""
    value = metric([query for visit in visits for query in visit])
    drawn: list[float] = []
    if value is not None and len(visits) > 1:
        for places in np.random.default_rng(0).integers(0, len(visits), size=(DRAWS, len(visits))):
            one = metric([query for place in places.tolist() for query in visits[place]])
            if one is not None:
                drawn.append(one)
    ci95 = [float(end) for end in np.percentile(drawn, [2.5, 97.5])] if drawn else None
    return {"value": value, "n": n, "ci95": ci95}


def _elements(visit: Visit, item: Item) -> list[np.ndarray]:
    return [visit.elements[number].point_indices for number in item.object_ids]


def _mean_best(found: Overlaps) -> float:
    return float(found.ious.max(axis=0, initial=0.0).mean())


def _labels(folder: Path | None) -> dict[str, Label]:
    path = folder / "labels" / "scenefun3d.parquet" if folder is not None else None
    return {label.query_id: label for label in read_labels(path)} if path and path.is_file() else {}


def _bare(row: Annotation) -> Label:
    only = row.object_ids[0] if len(row.object_ids) == 1 else None
    return Label(row.scene_id, row.query_id, row.text, only, (), None, ())
