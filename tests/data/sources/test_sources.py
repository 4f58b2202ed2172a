import cv2
import numpy as np
import pytest

from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError, UsageError
from tests import captures

NOT_FINITE = np.full((4, 4), -np.inf)


def write_scannet(root, **meta):
    captures.write_test_sens(root / "scans" / "scene0000_00" / "scene0000_00.sens")
    captures.write_meta(root / "scans" / "scene0000_00" / "scene0000_00.txt", **meta)
    return root


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_scannet_root_folder_and_file_give_the_same_scene(tmp_path, newline):
    root = write_scannet(tmp_path, newline=newline)
    folder = root / "scans" / "scene0000_00"
    for path in (root, folder, folder / "scene0000_00.sens"):
        scene = open_scene(path)
        assert (scene.scene_id, scene.source, scene.clock) == ("scene0000_00", "scannet", "sens")
        assert scene.gravity == "axis_alignment"
        np.testing.assert_array_equal(scene.world_from_scan, captures.ALIGNMENT)
        np.testing.assert_allclose(scene.timestamps_s, [0, 0.1, 0.2, 0.3])
        assert scene.color_camera.size_wh == (64, 48)
        assert scene.depth_camera.size_wh == (32, 24)


def test_world_from_color_camera_chains_its_neighbours(tmp_path):
    folder = captures.write_tsdf(tmp_path / "capture")
    depth_from_color = np.eye(4)
    depth_from_color[0, 3] = 0.03
    np.savetxt(folder / "depth-from-color.txt", depth_from_color)
    np.savetxt(folder / "color-intrinsics.txt", captures.COLOR.matrix)
    scene = open_scene(folder)
    assert scene.color_camera == captures.COLOR
    expected = scene.world_from_scan @ captures.camera_transform(1) @ depth_from_color
    np.testing.assert_allclose(scene.world_from_color_camera(1), expected)


@pytest.mark.parametrize(
    ("write", "source"), [(captures.write_exported, "exported"), (captures.write_tsdf, "tsdf")]
)
def test_folder_formats(tmp_path, write, source):
    scene = open_scene(write(tmp_path / "kitchen"))
    assert (scene.scene_id, scene.source, scene.clock) == ("kitchen", source, "fps")
    np.testing.assert_allclose(scene.timestamps_s, np.arange(4) / 30)
    assert scene.depth_camera == captures.DEPTH
    assert scene.read_color(2).shape == (48, 64, 3)
    np.testing.assert_allclose(scene.read_depth(2)[1:], 2.002, rtol=1e-6)
    # The test's cameras hold +z of their scan frame up.
    assert scene.gravity == "estimated"
    assert scene.world_from_scan[2, 2] == pytest.approx(1, abs=1e-6)


def test_registered_capture_scales_the_depth_camera_to_colour(tmp_path):
    scene = open_scene(captures.write_tsdf(tmp_path / "a"))
    assert scene.color_camera.fx == pytest.approx(60)
    assert scene.color_camera.cx == pytest.approx(31.5)
    np.testing.assert_array_equal(scene.depth_from_color, np.eye(4))


def test_seven_scenes_gets_its_own_colour_camera(tmp_path):
    folder = tmp_path / "seq-01"
    folder.mkdir()
    (folder / "frame-000000.color.png").write_bytes(captures.jpeg(np.zeros((480, 640, 3), np.uint8), ".png"))
    depth = np.full((480, 640), 1500, np.uint16)
    depth[:, :10] = 65535
    cv2.imwrite(str(folder / "frame-000000.depth.png"), depth)
    np.savetxt(folder / "frame-000000.pose.txt", captures.camera_transform(0))
    scene = open_scene(folder)
    assert scene.depth_camera.fx == 585
    assert scene.color_camera.fx == pytest.approx(527.8)
    assert scene.depth_from_color[0, 3] == pytest.approx(0.03)
    assert scene.read_depth(0)[0, 0] == 0
    assert len(scene.notes) == 2


def test_measured_gravity_is_used(tmp_path):
    folder = captures.write_tsdf(tmp_path / "a")
    (folder / "gravity-direction.txt").write_text("0\n0.1\n-1\n")
    scene = open_scene(folder)
    assert scene.gravity == "measured"
    down = scene.world_from_scan[:3, :3] @ (np.array([0, 0.1, -1]) / np.sqrt(1.01))
    np.testing.assert_allclose(down, [0, 0, -1], atol=1e-9)


def test_untracked_and_unreadable_frames_are_skipped_and_counted(tmp_path):
    path = captures.write_test_sens(
        tmp_path / "scene0000_00.sens", transforms={1: NOT_FINITE, 2: 2 * np.eye(4)}
    )
    scene = open_scene(path)
    assert [frame.frame_index for frame in scene.frames] == [0, 3]
    assert [(item.frame_index, item.reason) for item in scene.skipped] == [
        (1, "camera transform is not finite"),
        (2, "camera transform is not a rotation with translation"),
    ]
    folder = captures.write_exported(tmp_path / "exported")
    (folder / "pose" / "0.txt").write_text("1 0 0")
    (folder / "depth" / "1.png").unlink()
    (folder / "pose" / "2.txt").unlink()
    scene = open_scene(folder)
    assert {item.frame_index: item.reason for item in scene.skipped} == {
        0: "camera transform file is not a 4×4 matrix",
        1: "no depth image",
        2: "no camera transform file",
    }


def test_all_camera_transforms_invalid(tmp_path):
    path = captures.write_test_sens(tmp_path / "a.sens", transforms=dict.fromkeys(range(4), NOT_FINITE))
    with pytest.raises(
        InputError, match="no usable frame: of 4 frames, 4 have this fault: camera transform is not finite"
    ):
        open_scene(path)


def test_one_image_of_another_size_is_told_when_read(tmp_path):
    folder = captures.write_exported(tmp_path / "a")
    cv2.imwrite(str(folder / "depth" / "2.png"), np.zeros((10, 10), np.uint16))
    cv2.imwrite(str(folder / "color" / "2.jpg"), np.zeros((10, 10, 3), np.uint8))
    cv2.imwrite(str(folder / "depth" / "3.png"), np.zeros((24, 32), np.uint8))
    (folder / "color" / "3.jpg").write_bytes(b"no picture")
    scene = open_scene(folder)
    with pytest.raises(InputError, match=r"2\.png is 10×10, but the capture's depth images are 32×24"):
        scene.read_depth(2)
    with pytest.raises(InputError, match=r"2\.jpg is 10×10"):
        scene.read_color(2)
    with pytest.raises(InputError, match="not a 16-bit grey image"):
        scene.read_depth(3)
    with pytest.raises(InputError, match="not a readable image"):
        scene.read_color(3)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "is an empty folder"),
        (lambda folder: (folder / "notes.txt").write_text("x"), "no capture that scener1 knows"),
        (lambda folder: (folder / "scans").mkdir(), "holds no .sens file"),
        (
            lambda folder: [captures.write_test_sens(folder / f"{name}.sens") for name in "ab"],
            r"holds 2 \.sens files",
        ),
        (
            lambda folder: [
                captures.write_test_sens(folder / "scans" / name / f"{name}.sens") for name in ("s1", "s2")
            ],
            "ScanNet root with 2 scenes",
        ),
    ],
)
def test_what_is_no_capture(tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(InputError, match=message):
        open_scene(tmp_path)


def test_missing_path_unknown_source_and_bad_alignment(tmp_path):
    with pytest.raises(InputError, match="There is no file or folder"):
        open_scene(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"--source takes .*scannet.*, not 'scanet'"):
        open_scene(tmp_path, "scanet")
    root = write_scannet(tmp_path)
    (root / "scans" / "scene0000_00" / "scene0000_00.txt").write_text("axisAlignment = 1 2 3\n")
    with pytest.raises(InputError, match="axisAlignment that is not 16 numbers"):
        open_scene(root)


def test_scannet_without_alignment_stays_in_its_upright_axes(tmp_path):
    root = write_scannet(tmp_path, alignment=None)
    np.testing.assert_array_equal(open_scene(root).world_from_scan, np.eye(4))
