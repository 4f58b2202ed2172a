"""Every command of README.md, in its order, as somebody would type them who has the data that it speaks of.

Synthetic captures stand for the reader's own and for ScanNet's. Commands that need weights which cannot be
had here run up to where they would load them: ``--dry-run``, or the error that says how to get them.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scene_r1_cli.data.rooms import RoomOptions, make_room
from scene_r1_cli.run_dir import RunDir
from tests.pages import write_evaluation

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]

# What is added to a command, so that it takes seconds; later options win.
ADDED = {
    "ground my_capture the mug": [],
    "ground": ["--dry-run"],
    "preprocess": ["--workers", "1"],
    "evaluate --compare": [],
    "evaluate --benchmark scanrefer": ["--dry-run"],
    "evaluate": ["--rooms", "1", "--dry-run"],
    "train-": ["--dry-run"],
    "rooms": ["--count", "1", "--duration", "2"],
}
# Other codes than 0: 4 where weights or packages are missing, 5 where a box of the text hits nothing.
CODES = {"qa": {4}, "doctor": {0, 4}, "ground my_capture the mug": {0, 5}, "demo": {0, 5}}


def readme_lines():
    """Commands of the shell blocks, continued lines joined, comments gone."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def by_words(table, words, default):
    text = " ".join(words)
    return next((value for start, value in table.items() if text.startswith(start)), default)


def scannet_scene(root):
    """Write scene0011_00, a scene of ScanNet's val split, from a room; returns a row of ScanRefer."""
    options = RoomOptions(fps=4, duration_s=6, color_size_wh=(160, 120), depth_size_wh=(160, 120))
    made = make_room(9000, root / "made_too", options).path
    rows = json.loads((made / "annotations" / "rooms.json").read_text())["scanrefer"]
    scan = root / "scannet" / "scans" / "scene0011_00"
    scan.mkdir(parents=True)
    for path in made.glob("scene9000_00*"):
        path.rename(scan / path.name.replace("scene9000_00", "scene0011_00"))
    return rows[0] | {"scene_id": "scene0011_00"}


@pytest.fixture
def folder(tmp_path):
    """What a reader has: a capture, a ScanNet folder, ScanRefer's file, some runs, the configurations."""
    options = RoomOptions(fps=3, duration_s=45, color_size_wh=(640, 480), depth_size_wh=(160, 120))
    os.rename(make_room(9000, tmp_path / "made", options).path, tmp_path / "my_capture")
    row = scannet_scene(tmp_path)
    (tmp_path / "ScanRefer_filtered_val.json").write_text(json.dumps([row]))
    for name in ("one", "other"):
        run = RunDir(tmp_path / "runs" / name)
        run.start("evaluate", {}, [])
        box = {"center_m": [0, 0, 0], "size_m": [1, 1, 1], "score": 1.0}
        query_id = f"{row['object_id']}_{row['ann_id']}"
        run.append_prediction({"scene_id": "scene0011_00", "query_id": query_id, "box3d": box})
    write_evaluation(RunDir(tmp_path / "runs" / "val"), 12)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def test_every_command_of_the_readme_runs(folder):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment.pop("SCENER1_STORE", None)
    seen = set()
    for program, *words in readme_lines():
        seen.add(program)
        if program == "scener1" and words[0] == "view":
            live = subprocess.Popen(
                [*SCENER1, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
            )
            assert live.stdout.readline().startswith("http://127.0.0.1:"), words
            live.terminate()
            live.wait(timeout=30)
        elif program == "scener1":
            command = [*SCENER1, *words, *by_words(ADDED, words, [])]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
            )
            assert done.returncode in by_words(CODES, words, {0}), f"{words}\n{done.stdout}\n{done.stderr}"
        elif program == "make":
            subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, check=True, timeout=60)
        elif program == "pip":
            extras = re.search(r"\[(.+)\]", words[2]).group(1).split(",")
            declared = (ROOT / "pyproject.toml").read_text()
            assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras)
            assert (ROOT / words[words.index("-c") + 1]).is_file()
        else:
            assert [program, *words] == [".", ".venv/bin/activate"]
    assert {"scener1", "make", "pip"} <= seen
