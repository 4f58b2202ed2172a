import numpy as np
import pytest

from scene_r1_cli.data.rooms.relations import Relations, outline_gap


def square(x: float, y: float, half: float = 0.5, turn_deg: float = 0.0) -> np.ndarray:
    corners = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    turn = np.deg2rad(turn_deg)
    return corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, y]


GAPS = [
    (square(0, 0), square(3, 0), 2.0),
    (square(0, 0), square(3, 3), np.hypot(2, 2)),
    (square(0, 0), square(0.8, 0), 0.0),
    (square(0, 0), square(0, 0, half=0.1), 0.0),  # one inside the other
    (square(0, 0), square(3, 0, turn_deg=45), 2.5 - np.hypot(0.5, 0.5)),
    (square(0, 0), np.array([[0.0, 2.0]]), 1.5),
    (square(0, 0), np.array([[0.1, 0.1]]), 0.0),
]


@pytest.mark.parametrize(("a", "b", "gap"), GAPS)
def test_gap_between_outlines(a, b, gap):
    assert outline_gap(a, b) == pytest.approx(gap, abs=1e-9)
    assert outline_gap(b, a) == pytest.approx(gap, abs=1e-9)


@pytest.fixture(scope="module")
def relations(furnish):
    """A desk at the wall y = 0.5 that faces +y, chairs and boxes around it."""
    return Relations(
        furnish(
            ("desk", "brown", 3.0, 0.9, 0.0, 0.0, None),
            ("chair", "red", 1.9, 0.9, 0.0, 0.0, None),
            ("chair", "blue", 4.1, 0.9, 0.0, 0.0, None),
            ("monitor", "black", 3.0, 0.8, 0.0, 0.76, 0),
            ("picture", "red", 3.0, 0.52, 0.0, 1.4, None),
            ("stool", "green", 3.0, 3.5, 0.0, 0.0, None),
            ("box", "white", 6.2, 6.2, 0.0, 0.0, None),
        )
    )


DESK, RED, BLUE, MONITOR, PICTURE, STOOL, BOX = range(7)


def test_next_to_is_at_one_height_and_not_on(relations):
    assert relations.next_to(RED, DESK)
    assert relations.next_to(BLUE, DESK)
    assert not relations.next_to(MONITOR, DESK)
    assert not relations.next_to(PICTURE, DESK)
    assert not relations.maybe_next_to(STOOL, DESK)


def test_on_and_above(relations):
    assert relations.on(MONITOR, DESK)
    assert not relations.on(RED, DESK)
    assert relations.above(PICTURE, DESK)
    assert not relations.above(PICTURE, STOOL)
    assert not relations.above(RED, DESK)


def test_closer_needs_a_margin(relations):
    assert relations.closer(STOOL, BOX, DESK)
    assert not relations.closer(BOX, STOOL, DESK)
    assert not relations.closer(RED, BLUE, DESK)


def test_between(relations):
    assert relations.between(DESK, RED, BLUE)
    assert not relations.between(RED, DESK, BLUE)
    assert not relations.maybe_between(STOOL, RED, BLUE)


def test_sides_are_those_of_someone_who_faces_the_object(relations):
    # Whoever faces the desk looks along -y, so +x is on the left.
    assert relations.side_of(BLUE, DESK, DESK) < 0 < relations.side_of(RED, DESK, DESK)
    assert relations.beside(BLUE, DESK, DESK, right=False)
    assert relations.beside(RED, DESK, DESK, right=True)
    assert not relations.beside(RED, DESK, DESK, right=False)
    assert not relations.maybe_beside(RED, DESK, DESK, right=False)


def test_corners(relations):
    assert relations.corner_distance(BOX) < 0.2
    assert relations.corner_distance(STOOL) > 1.5
