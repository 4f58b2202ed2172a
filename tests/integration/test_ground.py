"""The real commands on a real (small) room: demo, ground, resume, overwrite."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from scene_r1_cli.data.labels import read_labels
from scene_r1_cli.data.sources import open_scene

pytestmark = pytest.mark.integration

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "result.schema.json").read_text())
SMALL = ("--fps", "2", "--color-size", "320,240", "--depth-size", "240,180")


def scener1(*arguments, cwd):
    command = [sys.executable, "-m", "scene_r1_cli.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with one small room in its store."""
    folder = tmp_path_factory.mktemp("work")
    done = scener1("rooms", "data/rooms", "--split", "val", "--count", 1, *SMALL, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def scene(work):
    folder = work / "data" / "rooms" / "scans" / "scene8000_00"  # the first room of val
    return open_scene(folder)


def best_keyframe(label):
    return max(label.keyframes, key=lambda item: item.visibility)


@pytest.fixture(scope="module")
def label(scene):
    """A label whose best key frame shows the object whole; the one with the largest 2D box."""
    width, height = scene.color_camera.size_wh

    def area_when_whole(item):
        x1, y1, x2, y2 = best_keyframe(item).box_xyxy_px
        whole = x1 > 5 and y1 > 5 and x2 < width - 6 and y2 < height - 6
        return (x2 - x1) * (y2 - y1) if whole else 0

    labels = read_labels(scene.path / "labels" / "rooms.parquet")
    return max((item for item in labels if item.keyframes), key=area_when_whole)


def prompt_of(label):
    keyframe = best_keyframe(label)
    return ("--frame", keyframe.frame_index, "--box", ",".join(str(value) for value in keyframe.box_xyxy_px))


def test_demo_goes_from_sentence_to_box_with_its_reasons(work):
    done = scener1("demo", "--json", "--out", "demo", cwd=work)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    assert result["status"] == "ok"
    assert result["truth"]["box3d_iou"] > 0.25
    run = work / "demo"
    page = (run / "report" / "index.html").read_text()
    assert result["query"] in page
    for rationale in result["rationale"].values():
        assert "I see" in rationale
        assert rationale in page
    exchanges = (run / "queries" / result["scene_id"] / result["query_id"] / "vlm.jsonl").read_text()
    assert "<think>" in exchanges
    assert list((run / "report" / "frames").glob("*.jpg"))
    assert json.loads((run / "run.json").read_text())["status"] == "done"
    assert json.loads((run / "predictions.jsonl").read_text()) == result
    assert (run / result["mask_path"]).read_bytes().startswith(b"ply")
    assert done.stderr.rstrip().endswith("report/index.html")


def test_ground_by_scene_id_with_truth_then_resume_then_overwrite(work, scene, label):
    arguments = ("ground", scene.scene_id, label.text, *prompt_of(label), "--out", "run", "--json")
    first = scener1(*arguments, cwd=work)
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    jsonschema.validate(result, SCHEMA)
    assert result["truth"]["box3d_iou"] > 0.25
    assert result["boxes3d"][0] == result["box3d"]

    again = scener1(*arguments, cwd=work)
    assert again.returncode == 2
    assert "already holds a run" in again.stderr

    resumed = scener1(*arguments, "--resume", cwd=work)
    loaded = json.loads(resumed.stdout)
    assert loaded["box3d"] == result["box3d"]
    assert loaded["timings_s"] == {"total": 0}, "every stage was loaded"

    changed = scener1(*arguments, "--resume", "--set", "lifting.min_points=31", cwd=work)
    assert set(json.loads(changed.stdout)["timings_s"]) == {"surface", "points", "box3d", "total"}

    overwritten = scener1(*arguments, "--overwrite", cwd=work)
    assert "masks" in json.loads(overwritten.stdout)["timings_s"]


def test_a_stage_that_finds_nothing_is_a_result_and_exit_5(work, scene, label):
    done = scener1(
        *("ground", scene.path, "x", *prompt_of(label), "--set", "lifting.min_points=1000000000"),
        *("--out", "nothing", "--json"),
        cwd=work,
    )
    assert done.returncode == 5
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    assert result["status"] == "failed"
    assert result["failure"]["stage"] == "points"
    assert "points" in (work / "nothing" / "report" / "index.html").read_text()
    assert json.loads((work / "nothing" / "run.json").read_text())["status"] == "failed items"


def test_sens_file_and_exported_folder_agree(work, scene, label, tmp_path):
    """One room through two readers gives one box."""
    import cv2
    import numpy as np

    folder = tmp_path / "exported"
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    for frame in scene.frames:
        index = frame.frame_index
        (folder / "color" / f"{index}.jpg").write_bytes(scene.reader.color_bytes(index))
        cv2.imwrite(
            str(folder / "depth" / f"{index}.png"), (scene.read_depth(index) * 1000).round().astype("u2")
        )
        np.savetxt(folder / "pose" / f"{index}.txt", frame.scan_from_camera, fmt="%.18g")
    for name, camera in (("color", scene.color_camera), ("depth", scene.depth_camera)):
        np.savetxt(folder / "intrinsic" / f"intrinsic_{name}.txt", camera.matrix)
    meta = (scene.path / f"{scene.scene_id}.txt").read_text()
    (folder / "exported.txt").write_text(meta)
    boxes = []
    for source in (scene.path / f"{scene.scene_id}.sens", folder):
        done = scener1("ground", source, "x", *prompt_of(label), "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        boxes.append(json.loads(done.stdout)["box3d"])
    assert boxes[0]["center_m"] == pytest.approx(boxes[1]["center_m"], abs=1e-4)
    assert boxes[0]["size_m"] == pytest.approx(boxes[1]["size_m"], abs=1e-4)


@pytest.mark.parametrize("family", ["qwen2.5-vl", "qwen3-vl"])
def test_a_model_is_asked_and_its_unreadable_reply_is_a_typed_failure(work, scene, tmp_path, family):
    """A tiny random checkpoint of the real architecture: asked twice for two replies, all kept, exit 5."""
    from tests.tiny_models import save_tiny_vlm

    checkpoint = save_tiny_vlm(tmp_path / "tiny", family)
    settings = ("video.max_frames=4", "video.max_side_px=112", "span.max_new_tokens=8", "model.dtype=float32")
    sets = [word for setting in (*settings, "span.replies=2") for word in ("--set", setting)]
    done = scener1(
        *("ground", scene.path, "the <b>bed</b>", "--model", checkpoint, *sets, "--out", "run", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 5, done.stderr
    result = json.loads(done.stdout)
    jsonschema.validate(result, SCHEMA)
    assert result["failure"]["stage"] == "span"
    (vlm_log,) = (tmp_path / "run").rglob("vlm.jsonl")
    exchanges = [json.loads(line) for line in vlm_log.read_text().splitlines()]
    assert [row["attempt"] for row in exchanges] == [0, 0, 1, 1]
    assert all(row["error"] and "the <b>bed</b>" in row["prompt"] for row in exchanges)
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "<b>bed</b>" not in page
    assert "&lt;b&gt;bed&lt;/b&gt;" in page
