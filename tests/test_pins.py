"""What pyproject.toml allows is what the tests run with."""

import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement


def test_trl_is_the_version_its_hooks_are_tested_with():
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    (trl,) = (wanted for wanted in map(Requirement, extras["train"]) if wanted.name == "trl")
    major, minor, *_ = version("trl").split(".")
    assert trl.specifier.contains(version("trl"))
    assert not trl.specifier.contains(f"{major}.{int(minor) + 1}.0")
    assert not trl.specifier.contains(f"{major}.{int(minor) - 1}.9")
