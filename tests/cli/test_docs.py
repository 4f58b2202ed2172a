"""What is written about the commands is what the commands are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_command_reference_is_current():
    command = [sys.executable, "-m", "typer", "scene_r1_cli.cli.app", "utils", "docs", "--name", "scener1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    written = (ROOT / "docs" / "cli.md").read_text()
    assert done.stdout.strip() == written.strip(), "run: make docs/cli.md"


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert broken == []


def test_set_keys_in_the_readme_exist():
    from scene_r1_cli.config_load import load_config

    keys = re.findall(r"--set ([\w]+\.[\w.]+=\S+)", (ROOT / "README.md").read_text())
    assert keys
    load_config(preset=None, files=[], sets=keys, flags={})  # raises ConfigError for an unknown key


def test_every_file_of_a_run_is_named():
    source = "".join((ROOT / "scene_r1_cli" / f"{name}_dir.py").read_text() for name in ("run", "query"))
    names = set(re.findall(r'"([a-z_0-9]+\.(?:jsonl?|ya?ml|ply|md|log))"', source)) - {"README.md"}
    folders = set(re.findall(r'self\.path / "([a-z]+)"', source))
    scripts = {path.name for path in (ROOT / "scene_r1_cli" / "viewer" / "static").glob("*.js")}
    page = (ROOT / "docs" / "run_directory.md").read_text()
    assert {"run.json", "boxes_2d.json", "points.ply", "train.jsonl"} <= names
    assert [name for name in sorted(names | folders | scripts) if name not in page] == []
