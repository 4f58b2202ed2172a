"""Runs, configurations and the machine."""

import json

import pytest
from typer.testing import CliRunner

from scene_r1_cli import doctor
from scene_r1_cli.cli.app import app
from scene_r1_cli.doctor import examine
from scene_r1_cli.errors import ConfigError, InputError, UsageError
from scene_r1_cli.run_dir import RunDir

runner = CliRunner()


def call(*arguments):
    return runner.invoke(app, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def runs(tmp_path):
    for number, status in ((1, "done"), (2, "failed items")):
        run = RunDir(tmp_path / "runs" / f"run{number}")
        run.start("ground", {"a": 1}, ["ground", "demo"])
        run.append_prediction({"scene_id": "s", "query_id": "q", "status": "failed" if number == 2 else "ok"})
        run.finish(status)
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def test_runs_are_listed_shown_and_removed(runs):
    rows = json.loads(call("runs", "list", "--runs", runs, "--json").stdout)["runs"]
    assert {row["status"] for row in rows} == {"done", "failed items"}
    shown = json.loads(call("runs", "show", runs / "run2", "--json").stdout)
    assert (shown["predictions"], shown["failed"]) == (1, 1)
    assert "scener1 ground demo" in call("runs", "show", runs / "run1").stdout
    assert call("runs", "rm", runs / "run1", "--yes").exit_code == 0
    assert not (runs / "run1").exists()
    assert runner.invoke(app, ["runs", "rm", str(runs / "run2")], input="n\n").exit_code != 0
    assert (runs / "run2").exists()


@pytest.mark.parametrize("action", ["show", "rm"])
def test_what_is_no_run_is_refused(runs, action):
    with pytest.raises(InputError, match="holds no scener1 run"):
        call("runs", action, runs / "notes")
    assert (runs / "notes").exists()


def test_every_shipped_config_is_listed_shown_and_copied(tmp_path):
    names = call("configs", "list").stdout.split()
    assert {"ground/pocket", "train/pocket-temporal", "accelerate/zero3", "preprocess/scannet"} <= set(names)
    for name in names:
        assert call("configs", "show", name).stdout.startswith("#")
    copied = tmp_path / "mine.yaml"
    call("configs", "copy", "ground/pocket", copied)
    assert call("configs", "check", copied).exit_code == 0
    with pytest.raises(UsageError, match="there already"):
        call("configs", "copy", "ground/pocket", copied)
    copied.write_text("vidoe: {fps: 1}")
    with pytest.raises(ConfigError, match="vidoe is no setting"):
        call("configs", "check", copied)
    with pytest.raises(InputError, match="no shipped configuration"):
        call("configs", "show", "ground/poket")


def test_the_machine_that_runs_this_has_what_is_needed(tmp_path):
    checks = {check.name: check for check in examine(tmp_path)}
    assert all(check.ok for check in checks.values() if check.needed)
    assert not checks["ScanNet"].ok
    assert "0 scans" in checks["ScanNet"].found
    for check in checks.values():
        assert check.ok or (check.cost and check.mend)
    assert json.loads(call("doctor", "--json").stdout)["checks"]


def test_a_scannet_folder_is_counted_by_what_is_there(tmp_path):
    for name, files in {
        "scene0000_00": (".sens", ".txt", "_vh_clean_2.ply"),
        "scene0001_00": (".txt",),
    }.items():
        scan = tmp_path / "scans" / name
        scan.mkdir(parents=True)
        for end in files:
            (scan / f"{name}{end}").write_bytes(b"")
    found = next(check for check in examine(tmp_path) if check.name == "ScanNet")
    assert not found.ok
    assert "2 scans" in found.found
    assert "1 with .sens, 2 with .txt (alignment), 1 with mesh, 0 with segments" in found.found
    assert "first without .sens is scene0001_00" in found.found
    assert f"-o {tmp_path} --type .sens" in found.mend


def test_a_missing_system_library_is_told_with_its_package(monkeypatch):
    monkeypatch.setitem(doctor.SYSTEM_LIBRARIES, "libnowhere.so.1", "nowhere1")
    found = next(check for check in examine() if check.name == "system libraries")
    assert (found.ok, found.needed, found.found) == (False, True, "missing: libnowhere.so.1")
    assert found.mend == "sudo apt-get install -y nowhere1"
