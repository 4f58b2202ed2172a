"""Over-segmentation of a surface into superpoints: patches of one orientation and colour."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix

ALIKE = 0.1
"""One minus the cosine between two normals at which they no longer count as one surface's."""


def mesh_edges(triangles: np.ndarray) -> np.ndarray:
    """(E, 2) int64 edges of a mesh of (T, 3) triangles, each once, first < second."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.unique(np.sort(sides.astype(np.int64), axis=1), axis=0)


def smooth_normals(normals: np.ndarray, edges: np.ndarray, rounds: int) -> np.ndarray:
    """Normals averaged with their neighbours', the less the more these turn: noise goes, creases stay.

    Args:
        normals: (V, 3) unit.
        edges: (E, 2).
        rounds: How often; 0 gives the normals back.

    Returns:
        (V, 3) float64 unit; zero where a normal was zero and has no neighbour.
    """
    first, second = edges.T
    normals = normals.astype(np.float64)
    for _ in range(rounds):
        turn = 1 - np.einsum("ec,ec->e", normals[first], normals[second])
        weights = coo_matrix((np.exp(-turn / ALIKE), (first, second)), shape=2 * (len(normals),)).tocsr()
        normals = normals + weights @ normals + weights.T @ normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return normals


def edge_weights(
    vertices_m: np.ndarray, normals: np.ndarray, colors: np.ndarray, edges: np.ndarray, color_weight: float
) -> np.ndarray:
    """How different the two ends of each edge are.

    One minus the cosine between the normals, squared where the surface is convex, as ScanNet's segmentator:
    objects meet in creases and are rounded in themselves. The squared colour distance is added.

    Args:
        vertices_m: (V, 3).
        normals: (V, 3) unit, outward.
        colors: (V, 3) RGB in [0, 1].
        edges: (E, 2).
        color_weight: Weight of colour; 0 leaves it out.

    Returns:
        (E,) float64, >= 0.
    """
    first, second = edges.T
    turn = 1 - np.einsum("ec,ec->e", normals[first], normals[second], dtype=np.float64)
    turn = np.clip(turn, 0, 2)
    rise = np.einsum("ec,ec->e", normals[second], vertices_m[second] - vertices_m[first])
    paint = colors[first].astype(np.float64) - colors[second]
    return np.where(rise > 0, turn**2, turn) + color_weight * np.einsum("ec,ec->e", paint, paint)


def oversegment(
    num_nodes: int, edges: np.ndarray, weights: np.ndarray, threshold: float, min_size: int
) -> np.ndarray:
    """Segments of a graph: a part grows over an edge that is no worse than its own plus a slack.

    Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation" (IJCV 2004): the slack is
    ``threshold / size``, so a large part grows over what it is used to only.

    Args:
        num_nodes: Number of nodes.
        edges: (E, 2).
        weights: (E,).
        threshold: Slack of a single node; larger gives larger segments.
        min_size: A smaller segment is merged with the neighbour it is most like.

    Returns:
        (num_nodes,) int32 segments, numbered from 0 without gaps.
    """
    order = np.argsort(weights, kind="stable")
    # Plain lists: each step depends on the one before, and lists are quicker to index than arrays.
    firsts, seconds = edges[order, 0].tolist(), edges[order, 1].tolist()
    limits = weights[order].tolist()
    parent = list(range(num_nodes))
    size = [1] * num_nodes
    reach = [threshold] * num_nodes

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    later = []
    for first, second, limit in zip(firsts, seconds, limits, strict=True):
        a, b = root(first), root(second)
        if a == b:
            continue
        if limit > reach[a] or limit > reach[b]:
            later.append((a, b))
            continue
        if size[a] < size[b]:
            a, b = b, a
        parent[b] = a
        size[a] += size[b]
        reach[a] = limit + threshold / size[a]
    for first, second in later:
        a, b = root(first), root(second)
        if a != b and min(size[a], size[b]) < min_size:
            if size[a] < size[b]:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
    roots = np.array([root(node) for node in range(num_nodes)], dtype=np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)
