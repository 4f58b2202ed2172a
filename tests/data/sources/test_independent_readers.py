"""What we write and read agrees with scenezoo, an independent reader of ScanNet."""

import json
from typing import Any

import numpy as np
import pytest
import scenezoo

from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.rooms import RoomOptions, make_room
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.scannet_objects import object_truths
from scene_r1_cli.errors import InputError

SMALL = RoomOptions(duration_s=6, fps=1, color_size_wh=(96, 72), depth_size_wh=(64, 48))


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return make_room(8000, tmp_path_factory.mktemp("rooms"), SMALL).path


def test_frames_agree(room):
    scene = open_scene(room)
    dataset: Any = scenezoo.get_dataset("scannet", room.parent.parent)
    batch = dataset.get_frames(
        room.name, items=("rgb", "depth", "world_to_camera", "rgb_intrinsics", "depth_intrinsics")
    )
    assert batch.indices.tolist() == scene.frame_indices.tolist()
    for row, index in enumerate(scene.frame_indices):
        # Two JPEG decoders may round differently.
        difference = batch.rgb[row].astype(int) - scene.read_color(index)
        assert np.abs(difference).max() <= 4
        np.testing.assert_allclose(batch.depth[row], scene.read_depth(index), atol=1e-6)
        scan_from_camera = np.linalg.inv(batch.world_to_camera[row].astype(np.float64))
        np.testing.assert_allclose(scan_from_camera, scene.frame(index).scan_from_camera, atol=1e-5)
    np.testing.assert_allclose(batch.rgb_intrinsics[0], scene.color_camera.matrix, rtol=1e-5)
    np.testing.assert_allclose(batch.depth_intrinsics[0], scene.depth_camera.matrix, rtol=1e-5)


def test_true_boxes_of_the_mesh_are_those_of_the_labels(room):
    truths = object_truths(room)
    labels = [label for label in read_labels(room / "labels" / "rooms.parquet") if label.box3d is not None]
    assert labels
    for label in labels:
        assert label.object_id is not None
        truth = truths[label.object_id].box3d
        np.testing.assert_allclose(truth.center_m, label.box3d.center_m, atol=1e-4)
        np.testing.assert_allclose(truth.size_m, label.box3d.size_m, atol=1e-4)


@pytest.mark.parametrize("fault", ["missing", "damaged"])
def test_annotation_faults_are_told(room, tmp_path, fault):
    import shutil

    copy = tmp_path / room.name
    shutil.copytree(room, copy)
    aggregation = copy / f"{room.name}.aggregation.json"
    if fault == "missing":
        aggregation.unlink()
    else:
        aggregation.write_text(json.dumps({"segGroups": [{"label": "chair"}]}))
    with pytest.raises(InputError, match=r"aggregation\.json"):
        object_truths(copy)
