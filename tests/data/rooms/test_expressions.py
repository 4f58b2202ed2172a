import re

import pytest

from scene_r1_cli.data.rooms.expressions import PER_OBJECT, describe_objects
from scene_r1_cli.data.rooms.layout import lay_out_room
from scene_r1_cli.data.rooms.relations import Relations
from scene_r1_cli.data.rooms.vocabulary import CLASSES, COLORS, may_be_called, may_look

SEEDS = range(9000, 9010)


@pytest.fixture(scope="module")
def described():
    return [(room, describe_objects(room)) for room in map(lay_out_room, SEEDS)]


def test_alike_objects_are_told_apart_or_left_alone(furnish):
    room = furnish(
        ("chair", "red", 2.0, 3.0, 0.0, 0.0, None),
        ("chair", "red", 5.0, 3.0, 0.0, 0.0, None),
        ("bed", "blue", 1.6, 5.2, 3.14159, 0.0, None),
    )
    texts = {
        object_id: [e.text for e in describe_objects(room) if e.object_id == object_id]
        for object_id in range(3)
    }
    for text in texts[0] + texts[1]:
        assert re.search("bed", text), text
    assert any(re.fullmatch(r"(find )?the (blue )?bed", text) for text in texts[2])


def test_an_object_like_another_in_every_way_gets_no_sentence(furnish):
    room = furnish(("chair", "red", 2.0, 3.0, 0.0, 0.0, None), ("chair", "red", 4.0, 3.0, 0.0, 0.0, None))
    assert describe_objects(room) == []


def test_an_armchair_is_a_chair_too(furnish):
    room = furnish(("chair", "red", 2.0, 3.0, 0.0, 0.0, None), ("armchair", "red", 4.0, 3.0, 0.0, 0.0, None))
    assert all(e.object_id == 1 for e in describe_objects(room))
    assert not any(re.search(r"\bchair\b", e.text) for e in describe_objects(room))


def test_plain_sentences_fit_one_object_only(described):
    for room, expressions in described:
        for expression in expressions:
            if expression.kind not in ("class", "color"):
                continue
            item = room.objects[expression.object_id]
            words = expression.text.removeprefix("find ").removeprefix("the ")
            color = next((name for name in COLORS if words.startswith(f"{name} ")), None)
            noun = words.removeprefix(f"{color} ")
            assert noun in CLASSES[item.label].nouns
            assert color in (None, item.color)
            fits = [
                other.object_id
                for other in room.furniture
                if may_be_called(other.label, noun)
                and (color is None or may_look(other.label, other.color, color))
            ]
            assert fits == [item.object_id], (room.seed, expression.text)


def test_relations_hold(described):
    for room, expressions in described:
        relations = Relations(room)
        for expression in expressions:
            target, anchors = expression.object_id, expression.anchors
            if expression.kind == "on":
                assert room.objects[target].standing_on == anchors[0]
            if expression.kind == "next_to":
                assert relations.gaps_m[target, anchors[0]] < 0.5
            if expression.kind == "between":
                first, second = anchors
                reach = relations.gaps_m[first, second] + 1.5
                assert relations.gaps_m[target, first] < reach
                assert relations.gaps_m[target, second] < reach
            if expression.kind == "side":
                right = relations.side_of(target, *anchors) > 0
                assert ("right" in expression.text) is right
            assert target not in anchors


def test_every_kind_of_relation_occurs(described):
    kinds = {expression.kind for _, expressions in described for expression in expressions}
    assert kinds >= {"class", "color", "next_to", "closest", "farthest", "between", "on", "side", "size"}


def test_most_objects_are_described_and_no_text_twice(described):
    for room, expressions in described:
        assert len({e.object_id for e in expressions}) > 0.8 * len(room.furniture)
        assert len({e.text for e in expressions}) == len(expressions)
        for item in room.furniture:
            assert sum(e.object_id == item.object_id for e in expressions) <= PER_OBJECT


def test_the_same_room_is_described_the_same_way():
    room = lay_out_room(9001)
    assert describe_objects(room) == describe_objects(room)
