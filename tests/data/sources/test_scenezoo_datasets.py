"""Scenes of other data sets, written in their published layouts and read through scenezoo."""

import json
import zipfile

import av
import cv2
import lz4.block
import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import pixel_rays, resize_camera
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.types import Camera
from tests import captures

SIDEWAYS = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""The camera rolled by a quarter turn about its optical axis."""


SCANNETPP_DEPTH = Camera(200.0, 200.0, 127.5, 95.5, (256, 192))


def camera_transform(index, quarter_turns):
    return captures.camera_transform(index) @ np.linalg.matrix_power(SIDEWAYS, quarter_turns)


def depth_mm(index, camera):
    """Depth that tells left from right and top from bottom."""
    width, height = camera.size_wh
    rows, columns = np.mgrid[:height, :width]
    return (1500 + 10 * index + 7 * columns + 3 * rows).astype(np.uint16)


def write_3rscan(root):
    scene = root / "0cac7578-8d6f-2d13-8c2d-bfa7a04f8af3"
    scene.mkdir(parents=True)
    info = {"m_sensorName": "Tango", "m_depthShift": 1000, "m_frames.size": 4}
    for sensor, camera in (("color", captures.COLOR), ("depth", captures.DEPTH)):
        info[f"m_{sensor}Width"], info[f"m_{sensor}Height"] = camera.size_wh
        matrix = np.eye(4)
        matrix[:3, :3] = camera.matrix
        for kind, values in (("Intrinsic", matrix), ("Extrinsic", np.eye(4))):
            info[f"m_calibration{sensor.title()}{kind}"] = " ".join(str(value) for value in values.ravel())
    with zipfile.ZipFile(scene / "sequence.zip", "w") as archive:
        archive.writestr("_info.txt", "".join(f"{key} = {value}\n" for key, value in info.items()))
        for i in range(4):
            transform = np.full((4, 4), np.nan) if i == 2 else camera_transform(i, 3)
            text = "\n".join(" ".join(str(value) for value in row) for row in transform)
            archive.writestr(f"frame-{i:06d}.pose.txt", text)
            archive.writestr(f"frame-{i:06d}.color.jpg", captures.jpeg(captures.color_image(i)))
            archive.writestr(f"frame-{i:06d}.depth.pgm", captures.pgm(depth_mm(i, captures.DEPTH)))
    return scene


def write_arkitscenes(root):
    scene = root / "raw" / "Training" / "99999999"
    for folder in ("lowres_wide", "lowres_depth", "lowres_wide_intrinsics"):
        (scene / folder).mkdir(parents=True)
    (root / "raw" / "metadata.csv").write_text(
        "video_id,visit_id,fold,sky_direction,has_laser_scanner_point_clouds,is_in_upsampling,is_in_threedod\n"
        "99999999,1,Training,Left,False,False,True\n"
    )
    poses = []
    for i in range(4):
        name = f"99999999_{100 + 0.1 * i:.3f}"
        camera = captures.DEPTH
        (scene / "lowres_wide" / f"{name}.png").write_bytes(
            captures.jpeg(captures.color_image(i, camera), ".png")
        )
        cv2.imwrite(str(scene / "lowres_depth" / f"{name}.png"), depth_mm(i, camera))
        focal = camera.fx + 2 * (i == 1)  # phones focus
        (scene / "lowres_wide_intrinsics" / f"{name}.pincam").write_text(
            f"{camera.size_wh[0]} {camera.size_wh[1]} {focal} {focal} {camera.cx} {camera.cy}"
        )
        camera_from_scan = np.linalg.inv(camera_transform(i, 3))
        rotation = Rotation.from_matrix(camera_from_scan[:3, :3]).as_rotvec()
        if i != 2:
            poses.append([100 + 0.1 * i, *rotation, *camera_from_scan[:3, 3]])
    np.savetxt(scene / "lowres_wide.traj", poses)
    return scene


def write_scannetpp(root):
    scene = root / "data" / "0a5c013435"
    (scene / "iphone").mkdir(parents=True)
    color = resize_camera(SCANNETPP_DEPTH, (1920, 1440))
    records, blocks = {}, b""
    with av.open(str(scene / "iphone" / "rgb.mkv"), "w") as video:
        stream = video.add_stream("mpeg4", rate=60)
        stream.width, stream.height, stream.pix_fmt = *color.size_wh, "yuv420p"
        for i in range(3):
            records[f"frame_{i:06d}"] = {
                "aligned_pose": camera_transform(i, 0).tolist(),
                "intrinsic": color.matrix.tolist(),
                "timestamp": 7 + i / 60,
            }
            block = lz4.block.compress(depth_mm(i, SCANNETPP_DEPTH).tobytes(), store_size=False)
            blocks += len(block).to_bytes(4, "little") + block
            image = np.full((1440, 1920, 3), 60 + 40 * i, np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        video.mux(stream.encode())
    (scene / "iphone" / "depth.bin").write_bytes(blocks)
    (scene / "iphone" / "pose_intrinsic_imu.json").write_text(json.dumps(records))
    return scene


@pytest.mark.parametrize(
    ("write", "source", "stored", "quarter_turns", "times_s"),
    [
        (write_3rscan, "3rscan", captures.DEPTH, 3, [0, 1 / 30, 3 / 30]),
        (write_arkitscenes, "arkitscenes", captures.DEPTH, 3, [0, 0.1, 0.3]),
        (write_scannetpp, "scannetpp", SCANNETPP_DEPTH, 0, [0, 1 / 60, 2 / 60]),
    ],
)
def test_scene_of_another_data_set(tmp_path, write, source, stored, quarter_turns, times_s):
    path = write(tmp_path)
    scene = open_scene(path)
    assert (scene.source, scene.scene_id) == (source, path.name)
    np.testing.assert_allclose(scene.timestamps_s, times_s, atol=1e-6)
    assert bool(quarter_turns) == any("turned upright" in note for note in scene.notes)
    for frame in scene.frames:
        assert scene.read_color(frame.frame_index).shape[1::-1] == scene.color_camera.size_wh
        # Upright or not, these are the same points of the room: lifted from the images as they lie on disk …
        raw_m = depth_mm(frame.frame_index, stored).astype(np.float32) / 1000
        scan_from_stored = camera_transform(frame.frame_index, quarter_turns)
        expected = transform_points(scan_from_stored, pixel_rays(stored) * raw_m[..., None]).reshape(-1, 3)
        # … and as read.
        depth_m = scene.read_depth(frame.frame_index)
        rays = pixel_rays(scene.depth_camera)
        found = transform_points(frame.scan_from_camera, rays * depth_m[..., None]).reshape(-1, 3)
        assert len(found) == len(expected)
        assert KDTree(expected).query(found)[0].max() < 1e-4
        assert KDTree(found).query(expected)[0].max() < 1e-4


def test_frames_without_camera_are_counted_and_changing_intrinsics_told(tmp_path):
    scene = open_scene(write_arkitscenes(tmp_path))
    assert [item.frame_index for item in scene.skipped] == [2]
    assert scene.clock == "timestamps"
    assert scene.color_camera.fx == pytest.approx(captures.DEPTH.fx)
    assert any("focal length differs between frames by 6.7%" in note for note in scene.notes)


def test_depth_of_low_confidence_is_no_reading(tmp_path):
    scene_dir = write_arkitscenes(tmp_path)
    (scene_dir / "confidence").mkdir()
    for path in (scene_dir / "lowres_depth").iterdir():
        sure = np.full(captures.DEPTH.size_wh[::-1], 2, np.uint8)
        sure[:, :8] = 1
        cv2.imwrite(str(scene_dir / "confidence" / path.name), sure)
    scene = open_scene(scene_dir)
    plain = open_scene(write_arkitscenes(tmp_path / "without"))
    depth_m, all_m = scene.read_depth(0), plain.read_depth(0)
    # The pictures are turned, and confidence with them.
    assert depth_m.shape == all_m.shape
    assert (depth_m == 0).sum() - (all_m == 0).sum() > 0.9 * 8 * captures.DEPTH.size_wh[1]
    assert (depth_m[depth_m > 0] == all_m[depth_m > 0]).all()


def test_missing_metadata_is_told_and_nothing_is_downloaded(tmp_path):
    path = write_arkitscenes(tmp_path)
    (tmp_path / "raw" / "metadata.csv").unlink()
    with pytest.raises(InputError, match="cannot be read as a scene of arkitscenes") as caught:
        open_scene(path)
    assert "metadata files" in caught.value.hint


def test_forced_source_on_another_folder(tmp_path):
    with pytest.raises(InputError, match="cannot be read as a scene of 3rscan"):
        open_scene(captures.write_exported(tmp_path / "a"), "3rscan")
