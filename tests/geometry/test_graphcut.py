"""Affinity of surface samples and the minimum cut, on graphs a reader can check."""

import numpy as np
import pytest

from scene_r1_cli.geometry.graphcut import min_cut, surface_affinity

CHAIN = np.array([[0, 1], [1, 2], [2, 3]])


@pytest.mark.parametrize(
    ("links", "object_weights", "other_weights", "expected"),
    [
        # The weakest link parts what pulls one way from what pulls the other.
        ((1, 0.1, 1), (5, 0, 0, 0), (0, 0, 0, 5), (1, 1, 0, 0)),
        ((0.1, 1, 1), (5, 0, 0, 0), (0, 0, 0, 5), (1, 0, 0, 0)),
        # A pull weaker than every link is overruled.
        ((1, 1, 1), (0.5, 0, 0, 0), (0, 0, 0, 5), (0, 0, 0, 0)),
        # Nothing speaks against the object: it takes all that is linked.
        ((1, 1, 1), (5, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1)),
        ((1, 0, 1), (5, 0, 0, 0), (0, 0, 0, 0), (1, 1, 0, 0)),
        # Nothing speaks for it.
        ((1, 1, 1), (0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 0, 0)),
    ],
)
def test_min_cut(links, object_weights, other_weights, expected):
    found = min_cut(CHAIN, np.array(links), np.array(object_weights), np.array(other_weights))
    assert found.tolist() == [bool(value) for value in expected]


def test_a_graph_without_links():
    found = min_cut(np.zeros((0, 2), int), np.zeros(0), np.array([1.0, 0]), np.array([0, 1.0]))
    assert found.tolist() == [True, False]


def affinity(normal_a, normal_b, offset, color_change=0.0) -> float:
    points = np.array([[0.0, 0, 0], offset])
    normals = np.array([normal_a, normal_b], float)
    colors = np.array([[0.0, 0, 0], [color_change, 0, 0]])
    return float(surface_affinity(points, normals, colors, np.array([[0, 1]]))[0])


UP, LEFT, RIGHT = (0, 0, 1), (-1, 0, 0), (1, 0, 0)


def test_creases_part_objects_and_their_own_edges_do_not():
    flat = affinity(UP, UP, (0.1, 0, 0))
    # Over the edge of a table top, and from a floor up a box that stands on it.
    convex = affinity(UP, RIGHT, (0.07, 0, -0.07))
    concave = affinity(UP, LEFT, (0.07, 0, 0.07))
    assert flat == pytest.approx(1.0)
    assert concave < 0.05
    assert 0.5 < convex < flat


def test_colour_counts_and_an_unknown_normal_is_no_crease():
    assert affinity(UP, UP, (0.1, 0, 0), color_change=100) < 0.2
    assert affinity((0, 0, 0), LEFT, (0.07, 0, 0.07)) == pytest.approx(0.5)
    assert affinity(UP, LEFT, (0.07, 0, 0.07), color_change=255) > 0


@pytest.mark.parametrize("seed", range(20))
def test_no_split_is_cheaper(seed):
    random = np.random.default_rng(seed)
    num = 7
    pairs = np.array([(a, b) for a in range(num) for b in range(a + 1, num) if random.random() < 0.5])
    links = random.integers(1, 20, len(pairs)) / 10
    object_weights, other_weights = random.integers(0, 60, (2, num)) / 10

    def cost(is_object: np.ndarray) -> float:
        parted = is_object[pairs[:, 0]] != is_object[pairs[:, 1]]
        return links[parted].sum() + object_weights[~is_object].sum() + other_weights[is_object].sum()

    every = [np.array([number >> bit & 1 for bit in range(num)], bool) for number in range(2**num)]
    found = min_cut(pairs, links, object_weights, other_weights)
    assert cost(found) == pytest.approx(min(cost(is_object) for is_object in every))
