"""A visit of SceneFun3D in: cameras, labels, and files that are damaged."""

import json

import numpy as np
import pytest

from scene_r1_cli.data.annotations.scenefun3d import read_visit
from scene_r1_cli.data.label_visit import ELEMENTS_FILE
from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.laser_scan import read_crop_mask, read_laser_scan
from scene_r1_cli.data.preprocess import find_captures, preprocess
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.camera import pixel_rays
from scene_r1_cli.geometry.transforms import transform_points
from scene_r1_cli.preprocess_config import FramesConfig, PreprocessConfig
from tests import visits

ALL = list(visits.TASKS)
EVERY_FRAME = PreprocessConfig(frames=FramesConfig(fps=None))


@pytest.mark.parametrize("kind", ["hires", "lowres"])
def test_depth_of_both_recordings_lies_on_the_laser_scan(tmp_path, kind):
    visit = visits.write_visit(tmp_path, kind)
    scene = open_scene(visit.path)
    assert scene.source == "scenefun3d"
    assert scene.scene_id == visits.VISIT
    assert len(scene.frames) == visits.COUNT
    assert scene.duration_s == pytest.approx(visits.COUNT / visits.RATE_HZ)
    assert scene.color_camera.size_wh == visits.SIZE_WH
    for index in (0, 20, 40):
        depth = scene.read_depth(index)
        points = transform_points(
            scene.frame(index).scan_from_camera,
            (pixel_rays(scene.depth_camera) * depth[..., None]).reshape(-1, 3),
        )
        # The wall and the board, wherever ARKit's world is.
        assert np.minimum(abs(points[:, 1] - visits.WALL_Y), abs(points[:, 1] - visits.BOARD_Y)).max() < 2e-3
        np.testing.assert_allclose(
            scene.frame(index).scan_from_camera, visits.laser_from_camera(index), atol=1e-6
        )


def test_the_video_with_the_most_frames_is_taken_and_told(tmp_path):
    visit = visits.write_visit(tmp_path, videos=("42445000", "42445001"))
    scene = open_scene(visit.path)
    assert len(scene.frames) == visits.COUNT
    assert any("of 2 videos, 42445000 is taken" in note for note in scene.notes)
    assert len(open_scene(visit.path / "42445001").frames) == visits.COUNT - 10


def test_frames_without_a_camera_depth_or_intrinsics_are_counted(tmp_path):
    visit = visits.write_visit(tmp_path)
    video = visit.path / visits.VIDEO
    lines = (video / "hires_poses.traj").read_text().splitlines()
    (video / "hires_poses.traj").write_text("\n".join(lines[:5] + lines[6:]))
    (video / "hires_depth" / f"{visits.VIDEO}_300.200.png").unlink()
    (video / "hires_wide_intrinsics" / f"{visits.VIDEO}_300.300.pincam").write_text("320 240 nan 300 1 1")
    (video / "hires_wide_intrinsics" / f"{visits.VIDEO}_300.400.pincam").write_text("240 320 300 300 1 1")
    scene = open_scene(visit.path)
    assert {item.frame_index: item.reason for item in scene.skipped} == {
        2: "no depth image",
        3: "its intrinsics are impossible",
        4: "its picture has another size than most (held the other way)",
        5: "no camera transform at its time",
    }


def test_low_confidence_is_no_reading(tmp_path):
    import cv2

    visit = visits.write_visit(tmp_path, "lowres")
    folder = visit.path / visits.VIDEO / "confidence"
    folder.mkdir()
    sure = np.full(visits.SIZE_WH[::-1], 2, np.uint8)
    sure[:100] = 1
    cv2.imwrite(str(folder / f"{visits.VIDEO}_300.000.png"), sure)
    scene = open_scene(visit.path)
    assert not scene.read_depth(0)[:100].any()
    assert scene.read_depth(0)[100:].all()
    assert scene.read_depth(1).all()


def test_labels_are_the_elements_that_the_frames_show(tmp_path):
    visits.write_visit(tmp_path / "root")
    (capture,) = find_captures(tmp_path / "root", "scenefun3d")
    summary = preprocess([capture], tmp_path / "store", EVERY_FRAME)
    assert summary.failures == {}
    assert summary.labels()["scenefun3d"] == {"queries": 3, "unusable rows": 0}
    folder = tmp_path / "store" / visits.VISIT
    labels = {label.query_id: label for label in read_labels(folder / "labels" / "scenefun3d.parquet")}
    for query_id, annot_id in (("dddd-1", "aaaa-1"), ("eeee-2", "bbbb-2")):
        label = labels[query_id]
        assert label.text == visits.TASKS[query_id][0]
        for index in range(visits.COUNT):
            time_s = index / visits.RATE_HZ + 1e-6
            visible = any(start <= time_s < end for start, end in label.runs_s)
            if visits.is_clear(annot_id, index):
                assert visible, f"{annot_id} is not seen in frame {index}"
        assert label.keyframes
        for view in label.keyframes:
            if visits.is_clear(annot_id, view.frame_index):
                expected = visits.element_box_px(annot_id, view.frame_index)
                np.testing.assert_allclose(view.box_xyxy_px, expected, atol=1.5)
        _, x0, x1, z0, z1 = visits.ELEMENTS[annot_id]
        np.testing.assert_allclose(label.box3d.size_m[[0, 2]], [x1 - x0, z1 - z0], atol=0.006)
    # Hidden by the board in the middle of the walk: two runs, or one that ends before it.
    hidden = [index for index in range(visits.COUNT) if visits.is_gone("bbbb-2", index)]
    gaps = [
        index
        for index in hidden
        if not any(a <= index / visits.RATE_HZ < b for a, b in labels["eeee-2"].runs_s)
    ]
    assert len(hidden) > 8
    assert len(gaps) >= len(hidden) - 1
    assert labels["ffff-3"].object_id is None
    assert labels["ffff-3"].runs_s


def test_elements_and_motions_are_kept_in_the_world_frame(tmp_path):
    visits.write_visit(tmp_path / "root")
    preprocess(find_captures(tmp_path / "root", "scenefun3d"), tmp_path / "store", EVERY_FRAME)
    rows = json.loads((tmp_path / "store" / visits.VISIT / ELEMENTS_FILE).read_text())
    assert [row["annot_id"] for row in rows] == list(visits.ELEMENTS)
    assert [row["affordance"] for row in rows] == ["hook_pull", "hook_pull", "tip_push"]
    motion = rows[0]["motion"]
    assert motion["kind"] == "trans"
    world_from_scan = open_scene(tmp_path / "store" / visits.VISIT).world_from_scan
    np.testing.assert_allclose(motion["direction"], world_from_scan[:3, :3] @ [0, -1, 0], atol=1e-9)
    assert rows[1]["motion"] is None


def test_a_test_visit_has_frames_and_no_labels(tmp_path):
    visit = visits.write_visit(tmp_path / "root")
    (visit.path / f"{visits.VISIT}_annotations.json").unlink()
    summary = preprocess(find_captures(tmp_path / "root", "scenefun3d"), tmp_path / "store", EVERY_FRAME)
    assert summary.reports[visits.VISIT].labels == {}
    found = read_visit(visit.path, len(visit.points))
    assert [row.object_ids for row in found.tasks.rows] == [(), (), ()]


@pytest.mark.parametrize(
    ("file", "change", "told", "left"),
    [
        ("annotations", lambda rows: rows[0].update(indices=[10**9]), "the laser scan has", ["eeee-2"]),
        ("annotations", lambda rows: rows[0].update(indices=[-1]), "has a point -1", ["eeee-2"]),
        ("annotations", lambda rows: rows[0].update(indices="all"), "no list of points", ["eeee-2"]),
        ("annotations", lambda rows: rows[0].pop("label"), "'label' is missing", ["eeee-2"]),
        ("annotations", lambda rows: rows.insert(0, 7), "is no object", ALL),
        ("annotations", lambda rows: rows.append(rows[0]), "element aaaa-1 already", ALL),
        ("descriptions", lambda rows: rows[0].update(annot_id=["zz"]), "no usable element zz", ALL[1:]),
        ("descriptions", lambda rows: rows[1].update(desc_id="dddd-1"), "dddd-1 already", [ALL[0], ALL[2]]),
        ("descriptions", lambda rows: rows[0].update(desc_id="../x"), "letters, digits", ALL[1:]),
        ("descriptions", lambda rows: rows[0].update(description=" "), "is empty", ALL[1:]),
        ("motions", lambda rows: rows[0].update(motion_dir=[0, 0, 0]), "no direction", ALL),
        ("motions", lambda rows: rows[0].update(motion_type="spin"), "trans or rot", ALL),
    ],
)  # fmt: skip
def test_a_bad_row_is_told_and_the_rest_goes_on(tmp_path, file, change, told, left):
    visit = visits.write_visit(tmp_path)
    path = visit.path / f"{visits.VISIT}_{file}.json"
    data = json.loads(path.read_text())
    change(data[file])
    path.write_text(json.dumps(data))
    found = read_visit(visit.path, len(visit.points))
    assert [row.query_id for row in found.tasks.rows] == left
    assert any(told in fault and path.name.split("_")[0] in fault for fault in found.tasks.faults)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data.replace(b"x 76800", b"x 99999999999999"), "declares 99999999999999 points"),
        (lambda data: data.replace(b"vertex 76800", b"vertex 76801"), "no readable point cloud"),
        (lambda data: data.replace(b"double x", b"double u"), "no readable point cloud"),
        (lambda data: b"no ply", "no readable point cloud"),
    ],
)  # fmt: skip
def test_a_damaged_laser_scan_is_named_and_costs_no_memory(tmp_path, damage, told):
    visit = visits.write_visit(tmp_path)
    path = visit.path / f"{visits.VISIT}_laser_scan.ply"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=told):
        read_laser_scan(visit.path)


def test_missing_and_damaged_files_are_named(tmp_path):
    visit = visits.write_visit(tmp_path, "lowres")
    np.save(visit.path / f"{visits.VISIT}_crop_mask.npy", np.ones(7))
    with pytest.raises(InputError, match=r"crop_mask\.npy has the shape \(7,\)"):
        read_crop_mask(visit.path, len(visit.points))
    transform = visit.path / visits.VIDEO / f"{visits.VIDEO}_transform.npy"
    np.save(transform, np.full((4, 4), np.nan))
    with pytest.raises(InputError, match=r"transform\.npy is not a rotation"):
        open_scene(visit.path)
    transform.unlink()
    with pytest.raises(InputError, match=r"transform\.npy is missing") as caught:
        open_scene(visit.path)
    assert caught.value.hint
    with pytest.raises(InputError, match=r"_laser_scan\.ply is missing"):
        read_laser_scan(tmp_path)
