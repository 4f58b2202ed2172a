"""Time intervals: half-open ``[start_s, end_s)`` pairs in seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Interval = tuple[float, float]


def interval_iou(a_s: Interval, b_s: Interval) -> float:
    """Intersection over union of two intervals; 0 when either is empty or reversed."""
    if a_s[1] <= a_s[0] or b_s[1] <= b_s[0]:
        return 0.0
    intersection = max(0.0, min(a_s[1], b_s[1]) - max(a_s[0], b_s[0]))
    union = (a_s[1] - a_s[0]) + (b_s[1] - b_s[0]) - intersection
    return intersection / union


def union_iou(span_s: Interval, runs_s: Sequence[Interval]) -> float:
    """IoU of a span with the union of disjoint runs."""
    if span_s[1] <= span_s[0]:
        return 0.0
    intersection = sum(max(0.0, min(span_s[1], b) - max(span_s[0], a)) for a, b in runs_s)
    total = sum(max(0.0, b - a) for a, b in runs_s)
    union = (span_s[1] - span_s[0]) + total - intersection
    return intersection / union if union > 0 else 0.0


def best_run_iou(span_s: Interval, runs_s: Sequence[Interval]) -> float:
    """The span score used by reward, metric and report: IoU with the best-matching visible run.

    An object is seen in several runs; any one of them is a right answer.

    Raises:
        ValueError: There are no runs: a query without a visible run has no span score.
    """
    if not runs_s:
        raise ValueError("a span score needs at least one visible run")
    return max(interval_iou(span_s, run) for run in runs_s)


def visible_runs(
    timestamps_s: np.ndarray, visible: np.ndarray, period_s: float, max_gap_s: float = 0.0
) -> list[Interval]:
    """Runs of visible samples as ``[first, last + period)``.

    Args:
        timestamps_s: (T,) rising.
        visible: (T,) bool.
        period_s: Sample period added after the last visible sample of a run.
        max_gap_s: Runs closer than this are joined.

    Returns:
        Disjoint intervals by rising time; empty if nothing is visible.
    """
    runs: list[Interval] = []
    last_sample_s = -np.inf
    previous_visible = False
    for time_s, is_visible in zip(timestamps_s.tolist(), np.asarray(visible).tolist(), strict=True):
        if not is_visible:
            previous_visible = False
            continue
        end_s = time_s + period_s
        joins = runs and (previous_visible or time_s - (last_sample_s + period_s) <= max_gap_s)
        if joins:
            runs[-1] = (runs[-1][0], end_s)
        else:
            runs.append((time_s, end_s))
        last_sample_s = time_s
        previous_visible = True
    return runs
