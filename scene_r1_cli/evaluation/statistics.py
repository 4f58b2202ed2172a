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


def mean_of_seeds(runs: Sequence[Sequence[float]], scene_ids: Sequence[str], draws: int = DRAWS) -> Estimate:
    """Mean over the runs of one arm (its seeds) on the same queries; scenes and runs are drawn.

    Args:
        runs: For each run, one value per query.
        scene_ids: Scene of each query.
        draws: Bootstrap draws.
    """
    drawn, value = _drawn_over_seeds(runs, scene_ids, draws, 1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, len(scene_ids), (float(low), float(high)))


def difference_of_seeds(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], scene_ids: Sequence[str], draws: int = DRAWS
) -> Difference:
    """``mean(b) - mean(a)`` of two arms, each the mean over its runs, on the same queries.

    A draw takes the same scenes for both arms, so they are compared scene by scene, and runs of each arm
    anew, so an arm whose seeds differ much has a wide interval. With one run an arm has no spread of seeds.
    """
    drawn_a, value_a = _drawn_over_seeds(a, scene_ids, draws, 1)
    drawn_b, value_b = _drawn_over_seeds(b, scene_ids, draws, 2)
    drawn = drawn_b - drawn_a
    low, high = np.percentile(drawn, [2.5, 97.5])
    less, more = (np.sum(drawn <= 0) + 1) / (draws + 1), (np.sum(drawn >= 0) + 1) / (draws + 1)
    return Difference(
        value_b - value_a, len(scene_ids), (float(low), float(high)), float(min(1, 2 * min(less, more)))
    )


def _drawn_over_seeds(
    runs: Sequence[Sequence[float]], scene_ids: Sequence[str], draws: int, arm: int
) -> tuple[np.ndarray, float]:
    """(draws,) means over drawn scenes and runs, and the plain mean; scenes are drawn alike for every arm."""
    if not len(runs) or not len(scene_ids) or any(len(run) != len(scene_ids) for run in runs):
        raise ValueError("every run needs a value for every query, and there must be one of each")
    of_scene = [_per_scene(run, scene_ids) for run in runs]
    sums, counts = np.stack([pair[0] for pair in of_scene]), of_scene[0][1]
    scenes = np.random.default_rng(0).integers(0, len(counts), size=(draws, len(counts)))
    chosen = np.random.default_rng(arm).integers(0, len(runs), size=(draws, len(runs)))
    # (draws, runs, scenes): how often a draw takes a run is the same for all its scenes.
    weights = np.stack([(chosen == run).mean(axis=1) for run in range(len(runs))], axis=1)
    drawn = np.einsum("dr,rds->d", weights, sums[:, scenes]) / counts[scenes].sum(axis=1)
    return drawn, float(sums.mean(axis=0).sum() / counts.sum())
