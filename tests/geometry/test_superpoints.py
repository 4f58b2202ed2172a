import numpy as np
import pytest

from scene_r1_cli.geometry.superpoints import edge_weights, mesh_edges, oversegment, smooth_normals


def sheet(width: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) vertices of a flat sheet at z = 0, 1 cm apart, and its (T, 3) triangles."""
    rows, columns = np.mgrid[:depth, :width]
    vertices = np.stack([columns, rows, np.zeros_like(rows)], axis=-1).reshape(-1, 3) / 100
    corner = (np.arange(depth - 1)[:, None] * width + np.arange(width - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + width], axis=1)
    upper = np.stack([corner + 1, corner + width + 1, corner + width], axis=1)
    return vertices, np.concatenate([lower, upper])


def test_every_edge_comes_once():
    edges = mesh_edges(np.array([[0, 1, 2], [2, 1, 3]]))
    assert edges.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]


def test_a_crease_weighs_more_where_it_is_concave():
    normals = np.array([[0.0, 0, 1], [1.0, 0, 1], [-1.0, 0, 1]])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    grey = np.zeros((3, 3))
    convex, concave = edge_weights(vertices, normals, grey, np.array([[0, 1], [0, 2]]), 0.0)
    turn = 1 - np.cos(np.pi / 4)
    assert convex == pytest.approx(turn**2)
    assert concave == pytest.approx(turn)


def test_colour_counts_by_its_weight():
    colors = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    flat = np.array([[0.0, 0, 1], [0, 0, 1]])
    edges = np.array([[0, 1]])
    assert edge_weights(np.eye(3)[:2], flat, colors, edges, 2.0) == pytest.approx([0.5])
    assert edge_weights(np.eye(3)[:2], flat, colors, edges, 0.0) == pytest.approx([0.0])


def test_a_coloured_patch_of_a_sheet_is_a_segment_of_its_own():
    vertices, triangles = sheet(30, 20)
    patch = (vertices[:, 0] >= 0.1) & (vertices[:, 0] < 0.2) & (vertices[:, 1] < 0.1)
    colors = np.where(patch[:, None], (0.8, 0.1, 0.1), (0.5, 0.5, 0.5))
    edges = mesh_edges(triangles)
    normals = np.tile((0.0, 0.0, 1.0), (len(vertices), 1))
    weights = edge_weights(vertices, normals, colors, edges, 1.0)
    segments = oversegment(len(vertices), edges, weights, 0.01, 5)
    assert segments.max() == 1
    assert len(np.unique(segments[patch])) == 1
    assert len(np.unique(segments[~patch])) == 1


def test_without_edges_every_node_is_a_segment():
    assert oversegment(3, np.zeros((0, 2), np.int64), np.zeros(0), 1.0, 10).tolist() == [0, 1, 2]


def test_small_segments_join_the_neighbour_they_are_most_like():
    # 0-1-2 and 4-5-6 are alike within; 3 is unlike both, less so the second.
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]])
    weights = np.array([0.0, 0.0, 5.0, 4.0, 0.0, 0.0])
    assert oversegment(7, edges, weights, 0.1, 1).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert oversegment(7, edges, weights, 0.1, 2).tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_order_of_edges_does_not_matter_where_weights_differ():
    rng = np.random.default_rng(0)
    edges = np.unique(np.sort(rng.integers(0, 60, (200, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    weights = rng.permutation(len(edges)) / len(edges)
    segments = oversegment(60, edges, weights, 0.2, 3)
    shuffled = rng.permutation(len(edges))
    again = oversegment(60, edges[shuffled], weights[shuffled], 0.2, 3)
    assert np.array_equal(segments, again)


def test_smoothing_takes_the_noise_and_leaves_the_crease():
    _, triangles = sheet(40, 20)
    edges = mesh_edges(triangles)
    left = np.tile(np.arange(40) < 20, 20)
    true = np.where(left[:, None], (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    noisy = true + np.random.default_rng(0).normal(0, 0.1, true.shape)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    smooth = smooth_normals(noisy, edges, 3)
    np.testing.assert_allclose(np.linalg.norm(smooth, axis=1), 1)
    cosine_before, cosine = (np.einsum("vc,vc->v", normals, true) for normals in (noisy, smooth))
    assert (1 - cosine).mean() < 0.3 * (1 - cosine_before).mean()
    beside = np.tile(np.isin(np.arange(40), [19, 20]), 20)
    assert cosine[beside].min() > 0.95
    np.testing.assert_array_equal(smooth_normals(noisy, edges, 0), noisy)


def test_a_vertex_without_direction_or_neighbour_stays_without():
    assert not smooth_normals(np.zeros((2, 3)), np.zeros((0, 2), np.int64), 2).any()
