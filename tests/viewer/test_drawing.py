import numpy as np
import pytest

from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.types import Camera
from scene_r1_cli.viewer import drawing

CAMERA = Camera(fx=100, fy=100, cx=49.5, cy=49.5, size_wh=(100, 100))
BLACK = np.zeros((100, 100, 3), dtype=np.uint8)


def drawn_bounds(image):
    rows, columns = np.nonzero(image.any(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_box3d_in_front_is_drawn_where_it_projects():
    # Its near face is at z = 2: x = ±0.5 projects to 49.5 ± 25.
    box = aabb_from_bounds(np.array([-0.5, -0.5, 2.0]), np.array([0.5, 0.5, 4.0]))
    x1, y1, x2, y2 = drawn_bounds(drawing.draw_box3d(BLACK, CAMERA, np.eye(4), box))
    assert np.abs(np.array([x1, y1, x2, y2]) - [24.5, 24.5, 74.5, 74.5]).max() <= 2


@pytest.mark.parametrize(
    ("low", "high", "is_drawn"),
    [
        ([-0.5, -0.5, -4.0], [0.5, 0.5, -2.0], False),  # behind the camera
        ([-0.5, -0.5, -1.0], [0.5, 0.5, 3.0], True),  # around the camera: clipped at the near plane
        ([-1e7, -1e7, 0.06], [1e7, 1e7, 2.0], False),  # edges far outside the image, no overflow
        ([50.0, 50.0, 1.0], [60.0, 60.0, 2.0], False),  # to the side
    ],
)
def test_box3d_clipping(low, high, is_drawn):
    image = drawing.draw_box3d(BLACK, CAMERA, np.eye(4), aabb_from_bounds(np.array(low), np.array(high)))
    assert image.any() == is_drawn


def test_box2d_and_mask_do_not_change_their_input():
    image = drawing.draw_box2d(BLACK, (10, 20, 30, 40))
    x1, y1, x2, y2 = drawn_bounds(image)
    assert (x1, y1, x2, y2) == pytest.approx((10, 20, 30, 40), abs=1)
    mask = np.zeros((100, 100), dtype=bool)
    mask[5:9, 6:12] = True
    np.testing.assert_array_equal(drawing.draw_mask(BLACK, mask).any(axis=2), mask)
    assert not BLACK.any()
