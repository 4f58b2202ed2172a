"""Imports go one way, and help and configs load no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "scene_r1_cli"

# A module may import from its own layer and from lower numbers only.
LAYERS = {
    "errors": 0,
    "types": 0,
    "strict_model": 0,
    "config": 0,
    "training_config": 0,
    "preprocess_config": 0,
    "grpo_config": 0,
    "parallel": 1,
    "progress": 0,
    "files": 0,
    "doctor": 6,
    "geometry": 1,
    "serialize": 2,
    "fingerprint": 2,
    "query_dir": 2,
    "run_dir": 3,
    "data": 4,
    "lifting": 5,
    "models": 5,
    "viewer": 5,
    "config_load": 6,
    "stages": 6,
    "stage_cache": 6,
    "training": 9,
    "evaluation": 8,
    "pipeline": 7,
    "cli": 10,
}
HEAVY = {"torch", "transformers", "trl", "sam2", "open3d", "scenezoo"}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def layer_of(parts: tuple[str, ...]) -> int | None:
    return LAYERS.get(parts[0])


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    own_layer = layer_of(own)
    assert own_layer is not None, f"{own[0]} has no layer; give it one"
    for module in imported_modules(path):
        if not module.startswith("scene_r1_cli."):
            continue
        imported_layer = layer_of(tuple(module.split(".")[1:]))
        if imported_layer is not None:
            assert imported_layer <= own_layer, f"{'.'.join(own)} imports {module}"


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.relative_to(PACKAGE).parts[0] not in ("models", "training")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_only_models_and_training_import_model_libraries(path):
    roots = {module.split(".")[0] for module in imported_modules(path)}
    assert not roots & {"torch", "transformers", "trl", "sam2"}


@pytest.mark.parametrize(
    "statement",
    [
        "from scene_r1_cli.cli.app import app",
        "import scene_r1_cli.config, scene_r1_cli.config_load",
        "import scene_r1_cli.pipeline",
    ],
)
def test_loads_no_heavy_library(statement):
    code = f"{statement}; import sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY


def test_only_output_prints():
    calls = []
    for path in MODULES:
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                calls.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert calls == []


def test_modules_stay_small():
    sizes = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > 500} == {}
