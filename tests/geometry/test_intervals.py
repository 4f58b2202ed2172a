"""Span scores as tables; seconds."""

import numpy as np
import pytest

from scene_r1_cli.geometry.intervals import best_run_iou, interval_iou, union_iou, visible_runs


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 10), (0, 10), 1.0),
        ((0, 10), (5, 15), 1 / 3),
        ((0, 10), (10, 20), 0.0),
        ((0, 10), (2, 4), 0.2),
        ((3, 9), (3, 6), 0.5),
        ((5, 5), (0, 10), 0.0),
        ((5, 5), (5, 5), 0.0),
        ((9, 3), (3, 9), 0.0),
    ],
)
def test_interval_iou(a, b, expected):
    assert interval_iou(a, b) == pytest.approx(expected)
    assert interval_iou(b, a) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("span", "runs", "best", "union"),
    [
        ((0, 4), [(0, 4)], 1.0, 1.0),
        # Exactly one of two runs: right by the run score, half by the union.
        ((0, 4), [(0, 4), (10, 14)], 1.0, 0.5),
        ((0, 14), [(0, 4), (10, 14)], 4 / 14, 8 / 14),
        ((20, 30), [(0, 4), (10, 14)], 0.0, 0.0),
        ((4, 4), [(0, 4)], 0.0, 0.0),
    ],
)
def test_run_scores(span, runs, best, union):
    assert best_run_iou(span, runs) == pytest.approx(best)
    assert union_iou(span, runs) == pytest.approx(union)


def test_a_query_without_runs_has_no_score():
    with pytest.raises(ValueError, match="at least one"):
        best_run_iou((0, 1), [])
    assert union_iou((0, 1), []) == 0.0


@pytest.mark.parametrize(
    ("visible", "max_gap", "expected"),
    [
        ([0, 0, 0, 0], 0, []),
        ([1, 0, 0, 0], 0, [(0, 1)]),
        ([1, 1, 0, 1], 0, [(0, 2), (3, 4)]),
        ([1, 1, 0, 1], 1, [(0, 4)]),
        ([1, 0, 0, 1], 1, [(0, 1), (3, 4)]),
        ([0, 1, 1, 1], 0, [(1, 4)]),
    ],
)
def test_visible_runs_end_one_period_after_the_last_sample(visible, max_gap, expected):
    assert visible_runs(np.arange(4.0), np.array(visible, bool), 1.0, max_gap) == expected


def test_a_pause_in_sampling_does_not_end_a_run():
    times = np.array([0.0, 1.0, 5.0, 6.0])
    assert visible_runs(times, np.ones(4, bool), 1.0) == [(0.0, 7.0)]
