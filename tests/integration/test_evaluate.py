"""The real ``scener1 evaluate`` and ``qa`` with pocket on rooms."""

import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import pytest

from scene_r1_cli.data.sources.scannet_objects import object_truths
from scene_r1_cli.evaluation.groups import BY_ALL, BY_ANNOTATED
from scene_r1_cli.evaluation.views import BY_DISTANCE, BY_SECONDS
from tests.integration import FEW
from tests.integration.test_ground import SCHEMA

pytestmark = pytest.mark.integration
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def run(arguments, cwd, **kwargs):
    return subprocess.run(
        [*SCENER1, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=cwd,
        **kwargs,
    )


def asking(store, out, *more):
    return ["evaluate", "--rooms", 2, "--limit", 8, *FEW, "--store", store, "--out", out, *more]


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = run(asking(store, "run", "--json"), folder)
    assert done.returncode in (0, 5), done.stderr
    return folder / "run", json.loads(done.stdout)


def rows_of(path):
    return [json.loads(line) for line in (path / "predictions.jsonl").read_text().splitlines()]


def without_times(row):
    return {key: value for key, value in row.items() if key not in ("timings_s", "run_dir")}


def test_every_query_is_a_row_of_the_schema_and_is_scored(whole):
    path, report = whole
    rows = rows_of(path)
    assert len(rows) == report["n"] == 8
    for row in rows:
        jsonschema.validate(row, SCHEMA)
    assert report["metrics"]["mean_iou"]["n"] + report["metrics"]["vsi"]["n"] <= 8
    assert report["about"]["model"] == "pocket"
    assert {BY_ANNOTATED, BY_ALL, BY_DISTANCE, BY_SECONDS, "class", "kind"} <= report["groups"].keys()
    assert report["about"]["frames"].startswith("2 captures read as scannet")
    assert report["about"]["prompts"].keys() == {"span", "box", "answer"}
    assert report["truth_source"] == "the rooms' own geometry"
    assert (path / "metrics.md").read_text().startswith("# rooms")


def test_killed_and_resumed_it_is_the_same(store, whole, tmp_path):
    process = subprocess.Popen(
        [*SCENER1, *map(str, asking(store, "run"))],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    predictions = tmp_path / "run" / "predictions.jsonl"
    while time.monotonic() < until and not (
        predictions.is_file() and predictions.read_text().count("\n") >= 2
    ):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(rows_of(tmp_path / "run")) < 8
    assert run(asking(store, "run", "--resume"), tmp_path).returncode in (0, 5)
    found = {row["query_id"]: without_times(row) for row in rows_of(tmp_path / "run")}
    assert len(found) == 8
    assert found == {row["query_id"]: without_times(row) for row in rows_of(whole[0])}


def test_shards_join_to_the_whole(store, whole, tmp_path):
    for shard in ("1/2", "2/2"):
        run(asking(store, shard[0], "--shard", shard), tmp_path)
    files = [part for name in "12" for part in ("--predictions", f"{name}/predictions.jsonl")]
    done = run(asking(store, "joined", *files, "--json"), tmp_path)
    report = json.loads(done.stdout)
    assert report["missing"] == 0
    assert report["metrics"] == whole[1]["metrics"]
    assert len(rows_of(tmp_path / "joined")) == 8
    assert (tmp_path / "joined" / "report" / "index.html").is_file()


def test_the_ladder_is_one_report_and_each_step_is_a_run_to_compare(store, tmp_path):
    asked = ["evaluate", "--rooms", 2, "--limit", 4, *FEW, "--task", "ground", "--store", store]
    done = run([*asked, "--ladder", "--out", "run", "--json"], tmp_path)
    assert done.returncode in (0, 5), done.stderr
    ladder = json.loads(done.stdout)["ladder"]
    assert list(ladder) == ["the model alone", "+ the true span", "+ the true 2D boxes", "+ the true masks"]
    assert {step["mean_iou"]["n"] for step in ladder.values()} == {4}
    assert ladder["+ the true span"]["span_iou"]["value"] == 1
    assert ladder["+ the true masks"]["mean_iou"]["value"] > 0.5
    assert ladder["+ the true masks"]["mean_iou"]["value"] >= ladder["the model alone"]["mean_iou"]["value"]
    assert "+ the true 2D boxes" in (tmp_path / "run" / "report" / "index.html").read_text()
    again = run([*asked, "--predictions", "run"], tmp_path).stdout
    assert again == (tmp_path / "run" / "metrics.md").read_text() + "\n"
    assert "| + the true masks |" in again
    compared = run([*asked, "--compare", "run", "run/oracles/mask"], tmp_path)
    assert "mean IoU" in compared.stdout


def truth_of(store):
    """Sentences of the rooms in ScanRefer's file, with the truth as predictions."""
    annotations = store / "rooms" / "ScanRefer_filtered_val.json"
    rows = json.loads(annotations.read_text())
    scenes = sorted({row["scene_id"] for row in rows})
    boxes = {scene: object_truths(store / "rooms" / "scans" / scene) for scene in scenes}
    predictions = []
    for row in rows:
        box = boxes[row["scene_id"]][int(row["object_id"])].box3d
        found = {"center_m": box.center_m.tolist(), "size_m": box.size_m.tolist()}
        predictions.append(
            {name: row[name] for name in ("scene_id", "object_id", "ann_id")} | {"box3d": found}
        )
    return annotations, predictions


def test_scanrefers_file_is_scored_with_scannets_meshes_and_handed_in(store, whole, tmp_path):
    annotations, predictions = truth_of(store)
    (tmp_path / "found.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in predictions[:-1]))
    asked = ["evaluate", "--benchmark", "scanrefer", "--annotations", annotations, "--store", tmp_path]
    asked += ["--scannet-root", store / "rooms", "--json"]
    done = run([*asked, "--predictions", "found.jsonl", "--out", "run"], tmp_path)
    report = json.loads(done.stdout)
    assert (report["n"], report["missing"]) == (len(predictions), 1)
    assert report["metrics"]["acc_at_0.50"]["value"] == pytest.approx(1 - 1 / len(predictions))
    assert report["truth_source"].startswith("ScanNet's annotated meshes")
    assert {"unique", "multiple"} == report["groups"][BY_ANNOTATED].keys() | report["groups"][BY_ALL].keys()
    handed_in = json.loads((tmp_path / "run" / "submission.json").read_text())
    assert len(handed_in) == len(predictions)
    back = json.loads(run([*asked, "--predictions", "run/submission.json"], tmp_path).stdout)
    assert back["metrics"]["acc_at_0.50"] == report["metrics"]["acc_at_0.50"]
    assert back["groups"].keys() == report["groups"].keys()


def test_queries_of_a_damaged_scene_fail_with_their_reason_and_the_rest_go_on(store, whole, tmp_path):
    annotations, predictions = truth_of(store)
    whole_scene, damaged = sorted({row["scene_id"] for row in predictions})
    folder = tmp_path / "store" / "mine"
    folder.mkdir(parents=True)
    (folder / whole_scene).symlink_to(store / "rooms" / "scans" / whole_scene)
    (folder / damaged).mkdir()
    (folder / damaged / f"{damaged}.sens").write_bytes(b"no capture")
    asked = ["evaluate", "--benchmark", "scanrefer", "--annotations", annotations, "--limit", 4, "--json"]
    asked += ["--store", tmp_path / "store", "--scannet-root", store / "rooms", "--out", "run", *FEW]
    done = run(asked, tmp_path)
    assert done.returncode == 5, done.stderr
    rows = rows_of(tmp_path / "run")
    assert len(rows) == 4
    for row in rows:
        jsonschema.validate(row, SCHEMA)
        at_video = row["failure"] is not None and row["failure"]["stage"] == "video"
        assert at_video == (row["scene_id"] == damaged)
        assert not at_video or row["failure"]["reason"]
    assert json.loads(done.stdout)["failures"]["video"] == 2


def test_a_ray_node_that_is_killed_loses_no_query_and_doubles_none(store, tmp_path):
    """The second of two nodes dies while it works: a scene is done, and more wait than there are nodes."""
    pytest.importorskip("ray")
    asked = ["evaluate", "--rooms", 4, "--limit", 8, "--task", "ground", "--oracle", "mask", "--json"]
    asked += ["--store", store, "--executor", "ray", "--out", "run", "--set", "surface.use=off"]
    script = f"""
import json, os, subprocess, sys, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1, "include_dashboard": False}})
second = cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
pipes = {{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}}
process = subprocess.Popen({[*SCENER1, *map(str, asked)]!r}, **pipes)
found = Path("run/predictions.jsonl")
while process.poll() is None and not found.is_file():
    time.sleep(0.05)
cluster.remove_node(second, allow_graceful=False)
when_killed = len(found.read_text().splitlines())
out, err = process.communicate()
ray.init(address=cluster.address, log_to_driver=False)
until = time.monotonic() + 60  # the cluster believes it only after some missed signs of life
while len(alive := [node for node in ray.nodes() if node["Alive"]]) > 1 and time.monotonic() < until:
    time.sleep(0.5)
print(json.dumps([process.returncode, when_killed, len(alive), out, err]))
ray.shutdown()
cluster.shutdown()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=tmp_path,
        # Ray makes its workers nice; on a busy machine they would get no time at all.
        env=os.environ | {"RAY_worker_niceness": "0"},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert lines, done.stderr
    code, when_killed, alive, out, err = json.loads(lines[0])
    assert code == 0, err
    assert alive == 1
    rows = rows_of(tmp_path / "run")
    assert 0 < when_killed <= 4
    keys = [(row["scene_id"], row["query_id"]) for row in rows]
    assert len(keys) == len(set(keys)) == json.loads(out)["n"] == 8
    assert not any(row["failure"] for row in rows)


def test_qa_answers_and_keeps_its_reasoning(store, tmp_path):
    questions = [
        {"question": "what color is the chair?"},
        {"question": "which is larger?", "options": ["the bed", "the desk"], "situation": "I face the door."},
    ]
    (tmp_path / "q.jsonl").write_text("\n\n".join(map(json.dumps, questions)))
    done = run(["qa", "demo", "--file", "q.jsonl", "--store", store, "--out", "run", "--json"], tmp_path)
    assert done.returncode in (0, 5), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    for row in rows:
        jsonschema.validate(row, SCHEMA)
    assert rows[1]["query"] == "I face the door. which is larger?\nOptions:\nA. the bed\nB. the desk"
    assert len(list((tmp_path / "run").glob("queries/*/*/vlm.jsonl"))) == 2
    assert list((tmp_path / "run" / "report" / "frames").glob("*.jpg"))


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["evaluate", "--benchmark", "coco"], 2, "--benchmark takes"),
        (["evaluate", "--benchmark", "scanrefer"], 2, "needs --annotations"),
        (["evaluate", "--oracle", "depth"], 2, "--oracle takes span"),
        (["evaluate", "--oracle", "span", "--ladder"], 2, "--ladder runs every oracle"),
        (["qa", "demo"], 2, "Give one question"),
        (["qa", "demo", "x", "--option", "one"], 2, "2 to 26 choices"),
        (["qa", "demo", "--file", "none.txt"], 3, "cannot be read"),
    ],
)
def test_usage_is_told(arguments, code, told, tmp_path):
    done = run(arguments, tmp_path)
    assert done.returncode == code
    assert told in done.stderr


def test_annotations_of_another_benchmark_are_refused(store, tmp_path):
    path = store / "rooms" / "ScanRefer_filtered_val.json"
    done = run(["evaluate", "--benchmark", "scanqa", "--annotations", path, "--store", store], tmp_path)
    assert done.returncode == 3
    assert "of scanrefer, not of scanqa" in done.stderr
