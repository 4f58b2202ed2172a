import numpy as np
import pytest

from scene_r1_cli.data.rooms.layout import lay_out_room
from scene_r1_cli.data.rooms.questions import ask_about_room, direction_of, imagine_situations
from scene_r1_cli.data.rooms.spatial_questions import ask_spatial
from scene_r1_cli.geometry.boxes import aabb_from_points

SEEDS = range(9000, 9008)

ALL_TYPES = {
    "object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation",
    "object_rel_distance", "object_rel_direction_easy", "object_rel_direction_medium",
    "object_rel_direction_hard", "route_planning", "obj_appearance_order",
}  # fmt: skip


def everything(room):
    return frozenset(item.object_id for item in room.furniture)


def boxes_of(room):
    return {item.object_id: aabb_from_points(item.faces.corners_m.reshape(-1, 3)) for item in room.furniture}


# yaw one faces, where the thing is seen from the origin, degrees to turn (+ is left)
TURNS = [
    (0, (1, 0), 0),
    (0, (0, 1), 90),
    (0, (0, -1), -90),
    (0, (-1, 0), 180),
    (90, (1, 0), -90),
    (180, (-1, 1), -45),
]


@pytest.mark.parametrize(("yaw_deg", "point", "degrees"), TURNS)
def test_directions(yaw_deg, point, degrees):
    turned = direction_of(np.zeros(3), np.deg2rad(yaw_deg), np.array([*point, 0.5]))
    assert turned == pytest.approx(degrees, abs=1e-6)


def test_questions_of_a_small_room(furnish):
    room = furnish(
        ("bed", "blue", 3.0, 1.7, 0.0, 0.0, None),
        ("lamp", "red", 5.5, 5.5, 0.0, 0.0, None),
        ("lamp", "green", 1.0, 5.5, 0.0, 0.0, None),
        ("pillow", "yellow", 3.0, 1.2, 0.0, 0.5, 0),
    )
    answers = {question.text: question.answers for question in ask_about_room(room, everything(room))}
    assert answers["What color is the bed?"] == ("blue",)
    assert answers["What is on the bed?"] == ("pillow", "cushion")
    counts = [answers.get(f"How many lamps are {where}?") for where in ("there", "in the room")]
    assert ("2", "two") in counts
    for text, places in answers.items():
        if text in ("Where is the pillow?", "Where is the cushion?"):
            assert "on the bed" in places or "on the blue bed" in places


def test_what_the_video_does_not_show_is_not_asked_about():
    room = lay_out_room(9002)
    visible = frozenset(sorted(everything(room))[:6])
    for question in ask_about_room(room, visible):
        assert set(question.object_ids) <= visible
    for situation in imagine_situations(room, visible):
        for question in situation.questions:
            assert set(question.object_ids) <= visible


def test_counts_are_right():
    for seed in SEEDS:
        room = lay_out_room(seed)
        for question in ask_about_room(room, everything(room)):
            if question.kind == "number":
                label = room.objects[question.object_ids[0]].label
                assert question.answers[0] == str(sum(item.label == label for item in room.furniture))


def test_situated_answers_agree_with_the_direction():
    checked = 0
    for seed in SEEDS:
        room = lay_out_room(seed)
        for situation in imagine_situations(room, everything(room)):
            for question in situation.questions:
                if question.kind == "which":
                    item = room.objects[question.object_ids[0]]
                    middle = np.mean(item.faces.bounds_m, axis=0)
                    turn = direction_of(situation.position_m, situation.yaw_rad, middle)
                    wanted = {"forward": 0, "left": 90, "right": -90, "backward": 180}[question.answers[0]]
                    assert abs((turn - wanted + 180) % 360 - 180) < 36
                    checked += 1
    assert checked > 5


@pytest.fixture(scope="module")
def spatial():
    rows = []
    for seed in SEEDS:
        room = lay_out_room(seed)
        first_seen = {item.object_id: 3.0 * item.object_id for item in room.furniture}
        rows.append((room, ask_spatial(room, boxes_of(room), first_seen)))
    return rows


def test_all_ten_types_occur(spatial):
    assert {question.question_type for _, rows in spatial for question in rows} == ALL_TYPES


def test_options_and_truths_have_the_benchmarks_form(spatial):
    for _, rows in spatial:
        for question in rows:
            if question.options is None:
                assert float(question.truth) > 0
            else:
                letters = [option.split(". ")[0] for option in question.options]
                assert letters == list("ABCD"[: len(letters)])
                assert question.truth in letters
                assert len({option[3:] for option in question.options}) == len(letters)


def test_truths_are_those_of_the_boxes(spatial):
    for room, rows in spatial:
        boxes = boxes_of(room)
        by_label = {item.label: item.object_id for item in room.furniture}
        for question in rows:
            if question.question_type == "object_size_estimation":
                label = question.question.split(" of the ")[-1].split(", measured")[0]
                longest = boxes[by_label[label]].size_m.max() * 100
                assert abs(float(question.truth) - longest) <= 0.5
            if question.question_type == "room_size_estimation":
                assert float(question.truth) == pytest.approx(room.plan.area_m2, abs=0.06)
            if question.question_type == "obj_appearance_order":
                assert question.options is not None
                chosen = next(o for o in question.options if o.startswith(question.truth))[3:].split(", ")
                ids = [by_label[label] for label in chosen]
                assert ids == sorted(ids)  # in this test objects appear in order of their ids
