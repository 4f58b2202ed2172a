import numpy as np
import pytest

from scene_r1_cli.data.rooms.solids import Material, SolidBuilder, face_normals, join_faces, rotation

GRAY = Material((0.5, 0.5, 0.5))


def volume(corners: np.ndarray) -> float:
    """Of a closed surface with outward faces."""
    a, b, c, d = (corners[:, i] for i in range(4))
    return float(sum(np.einsum("ij,ij->i", a, np.cross(p, q)).sum() for p, q in ((b, c), (c, d))) / 6)


def box(builder):
    builder.box((1, 2, 3), (1, 2, 3), GRAY, rotation(0.3, 0.2, 0.1))


def cylinder(builder):
    builder.cylinder((1, 0, 0), 0.5, 2.0, GRAY, sides=48)


def cone(builder):
    builder.cylinder((0, 0, 0), 1.0, 3.0, GRAY, top_radius_m=0.0, sides=96)


def ball(builder):
    builder.ellipsoid((0, 0, 1), (1, 1, 1), GRAY, sides=48, rings=24)


@pytest.mark.parametrize(
    ("add", "expected"),
    [(box, 6.0), (cylinder, np.pi * 0.25 * 2), (cone, np.pi), (ball, 4 / 3 * np.pi)],
)
def test_solids_are_closed_and_face_outwards(add, expected):
    builder = SolidBuilder()
    add(builder)
    assert volume(builder.build().corners_m) == pytest.approx(expected, rel=0.015)


def test_normals_of_a_block():
    builder = SolidBuilder()
    builder.block((0, 1), (0, 1), (0, 1), GRAY)
    faces = builder.build()
    away = faces.corners_m.mean(axis=1) - 0.5
    np.testing.assert_allclose(face_normals(faces.corners_m), away * 2, atol=1e-12)


def test_joined_faces_share_no_patch():
    one, two = SolidBuilder(), SolidBuilder()
    one.cylinder((0, 0, 0), 1, 1, GRAY)
    two.block((0, 1), (0, 1), (0, 1), GRAY)
    joined = join_faces([one.build(), two.build()])
    assert not set(joined.patch[: len(one.build())]) & set(joined.patch[len(one.build()) :])
    assert len(joined) == len(one.build()) + 6
