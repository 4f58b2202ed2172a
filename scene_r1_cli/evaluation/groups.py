"""The parts of a benchmark that its authors report apart."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scene_r1_cli.data.annotations import Annotation
from scene_r1_cli.errors import InputError

SCANREFER_CLASSES = (
    "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter", "desk",
    "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub",
)  # fmt: skip
OTHERS = "others"

BY_ANNOTATED = "unique or multiple, ScanRefer's rule (annotated objects count)"
BY_ALL = "unique or multiple, all objects of the scene count"

VIEW_WORDS = frozenset(
    ["front", "behind", "back", "right", "left", "facing", "leftmost", "rightmost", "looking", "across"]
)  # of ReferIt3D's own split


def read_nyu_classes(path: Path) -> dict[str, str]:
    """``raw_category`` to ``nyu40class`` of ``scannetv2-labels.combined.tsv``. Raises InputError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return {row["raw_category"]: row["nyu40class"] for row in rows}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no label table of ScanNet: {error!r}.") from error


def scanrefer_class(object_name: str, nyu_class_of: Mapping[str, str]) -> str:
    """ScanRefer's class of an object: one of 17, or ``others``.

    The table of ScanNet spells "refridgerator", which is none of the 17: then a refrigerator is of the
    others, as in ScanRefer with that table.
    """
    found = nyu_class_of.get(object_name.replace("_", " "), "")
    return found if found in SCANREFER_CLASSES else OTHERS


def unique_or_multiple(
    rows: Sequence[Annotation], nyu_class_of: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """ScanRefer's rule: is the target the only *annotated* object of its class in its scene?

    Objects are counted over the rows given, which are those of the loaded split; objects nobody describes
    do not count, and two different kinds of "others" make each other multiple.

    Args:
        rows: All rows of the split, of ScanRefer.
        nyu_class_of: See ``read_nyu_classes``.

    Returns:
        ``unique`` or ``multiple`` by (scene_id, query_id).
    """
    objects = {
        (row.scene_id, row.object_ids[0]): scanrefer_class(str(row.extra["object_name"]), nyu_class_of)
        for row in rows
    }
    counts = Counter((scene_id, name) for (scene_id, _), name in objects.items())
    return {
        (row.scene_id, row.query_id): "unique"
        if counts[row.scene_id, objects[row.scene_id, row.object_ids[0]]] == 1
        else "multiple"
        for row in rows
    }


def unique_or_multiple_of_all(
    rows: Sequence[Annotation], nyu_class_of: Mapping[str, str], names_in: Mapping[str, Iterable[str]]
) -> dict[tuple[str, str], str]:
    """The other rule in use (VLM-Grounder's): all objects of the scene count, described or not.

    Args:
        rows: Rows of ScanRefer.
        nyu_class_of: See ``read_nyu_classes``.
        names_in: Raw names of all annotated objects of each scene.
    """
    counts = Counter(
        (scene_id, scanrefer_class(name, nyu_class_of))
        for scene_id, names in names_in.items()
        for name in names
    )
    return {
        (row.scene_id, row.query_id): "unique"
        if counts[row.scene_id, scanrefer_class(str(row.extra["object_name"]), nyu_class_of)] <= 1
        else "multiple"
        for row in rows
    }


def referit3d_groups(row: Annotation) -> dict[str, str]:
    """ReferIt3D's easy or hard, and view-dependent or -independent."""
    # scene-label-n_objects-target-distractors…; a label may hold dashes, so the count is looked for.
    parts = str(row.extra["stimulus_id"]).split("-")
    numbers = [int(part) for part in parts[1:] if part.isdecimal()]
    groups = {}
    if numbers:
        groups["difficulty"] = "easy" if numbers[0] <= 2 else "hard"
    depends = VIEW_WORDS & {str(token) for token in row.extra["tokens"]}
    groups["view"] = "dependent" if depends else "independent"
    if row.extra.get("instance_type"):
        groups["class"] = str(row.extra["instance_type"])
    if row.extra.get("correct_guess"):
        groups["a person who heard it"] = (
            "found the object" if row.extra["correct_guess"].lower() == "true" else "took another object"
        )
    return groups


def mentions_class(row: Annotation) -> bool:
    """Whether ReferIt3D's own test takes the row: its sentence names the object's class."""
    return str(row.extra.get("mentions_target_class", "")).lower() != "false"
