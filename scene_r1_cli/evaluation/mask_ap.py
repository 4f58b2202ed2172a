"""Class-agnostic average precision of masks as SceneFun3D's scorer gives it, after ScanNet's of instances.

Masks are of points. A mask matches an element if their IoU is *above* the threshold. Elements look for a mask
in their order, masks in the order of the file: the first that matches is taken, and a further one that
matches the same element is a false positive with the lower of the two scores. The curve has one point per
distinct score and starts at precision 1 and recall 0; each precision weighs half of recall's fall around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLDS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90)
"""Of AP, written out; .95 is not among them."""


@dataclass(frozen=True)
class Overlaps:
    """One query's predicted masks against its elements.

    Attributes:
        scores: (P,) float64 confidence of the masks that have a point to score, in the order of the file.
        ious: (P, G) float64 with each element that has a point.
    """

    scores: np.ndarray
    ious: np.ndarray


def overlaps_of(
    masks: Sequence[tuple[np.ndarray, float]], elements: Sequence[np.ndarray], excluded: np.ndarray
) -> Overlaps:
    """IoU of every mask with every element.

    Args:
        masks: Point indices and confidence of each mask.
        elements: Point indices of each element; a point of two is the later one's.
        excluded: Points that count for nobody, unless they are an element's.
    """
    owner: dict[int, int] = {}
    for number, indices in enumerate(elements):
        owner.update(dict.fromkeys(indices.tolist(), number))
    points = np.array(sorted(owner), dtype=np.int64)
    owners = np.array([owner[point] for point in points.tolist()], dtype=np.int64)
    left_out = np.setdiff1d(excluded, points)
    sizes = np.bincount(owners, minlength=len(elements))
    scores, ious = [], []
    for indices, score in masks:
        kept = np.setdiff1d(indices, left_out)
        if not len(kept):
            continue
        shared = np.bincount(owners[np.isin(points, kept)], minlength=len(elements))
        scores.append(score)
        ious.append(shared / (len(kept) + sizes - shared))
    there = sizes > 0
    table = np.array(ious, dtype=np.float64).reshape(len(scores), len(elements))
    return Overlaps(np.array(scores, dtype=np.float64), table[:, there])


def average_precision(queries: Sequence[Overlaps], threshold: float) -> float | None:
    """AP over all queries together; None if none has an element."""
    if not any(query.ious.shape[1] for query in queries):
        return None
    if not any(len(query.scores) for query in queries):
        return 0.0
    outcomes = [_outcomes(query, threshold) for query in queries]
    return _area(
        np.concatenate([item[0] for item in outcomes]),
        np.concatenate([item[1] for item in outcomes]),
        sum(item[2] for item in outcomes),
    )


def mean_average_precision(queries: Sequence[Overlaps]) -> float | None:
    """Mean of AP over THRESHOLDS."""
    found = [average_precision(queries, threshold) for threshold in THRESHOLDS]
    values = [value for value in found if value is not None]
    return float(np.mean(values)) if values else None


def recall(queries: Sequence[Overlaps], threshold: float) -> float | None:
    """Share of the elements that some mask is assigned to, whatever its score; None without elements."""
    total = sum(query.ious.shape[1] for query in queries)
    if not total:
        return None
    return 1 - sum(_outcomes(query, threshold)[2] for query in queries) / total


def mean_recall(queries: Sequence[Overlaps]) -> float | None:
    """Mean of recall over THRESHOLDS."""
    found = [recall(queries, threshold) for threshold in THRESHOLDS]
    values = [value for value in found if value is not None]
    return float(np.mean(values)) if values else None


METRICS: dict[str, Callable[[Sequence[Overlaps]], float | None]] = {
    "ap": mean_average_precision,
    "ap_50": lambda queries: average_precision(queries, 0.50),
    "ap_25": lambda queries: average_precision(queries, 0.25),
    "recall": mean_recall,
    "recall_50": lambda queries: recall(queries, 0.50),
    "recall_25": lambda queries: recall(queries, 0.25),
}


def _outcomes(query: Overlaps, threshold: float) -> tuple[np.ndarray, np.ndarray, int]:
    """(K,) bool true or false positive, (K,) their scores, and how many elements nothing matched."""
    above = query.ious > threshold
    taken = np.zeros(len(query.scores), dtype=bool)
    true: list[bool] = []
    scores: list[float] = []
    missed = 0
    for element in range(above.shape[1]):
        best: float | None = None
        for mask in np.flatnonzero(above[:, element] & ~taken).tolist():
            score = float(query.scores[mask])
            if best is None:
                best = score
                taken[mask] = True
            else:
                # The scorer does not mark this mask as taken: it may still match another element.
                true.append(False)
                scores.append(min(best, score))
                best = max(best, score)
        if best is None:
            missed += 1
        else:
            true.append(True)
            scores.append(best)
    unmatched = query.scores[~above.any(axis=1)]
    true += [False] * len(unmatched)
    return np.array(true, dtype=bool), np.array([*scores, *unmatched.tolist()], dtype=np.float64), missed


def _area(true: np.ndarray, scores: np.ndarray, missed: int) -> float:
    order = np.argsort(scores, kind="stable")
    below = np.concatenate([[0], np.cumsum(true[order])])
    first = np.unique(scores[order], return_index=True)[1]
    hits = below[-1] - below[first]
    precision = np.append(hits / (len(scores) - first), 1.0)
    recalled = np.append(hits / (below[-1] + missed), 0.0)
    # Half the fall of recall to either side of each point; beyond the ends it stays as it is.
    padded = np.concatenate([recalled[:1], recalled, [0.0]])
    return float(precision @ ((padded[:-2] - padded[2:]) / 2))
