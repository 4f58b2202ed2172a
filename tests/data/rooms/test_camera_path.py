import cv2
import numpy as np
import pytest

from scene_r1_cli.data.rooms.camera_path import RATE_HZ, walk_through
from scene_r1_cli.data.rooms.floor_plan import CELL_M
from scene_r1_cli.data.rooms.layout import lay_out_room


@pytest.fixture(scope="module", params=[9000, 9003, 9010])
def walk(request):
    room = lay_out_room(request.param)
    middles = np.array([sum(item.faces.bounds_m) / 2 for item in room.objects])

    def first_seen(_, to_m):
        """Everything is visible from everywhere: no rays are needed to test how a person walks."""
        return np.array([np.argmin(np.linalg.norm(middles - point, axis=1)) for point in to_m])

    return room, walk_through(room, 60.0, first_seen), first_seen


def test_it_lasts_as_long_as_asked(walk):
    _, cameras, _ = walk
    assert len(cameras) == 60 * RATE_HZ + 1


def test_it_is_a_walk(walk):
    room, cameras, _ = walk
    speed = np.linalg.norm(np.diff(cameras[:, :3, 3], axis=0), axis=1) * RATE_HZ
    assert speed.max() < 1.5
    turned = np.einsum("nji,njk->nik", cameras[:-1, :3, :3], cameras[1:, :3, :3])
    cos = np.clip((np.trace(turned, axis1=1, axis2=2) - 1) / 2, -1, 1)
    assert np.degrees(np.arccos(cos)).max() * RATE_HZ < 150
    assert cameras[:, 2, 3].min() >= 1.2
    assert cameras[:, 2, 3].max() <= 1.7
    assert (cameras[:, :2, 3].max(axis=0) - cameras[:, :2, 3].min(axis=0)).max() > 1.0
    assert room.plan.area_m2 > 0


def test_it_keeps_off_walls_and_furniture(walk):
    room, cameras, _ = walk
    clearance = cv2.distanceTransform(1 - room.plan.blocked, cv2.DIST_L2, 5) * CELL_M
    cells = (cameras[:, :2, 3] / CELL_M).astype(int)
    assert clearance[cells[:, 1], cells[:, 0]].min() > 0.12


def test_it_is_held_upright_by_a_hand(walk):
    _, cameras, _ = walk
    rotations = cameras[:, :3, :3]
    np.testing.assert_allclose(
        np.einsum("nij,nkj->nik", rotations, rotations), np.tile(np.eye(3), (len(rotations), 1, 1)), atol=1e-9
    )
    assert (np.linalg.det(rotations) > 0).all()
    down = -cameras[:, 2, 1]  # how far the image's y axis points down in the world
    assert down.min() > 0.5
    roll = np.degrees(np.arcsin(np.clip(cameras[:, 2, 0], -1, 1)))
    assert 0.5 < roll.std() < 6
    assert np.abs(roll).max() < 15


def test_the_same_seed_walks_the_same_way(walk):
    room, cameras, first_seen = walk
    shorter = walk_through(room, 60.0, first_seen)
    np.testing.assert_array_equal(shorter, cameras)
