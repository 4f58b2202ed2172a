"""The real training commands on pocket: a few steps, killed and resumed, and the model they leave."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.integration
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]
SMALL = [
    "--set", "data.rooms=1", "--set", "data.per_scene=4", "--set", "trl.num_generations=2",
    "--set", "trl.per_device_train_batch_size=2", "--set", "trl.save_steps=1",
]  # fmt: skip


def command(stage, store, out, *more):
    return [*SCENER1, f"train-{stage}", *SMALL, "--store", str(store), "--out", str(out), *more]


def run(arguments, cwd):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=400, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def losses(path):
    rows = [json.loads(line) for line in (path / "train.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def test_killed_and_resumed_it_trains_the_same(store, tmp_path):
    steps = ["--set", "trl.max_steps=4"]
    done = run(command("temporal", store, tmp_path / "whole", *steps, "--json"), tmp_path)
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)["model"]
    assert os.path.exists(os.path.join(model, "model.safetensors"))
    process = subprocess.Popen(
        command("temporal", store, tmp_path / "cut", *steps),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 200
    while time.monotonic() < until and not (tmp_path / "cut" / "checkpoints" / "checkpoint-2").is_dir():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = run(command("temporal", store, tmp_path / "cut", *steps, "--resume"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "cut")[4] == pytest.approx(losses(tmp_path / "whole")[4], abs=1e-6)


def test_stage_two_starts_from_a_run_and_ground_takes_it(store, tmp_path):
    first = run(command("image", store, tmp_path / "image", "--set", "trl.max_steps=1"), tmp_path)
    assert first.returncode == 0, first.stderr
    more = ["--model", str(tmp_path / "image"), "--set", "trl.max_steps=1", "--no-shared-prefix"]
    second = run(command("qa", store, tmp_path / "qa", *more), tmp_path)
    assert second.returncode == 0, second.stderr
    arguments = [
        "ground",
        "demo",
        "the chair",
        "--model",
        str(tmp_path / "image"),
        "--store",
        str(store),
        "--json",
    ]
    found = run([*SCENER1, *arguments], tmp_path)
    assert found.returncode in (0, 5), found.stderr
    assert json.loads(found.stdout)["span_s"] is not None


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--set", "trl.num_generations=1"], 2, "at least 2"),
        (["--set", "trl.no_such_key=1"], 2, "Keys are those of TRL's GRPOConfig"),
        (["--set", "trl.per_device_train_batch_size=3"], 2, "splits groups"),
        (["--model", "no/such/folder"], 3, "does not exist"),
        (["--set", "data.rooms=0"], 3, "no label to train"),
    ],
)
def test_bad_settings_are_one_sentence(store, arguments, code, told, tmp_path):
    done = run(command("temporal", store, tmp_path / "out", *arguments), tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
