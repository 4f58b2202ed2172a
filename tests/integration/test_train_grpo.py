"""The real training commands on pocket: a few steps, killed and resumed, and the model they leave."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
        (["--report-to", "no_such_tracker"], 4, "needs the package no_such_tracker"),
        (["--set", "data.per_scene=1", "--set", "trl.per_device_train_batch_size=4"], 3, "(1) than one step"),
        (["--set", "trl.max_completion_length=30000000000000"], 2, "than the 4096 tokens the model reads"),
    ],
)
def test_bad_settings_are_one_sentence(store, arguments, code, told, tmp_path):
    done = run(command("temporal", store, tmp_path / "out", *arguments), tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr


def test_a_text_model_is_refused(store, tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.json").write_text('{"model_type": "qwen2"}')
    done = run(command("temporal", store, tmp_path / "out", "--model", str(tmp_path / "text")), tmp_path)
    assert done.returncode == 3, done.stderr
    assert "no vision-language model" in done.stderr


def test_two_processes_train_one_run_without_thinking(store, tmp_path, tiny_vlm_folder):
    """LoRA, prompts of at most so many tokens, no think block: the options that touch everything."""
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        "29533",
    ]
    more = ["--no-think", "--set", "max_prompt_tokens=360", "--set", "lora={r: 4, lora_alpha: 8}"]
    more += ["--set", "trl.max_steps=2", "--set", "trl.max_completion_length=8"]
    more += ["--model", str(tiny_vlm_folder("qwen2.5-vl"))]
    done = run([*launch, *command("image", store, tmp_path / "run", *more)[1:]], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "run" / "model")
    assert "preflight: peak resident memory" in done.stderr
    assert "max_prompt_tokens 360 takes smaller prompts" in done.stderr
    assert list(losses(tmp_path / "run")) == [1, 2]
    assert (tmp_path / "run" / "model" / "config.json").is_file()
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "think: false" in config
    merged = tmp_path / "merged"
    done = run(
        [*SCENER1, "runs", "merge", str(tmp_path / "run" / "checkpoints" / "checkpoint-2"), str(merged)],
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (merged / "config.json").is_file()


def test_pocket_is_made_from_nothing_in_one_command_and_goes_on_after_a_kill(store, tmp_path):
    root = Path(__file__).parent.parent.parent
    make = ["make", "-o", ".venv/.installed", "pocket", f"POCKET={tmp_path / 'pocket'}"]
    make += [f"SFT={Path(__file__).parent / 'tiny_sft.yaml'}", f"BIN={Path(sys.executable).parent}"]
    sets = f"{' '.join(SMALL)} --set trl.max_steps=1"
    make += [f"TEMPORAL_SETS={sets}", f"IMAGE_SETS={sets}"]
    environment = os.environ | {"SCENER1_STORE": str(store)}

    def once():
        return subprocess.run(
            make, cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    process = subprocess.Popen(
        make, cwd=root, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 300
    while time.monotonic() < until and not (tmp_path / "pocket" / "sft" / "state.pt").is_file():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "pocket" / "image").exists()
    done = once()
    assert done.returncode == 0, done.stderr
    assert "vision 1/1" not in done.stderr  # that phase was done before the kill
    assert all(words in done.stderr for words in ("1 of 3", "2 of 3", "3 of 3", "preflight", "step 1/1"))
    assert (tmp_path / "pocket" / "image" / "model" / "model.safetensors").is_file()
    again = once()
    assert again.returncode == 0
    assert "of 3" not in again.stderr
