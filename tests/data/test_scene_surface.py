"""A scene's surface: fused from depth, kept for the next query, or read from the data set's files."""

import json

import numpy as np
import pytest

from scene_r1_cli.config import SurfaceConfig
from scene_r1_cli.data.scene_surface import (
    fuse_scene,
    read_segmented_mesh,
    scene_surface,
    surface_source,
)
from scene_r1_cli.errors import InputError
from tests.box_world import Block, circle, make_scene

BLOCK = Block((-0.3, -0.2, 0.0), (0.3, 0.2, 0.5), (200, 60, 40))
CONFIG = SurfaceConfig(min_vertices=10)


@pytest.fixture(scope="module")
def scene():
    return make_scene([BLOCK], circle((0, 0, 0.25), 1.6, 1.2, [0, 0.4, 0.8, 1.2, 1.6, 2.0]))


def test_the_fused_surface_lies_on_what_was_seen(scene):
    surface = fuse_scene(scene, CONFIG)
    assert surface.source == "fused"
    assert len(surface.superpoints) == len(surface.vertices_world_m)
    near = (np.abs(surface.vertices_world_m[:, :2]) < (0.35, 0.25)).all(axis=1)
    inside = near & (surface.vertices_world_m[:, 2] > 0.05)
    vertices = surface.vertices_world_m[inside]
    to_faces = np.abs(np.concatenate([vertices - BLOCK.low_m, vertices - BLOCK.high_m], axis=1))
    assert len(vertices) > 200
    assert np.percentile(to_faces.min(axis=1), 95) < 0.015


def test_block_and_floor_are_different_superpoints(scene):
    surface = fuse_scene(scene, CONFIG)
    x, y, z = surface.vertices_world_m.T
    top = (np.abs(x) < 0.25) & (np.abs(y) < 0.15) & (np.abs(z - 0.5) < 0.02)
    floor = (np.abs(z) < 0.02) & ((np.abs(x) > 0.4) | (np.abs(y) > 0.3))
    assert top.any()
    assert floor.any()
    assert not set(surface.superpoints[top]) & set(surface.superpoints[floor])
    ids = np.unique(surface.superpoints)
    assert np.array_equal(ids, np.arange(len(ids)))


def test_a_fused_surface_is_kept_and_a_damaged_file_made_again(scene, tmp_path):
    first = scene_surface(scene, CONFIG, tmp_path)
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    again = scene_surface(scene, CONFIG, tmp_path)
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.vertices_world_m, again.vertices_world_m)
    np.testing.assert_array_equal(first.superpoints, again.superpoints)
    kept.write_bytes(kept.read_bytes()[:100])
    repaired = scene_surface(scene, CONFIG, tmp_path)
    np.testing.assert_array_equal(first.superpoints, repaired.superpoints)
    scene_surface(scene, CONFIG.model_copy(update={"voxel_m": 0.03}), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "another configuration is another file"


def test_switched_off_there_is_none_and_nothing_is_written(scene, tmp_path):
    assert scene_surface(scene, SurfaceConfig(use="off"), tmp_path) is None
    assert surface_source(scene, SurfaceConfig(use="off")) is None
    assert not list(tmp_path.iterdir())


def write_mesh(folder, segments):
    import open3d as o3d

    mesh = o3d.geometry.TriangleMesh.create_box()
    o3d.io.write_triangle_mesh(folder / "mesh.ply", mesh)
    (folder / "segs.json").write_text(json.dumps({"segIndices": segments}))
    return folder / "mesh.ply", folder / "segs.json"


def test_scannets_mesh_and_segments_are_read_into_the_world(tmp_path):
    shift = np.eye(4)
    shift[:3, 3] = (1, 2, 3)
    surface = read_segmented_mesh(*write_mesh(tmp_path, [7, 7, 7, 7, 30, 30, 30, 2]), shift)
    assert surface.source == "scannet"
    assert surface.superpoints.tolist() == [1, 1, 1, 1, 2, 2, 2, 0]
    np.testing.assert_allclose(surface.vertices_world_m.min(axis=0), (1, 2, 3))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda mesh, segs: segs.write_text('{"segIndices": [1, 2]}'), "2 segments for 8 vertices"),
        (lambda mesh, segs: segs.write_text("{"), "damaged"),
        (lambda mesh, segs: mesh.write_text("ply\n"), "damaged or empty"),
    ],
)
def test_damaged_files_are_named(tmp_path, damage, message):
    mesh, segments = write_mesh(tmp_path, [0] * 8)
    damage(mesh, segments)
    with pytest.raises(InputError, match=message):
        read_segmented_mesh(mesh, segments, np.eye(4))
