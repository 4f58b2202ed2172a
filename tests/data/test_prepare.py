"""One capture to one prepared scene."""

import json
import os
import zlib

import cv2
import numpy as np
import pytest

from scene_r1_cli.data.capture import Capture, capture_of
from scene_r1_cli.data.prepare import plan_scene, prepare_scene
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.prepared import read_frames
from scene_r1_cli.data.sources.sens import SensReader, index_sens
from scene_r1_cli.errors import InputError
from scene_r1_cli.preprocess_config import FramesConfig
from tests import captures

ALL = FramesConfig(fps=None)


@pytest.fixture
def capture(tmp_path):
    folder = tmp_path / "scans" / "scene0000_00"
    folder.mkdir(parents=True)
    captures.write_test_sens(folder / "scene0000_00.sens", 10)
    captures.write_meta(folder / "scene0000_00.txt")
    return capture_of(folder, "scannet")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store" / "scannet" / "scene0000_00"


def test_bytes_are_those_of_the_source(capture, folder):
    report = prepare_scene(capture, folder, ALL)
    reader = SensReader(index_sens(capture.path / "scene0000_00.sens"))
    assert report.num_frames == 10
    for index in range(10):
        assert (folder / "color" / f"{index}.jpg").read_bytes() == reader.color_bytes(index)
        assert (folder / "depth" / f"{index}.z16").read_bytes() == reader.depth_bytes(index)
    assert report.num_bytes == sum(
        item.stat().st_size for kind in ("color", "depth") for item in (folder / kind).iterdir()
    )


@pytest.mark.parametrize(
    "config", [ALL, ALL.model_copy(update={"depth": "png"}), ALL.model_copy(update={"in_place": True})]
)
def test_a_prepared_scene_is_the_capture(capture, folder, config):
    prepare_scene(capture, folder, config)
    source, prepared = open_scene(capture.path), open_scene(folder)
    assert prepared.source == "scannet"
    for name in ("scene_id", "color_camera", "depth_camera", "gravity", "clock", "skipped", "duration_s"):
        assert getattr(prepared, name) == getattr(source, name)
    np.testing.assert_array_equal(prepared.world_from_scan, source.world_from_scan)
    np.testing.assert_array_equal(prepared.timestamps_s, source.timestamps_s)
    for frame in source.frames:
        index = frame.frame_index
        np.testing.assert_array_equal(prepared.frame(index).scan_from_camera, frame.scan_from_camera)
        np.testing.assert_array_equal(prepared.read_depth(index), source.read_depth(index))
        np.testing.assert_array_equal(prepared.read_color(index), source.read_color(index))


def test_in_place_copies_no_image_and_tells_if_its_source_goes(capture, folder):
    report = prepare_scene(capture, folder, FramesConfig(in_place=True))
    assert report.num_bytes == 0
    assert not (folder / "color").exists()
    assert len(open_scene(folder).frames) == 10
    sens = capture.path / "scene0000_00.sens"
    sens.write_bytes(sens.read_bytes() + b"more")
    with pytest.raises(InputError, match="has changed"):
        open_scene(folder)
    sens.unlink()
    with pytest.raises(InputError, match="is gone"):
        open_scene(folder)


def test_the_sharpest_of_each_bin_is_kept(capture, folder):
    """At 10 Hz and 2 fps each bin holds five frames."""
    prepare_scene(capture, folder, FramesConfig(fps=2))
    table = read_frames(folder / "frames.parquet")
    lengths = index_sens(capture.path / "scene0000_00.sens").color_range[:, 1]
    kept = table.frame_index[table.sampled]
    assert len(kept) == 2
    assert lengths[kept[0]] == lengths[:5].max()
    assert lengths[kept[1]] == lengths[5:].max()
    assert [frame.frame_index for frame in open_scene(folder).frames] == kept.tolist()
    assert len(table.frame_index) == 10


def test_sharpness_of_pixels_prefers_the_frame_in_focus(tmp_path, folder):
    source = captures.write_exported(tmp_path / "blurred", 6)
    texture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    for index in range(6):
        image = texture if index == 4 else cv2.GaussianBlur(texture, (0, 0), 2)
        (source / "color" / f"{index}.jpg").write_bytes(captures.jpeg(image))
    prepare_scene(capture_of(source, "exported"), folder, FramesConfig(fps=2, sharpness="pixels"))
    assert [frame.frame_index for frame in open_scene(folder).frames] == [4]


def test_what_is_done_is_kept_until_its_source_or_settings_change(capture, folder):
    assert prepare_scene(capture, folder, ALL).status == "prepared"
    before = (folder / "scene.json").stat().st_mtime_ns
    assert prepare_scene(capture, folder, ALL).status == "kept"
    assert (folder / "scene.json").stat().st_mtime_ns == before
    assert prepare_scene(capture, folder, FramesConfig(fps=1)).status == "prepared"
    assert len(open_scene(folder).frames) == 1
    captures.write_test_sens(capture.path / "scene0000_00.sens", 12)
    assert prepare_scene(capture, folder, ALL).num_frames == 12


def test_a_plan_counts_what_would_be_written_and_writes_nothing(capture, folder):
    plan = plan_scene(capture, folder, ALL)
    assert not folder.parent.exists()
    done = prepare_scene(capture, folder, ALL)
    assert (plan.num_frames, plan.num_bytes) == (done.num_frames, done.num_bytes)
    assert plan_scene(capture, folder, ALL).status == "kept"


def test_a_cut_file_keeps_its_whole_frames_and_says_so(capture, folder):
    sens = capture.path / "scene0000_00.sens"
    sens.write_bytes(sens.read_bytes()[: sens.stat().st_size * 2 // 3])
    report = prepare_scene(capture, folder, ALL)
    assert 4 <= report.num_frames < 10
    assert report.skipped["lost: the .sens file is cut before it"] == 10 - report.num_frames
    assert any("is cut" in note for note in report.notes)


def test_frames_without_a_transform_or_with_a_damaged_image_are_left_out_and_counted(tmp_path, folder):
    source = tmp_path / "scene0001_00"
    source.mkdir()
    lost = np.full((4, 4), -np.inf)
    captures.write_test_sens(source / "scene0001_00.sens", 6, {2: lost})
    index = index_sens(source / "scene0001_00.sens")
    data = bytearray((source / "scene0001_00.sens").read_bytes())
    offset = int(index.color_range[4, 0])
    data[offset : offset + 30] = bytes(30)
    depth_offset = int(index.depth_range[5, 0])
    data[depth_offset : depth_offset + 10] = bytes(10)
    (source / "scene0001_00.sens").write_bytes(data)
    report = prepare_scene(capture_of(source, "scannet"), folder, ALL)
    assert report.num_frames == 4  # of the damaged depth nothing is known until it is read
    assert report.skipped["camera transform is not finite"] == 1
    report = prepare_scene(capture_of(source, "scannet"), folder, ALL.model_copy(update={"verify": True}))
    assert report.num_frames == 3
    assert sum(report.skipped.values()) == 3


def test_a_folder_of_something_else_is_not_touched(capture, folder):
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="no prepared scene"):
        prepare_scene(capture, folder, ALL)
    assert (folder / "thesis.txt").read_text() == "years"


def test_leftovers_of_a_killed_process_are_removed_and_those_of_a_living_one_are_not(capture, folder):
    import socket

    folder.parent.mkdir(parents=True)
    dead = folder.parent / f".{folder.name}.{socket.gethostname()}.999999999.partial"
    living = folder.parent / f".{folder.name}.{socket.gethostname()}.{os.getppid()}.partial"
    dead.mkdir()
    living.mkdir()
    prepare_scene(capture, folder, ALL)
    assert not dead.exists()
    assert living.exists()


def test_a_scene_set_aside_by_a_killed_process_comes_back(capture, folder):
    import socket

    prepare_scene(capture, folder, ALL)
    aside = folder.parent / f".{folder.name}.{socket.gethostname()}.999999999.old"
    os.replace(folder, aside)
    assert prepare_scene(capture, folder, ALL).status == "prepared"
    assert not aside.exists()
    assert len(open_scene(folder).frames) == 10


def test_a_failed_scene_leaves_nothing(tmp_path, folder):
    source = captures.write_exported(tmp_path / "broken", 3)
    for index in range(3):
        (source / "color" / f"{index}.jpg").write_bytes(captures.jpeg(np.zeros((10, 10, 3), np.uint8)))
    first = source / "color" / "0.jpg"
    first.write_bytes(captures.jpeg(captures.color_image(0))[:50])
    with pytest.raises(InputError):
        prepare_scene(Capture(source, "exported", "broken"), folder, ALL)
    assert not list(folder.parent.glob("*")) if folder.parent.exists() else True


def test_depth_of_other_units_is_kept_exactly(tmp_path, folder):
    source = captures.write_exported(tmp_path / "exported", 3)
    prepare_scene(capture_of(source, "exported"), folder, ALL)
    record = json.loads((folder / "scene.json").read_text())
    assert record["depth_units_per_metre"] == 1000
    raw = np.frombuffer(zlib.decompress((folder / "depth" / "1.z16").read_bytes()), "<u2")
    np.testing.assert_array_equal(raw.reshape(24, 32), captures.depth_mm(1))
    assert (folder / "color" / "1.jpg").read_bytes() == (source / "color" / "1.jpg").read_bytes()


def test_video_has_the_frames_kept_at_their_times(capture, folder):
    import av

    prepare_scene(capture, folder, ALL.model_copy(update={"video": True}))
    with av.open(str(folder / "video.mp4")) as container:
        frames = list(container.decode(video=0))
    np.testing.assert_allclose([frame.time for frame in frames], 0.1 * np.arange(10), atol=2e-3)
    assert (frames[0].width, frames[0].height) == (64, 48)


@pytest.mark.parametrize("damage", ["scene.json", "frames.parquet", "field", "version", "image"])
def test_a_damaged_store_is_told(capture, folder, damage):
    prepare_scene(capture, folder, ALL)
    record = json.loads((folder / "scene.json").read_text())
    if damage == "image":
        (folder / "depth" / "3.z16").unlink()
        with pytest.raises(InputError, match=r"3\.z16"):
            open_scene(folder).read_depth(3)
        return
    if damage == "field":
        del record["world_from_scan"]
        (folder / "scene.json").write_text(json.dumps(record))
    elif damage == "version":
        (folder / "scene.json").write_text(json.dumps(record | {"schema_version": 99}))
    else:
        (folder / damage).write_bytes(b"not this")
    with pytest.raises(InputError, match=r"damaged|lacks|schema version"):
        open_scene(folder)
