import numpy as np
import pytest

from scene_r1_cli.data.rooms.render import DepthView
from scene_r1_cli.data.rooms.sensor import ColorSensor, DepthSensor, drift
from scene_r1_cli.data.rooms.solids import TEXTURES
from scene_r1_cli.types import Camera

CAMERA = Camera(288.9, 288.9, 159.5, 119.5, (320, 240))
RGB = np.full((2, 3), 0.6, dtype=np.float32)
TEXTURE = np.array([TEXTURES.index("plain"), TEXTURES.index("glass")], dtype=np.uint8)


def flat(depth_m: float, cos: float = 1.0, face: int = 0) -> DepthView:
    shape = (240, 320)
    return DepthView(
        np.full(shape, depth_m, np.float32),
        np.full(shape, cos, np.float32),
        np.full(shape, face, np.int32),
        np.zeros((*shape, 2), np.float32),
    )


@pytest.fixture
def sensor():
    return DepthSensor(CAMERA, RGB, TEXTURE, np.random.default_rng(0))


def test_noise_grows_with_distance(sensor):
    spread = {}
    for depth in (1.0, 2.0, 4.0):
        read = sensor.read(flat(depth)).astype(float) / 1000
        read = read[read > 0]
        assert abs(read.mean() - depth) < 0.01 * depth
        spread[depth] = read.std()
    assert 0.001 < spread[1.0] < 0.006
    assert 2 < spread[2.0] / spread[1.0] < 6
    assert 2 < spread[4.0] / spread[2.0] < 6


def test_readings_are_steps_of_disparity(sensor):
    levels = np.unique(sensor.read(flat(3.0)))
    levels = levels[levels > 0]
    # An eighth of a pixel of disparity at 3 m is about 26 mm.
    assert np.abs(np.diff(levels.astype(int)) - 26).max() <= 3


@pytest.mark.parametrize(
    ("depth", "seen"), [(0.3, False), (0.8, True), (4.5, True), (5.5, False), (np.inf, False)]
)
def test_range(sensor, depth, seen):
    share = (sensor.read(flat(depth)) > 0).mean()
    assert share > 0.85 if seen else share == 0


def test_holes(sensor):
    def holes(view):
        return (sensor.read(view) == 0).mean()

    assert holes(flat(2.0)) < 0.03
    assert holes(flat(2.0, cos=0.05)) > 0.8
    assert holes(flat(2.0, face=1)) > 0.5


def test_an_edge_has_a_shadow_on_one_side_and_ragged_outlines(sensor):
    view = flat(3.0)
    view.depth_m[:, 100:200] = 1.0
    hole = (sensor.read(view) == 0).mean(axis=0)
    # The projector's shadow: focal length x baseline x (1 / 1 m - 1 / 3 m) = 14 pixels beside one edge.
    assert hole[88:98].min() > 0.9
    assert hole[210:220].max() < 0.2
    assert hole[199:201].max() > 0.1


def test_the_same_seed_reads_the_same():
    one, two = (DepthSensor(CAMERA, RGB, TEXTURE, np.random.default_rng(4)).read(flat(2.0)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_drift_is_small_slow_and_rigid():
    errors = drift(900, 30.0, np.random.default_rng(1))
    shift = np.linalg.norm(errors[:, :3, 3], axis=1)
    cos = (np.trace(errors[:, :3, :3], axis1=1, axis2=2) - 1) / 2
    angle = np.degrees(np.arccos(np.clip(cos, -1, 1)))
    assert 0.003 < shift.mean() < 0.03
    assert 0.1 < angle.mean() < 1.0
    assert np.linalg.norm(np.diff(errors[:, :3, 3], axis=0), axis=1).max() < 0.002
    np.testing.assert_allclose(np.linalg.det(errors[:, :3, :3]), 1, atol=1e-9)


def test_color_noise_is_mild():
    rng = np.random.default_rng(2)
    camera = ColorSensor.draw(10.0, rng)
    clean = np.full((60, 80, 3), 120, dtype=np.uint8)
    seen = camera.expose(clean, 3.0, rng).astype(float)
    assert 1.0 < seen.std(axis=(0, 1)).mean() < 6.0
    assert np.abs(seen.mean(axis=(0, 1)) - 120).max() < 40
