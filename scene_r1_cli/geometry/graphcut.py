"""Splitting a surface into object and surroundings by a minimum cut."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

SCALE = 10_000
"""Capacities of the flow are integers: weights are rounded to 1 / SCALE."""

MAX_WEIGHT = 1e4
"""Larger weights are cut to this, which stands for "never"."""

SETTLE_ROUNDS = 6
"""How often nodes that need no flow are sought; each round leaves fewer."""


def surface_affinity(
    points_m: np.ndarray, normals: np.ndarray, colors_rgb: np.ndarray, pairs: np.ndarray
) -> np.ndarray:
    """How surely two neighbouring surface samples belong to one object.

    Objects meet what carries them in a concave crease, while their own edges are mostly convex (Stein et
    al., "Object Partitioning using Local Convexity", CVPR 2014). So a concave turn of the normals costs most,
    a convex one little, and a change of colour something.

    Args:
        points_m: (V, 3).
        normals: (V, 3) unit, zero where unknown.
        colors_rgb: (V, 3), 0 to 255.
        pairs: (E, 2) neighbouring samples.

    Returns:
        (E,) float64 in (0, 1].
    """
    first, second = pairs[:, 0], pairs[:, 1]
    between = points_m[first] - points_m[second]
    distance = np.maximum(np.linalg.norm(between, axis=1), 1e-6)
    turn = np.einsum("ec,ec->e", normals[first] - normals[second], between) / distance
    known = normals[first].any(axis=1) & normals[second].any(axis=1)
    concave = np.where(known, np.clip(-turn, 0, None), 0)
    convex = np.where(known, np.clip(turn, 0, None), 0)
    change = np.linalg.norm(colors_rgb[first] - colors_rgb[second], axis=1)
    affinity = np.exp(-((concave / 0.25) ** 2) - (convex / 2.0) ** 2 - (change / 60.0) ** 2)
    affinity = np.where(known, affinity, 0.5 * affinity)
    return np.maximum(affinity, 0.01)


def min_cut(
    pairs: np.ndarray, pair_weights: np.ndarray, object_weights: np.ndarray, other_weights: np.ndarray
) -> np.ndarray:
    """The cheapest split of a graph in two (Boykov and Jolly, ICCV 2001).

    Args:
        pairs: (E, 2) neighbours, each pair once.
        pair_weights: (E,) cost of parting them.
        object_weights: (V,) cost of calling a node "other".
        other_weights: (V,) cost of calling it "object".

    Returns:
        (V,) bool, True for the object: the nodes reachable from the source in the residual graph, so a part
        that nothing speaks for stays out.
    """
    found, free, pairs, pair_weights, object_weights, other_weights = _settle(
        pairs, pair_weights, object_weights, other_weights
    )
    if free.any():
        number = np.cumsum(free) - 1
        found[free] = _cut(number[pairs], pair_weights, object_weights[free], other_weights[free])
    return found


def _settle(
    pairs: np.ndarray, pair_weights: np.ndarray, object_weights: np.ndarray, other_weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Decide nodes whose own pull is stronger than all their links, which any cheapest cut does too.

    Returns:
        (V,) bool, decided for the object; (V,) bool, still free; then the links among free nodes and the
        weights of all nodes, with those of links to decided nodes added.
    """
    num = len(object_weights)
    wanted, other = object_weights.astype(np.float64), other_weights.astype(np.float64)
    found, free = np.zeros(num, dtype=bool), np.ones(num, dtype=bool)
    for _ in range(SETTLE_ROUNDS):
        first, second = pairs[:, 0], pairs[:, 1]
        held = np.bincount(first, pair_weights, num) + np.bincount(second, pair_weights, num)
        outer, inner = free & (other - wanted >= held), free & (wanted - other > held)
        if not (outer | inner).any():
            break
        for decided, pull in ((outer, other), (inner, wanted)):
            for near, far in ((first, second), (second, first)):
                at = decided[near]
                pull += np.bincount(far[at], pair_weights[at], num)
        found |= inner
        free &= ~(outer | inner)
        left = free[first] & free[second]
        pairs, pair_weights = pairs[left], pair_weights[left]
    return found, free, pairs, pair_weights, wanted, other


def _cut(
    pairs: np.ndarray, pair_weights: np.ndarray, object_weights: np.ndarray, other_weights: np.ndarray
) -> np.ndarray:
    """``min_cut`` by maximum flow."""
    num = len(object_weights)
    source, sink = num, num + 1
    nodes = np.arange(num)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], np.full(num, source), nodes])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], nodes, np.full(num, sink)])
    weights = np.concatenate([pair_weights, pair_weights, object_weights, other_weights])
    capacity = np.rint(np.minimum(weights, MAX_WEIGHT) * SCALE).astype(np.int32)
    present = capacity > 0
    graph = coo_matrix(
        (capacity[present], (rows[present], columns[present])), shape=(num + 2, num + 2)
    ).tocsr()
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data[residual.data < 0] = 0
    residual.eliminate_zeros()
    reached = np.zeros(num + 2, dtype=bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[:num]
