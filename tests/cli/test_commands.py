"""Every kind of bad input: one sentence, the right exit code, nothing written. Help is light."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from scene_r1_cli.cli.app import app, main
from scene_r1_cli.cli.output import command_again
from tests import captures

NOT_FINITE = np.full((4, 4), -np.inf)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run scener1 in an empty folder; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCENER1_STORE", raising=False)

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["scener1", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run_command


@pytest.fixture
def capture(tmp_path):
    return captures.write_exported(tmp_path / "capture")


def cut_in_header(folder):
    whole = captures.write_test_sens(folder / "whole.sens").read_bytes()
    (folder / "cut.sens").write_bytes(whole[:100])
    return folder / "cut.sens"


def no_transforms(folder):
    return captures.write_test_sens(folder / "a.sens", transforms=dict.fromkeys(range(4), NOT_FINITE))


def text_model(folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps({"model_type": "qwen2", "hidden_size": 8}))
    return folder / "model"


BOX = ("--frame", "0", "--box", "4,4,40,40")

BAD_INPUTS = {
    "missing path": (lambda f: ["ground", "nowhere", "the chair", *BOX], 3, "no file or folder 'nowhere'"),
    "empty folder": (
        lambda f: [(f / "empty").mkdir(), "ground", "empty", "x", *BOX][1:],
        3,
        "is an empty folder",
    ),
    "sens cut in its header": (
        lambda f: ["ground", cut_in_header(f), "x", *BOX],
        3,
        "ends inside its header",
    ),
    "no camera transform": (lambda f: ["ground", no_transforms(f), "x", *BOX], 3, "no usable frame"),
    "empty query": (lambda f: ["ground", "capture", "  ", *BOX], 2, "The query is empty"),
    "box outside": (
        lambda f: ["ground", "capture", "x", "--frame", "0", "--box", "100,100,120,130"],
        2,
        "no area inside the 64×48 colour image",
    ),
    "reversed box": (
        lambda f: ["ground", "capture", "x", "--frame", "0", "--box", "40,4,4,40"],
        2,
        "no area inside",
    ),
    "no numbers": (
        lambda f: ["ground", "capture", "x", "--frame", "0", "--box", "a,b"],
        2,
        "--box takes 4 numbers",
    ),
    "not a number": (
        lambda f: ["ground", "capture", "x", "--frame", "0", "--box", "nan,1,2,3"],
        2,
        "--box takes 4 numbers",
    ),
    "box without frame": (
        lambda f: ["ground", "capture", "x", "--box", "1,2,3,4"],
        2,
        "each box needs its frame",
    ),
    "unknown frame": (
        lambda f: ["ground", "capture", "x", "--frame", "77", "--box", "1,2,3,4"],
        2,
        "Frame 77 of capture is not usable; usable frames lie between 0 and 3",
    ),
    "span outside": (
        lambda f: ["ground", "capture", "x", "--span", "5,9", *BOX],
        2,
        "is not inside the video",
    ),
    "unknown source": (
        lambda f: ["ground", "capture", "x", "--source", "scannett", *BOX],
        2,
        "--source takes prepared, scannet",
    ),
    "unknown preset": (lambda f: ["ground", "capture", "x", "--preset", "qwen2.5-vl-7"], 2, "qwen2.5-vl-7b"),
    "unknown key": (
        lambda f: ["ground", "capture", "x", "--set", "lifting.min_pionts=3", *BOX],
        2,
        "min_points",
    ),
    "missing config": (lambda f: ["ground", "capture", "x", "--config", "no.yaml", *BOX], 2, "no.yaml"),
    "real capture for pocket": (
        lambda f: ["ground", "capture", "the chair"],
        4,
        "knows only rooms made by `scener1 rooms`, and capture is not one",
    ),
    "a thing pocket does not know": (
        lambda f: ["ground", "capture", "the mug", "--preset", "pocket"],
        2,
        "pocket knows no object that 'the mug' names",
    ),
    "text model": (
        lambda f: [
            "ground",
            "capture",
            "the chair",
            "--model",
            text_model(f),
            "--set",
            "model.family=qwen2.5-vl",
        ],
        3,
        "vision",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input(run, capture, tmp_path, name):
    arguments, code, message = BAD_INPUTS[name]
    given = arguments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    exit_code, out, err = run(*given)
    assert (exit_code, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2, "a sentence and a hint"
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_depth_of_another_size(run, tmp_path):
    import cv2

    folder = captures.write_exported(tmp_path / "capture")
    for index in range(1, 4):
        cv2.imwrite(str(folder / "depth" / f"{index}.png"), np.zeros((10, 10), np.uint16))
    code, out, _err = run("ground", folder, "x", "--frame", "2", "--box", "4,4,40,40", "--json")
    result = json.loads(out)
    assert code == 5
    assert result["status"] == "failed"
    assert result["failure"]["stage"] == "masks"
    assert result["box3d"] is None


def test_a_sens_cut_among_its_frames_says_how_many_are_left(run, tmp_path):
    whole = captures.write_test_sens(tmp_path / "whole.sens").read_bytes()
    (tmp_path / "cut.sens").write_bytes(whole[:-200])
    code, _out, err = run("ground", "cut.sens", "the chair", *BOX, "--dry-run")
    assert code == 0
    assert "declares 4 frames" in err
    assert "3 are whole" in err


def test_a_folder_that_is_no_run_is_left_alone(run, capture, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    for flag in ([], ["--resume"], ["--overwrite"]):
        code, _out, err = run("ground", "capture", "x", *BOX, "--out", "mine", *flag)
        assert code == 2
        assert "holds no scener1 run" in err
    assert [item.name for item in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_dry_run_prints_the_plan_and_writes_nothing(run, capture, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, out, _err = run("ground", "capture", "the chair", "--span", "0,0.05", "--dry-run")
    plan = json.loads(out)
    assert code == 0
    assert plan["stages"] == ["box", "masks", "points", "box3d"]
    assert plan["frames"] == 4
    assert plan["config"]["tracker"]["name"] == "geometric"
    assert sorted(tmp_path.rglob("*")) == before


def commands(group: Any = None, words=()):
    """Words and object of every command, those of sub-groups too."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_help_of_every_command_shows_two_examples(run, words):
    code, out, _err = run(*words, "-h")
    assert code == 0
    lines = out.partition("Examples:")[2].partition("Options:")[0].partition("Arguments:")[0].splitlines()
    examples = [line for line in lines if line.startswith(("    scener1 ", "    accelerate "))]
    assert len(examples) >= 2
    assert all(f"{' '.join(words)} " in f"{line} " for line in examples)


def test_commands_are_listed_by_what_they_are_for(run):
    code, out, _err = run("-h")
    titles = [line.rstrip(":") for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    assert (code, titles) == (0, ["Options", "Pipeline", "Inspect", "Project"])
    for words, _command in commands():
        assert f"\n  {words[0]} " in out


def test_version(run):
    code, out, _err = run("--version")
    assert code == 0
    assert out.startswith("scener1 0.")


def test_a_bug_is_told_as_a_bug(run, capture, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("scene_r1_cli.data.store.resolve_scene", fail)
    code, out, err = run("ground", "capture", "x")
    assert (code, out) == (1, "")
    assert "bug in scener1: ZeroDivisionError" in err


def test_a_place_that_cannot_be_written(run, capture, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", "/somewhere/run.json")

    monkeypatch.setattr("scene_r1_cli.data.store.resolve_scene", refuse)
    code, out, err = run("ground", "capture", "x")
    assert (code, out) == (4, "")
    assert "/somewhere/run.json cannot be read or written: Permission denied." in err


def test_ctrl_c(run, capture, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("scene_r1_cli.data.store.resolve_scene", interrupt)
    code, out, _err = run("ground", "capture", "x")
    assert (code, out) == (130, "")


def test_ctrl_c_tells_how_to_go_on(run, capture, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("scene_r1_cli.pipeline.lift_points", interrupt)
    code, out, err = run("ground", "capture", "the chair's leg", *BOX)
    assert (code, out) == (130, "")
    again = next(line for line in err.splitlines() if line.startswith("go on with: "))
    words = shlex.split(again.removeprefix("go on with: "))
    assert words[:4] == ["scener1", "ground", "capture", "the chair's leg"]
    assert words[-1] == "--resume"
    monkeypatch.undo()
    monkeypatch.chdir(capture.parent)
    code, out, err = run(*words[1:])
    assert code in (0, 5)
    assert Path(words[words.index("--out") + 1], "report", "index.html").is_file()


@pytest.mark.parametrize(
    ("argv", "out", "resume", "again"),
    [
        (["demo"], "runs/one", True, "scener1 demo --out runs/one --resume"),
        (["demo", "--out", "x", "--overwrite"], "x", True, "scener1 demo --out x --resume"),
        (["qa", "demo", "how many?", "--out=x"], "x", True, "scener1 qa demo 'how many?' --out=x --resume"),
        (["preprocess", "--root", "a b"], None, False, "scener1 preprocess --root 'a b'"),
        (["train-sft", "--config", "c", "--resume"], None, True, "scener1 train-sft --config c --resume"),
    ],
)
def test_the_command_that_goes_on(argv, out, resume, again):
    assert command_again(argv, Path(out) if out else None, resume=resume) == again
