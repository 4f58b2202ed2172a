import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from scene_r1_cli.data.rooms.layout import lay_out_room
from scene_r1_cli.data.rooms.relations import Relations, outline_gap

SEEDS = range(9000, 9012)


@pytest.fixture(scope="module")
def rooms():
    return [lay_out_room(seed) for seed in SEEDS]


def test_every_room_has_enough_to_find(rooms):
    for room in rooms:
        assert 8 <= len(room.furniture) <= 25
        assert [item.object_id for item in room.objects] == list(range(len(room.objects)))
        assert {item.label for item in room.objects} >= {"door", "floor", "ceiling", "wall"}
        width, depth = room.plan.corners_m.max(axis=0) - room.plan.corners_m.min(axis=0)
        assert 3 <= min(width, depth) <= max(width, depth) <= 7


def test_several_of_a_class_so_that_language_must_choose(rooms):
    for room in rooms:
        assert max(Counter(item.label for item in room.furniture).values()) >= 2


def test_nothing_stands_outside(rooms):
    for room in rooms:
        low, high = room.plan.corners_m.min(axis=0), room.plan.corners_m.max(axis=0)
        for item in room.furniture:
            bottom, top = item.faces.bounds_m
            # Leaves of a plant may reach through a window.
            if item.label != "plant":
                assert (bottom[:2] > low - 0.06).all(), (room.seed, item.label)
                assert (top[:2] < high + 0.06).all(), (room.seed, item.label)
            assert bottom[2] > -0.01
            assert top[2] < room.plan.height_m


def test_what_stands_on_the_floor_does_not_meet(rooms):
    flat = ("rug", "picture", "whiteboard", "window", "door", "curtain")
    for room in rooms:
        relations = Relations(room)
        standing = [i.object_id for i in room.furniture if i.standing_on is None and i.label not in flat]
        for a, b in itertools.combinations(standing, 2):
            # A cell of the floor grid may be shared.
            shrunk = [_shrunk(room.objects[i]) for i in (a, b)]
            assert outline_gap(*shrunk) > 0, (room.seed, room.objects[a].label, room.objects[b].label)
        assert relations.gaps_m.shape == (len(room.furniture),) * 2


def _shrunk(item):
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (item.size_m[:2] / 2 - 0.06)
    return corners @ item.world_from_object[:2, :2].T + item.world_from_object[:2, 3]


def test_what_is_carried_lies_on_its_support(rooms):
    for room in rooms:
        for item in room.furniture:
            if item.standing_on is not None:
                support = room.objects[item.standing_on].faces.bounds_m
                bottom, _ = item.faces.bounds_m
                center = item.world_from_object[:2, 3]
                assert bottom[2] > 0.1
                assert (support[0][:2] - 0.05 < center).all()
                assert (center < support[1][:2] + 0.05).all()


def test_one_can_walk_through(rooms):
    for room in rooms:
        free = room.plan.walkable().astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
        areas = sorted(stats[1:, cv2.CC_STAT_AREA] * 0.05**2)
        assert areas[-1] > 2.0
        assert sum(areas[:-1]) < 0.3
        assert count >= 2


def test_the_same_seed_gives_the_same_room():
    one, two = lay_out_room(9001), lay_out_room(9001)
    assert len(one.objects) == len(two.objects)
    for a, b in zip(one.objects, two.objects, strict=True):
        assert a.label == b.label
        np.testing.assert_array_equal(a.faces.corners_m, b.faces.corners_m)
    assert len(lay_out_room(9002).objects) != len(one.objects) or lay_out_room(9002).theme != one.theme


def test_some_rooms_are_l_shaped():
    corners = {len(lay_out_room(seed).plan.corners_m) for seed in range(9000, 9040)}
    assert corners == {4, 6}
