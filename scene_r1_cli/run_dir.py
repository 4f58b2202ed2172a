"""The run directory: the only module that knows the names of its own files.

::

    runs/<date>_<command>_<name>/
      run.json  config.yaml  logs/scener1.log  predictions.jsonl  report/index.html
      queries/<scene_id>/<query_id>/  span.json boxes_2d.json masks.json points.ply box3d.json vlm.jsonl

A file appears by rename or not at all. The files of a query: ``query_dir``.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scene_r1_cli import __version__
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.files import write_json, write_text
from scene_r1_cli.query_dir import QueryDir, slug
from scene_r1_cli.types import Scene

MODEL_FOLDER = "model"


def model_in(path: Path) -> Path:
    """The checkpoint folder of a training run; the path itself if it is none."""
    inside = path / MODEL_FOLDER
    return inside if (path / "run.json").is_file() and inside.is_dir() else path


def last_model_in(path: Path) -> Path:
    """As ``model_in``; of a run without a trained model its last checkpoint, if it has one."""
    found = model_in(path)
    steps = {int(name.name.rpartition("-")[2]): name for name in path.glob("checkpoints/checkpoint-*")}
    return steps[max(steps)] if found == path and steps else found


def write_model(path: Path, model: Any, processor: Any, card: str, weights: Any = None) -> Path:
    """Write a checkpoint folder; it appears whole or not at all. Arguments as of ``RunDir.save_model``."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.save_pretrained(partial, state_dict=weights)
        processor.save_pretrained(partial)
        (partial / "README.md").write_text(card, encoding="utf-8")
        shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def open_run(path: Path) -> RunDir:
    """A run that is there. Raises InputError if the folder holds none."""
    if not (path / "run.json").is_file():
        raise InputError(f"{path} holds no scener1 run (run.json).", "See: scener1 runs list")
    return RunDir(path, resume=True)


def find_runs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Runs in a folder with their manifests, by start; a damaged manifest is passed over."""
    found: list[tuple[Path, dict[str, Any]]] = []
    for path in folder.glob("*/run.json"):
        try:
            found.append((path.parent, json.loads(path.read_text(encoding="utf-8"))))
        except ValueError:
            continue
    return sorted(found, key=lambda item: str(item[1].get("started_at")))


def latest_run(folder: Path, command: str, preset: str) -> Path | None:
    """The run of a command and preset that was started last and left a model; None if there is none."""
    for path, manifest in reversed(find_runs(folder)):
        if manifest.get("command") == command and model_in(path) != path:
            config = RunDir.joined(path).config()
            if config is not None and config.get("preset") == preset:
                return path
    return None


class RunDir:
    """One run's folder.

    Args:
        path: The folder.
        resume: Go on in an existing folder.
        overwrite: Empty an existing run folder first.

    Raises:
        UsageError: The folder is in use and neither flag is given, or it is not a run directory.
    """

    def __init__(self, path: Path, *, resume: bool = False, overwrite: bool = False) -> None:
        self.path = path
        if resume and overwrite:
            raise UsageError("--resume and --overwrite exclude each other.")
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; a run needs a folder.", "Give another --out.")
        if path.is_dir() and any(path.iterdir()):
            self._enter_existing(resume, overwrite)

    def _enter_existing(self, resume: bool, overwrite: bool) -> None:
        is_run = (self.path / "run.json").is_file()
        if not is_run:
            raise UsageError(
                f"{self.path} is not empty and holds no scener1 run (run.json).",
                "Give --out an empty or new folder.",
            )
        if overwrite:
            shutil.rmtree(self.path)
        elif not resume:
            raise UsageError(
                f"{self.path} already holds a run.", "Add --resume to go on in it, or --overwrite to redo it."
            )

    @classmethod
    def joined(cls, path: Path) -> RunDir:
        """The folder of a run that another process has started; nothing is checked."""
        run = cls.__new__(cls)
        run.path = path
        return run

    @classmethod
    def default_path(cls, command: str, name: str) -> Path:
        """``runs/<date>_<command>_<name>``, numbered if that exists."""
        date = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
        base = Path("runs") / f"{date}_{command}_{slug(name)}"
        path, number = base, 2
        while path.exists():
            path, number = base.with_name(f"{base.name}-{number}"), number + 1
        return path

    def start(
        self, command: str, config: Mapping[str, Any], argv: Sequence[str], scene: Scene | None = None
    ) -> None:
        """Record what is being run, and on which capture if it is one, before any work."""
        import yaml

        write_text(self.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
        self._write_manifest(
            {
                "schema_version": 1,
                "command": command,
                "argv": list(argv),
                "scene_path": str(scene.path.resolve()) if scene else None,
                "status": "running",
                "started_at": _now(),
                "finished_at": None,
                "scener1_version": __version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "cpu_count": os.cpu_count(),
                "packages": _package_versions(),
            }
        )

    def config(self) -> dict[str, Any] | None:
        """The resolved configuration the run was started with; None if there is no run."""
        import yaml

        path = self.path / "config.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None

    def finish(self, status: str) -> None:
        """Record how the run ended: ``done``, ``failed items`` or ``interrupted``."""
        self._write_manifest({**self.manifest(), "status": status, "finished_at": _now()})

    def manifest(self) -> dict[str, Any]:
        """The content of ``run.json``."""
        return json.loads((self.path / "run.json").read_text(encoding="utf-8"))

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        write_json(self.path / "run.json", manifest)

    def query(self, scene_id: str, query_id: str) -> QueryDir:
        """The artifacts of one query."""
        return QueryDir(self.path / "queries" / slug(scene_id, 80) / slug(query_id, 80))

    def append_prediction(self, result: Mapping[str, Any]) -> None:
        """Add one finished query to ``predictions.jsonl`` in a single write."""
        self._append("predictions.jsonl", json.dumps(result, allow_nan=False, ensure_ascii=False))

    def _append(self, name: str, line: str) -> None:
        with (self.path / name).open("ab", buffering=0) as file:
            file.write(f"{line}\n".encode())

    def _read_rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a JSONL file of this run; a last line cut by a kill is none."""
        path = self.path / name
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]

    def write_metrics(self, metrics: Mapping[str, Any], table: str) -> None:
        """``metrics.json``, and ``metrics.md`` for people."""
        write_json(self.path / "metrics.json", metrics)
        write_text(self.path / "metrics.md", table)

    def read_metrics(self) -> dict[str, Any] | None:
        """What ``write_metrics`` wrote, or None."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write_submission(self, rows: Sequence[Mapping[str, Any]]) -> Path:
        """``submission.json``: predictions as the benchmark's test server takes them."""
        path = self.path / "submission.json"
        write_json(path, list(rows))
        return path

    def oracle_path(self, oracle: str) -> Path:
        """Where a ladder keeps the run that has truth up to a stage; a run directory of its own."""
        return self.path / "oracles" / oracle

    @property
    def checkpoints_path(self) -> Path:
        """Folder of training checkpoints, as TRL writes them."""
        return self.path / "checkpoints"

    def append_training(self, row: Mapping[str, Any]) -> None:
        """Add what one logged step measured to ``train.jsonl``."""
        self._append("train.jsonl", json.dumps(row))

    def read_training(self) -> list[dict[str, Any]]:
        """Logged steps in order; steps that a resumed run did again are there twice."""
        return self._read_rows("train.jsonl")

    def keep_data(self, num_samples: int, identity: str) -> None:
        """Record what is trained on; a resumed run must have the same, or its steps mean nothing.

        Raises:
            InputError: The run began with other data.
        """
        path = self.path / "data.json"
        if path.is_file():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before["identity"] != identity:
                raise InputError(
                    f"{self.path} began with {before['samples']} other queries than the {num_samples} found "
                    "now: scenes or labels of the store, or data settings, have changed.",
                    "Put them back to go on; the checkpoints are kept. Or start anew with another --out.",
                )
        write_json(path, {"samples": num_samples, "identity": identity})

    @property
    def tensorboard_dir(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    def append_sample(self, row: Mapping[str, Any]) -> None:
        """Add replies of a training step to ``samples.jsonl``."""
        self._append("samples.jsonl", json.dumps(row, ensure_ascii=False))

    def read_samples(self) -> list[dict[str, Any]]:
        """Replies that were kept, as ``read_training``."""
        return self._read_rows("samples.jsonl")

    @property
    def model_path(self) -> Path:
        """Where the trained model is or will be."""
        return self.path / MODEL_FOLDER

    def save_model(self, model: Any, processor: Any, card: str, weights: Any = None) -> Path:
        """Write the trained model as a checkpoint folder; it appears whole or not at all.

        Args:
            model: The model.
            processor: Its processor.
            card: Model card.
            weights: Its state, where the model itself holds a part of it only.
        """
        return write_model(self.model_path, model, processor, card, weights)

    @property
    def predictions_path(self) -> Path:
        """Where ``predictions.jsonl`` is or will be."""
        return self.path / "predictions.jsonl"

    def read_predictions(self) -> list[dict[str, Any]]:
        """Finished queries, the latest line of each; a last line cut by a kill is not finished."""
        rows = self._read_rows("predictions.jsonl")
        return list({(row["scene_id"], row["query_id"]): row for row in rows}.values())

    @property
    def submission_dir(self) -> Path:
        """Folder of files for a benchmark's test server."""
        return self.path / "submission"

    @property
    def report_dir(self) -> Path:
        """Folder of the HTML report."""
        return self.path / "report"

    @property
    def log_path(self) -> Path:
        """Text log of this run."""
        return self.path / "logs" / "scener1.log"


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _package_versions() -> dict[str, str]:
    from importlib import metadata

    names = ("numpy", "torch", "transformers", "trl", "sam2", "open3d", "av")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"python": sys.version.split()[0]}
