"""Average precision of masks, against tables worked out by hand from the scorer's rules."""

import numpy as np
import pytest

from scene_r1_cli.evaluation.mask_ap import (
    METRICS,
    THRESHOLDS,
    Overlaps,
    average_precision,
    mean_average_precision,
    overlaps_of,
    recall,
)


def query(scores, ious, elements=1):
    return Overlaps(np.array(scores, float), np.array(ious, float).reshape(len(scores), elements))


# (queries, AP at .50, recall at .50)
TABLE = {
    "one mask on one element": ([query([0.9], [0.8])], 1.0, 1.0),
    # "above" is strict: .50 is not above .50
    "an IoU of just the threshold": ([query([0.9], [0.5])], 0.0, 0.0),
    "half of the elements found": ([query([0.9], [[0.8, 0.0]], 2)], 0.5, 0.5),
    # precision is 1/2 at recall 1 and 0 at recall 0, each weighs 1/2
    "a surer mask on nothing": ([query([0.9, 0.5], [0.0, 0.8])], 0.25, 1.0),
    # found at precision 1 before the false positive comes
    "a less sure mask on nothing": ([query([0.9, 0.5], [0.8, 0.0])], 1.0, 1.0),
    # one point of precision 1/2, and the start of the curve
    "an equally sure mask on nothing": ([query([0.7, 0.7], [0.8, 0.0])], 0.75, 1.0),
    # the surer of the two counts, wherever it stands in the file; the other is a false positive
    "an element found twice": ([query([0.4, 0.9], [0.8, 0.6])], 1.0, 1.0),
    "an element found twice, as sure": ([query([0.9, 0.9], [0.8, 0.6])], 0.75, 1.0),
    "no mask at all": ([query([], [])], 0.0, 0.0),
    "masks and no element": ([query([0.9], [], 0)], None, None),
    # a false positive of one query counts against another's mask: scores are pooled
    "two queries": ([query([0.9], [0.1]), query([0.5], [0.8])], 0.125, 0.5),
    "one query without masks": ([query([0.9], [0.8]), query([], [])], 0.5, 0.5),
    # sorted: .3 false, .5 true, .9 true -> recall 1, 1, 1/2 at precision 2/3, 1, 1
    "three masks on two elements": ([query([0.9, 0.5, 0.3], [[0.8, 0], [0, 0.7], [0, 0]], 2)], 1.0, 1.0),
    # sorted: .3 true, .5 false, .9 true -> recall 1, 1/2, 1/2, 0 at precision 2/3, 1/2, 1, 1, which weigh
    # 1/4, 1/4, 1/4, 1/4
    "a false one between": ([query([0.9, 0.5, 0.3], [[0.8, 0], [0, 0], [0, 0.7]], 2)], 0.791667, 1.0),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    queries, expected, found = TABLE[name]
    ap = average_precision(queries, 0.50)
    assert ap == (None if expected is None else pytest.approx(expected, abs=1e-6))
    assert recall(queries, 0.50) == found


def test_at_a_low_threshold_one_mask_may_match_two_elements():
    """The scorer marks an element's first mask only as taken; a second one becomes a false positive."""
    both = query([0.9, 0.8], [[0.45, 0.0], [0.3, 0.3]], 2)
    # Element 0 takes mask 0 (and mask 1 is a false positive of .8); element 1 takes mask 1 all the same.
    assert recall([both], 0.25) == 1.0
    # sorted: .8 false and true, .9 true -> recall 1, 1/2, 0 at precision 2/3, 1, 1, weighing 1/4, 1/2, 1/4
    assert average_precision([both], 0.25) == pytest.approx(2 / 3 / 4 + 3 / 4)


def test_a_false_positive_below_all_scores_takes_nothing():
    alone = query([0.9, 0.5, 0.3], [[0.8, 0], [0, 0], [0, 0.7]], 2)
    with_it = query([0.9, 0.5, 0.3, 0.0], [[0.8, 0], [0, 0], [0, 0.7], [0, 0]], 2)
    assert average_precision([with_it], 0.5) == pytest.approx(average_precision([alone], 0.5))


def test_ap_is_the_mean_over_nine_thresholds():
    assert len(THRESHOLDS) == 9
    assert THRESHOLDS[-1] == 0.90
    # .72 is above .50, .55, .60, .65 and .70
    assert mean_average_precision([query([1.0], [0.72])]) == pytest.approx(5 / 9)
    assert METRICS["recall"]([query([1.0], [0.72])]) == pytest.approx(5 / 9)
    # .95 is no threshold, and .90 itself is not passed
    assert mean_average_precision([query([1.0], [0.90])]) == pytest.approx(8 / 9)


def points(*ranges):
    return np.concatenate([np.arange(a, b) for a, b in ranges])


NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("masks", "elements", "excluded", "ious"),
    [
        ([points((0, 10))], [points((5, 15))], NOTHING, [[5 / 15]]),
        # excluded points do not count for a mask
        ([points((0, 20))], [points((0, 10))], points((10, 20)), [[1.0]]),
        # unless they are an element's own
        ([points((0, 20))], [points((0, 10))], points((5, 20)), [[1.0]]),
        # a mask of excluded points only is none
        ([points((10, 20)), points((0, 5))], [points((0, 10))], points((10, 20)), [[0.5]]),
        ([NOTHING, points((0, 5))], [points((0, 10))], NOTHING, [[0.5]]),
        # points of two elements are the later one's
        ([points((0, 10))], [points((0, 10)), points((5, 10))], NOTHING, [[0.5, 0.5]]),
        # an element without a point left is none
        ([points((0, 10))], [points((0, 10)), points((0, 10))], NOTHING, [[1.0]]),
        ([], [points((0, 10))], NOTHING, np.zeros((0, 1))),
        ([points((0, 10))], [], NOTHING, np.zeros((1, 0))),
    ],
)
def test_overlaps(masks, elements, excluded, ious):
    found = overlaps_of([(mask, 0.5) for mask in masks], elements, excluded)
    np.testing.assert_allclose(found.ious, ious)
    assert found.scores.tolist() == [0.5] * len(ious)
