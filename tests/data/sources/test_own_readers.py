"""Captures of phones and other tools: one wall of boxes, written as each of them writes it."""

import json
import zipfile
from typing import Any

import av
import cv2
import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from scene_r1_cli.data.preprocess import find_captures
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.data.sources.trajectory import nearest, transforms_of
from scene_r1_cli.data.sources.upright import quarter_turns_upright, turned_camera
from scene_r1_cli.data.sources.video_frames import VideoFrames
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import pixel_rays, resize_camera
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.types import Camera
from tests import captures

CAMERA = Camera(60.0, 60.0, 31.5, 23.5, (64, 48))
COUNT = 5
Y_UP_FROM_Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
OPENGL = np.diag([1.0, -1, -1, 1])


def scan_from_camera(index, roll_deg=0.0):
    transform = captures.camera_transform(index)
    transform[:3, :3] = transform[:3, :3] @ Rotation.from_euler("z", roll_deg, degrees=True).as_matrix()
    return transform


def depth_mm(index, size_wh=(64, 48)):
    width, height = size_wh
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return (1500 + 400 * x + 250 * y + 10 * index).astype(np.uint16)


def quaternion(transform):
    return Rotation.from_matrix(transform[:3, :3]).as_quat()


def write_images(folder, color, depth, size_wh=(64, 48), names="{:06d}"):
    (folder / color).mkdir(parents=True)
    (folder / depth).mkdir(parents=True)
    for index in range(COUNT):
        name = names.format(index)
        (folder / color / f"{name}.jpg").write_bytes(captures.jpeg(captures.color_image(index, CAMERA)))
        cv2.imwrite(str(folder / depth / f"{name}.png"), depth_mm(index, size_wh))


def write_tum(folder):
    write_images(folder, "rgb", "depth", (640, 480))
    for index in range(COUNT):
        image = cv2.resize(captures.color_image(index, CAMERA), (640, 480))
        (folder / "rgb" / f"{index:06d}.jpg").write_bytes(captures.jpeg(image))
        # 5 units a millimetre
        cv2.imwrite(str(folder / "depth" / f"{index:06d}.png"), depth_mm(index, (640, 480)) * 5)
    (folder / "rgb.txt").write_text(
        "# t file\n" + "".join(f"{9 + 0.1 * i:.3f} rgb/{i:06d}.jpg\n" for i in range(COUNT))
    )
    (folder / "depth.txt").write_text(
        "".join(f"{9.01 + 0.1 * i:.3f} depth/{i:06d}.png\n" for i in range(COUNT))
    )
    rows = []
    for index in (0, 1, 3, 4):
        transform = scan_from_camera(index)
        values = [9 + 0.1 * index, *transform[:3, 3], *quaternion(transform)]
        rows.append(" ".join(f"{value:.9f}" for value in values))
    (folder / "groundtruth.txt").write_text("# header\n" + "\n".join(rows))
    return folder, Camera(517.3, 516.5, 318.6, 255.3, (640, 480)), {2}, np.eye(4), 0.0


def write_redwood(folder):
    """Trajectory and intrinsics by Open3D itself."""
    import open3d

    o3d: Any = open3d
    write_images(folder, "color", "depth")
    intrinsic = o3d.camera.PinholeCameraIntrinsic(64, 48, 60.0, 60.0, 31.5, 23.5)
    parameters = []
    for index in range(COUNT):
        item = o3d.camera.PinholeCameraParameters()
        item.intrinsic = intrinsic
        item.extrinsic = np.linalg.inv(scan_from_camera(index))
        parameters.append(item)
    trajectory = o3d.camera.PinholeCameraTrajectory()
    trajectory.parameters = parameters
    o3d.io.write_pinhole_camera_trajectory(str(folder / "trajectory.log"), trajectory)
    o3d.io.write_pinhole_camera_intrinsic(str(folder / "camera_intrinsic.json"), intrinsic)
    return folder, CAMERA, set(), np.eye(4), 0.0


def write_nerfstudio(folder):
    write_images(folder, "images", "depth")
    frames = [
        {
            "file_path": f"images/{i:06d}.jpg",
            "depth_file_path": f"depth/{i:06d}.png",
            "transform_matrix": (scan_from_camera(i) @ OPENGL).tolist(),
        }
        for i in range(COUNT)
    ]
    frames[1].pop("depth_file_path")
    data = {"fl_x": 60.0, "fl_y": 60.0, "cx": 32.0, "cy": 24.0, "w": 64, "h": 48, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(data))
    return folder, CAMERA, {1}, np.eye(4), 0.0


def write_polycam(folder, roll_deg=90.0):
    root = folder / "keyframes"
    write_images(root, "images", "depth", (32, 24), "{}")
    (root / "cameras").mkdir()
    (root / "confidence").mkdir()
    for index in range(COUNT):
        transform = Y_UP_FROM_Z_UP @ scan_from_camera(index, roll_deg) @ OPENGL
        record = {f"t_{r}{c}": transform[r, c] for r in range(3) for c in range(4)}
        record |= {"fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}
        record["timestamp"] = 1_000_000 + 100_000 * index
        (root / "cameras" / f"{index}.json").write_text(json.dumps(record))
        cv2.imwrite(str(root / "confidence" / f"{index}.png"), np.full((24, 32), 255, np.uint8))
    return folder, resize_camera(CAMERA, (32, 24)), set(), Y_UP_FROM_Z_UP, roll_deg


def write_video(path, count=COUNT):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            image = np.full((48, 64, 3), 20 + 3 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_stray(folder, roll_deg=-90.0):
    write_images(folder, "unused", "depth", (32, 24))
    (folder / "confidence").mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / "confidence" / f"{index:06d}.png"), np.full((24, 32), 2, np.uint8))
    write_video(folder / "rgb.mp4")
    lines = ["timestamp, frame, x, y, z, qx, qy, qz, qw"]
    for index in range(COUNT):
        transform = Y_UP_FROM_Z_UP @ scan_from_camera(index, roll_deg)
        values = [5 + 0.1 * index, index, *transform[:3, 3], *quaternion(transform)]
        lines.append(", ".join(f"{value:.9f}" for value in values))
    (folder / "odometry.csv").write_text("\n".join(lines))
    np.savetxt(folder / "camera_matrix.csv", CAMERA.matrix, delimiter=",")
    return folder, resize_camera(CAMERA, (32, 24)), set(), Y_UP_FROM_Z_UP, roll_deg


def write_video_folder(folder):
    write_images(folder, "unused", "depth", (32, 24))
    write_video(folder / "video.mp4")
    np.savetxt(folder / "intrinsic.txt", CAMERA.matrix)
    times_s = VideoFrames(folder / "video.mp4").times_s
    rows = []
    for index in range(COUNT - 1):  # the last frame is not in the trajectory
        transform = scan_from_camera(index)
        rows.append([times_s[index] + 0.004, *transform[:3, 3], *quaternion(transform)])
    np.savetxt(folder / "trajectory.txt", rows)
    return folder, resize_camera(CAMERA, (32, 24)), {COUNT - 1}, np.eye(4), 0.0


def write_record3d(folder, roll_deg=90.0):
    liblzfse = pytest.importorskip("liblzfse")
    folder.mkdir()
    path = folder / "walk.r3d"
    poses = []
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(COUNT):
            transform = Y_UP_FROM_Z_UP @ scan_from_camera(index, roll_deg) @ OPENGL
            poses.append([*quaternion(transform), *transform[:3, 3]])
            archive.writestr(f"rgbd/{index}.jpg", captures.jpeg(captures.color_image(index, CAMERA)))
            depth_m = depth_mm(index, (32, 24)).astype(np.float32) / 1000
            archive.writestr(f"rgbd/{index}.depth", liblzfse.compress(depth_m.tobytes()))
            archive.writestr(
                f"rgbd/{index}.conf", liblzfse.compress(np.full((24, 32), 2, np.uint8).tobytes())
            )
        data = {
            "K": CAMERA.matrix.T.ravel().tolist(),
            "w": 64,
            "h": 48,
            "dw": 32,
            "dh": 24,
            "fps": 10,
            "poses": poses,
        }
        archive.writestr("metadata", json.dumps(data))
    return path, resize_camera(CAMERA, (32, 24)), set(), Y_UP_FROM_Z_UP, roll_deg


@pytest.mark.parametrize(
    ("write", "source"),
    [
        (write_tum, "tum"),
        (write_redwood, "redwood"),
        (write_nerfstudio, "nerfstudio"),
        (write_polycam, "polycam"),
        (write_stray, "stray"),
        (write_video_folder, "video"),
        (write_record3d, "record3d"),
    ],
)
def test_points_of_every_format_are_the_same_room(tmp_path, write, source):
    path, stored, without, scan_from_truth, roll_deg = write(tmp_path / "freiburg1_wall")
    scene = open_scene(path)
    assert scene.source == source
    assert {item.frame_index for item in scene.skipped} == without
    assert len(scene.frames) == COUNT - len(without)
    assert scene.world_from_scan[:3, :3] @ scan_from_truth[:3, :3] @ [0, 0, 1] == pytest.approx(
        [0, 0, 1], abs=0.1
    )
    for frame in scene.frames:
        index = frame.frame_index
        assert scene.read_color(index).shape[1::-1] == scene.color_camera.size_wh
        raw_m = depth_mm(index, stored.size_wh) / 1000
        truth = scan_from_truth @ scan_from_camera(index, roll_deg)
        expected = transform_points(truth, pixel_rays(stored) * raw_m[..., None]).reshape(-1, 3)
        depth_m = scene.read_depth(index)
        found = transform_points(
            frame.scan_from_camera, pixel_rays(scene.depth_camera) * depth_m[..., None]
        ).reshape(-1, 3)
        assert len(found) == len(expected)
        assert KDTree(expected).query(found)[0].max() < 2e-3
    assert quarter_turns_upright(scene) == 0
    if roll_deg:
        assert scene.color_camera.size_wh == (48, 64)
        assert any("turned" in note for note in scene.notes)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_camera_sees_the_turned_picture(turns):
    camera = Camera(61.0, 59.0, 30.0, 20.0, (64, 48))
    turned = turned_camera(camera, turns)
    rays = pixel_rays(camera)
    seen = np.rot90(rays, turns)
    found = pixel_rays(turned)
    one = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(found @ np.linalg.matrix_power(one, turns).T, seen, atol=1e-6)


def test_depth_the_sensor_was_not_sure_of_is_no_reading(tmp_path):
    path, *_ = write_polycam(tmp_path / "a", roll_deg=0.0)
    sure = np.full((24, 32), 255, np.uint8)
    sure[:12] = 54
    cv2.imwrite(str(path / "keyframes" / "confidence" / "2.png"), sure)
    depth_m = open_scene(path).read_depth(2)
    assert not depth_m[:12].any()
    assert depth_m[12:].all()


def test_a_video_is_read_in_any_order(tmp_path):
    write_video(tmp_path / "a.mp4", 40)
    video = VideoFrames(tmp_path / "a.mp4")
    assert len(video) == 40
    for number in (0, 3, 4, 39, 10, 11, 2, 2):
        assert np.abs(video.read(number).astype(int) - (20 + 3 * number)).mean() < 2.5
    with pytest.raises(InputError, match="none of number 40"):
        video.read(40)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match="no readable video"):
        VideoFrames(tmp_path / "b.mp4")


def test_untracked_and_nearest():
    transforms = transforms_of(np.zeros((2, 3)), np.array([[0, 0, 0, 1.0], [0, 0, 0, 0]]))
    assert np.isfinite(transforms[0]).all()
    assert np.isnan(transforms[1]).all()
    times = np.array([0.0, 1.0, 2.0])
    assert nearest(times, np.array([-5, 0.4, 1.6, 2.01, 9]), 0.5).tolist() == [-1, 0, 2, 2, -1]
    assert nearest(np.array([1.0]), np.array([1.1, 3.0]), 0.5).tolist() == [0, -1]


@pytest.mark.parametrize(
    ("write", "file", "damage", "told"),
    [
        (write_tum, "groundtruth.txt", "1 2 3\n", "numbers, not 8"),
        (write_tum, "rgb.txt", "# nothing\n", "lists no image"),
        (write_redwood, "trajectory.log", "0 0 1 2", "no trajectory log"),
        (write_redwood, "camera_intrinsic.json", "{}", "no intrinsic JSON"),
        (write_nerfstudio, "transforms.json", '{"frames": [{"file_path": "a"}]}', "names no depth image"),
        (write_stray, "odometry.csv", "a, b\nx, y\n", "no row of numbers"),
        (write_stray, "rgb.mp4", "nothing", "no readable video"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, write, file, damage, told):
    path, *_ = write(tmp_path / "a")
    (path / file).write_text(damage)
    with pytest.raises(InputError, match=told) as caught:
        open_scene(path)
    assert file in caught.value.message


def test_metadata_that_claim_gigabytes_are_not_inflated(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.r3d", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata", bytes(65 * 2**20))
    with pytest.raises(InputError, match=r"a\.r3d is no readable Record3D file: its metadata claim 68157440"):
        open_scene(tmp_path / "a.r3d")


@pytest.mark.parametrize(
    ("write", "missing", "told", "tool"),
    [
        (write_tum, "groundtruth.txt", r"no groundtruth\.txt \(camera transforms\)", "Open3D"),
        (write_tum, "depth.txt", r"no depth\.txt \(depth\)", "Record3D"),
        (write_redwood, "trajectory.log", "has colour and depth, but no camera transforms", "COLMAP"),
        (write_redwood, "depth", r"no depth \(depth\)", "Record3D"),
        (write_stray, "odometry.csv", r"no odometry\.csv \(camera transforms\)", "Open3D"),
        (captures.write_exported, "pose", r"no pose \(camera transforms\)", "Open3D"),
        (captures.write_exported, "depth", r"no depth \(depth\)", "RealSense"),
    ],
)
def test_a_capture_without_transforms_or_depth_says_how_to_get_them(tmp_path, write, missing, told, tool):
    write(tmp_path / "walk")
    (tmp_path / "walk" / missing).rename(tmp_path / "away")
    with pytest.raises(InputError, match=told) as caught:
        open_scene(tmp_path / "walk")
    assert tool in caught.value.hint
    with pytest.raises(InputError, match=told):
        find_captures(tmp_path / "walk", "redwood")


def test_pictures_and_a_video_alone_are_told(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="has pictures, but no depth"):
        open_scene(tmp_path / "a")
    write_video(tmp_path / "walk.mp4")
    with pytest.raises(InputError, match="is a video alone"):
        open_scene(tmp_path / "walk.mp4")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("trajectory.txt", "has no camera transforms"),
        ("intrinsic.txt", "has no intrinsic.txt"),
        ("depth", "has no depth/"),
    ],
)
def test_a_video_without_what_it_needs_says_how_to_get_it(tmp_path, missing, told):
    folder, *_ = write_video_folder(tmp_path / "walk")
    (folder / missing).rename(tmp_path / "away")
    with pytest.raises(InputError, match=told) as caught:
        open_scene(folder)
    assert caught.value.hint
