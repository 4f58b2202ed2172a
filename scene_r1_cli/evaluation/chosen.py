"""Which of a benchmark's queries are taken: a published subset, some scenes or ids, a limit."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scene_r1_cli.data.annotations import read_json
from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.items import ItemSet

SubsetKey = tuple[str, ...]


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


def read_subset(path: Path) -> frozenset[SubsetKey]:
    """What a published list of queries names, one row a query.

    A row has ``scene_id`` (or ``scan_id``) and one of: ``query_id``; ``object_id`` (or ``target_id``) and
    ``ann_id``; ``object_id`` and the sentence (``utterance``, ``description`` or ``text``), which is how
    lists in ReferIt3D's columns name their rows.

    Raises:
        InputError: It is no such file.
    """
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        else:
            rows = read_json(path)
        return frozenset(_subset_key(row) for row in rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The list of queries {path} cannot be read: {error}.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no list of queries: {error!r}.",
            "A row needs scene_id and query_id; or object_id and ann_id; or object_id and utterance.",
        ) from error


def in_subset(items: ItemSet, keys: frozenset[SubsetKey]) -> ItemSet:
    """The queries that a subset names; it is told how many of them are not there.

    Raises:
        InputError: It names none of them.
    """
    chosen, found = [], set()
    for item in items.items:
        scene_id, label = item.label.scene_id, item.label
        names: list[SubsetKey] = [("id", scene_id, label.query_id)]
        if item.names is not None:
            names.append(("ann", scene_id, *item.names))
        names += [("text", scene_id, str(number), words(label.text)) for number in item.object_ids]
        named = keys.intersection(names)
        if named:
            chosen.append(item)
            found |= named
    if not chosen:
        raise InputError("The subset names no query of this benchmark and split.")
    notes = items.notes
    if found != keys:
        notes = (*notes, f"{len(keys - found)} of the subset's {len(keys)} rows name no query that is here")
    return replace(items, items=tuple(chosen), notes=notes)


def words(text: str) -> str:
    """A sentence as its words: published lists differ in case, spaces and punctuation."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _subset_key(row: dict[str, str]) -> SubsetKey:
    scene = str(row.get("scene_id") or row["scan_id"])
    if row.get("query_id"):
        return "id", scene, str(row["query_id"])
    target = str(row["object_id"] if row.get("object_id") is not None else row["target_id"])
    if row.get("ann_id"):
        return "ann", scene, target, str(row["ann_id"])
    text = row.get("utterance") or row.get("description") or row.get("text")
    if not text:
        raise KeyError("ann_id or utterance")
    return "text", scene, target, words(text)
