import hashlib
import json
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.rooms import RoomOptions, make_room, make_rooms, scene_id_of, split_seeds, write
from scene_r1_cli.data.rooms.layout import lay_out_room
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.geometry.camera import project
from scene_r1_cli.geometry.transforms import invert, transform_points
from tests.data.rooms.conftest import TINY, TINY_SEED


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_ply(path):
    """Vertices (V, 3), colours (V, 3) and triangles (T, 3) of a file of ours."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    counts = [int(line.split()[2]) for line in header.decode().splitlines() if line.startswith("element")]
    rows = np.frombuffer(body, dtype=[("xyz", "<f4", 3), ("rgba", "u1", 4)], count=counts[0])
    faces = np.frombuffer(body[rows.nbytes :], dtype=[("n", "u1"), ("v", "<i4", 3)], count=counts[1])
    assert (faces["n"] == 3).all()
    return rows["xyz"], rows["rgba"][:, :3], faces["v"]


def test_the_same_seed_gives_the_same_bytes(tiny_room, tmp_path):
    again = make_room(TINY_SEED, tmp_path, TINY)
    assert digests(again.path) == digests(tiny_room)


def test_another_seed_or_size_gives_another_room(tiny_room, tmp_path):
    small = RoomOptions(duration_s=2, fps=1, color_size_wh=(64, 48), depth_size_wh=(32, 24), noise=False)
    other = make_room(TINY_SEED + 1, tmp_path, small)
    assert other.scene_id == f"scene{TINY_SEED + 1}_00"
    assert len(open_scene(other.path).frames) == 2


def test_it_is_read_as_a_scannet_scene(tiny_room):
    scene = open_scene(tiny_room)
    assert scene.source == "scannet"
    assert scene.gravity == "axis_alignment"
    assert scene.clock == "sens"
    assert len(scene.frames) == 12
    assert scene.color_camera.size_wh == (96, 72)
    assert scene.depth_camera.size_wh == (64, 48)
    np.testing.assert_allclose(scene.timestamps_s, np.arange(12.0))
    assert scene.read_color(3).shape == (72, 96, 3)
    depth = scene.read_depth(3)
    assert 0.3 < (depth > 0).mean() < 1.0
    assert depth.max() <= 5.001


def test_the_axis_alignment_matters_and_puts_the_floor_at_zero(tiny_room):
    scene = open_scene(tiny_room)
    assert np.abs(scene.world_from_scan - np.eye(4)).max() > 0.05
    assert scene.surface_path is not None
    vertices, _, _ = read_ply(scene.surface_path)
    world = transform_points(scene.world_from_scan, vertices.astype(np.float64))
    assert abs(world[:, 2].min()) < 0.002
    assert abs(vertices[:, 2].min()) > 0.01
    room = lay_out_room(TINY_SEED)
    assert (world[:, :2].min(axis=0) > room.plan.corners_m.min(axis=0) - 0.1).all()


def test_segments_and_objects_cover_the_mesh(tiny_room):
    name = tiny_room.name
    vertices, _, triangles = read_ply(tiny_room / f"{name}_vh_clean_2.ply")
    segments = json.loads((tiny_room / f"{name}_vh_clean_2.0.010000.segs.json").read_text())
    aggregation = json.loads((tiny_room / f"{name}.aggregation.json").read_text())
    assert segments["sceneId"] == name
    assert len(segments["segIndices"]) == len(vertices)
    assert triangles.max() == len(vertices) - 1
    grouped = [segment for group in aggregation["segGroups"] for segment in group["segments"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(segments["segIndices"])


def test_true_boxes_are_those_of_the_mesh(tiny_room):
    name, scene = tiny_room.name, open_scene(tiny_room)
    vertices, _, _ = read_ply(tiny_room / f"{name}_vh_clean_2.ply")
    world = transform_points(scene.world_from_scan, vertices.astype(np.float64))
    index = np.array(
        json.loads((tiny_room / f"{name}_vh_clean_2.0.010000.segs.json").read_text())["segIndices"]
    )
    groups = json.loads((tiny_room / f"{name}.aggregation.json").read_text())["segGroups"]
    labels = [label for label in read_labels(tiny_room / "labels" / "rooms.parquet") if label.box3d]
    assert labels
    for label in labels:
        group = next(group for group in groups if group["objectId"] == label.object_id)
        points = world[np.isin(index, group["segments"])]
        assert label.box3d is not None
        np.testing.assert_allclose(
            label.box3d.center_m - label.box3d.size_m / 2, points.min(axis=0), atol=1e-6
        )
        np.testing.assert_allclose(
            label.box3d.center_m + label.box3d.size_m / 2, points.max(axis=0), atol=1e-6
        )


def test_instance_pictures_agree_with_the_mesh_as_tracked(tiny_room):
    """A drifting tracker moves outlines by a pixel or so, no more."""
    name, scene = tiny_room.name, open_scene(tiny_room)
    vertices, _, _ = read_ply(tiny_room / f"{name}_vh_clean_2.ply")
    index = np.array(
        json.loads((tiny_room / f"{name}_vh_clean_2.0.010000.segs.json").read_text())["segIndices"]
    )
    groups = json.loads((tiny_room / f"{name}.aggregation.json").read_text())["segGroups"]
    owner = np.full(index.max() + 1, -1)
    for group in groups:
        owner[group["segments"]] = group["objectId"]
    agreed = []
    with zipfile.ZipFile(tiny_room / f"{name}_2d-instance-filt.zip") as archive:
        for frame in scene.frames:
            png = np.frombuffer(archive.read(f"instance-filt/{frame.frame_index}.png"), np.uint8)
            picture = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
            assert picture.dtype == np.uint8
            points = transform_points(invert(frame.scan_from_camera), vertices.astype(np.float64))
            pixel, z = project(scene.color_camera, points)
            at_depth, _ = project(scene.depth_camera, points)
            at = np.rint(np.nan_to_num(pixel, nan=-9)).astype(int)
            low = np.rint(np.nan_to_num(at_depth, nan=-9)).astype(int)
            inside = (at >= 0).all(axis=1) & (at < scene.color_camera.size_wh).all(axis=1)
            inside &= (low >= 0).all(axis=1) & (low < scene.depth_camera.size_wh).all(axis=1) & (z > 0)
            at, low, z, own = at[inside], low[inside], z[inside], owner[index[inside]]
            reading = scene.read_depth(frame.frame_index)[low[:, 1], low[:, 0]]
            seen = (reading > 0) & (np.abs(reading - z) < 0.05)
            agreed.append((picture[at[seen, 1], at[seen, 0]] == own[seen] + 1).mean())
    assert np.mean(agreed) > 0.85


def test_labels(tiny_room):
    labels = read_labels(tiny_room / "labels" / "rooms.parquet")
    assert len({label.query_id for label in labels}) == len(labels)
    sentences = [label for label in labels if not label.answers]
    questions = [label for label in labels if label.answers]
    assert sentences
    assert questions
    for label in sentences:
        assert label.main_run is not None
        assert 0 <= label.main_run < len(label.runs_s)
        assert label.box3d is not None
        assert all(0 <= start < end <= 12 for start, end in label.runs_s)
        assert label.keyframes
        for frame in label.keyframes:
            x1, y1, x2, y2 = frame.box_xyxy_px
            assert -0.5 <= x1 < x2 <= 95.5
            assert -0.5 <= y1 < y2 <= 71.5
    assert all(label.box3d is None and label.answer_type for label in questions)


def test_annotation_files_of_a_split(tmp_path):
    options = RoomOptions(duration_s=20, fps=1, color_size_wh=(96, 72), depth_size_wh=(32, 24))
    done = []
    summaries = make_rooms(tmp_path, "val", 2, options, done.append)
    assert done == [1, 2]
    names = [summary.scene_id for summary in summaries]
    assert names == ["scene8000_00", "scene8001_00"]
    assert (tmp_path / "ScanRefer_filtered_val.txt").read_text().split() == names
    refer = json.loads((tmp_path / "ScanRefer_filtered_val.json").read_text())
    keys = {"scene_id", "object_id", "object_name", "ann_id", "description", "token"}
    assert all(set(row) == keys and isinstance(row["object_id"], str) for row in refer)
    assert len({(row["scene_id"], row["object_id"], row["ann_id"]) for row in refer}) == len(refer)
    assert len(refer) == sum(summary.num_queries for summary in summaries)
    qa = json.loads((tmp_path / "ScanQA_v1.0_val.json").read_text())
    assert all(row["answers"] and len(row["object_ids"]) == len(row["object_names"]) for row in qa)
    balanced = tmp_path / "sqa_task" / "balanced"
    asked = json.loads((balanced / "v1_balanced_questions_val_scannetv2.json").read_text())["questions"]
    told = json.loads((balanced / "v1_balanced_sqa_annotations_val_scannetv2.json").read_text())[
        "annotations"
    ]
    assert [row["question_id"] for row in asked] == [row["question_id"] for row in told]
    assert all(sum(v * v for v in row["rotation"].values()) == pytest.approx(1) for row in told)
    rows = [json.loads(line) for line in (tmp_path / "vsibench_val.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == list(range(len(rows)))
    assert (tmp_path / "scannetv2-labels.combined.tsv").read_text().startswith("id\traw_category")


def test_a_room_that_is_there_is_kept(tiny_room, monkeypatch):
    def fail(*_):
        raise AssertionError("the room was made again")

    monkeypatch.setattr(write, "_write_room", fail)
    summary = make_room(TINY_SEED, tiny_room.parents[1], TINY)
    assert summary.path == tiny_room


def test_a_folder_that_is_something_else_is_left_alone(tiny_room, tmp_path):
    with pytest.raises(InputError, match=r"other options \(fps 1"):
        make_room(TINY_SEED, tiny_room.parents[1], replace(TINY, fps=2))
    real = tmp_path / "scans" / "scene9000_00"
    real.mkdir(parents=True)
    with pytest.raises(InputError, match="no synthetic room"):
        make_room(9000, tmp_path, TINY)
    assert list(real.iterdir()) == []


def test_an_interrupted_room_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_labels", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_room(
            TINY_SEED,
            tmp_path,
            RoomOptions(duration_s=2, fps=1, color_size_wh=(64, 48), depth_size_wh=(32, 24)),
        )
    assert list((tmp_path / "scans").iterdir()) == []


def test_splits_share_no_seed_and_names_are_scannets():
    seeds = [set(split_seeds(split)) for split in ("train", "val", "test")]
    assert not seeds[0] & seeds[1]
    assert not seeds[0] & seeds[2]
    assert not seeds[1] & seeds[2]
    assert scene_id_of(9012) == "scene9012_00"
    assert len(seeds[0]) >= 5000


def test_what_cannot_be_made(tmp_path):
    with pytest.raises(UsageError, match="splits"):
        split_seeds("dev")
    with pytest.raises(UsageError, match="seeds go from"):
        make_room(12, tmp_path)
    with pytest.raises(UsageError, match="1 to 1000 rooms"):
        make_rooms(tmp_path, "test", 1001)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        make_room(9000, tmp_path / "file")


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0},
        {"duration_s": -1},
        {"duration_s": 0.1, "fps": 1},
        {"color_size_wh": (8, 8)},
        {"jpeg_quality": 0},
    ],
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(UsageError):
        RoomOptions(**wrong)
