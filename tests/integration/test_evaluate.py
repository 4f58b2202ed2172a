"""The real ``scener1 evaluate`` and ``qa`` with pocket on rooms."""

import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import pytest

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
    return ["evaluate", "--rooms", 2, "--limit", 8, "--store", store, "--out", out, *more]


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
    assert "unique or multiple" in report["groups"]
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
    done = run(["evaluate", "--rooms", 2, "--limit", 8, "--store", store, *files, "--json"], tmp_path)
    report = json.loads(done.stdout)
    assert report["missing"] == 0
    assert report["metrics"] == whole[1]["metrics"]


def test_truth_up_to_the_masks_is_better_than_up_to_the_span(store, tmp_path):
    found = {}
    for oracle in ("span", "mask"):
        done = run(asking(store, oracle, "--task", "ground", "--oracle", oracle, "--json"), tmp_path)
        found[oracle] = json.loads(done.stdout)["metrics"]
    assert found["span"]["span_iou"]["value"] == 1
    assert found["mask"]["mean_iou"]["value"] > 0.5
    assert found["mask"]["mean_iou"]["value"] >= found["span"]["mean_iou"]["value"]
    done = run(
        [
            "evaluate",
            "--rooms",
            2,
            "--limit",
            8,
            "--task",
            "ground",
            "--store",
            store,
            "--compare",
            "span",
            "mask",
        ],
        tmp_path,
    )
    assert "mean IoU" in done.stdout


def test_qa_answers_and_keeps_its_reasoning(store, tmp_path):
    (tmp_path / "q.txt").write_text("what color is the chair?\n\nhow many chairs are there?\n")
    done = run(["qa", "demo", "--file", "q.txt", "--store", store, "--out", "run", "--json"], tmp_path)
    assert done.returncode in (0, 5), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2
    for row in rows:
        jsonschema.validate(row, SCHEMA)
    assert len(list((tmp_path / "run").glob("queries/*/*/vlm.jsonl"))) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["evaluate", "--benchmark", "coco"], 2, "--benchmark takes"),
        (["evaluate", "--benchmark", "scanrefer"], 2, "needs --annotations"),
        (["evaluate", "--oracle", "depth"], 2, "--oracle takes span"),
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
