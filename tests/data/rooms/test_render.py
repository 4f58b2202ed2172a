import numpy as np
import pytest

from scene_r1_cli.data.rooms.mesh import MeshBuilder
from scene_r1_cli.data.rooms.render import NOTHING, RoomRenderer
from scene_r1_cli.types import Camera

CAMERA = Camera(200, 200, 99.5, 74.5, (200, 150))


def look(eye, at) -> np.ndarray:
    """world_from_camera that looks from one point to another, held upright."""
    forward = np.subtract(at, eye, dtype=float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


@pytest.fixture(scope="module")
def scene(furnish):
    """A red carton of known place in an empty room without walls."""
    room = furnish(("box", "red", 3.0, 3.0, 0.0, 0.0, None), ("cabinet", "blue", 5.0, 3.0, 0.0, 0.0, None))
    return room, RoomRenderer(room, 0.02)


def test_depth_is_along_the_axis_and_exact(scene):
    room, renderer = scene
    top = room.objects[1].size_m[2]
    pose = np.eye(4)
    pose[:3, :3] = np.diag([1, -1, -1.0])  # straight down
    pose[:3, 3] = [5.0, 3.0, 2.0]
    view = renderer.depth(CAMERA, pose)
    assert view.depth_m[75, 100] == pytest.approx(2.0 - top, abs=0.003)
    assert view.cos_incidence[75, 100] > 0.99
    assert np.isinf(view.depth_m[0, 0])
    assert view.face[0, 0] == -1


def test_color_and_instances_show_the_same(scene):
    room, renderer = scene
    pose = look([3.0, 1.0, 1.0], [3.0, 3.0, 0.2])
    view = renderer.color(CAMERA, pose)
    assert set(np.unique(view.instances)) <= {NOTHING, 1, 2}
    red = view.instances == 1
    assert 200 < red.sum() < 5000
    mean = view.rgb[red].mean(axis=0)
    assert mean[0] > 1.5 * mean[1]
    assert mean[0] > 1.5 * mean[2]
    assert room.objects[0].color == "red"


def test_both_cameras_see_the_same_surface(scene):
    _, renderer = scene
    pose = look([3.0, 1.0, 1.2], [4.0, 3.0, 0.3])
    color, depth = renderer.color(CAMERA, pose), renderer.depth(CAMERA, pose)
    np.testing.assert_array_equal(color.depth_m, depth.depth_m)
    hit = depth.face >= 0
    np.testing.assert_array_equal(renderer.face_object[depth.face[hit]] + 1, color.instances[hit])


def test_what_is_first_seen(scene):
    _, renderer = scene
    eyes = np.array([[3.0, 1.0, 0.1], [1.0, 3.0, 0.1], [3.0, 1.0, 2.5]])
    towards = np.array([[3.0, 3.0, 0.1], [5.0, 3.0, 0.1], [3.0, 3.0, 2.5]])
    np.testing.assert_array_equal(renderer.first_seen(eyes, towards), [0, 0, -1])


def test_the_mesh_is_what_was_seen(scene):
    room, renderer = scene
    builder = MeshBuilder(renderer)
    low, high = room.objects[0].faces.bounds_m
    for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        eye = [3 + 1.2 * np.cos(angle), 3 + 1.2 * np.sin(angle), 1.2]
        builder.add(renderer.depth(CAMERA, look(eye, [3, 3, 0.2])))
    mesh = builder.build()
    box = mesh.vertices_m[mesh.objects == 0]
    np.testing.assert_allclose(box.min(axis=0), low, atol=0.01)
    np.testing.assert_allclose(box.max(axis=0), high, atol=0.01)
    assert (mesh.triangles < len(mesh.vertices_m)).all()
    edges = mesh.vertices_m[mesh.triangles] - mesh.vertices_m[np.roll(mesh.triangles, 1, axis=1)]
    assert np.linalg.norm(edges, axis=2).max() < 0.05
    # Every segment lies in one object, and an object has several.
    owners = {}
    for segment, item in zip(mesh.segments.tolist(), mesh.objects.tolist(), strict=True):
        assert owners.setdefault(segment, item) == item
    assert list(owners.values()).count(0) >= 5


def test_what_no_frame_shows_is_missing(scene):
    room, renderer = scene
    builder = MeshBuilder(renderer)
    builder.add(renderer.depth(CAMERA, look([5.0, 1.0, 0.3], [5.0, 3.0, 0.3])))
    mesh = builder.build()
    back, front = (bound[1] for bound in room.objects[1].faces.bounds_m)
    seen = mesh.vertices_m[mesh.objects == 1]
    assert len(seen) > 50
    assert seen[:, 1].max() < (back + front) / 2
