"""The real ``scener1 preprocess`` and ``evaluate`` on visits of SceneFun3D that our own writer made."""

import json
import subprocess
import sys

import pytest

from tests import visits

pytestmark = pytest.mark.integration
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]
ASK = ["--benchmark", "scenefun3d", "--annotations", "root", "--store", "store"]


def run(arguments, cwd):
    return subprocess.run(
        [*SCENER1, *map(str, arguments)], capture_output=True, text=True, timeout=400, check=False, cwd=cwd
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenefun3d")
    visits.write_visit(path / "root", "hires", "421000", ("42445000",))
    visits.write_visit(path / "root", "lowres", "421001", ("42445001",))
    prepared = run(["preprocess", "--source", "scenefun3d", "--root", "root", "--store", "store",
                    "--fps", 10, "--json"], path)  # fmt: skip
    assert prepared.returncode == 0, prepared.stderr
    data = json.loads(prepared.stdout)
    assert data["scenes"]["prepared"] == 2
    assert data["labels"]["scenefun3d"] == {"queries": 6, "unusable rows": 0}
    return path


def test_from_true_boxes_the_elements_are_found_and_the_submission_scores_the_same(folder):
    options = ["--preset", "pocket", "--oracle", "box", "--set", "lifting.voxel_m=0.01", "--out", "run"]
    done = run(["evaluate", *ASK, *options, "--json"], folder)
    # The two tasks of several elements have no box to be given: they fail, and are told.
    assert done.returncode == 5, done.stderr
    report = json.loads(done.stdout)
    assert (report["n"], report["failed"], report["about"]["queries without a mask"]) == (6, 2, 2)
    assert report["groups"]["affordance"]["hook_pull"]["ap_50"]["value"] == 1.0
    assert report["metrics"]["recall_50"]["value"] == 0.5
    again = run(["evaluate", *ASK, "--predictions", "run", "--json"], folder)
    assert json.loads(again.stdout)["metrics"] == report["metrics"]
    # The files alone say when nothing was seen, so there is no span to score.
    alone = run(["evaluate", *ASK, "--predictions", "run/submission", "--json"], folder)
    names = {"ap", "ap_50", "ap_25", "recall", "recall_50", "recall_25", "mask_iou"}
    assert json.loads(alone.stdout)["metrics"] == {name: report["metrics"][name] for name in names}
    assert len(list((folder / "run" / "submission").glob("*.txt"))) == 6


def test_usage_is_told(folder):
    done = run(["evaluate", "--benchmark", "scenefun3d"], folder)
    assert done.returncode == 2
    assert "needs --annotations" in done.stderr
    done = run(["evaluate", *ASK, "--predictions", "root"], folder)
    assert done.returncode == 3
    assert "has no <visit>_<desc>.txt of these queries" in done.stderr
    done = run(["preprocess", "--source", "scenefun3d", "--root", "root", "--annotations", "x.json"], folder)
    assert done.returncode in (2, 3)
