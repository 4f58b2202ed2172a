import numpy as np
import pytest

from scene_r1_cli.data.supervision import (
    KEYFRAME_GAP_S,
    MAX_KEYFRAMES,
    ObjectView,
    find_visibility,
    object_views,
    without_specks,
)
from scene_r1_cli.types import Camera

CAMERA = Camera(100, 100, 49.5, 49.5, (100, 100))
WH = (100, 100)


def view(index: int, surface: float = 1.0, area: int = 400, cut: bool = False) -> ObjectView:
    return ObjectView(index, area, (10, 10, 30, 30), surface, cut)


def times(count: int, period: float = 0.5) -> dict[int, float]:
    return {index: index * period for index in range(count)}


def test_a_speck_goes_and_a_large_second_part_stays():
    mask = np.zeros((50, 50), dtype=bool)
    mask[5:25, 5:25] = True
    mask[30:40, 30:40] = True
    mask[45, 45] = True
    kept = without_specks(mask)
    assert not kept[45, 45]
    assert kept.sum() == 400 + 100


def test_views_of_an_instance_map():
    instances = np.zeros((100, 100), dtype=np.uint8)
    instances[20:40, 30:50] = 3
    instances[90, 90] = 3
    instances[60:70, 0:10] = 5
    depth = np.full((50, 50), 2.0, dtype=np.float32)
    views = object_views(instances, depth, CAMERA, 7)
    assert sorted(views) == [2, 4]
    assert views[2].box_xyxy_px == (29.5, 19.5, 49.5, 39.5)
    assert views[2].area_px == 400
    # 400 pixels at 2 m with a focal length of 100 pixels: 0.4 m x 0.4 m.
    assert views[2].surface_m2 == pytest.approx(0.16)
    assert not views[2].is_cut
    assert views[4].is_cut
    assert views[2].frame_index == 7


def test_left_out_objects_and_objects_without_depth():
    instances = np.zeros((100, 100), dtype=np.uint8)
    instances[20:40, 30:50] = 3
    instances[60:70, 0:10] = 5
    depth = np.ones((100, 100), dtype=np.float32)
    depth[60:70, 0:10] = 0
    assert object_views(instances, depth, CAMERA, 0, left_out=frozenset({2})) == {}


# frames that show the object (period 0.5 s) -> runs
RUNS = [
    ([2, 3, 4], [(1.0, 2.5)]),
    ([0, 1, 2, 9, 10, 11], [(0.0, 1.5), (4.5, 6.0)]),
    # one missing frame is a gap of 0.5 s, which does not end a run; two do
    ([0, 1, 3, 4], [(0.0, 2.5)]),
    ([0, 1, 4, 5], [(0.0, 1.0), (2.0, 3.0)]),
]


@pytest.mark.parametrize(("frames", "runs"), RUNS)
def test_runs(frames, runs):
    seen = find_visibility([view(index) for index in frames], times(20), 0.5, WH)
    assert seen is not None
    assert list(seen.runs_s) == runs


def test_glimpses_do_not_count_beside_longer_runs():
    period = 0.1
    frames = [2, 40, 41, 42, 43, 44, 45, 46]
    seen = find_visibility([view(index) for index in frames], times(80, period), period, WH)
    assert seen is not None
    assert [tuple(np.round(run, 6)) for run in seen.runs_s] == [(4.0, 4.7)]


def test_the_main_run_shows_most_of_the_object():
    views = [view(index, 0.4) for index in range(6)] + [view(index, 1.0) for index in range(12, 16)]
    seen = find_visibility(views, times(30), 0.5, WH)
    assert seen is not None
    assert seen.main_run == 1


def test_small_or_mostly_hidden_objects_are_not_visible():
    assert find_visibility([], times(5), 0.5, WH) is None
    assert find_visibility([view(1, area=5), view(2, area=5)], times(5), 0.5, WH) is None
    views = [view(0), view(1), view(2), view(10, surface=0.1)]
    seen = find_visibility(views, times(20), 0.5, WH)
    assert seen is not None
    assert list(seen.runs_s) == [(0.0, 1.5)]


def test_key_frames_are_the_best_ones_and_apart():
    views = [view(index, surface=0.5 + 0.02 * index) for index in range(20)]
    seen = find_visibility(views, times(20), 0.5, WH)
    assert seen is not None
    indices = [frame.frame_index for frame in seen.keyframes]
    assert indices == sorted(indices)
    assert len(indices) == MAX_KEYFRAMES
    assert 19 in indices
    assert min(np.diff(indices)) * 0.5 >= KEYFRAME_GAP_S
    # The second-best frame is the measure, so the best one is cut to 1.
    assert seen.keyframes[-1].visibility == 1.0
    assert all(0 < frame.visibility <= 1 for frame in seen.keyframes)


def test_a_whole_object_is_preferred_to_a_cut_one():
    views = [view(0, 1.0, cut=True), view(1, 0.8)]
    seen = find_visibility(views, times(4), 0.5, WH)
    assert seen is not None
    assert [frame.frame_index for frame in seen.keyframes] == [1]
