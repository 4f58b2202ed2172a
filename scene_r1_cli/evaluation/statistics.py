"""Means with honest intervals: scenes are drawn, not queries, since queries of one scene are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean.

    Attributes:
        value: The mean over queries; None without any.
        n: Queries.
        ci95: 95 % bootstrap interval over scenes; None without queries.
    """

    value: float | None
    n: int
    ci95: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """``{value, n, ci95}``, fractions."""
        return {"value": self.value, "n": self.n, "ci95": list(self.ci95) if self.ci95 else None}


@dataclass(frozen=True)
class Difference:
    """B less A on the same queries.

    Attributes:
        value: Mean difference.
        n: Queries that both have.
        ci95: 95 % bootstrap interval over scenes.
        p: Two-sided bootstrap p-value of "no difference".
    """

    value: float
    n: int
    ci95: tuple[float, float]
    p: float


def mean_by_scene(values: Sequence[float], scene_ids: Sequence[str], draws: int = DRAWS) -> Estimate:
    """Mean of values with an interval over scenes; the same for the same input."""
    if not len(values):
        return Estimate(None, 0, None)
    sums, counts = _per_scene(values, scene_ids)
    drawn = _drawn_means(sums, counts, draws)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(sums.sum() / counts.sum()), len(values), (float(low), float(high)))


def paired_difference(
    a: Sequence[float], b: Sequence[float], scene_ids: Sequence[str], draws: int = DRAWS
) -> Difference:
    """Paired bootstrap of ``mean(b) - mean(a)``.

    Raises:
        ValueError: The lengths differ, or there is nothing to compare.
    """
    if not len(a) == len(b) == len(scene_ids) or not len(a):
        raise ValueError("a paired comparison needs the same queries, and at least one")
    sums, counts = _per_scene(np.asarray(b, dtype=float) - np.asarray(a, dtype=float), scene_ids)
    drawn = _drawn_means(sums, counts, draws)
    low, high = np.percentile(drawn, [2.5, 97.5])
    # The +1 keeps p above 0: no number of draws proves impossibility.
    less, more = (np.sum(drawn <= 0) + 1) / (draws + 1), (np.sum(drawn >= 0) + 1) / (draws + 1)
    return Difference(
        float(sums.sum() / counts.sum()),
        len(a),
        (float(low), float(high)),
        float(min(1, 2 * min(less, more))),
    )


def _per_scene(
    values: Sequence[float] | np.ndarray, scene_ids: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    scene_of = np.unique(np.asarray(scene_ids), return_inverse=True)[1]
    return np.bincount(scene_of, weights=np.asarray(values, dtype=float)), np.bincount(scene_of)


def _drawn_means(sums: np.ndarray, counts: np.ndarray, draws: int) -> np.ndarray:
    chosen = np.random.default_rng(0).integers(0, len(sums), size=(draws, len(sums)))
    return sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
