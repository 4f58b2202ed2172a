"""Rigid transforms: neighbours match, inverses undo."""

import numpy as np
import pytest

from scene_r1_cli.geometry.transforms import invert, is_rigid, rotation_about_z, transform_points


def quarter_turn_and_shift() -> np.ndarray:
    matrix = rotation_about_z(np.pi / 2)
    matrix[:3, 3] = [1, 2, 3]
    return matrix


def test_transform_points_turns_then_shifts():
    moved = transform_points(quarter_turn_and_shift(), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]))
    np.testing.assert_allclose(moved, [[1, 3, 3], [0, 2, 3], [1, 2, 4]], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_points_keeps_the_dtype_and_leading_axes(dtype):
    points = np.zeros((2, 5, 3), dtype=dtype)
    moved = transform_points(quarter_turn_and_shift(), points)
    assert moved.dtype == dtype
    assert moved.shape == (2, 5, 3)


def test_invert_undoes():
    matrix = quarter_turn_and_shift()
    np.testing.assert_allclose(invert(matrix) @ matrix, np.eye(4), atol=1e-12)


def mirrored() -> np.ndarray:
    return np.diag([1.0, 1, -1, 1])


def with_entry(value: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.eye(4), True),
        (quarter_turn_and_shift(), True),
        (np.eye(4) * 2, False),
        (mirrored(), False),
        (with_entry(np.nan), False),
        (with_entry(-np.inf), False),
        (np.eye(3), False),
        (np.zeros((4, 4)), False),
    ],
)
def test_is_rigid(matrix, expected):
    assert is_rigid(matrix) is expected
