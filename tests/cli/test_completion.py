"""What a shell offers behind TAB."""

import json
import os
import subprocess
import sys

import pytest

from scene_r1_cli.cli import completion


def test_names_are_those_of_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("rooms/scans/scene9000_00", "scannet/scene0011_00", "elsewhere"):
        (tmp_path / "data" / name).mkdir(parents=True)
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({}))
    assert completion.scenes("") == ["demo", "scene0011_00", "scene9000_00"]
    assert completion.scenes("scene9") == ["scene9000_00"]
    assert completion.runs("") == ["runs/one"]
    assert "qwen2.5-vl-7b" in completion.presets("qwen")
    assert completion.presets("ablation") == []
    assert "train/pocket-image" in completion.configs("train/p")


@pytest.mark.parametrize(("words", "offered"), [("ground --preset poc", "pocket"), ("ground de", "demo")])
def test_the_shell_gets_them(tmp_path, words, offered):
    environment = os.environ | {
        "_SCENER1_COMPLETE": "complete_bash",
        "COMP_WORDS": f"scener1 {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    command = [os.path.join(os.path.dirname(sys.executable), "scener1")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60, check=False
    )
    assert offered in done.stdout.split(), done.stderr
