import numpy as np
import pytest

from scene_r1_cli.data.rooms.furniture import MAKERS, make_furniture
from scene_r1_cli.data.rooms.vocabulary import CLASSES, COLORS, may_be_called, may_look, plural, trait_fits

# kind -> least and greatest extent along x, y, z in metres, as in a furniture shop
SIZES = {
    "chair": ((0.38, 0.38, 0.75), (0.52, 0.55, 1.05)),
    "office chair": ((0.45, 0.45, 0.9), (0.75, 0.75, 1.3)),
    "couch": ((1.4, 0.75, 0.7), (2.5, 1.0, 0.95)),
    "bed": ((0.85, 1.95, 0.75), (1.8, 2.2, 1.15)),
    "table": ((0.85, 0.65, 0.7), (1.75, 1.25, 0.8)),
    "desk": ((1.0, 0.55, 0.7), (1.65, 0.8, 0.78)),
    "refrigerator": ((0.5, 0.5, 1.4), (0.8, 0.8, 1.9)),
    "door": ((0.8, 0.05, 1.95), (1.1, 0.12, 2.2)),
    "pillow": ((0.35, 0.3, 0.1), (0.65, 0.45, 0.16)),
    "rug": ((1.0, 0.8, 0.005), (2.3, 2.0, 0.03)),
}


def test_there_are_enough_classes_and_colors():
    assert len({make_furniture(kind, np.random.default_rng(0)).label for kind in MAKERS}) >= 14
    assert len(COLORS) == 10


@pytest.mark.parametrize("kind", MAKERS)
def test_every_piece_stands_on_the_floor_around_the_origin(kind):
    for seed in range(6):
        piece = make_furniture(kind, np.random.default_rng(seed))
        low, high = piece.faces.bounds_m
        assert piece.label in CLASSES
        assert piece.color in COLORS
        assert abs(low[2]) < 0.035  # a window's sill hangs below it
        np.testing.assert_allclose(low[:2] + high[:2], 0, atol=1e-9)
        np.testing.assert_allclose(high - low, piece.size_m)


@pytest.mark.parametrize("kind", SIZES)
def test_sizes_are_real(kind):
    sizes = np.array([make_furniture(kind, np.random.default_rng(seed)).size_m for seed in range(12)])
    least, most = SIZES[kind]
    assert (sizes >= least).all()
    assert (sizes <= most).all()
    assert len(np.unique(sizes[:, 0])) > 6


def test_a_color_can_be_asked_for():
    piece = make_furniture("chair", np.random.default_rng(1), "purple")
    assert piece.color == "purple"
    assert np.abs(piece.faces.rgb - COLORS["purple"]).max(axis=1).min() < 0.1


@pytest.mark.parametrize(
    ("label", "noun", "expected"),
    [
        ("armchair", "chair", True),
        ("office chair", "chair", True),
        ("chair", "armchair", False),
        ("couch", "sofa", True),
        ("desk", "table", True),
        ("lamp", "chair", False),
    ],
)
def test_what_people_call_things(label, noun, expected):
    assert may_be_called(label, noun) is expected


def test_colors_that_look_alike():
    assert may_look("chair", "red", "red")
    assert may_look("chair", "gray", "white")
    assert not may_look("chair", "red", "blue")
    assert may_look("plant", "green", "blue")  # nobody names a plant's colour, so it rules nothing out


@pytest.mark.parametrize(
    ("trait", "traits", "fits"),
    [
        ("round", ("rectangular",), False),
        ("round", ("round",), True),
        ("round", (), True),
        ("tall", ("small",), False),
        ("open", (), False),
    ],
)
def test_who_might_have_a_trait(trait, traits, fits):
    assert trait_fits(trait, traits) is fits


PLURALS = [("chair", "chairs"), ("box", "boxes"), ("bookshelf", "bookshelves"), ("couch", "couches")]


@pytest.mark.parametrize(("one", "many"), PLURALS)
def test_plurals(one, many):
    assert plural(one) == many
