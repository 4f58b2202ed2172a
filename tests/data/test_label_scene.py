"""Annotations joined with what the video shows, against a room's own truth."""

import io
import zipfile

import cv2
import numpy as np
import pytest

from scene_r1_cli.data.annotations import Annotation
from scene_r1_cli.data.capture import capture_of
from scene_r1_cli.data.instance_maps import MAX_PICTURE_BYTES, InstancePictures
from scene_r1_cli.data.label_scene import label_scene
from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.prepare import prepare_scene
from scene_r1_cli.data.rooms import RoomOptions, make_room, split_seeds
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.preprocess_config import FramesConfig, LabelsConfig


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    options = RoomOptions(fps=4, duration_s=20, color_size_wh=(320, 240), depth_size_wh=(160, 120))
    return make_room(split_seeds("val")[1], tmp_path_factory.mktemp("rooms"), options).path


@pytest.fixture(scope="module")
def prepared(room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / room.name
    prepare_scene(capture_of(room, "scannet"), folder, FramesConfig(fps=2))
    return folder


def ask(room, *object_ids, answers=(), number=0):
    return Annotation(room.name, f"q{number}", "the thing", tuple(object_ids), answers)


def own_labels(room):
    return {
        int(label.object_id or 0): label
        for label in read_labels(room / "labels" / "rooms.parquet")
        if not label.answers
    }


@pytest.mark.parametrize("instances", ["images", "mesh"])
def test_labels_agree_with_the_rooms_own(room, prepared, instances):
    truth = own_labels(room)
    rows = [ask(room, object_id, number=object_id) for object_id in truth]
    counts = label_scene(room, prepared, {"test": rows}, LabelsConfig(instances=instances), instances)
    labels = {int(label.object_id or 0): label for label in read_labels(prepared / "labels" / "test.parquet")}
    assert counts["test"]["queries"] == len(labels) >= 0.9 * len(truth)
    ious = [best_run_iou(item.runs_s[item.main_run or 0], truth[i].runs_s) for i, item in labels.items()]
    assert np.mean(ious) > 0.8
    boxes = [
        box2d_iou(view.box_xyxy_px, other.box_xyxy_px)
        for i, label in labels.items()
        for view in label.keyframes
        for other in truth[i].keyframes
        if view.frame_index == other.frame_index
    ]
    assert len(boxes) > 5
    assert np.mean(boxes) > 0.9
    for i, label in labels.items():
        np.testing.assert_allclose(label.box3d.size_m, truth[i].box3d.size_m, atol=1e-6)


def test_key_frames_are_frames_that_were_kept(room, prepared):
    from scene_r1_cli.data.sources import open_scene

    label_scene(
        room, prepared, {"kept": [ask(room, i, number=i) for i in own_labels(room)]}, LabelsConfig(), "k"
    )
    kept = set(open_scene(prepared).frame_indices.tolist())
    shown = {
        v.frame_index for label in read_labels(prepared / "labels/kept.parquet") for v in label.keyframes
    }
    assert shown
    assert shown <= kept


def test_several_objects_none_and_unknown_ones(room, prepared, caplog):
    first, second = list(own_labels(room))[:2]
    rows = [
        ask(room, first, second, number=1),
        ask(room, number=2),
        ask(room, 240, number=3),
        ask(room, answers=("yes",), number=4),
    ]
    with caplog.at_level("WARNING"):
        counts = label_scene(room, prepared, {"several": rows}, LabelsConfig(), "several")["several"]
    assert f"{room.name}, query q3: object 240 is not in the scene's annotation" in caplog.text
    both, none, question = read_labels(prepared / "labels" / "several.parquet")
    assert counts == {"queries": 3, "unknown object": 1}
    assert both.object_id is None
    assert both.keyframes == ()
    assert both.runs_s[0][0] == min(own_labels(room)[i].runs_s[0][0] for i in (first, second)) or both.runs_s
    assert all(a[1] < b[0] for a, b in zip(both.runs_s, both.runs_s[1:], strict=False))
    assert none.runs_s == ()
    assert none.main_run is None
    assert question.answers == ("yes",)


def test_labels_that_are_there_are_kept_until_something_changes(room, prepared):
    rows = [ask(room, next(iter(own_labels(room))))]
    label_scene(room, prepared, {"again": rows}, LabelsConfig(), "a")
    path = prepared / "labels" / "again.parquet"
    before = path.stat().st_mtime_ns
    label_scene(room, prepared, {"again": rows}, LabelsConfig(), "a")
    assert path.stat().st_mtime_ns == before
    label_scene(room, prepared, {"again": rows}, LabelsConfig(), "b")
    assert path.stat().st_mtime_ns > before


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_bad_pictures_are_told_one_by_one(tmp_path):
    good = np.full((4, 6), 3, np.uint8)
    path = write_zip(
        tmp_path / "a.zip",
        {
            "instance-filt/0.png": png(good),
            "instance-filt/1.png": png(np.zeros((5, 5), np.uint8)),
            "instance-filt/2.png": b"no picture",
            "../../3.png": png(good),
            "instance-filt/readme.txt": b"hello",
        },
    )
    pictures = InstancePictures(path, (6, 4))
    np.testing.assert_array_equal(pictures.read(0), good)
    for index, why in ((1, "5×5"), (2, "not a readable image"), (9, "no picture of this frame")):
        with pytest.raises(InputError, match=why):
            pictures.read(index)
    # A member that names another folder is a picture like any other: nothing is unpacked.
    np.testing.assert_array_equal(pictures.read(3), good)
    assert not (tmp_path.parent.parent / "3.png").exists()


def test_a_member_that_claims_gigabytes_is_not_inflated(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("instance-filt/0.png", bytes(MAX_PICTURE_BYTES + 1))
    (tmp_path / "bomb.zip").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="claims"):
        InstancePictures(tmp_path / "bomb.zip", (6, 4)).read(0)


def test_a_member_that_holds_more_than_it_claims_is_damaged(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"instance-filt/0.png": bytes(50_000)})
    data = path.read_bytes()
    # Both places that state the size: it claims 64 bytes now.
    path.write_bytes(data.replace((50_000).to_bytes(4, "little"), (64).to_bytes(4, "little")))
    with pytest.raises(InputError, match=r"damaged|not a readable image"):
        InstancePictures(path, (6, 4)).read(0)


def test_no_zip_is_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.zip"):
        InstancePictures(tmp_path / "a.zip", (6, 4))
