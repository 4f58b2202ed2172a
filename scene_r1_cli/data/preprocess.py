"""Many captures to a store of prepared scenes and labels."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scene_r1_cli.data.annotations import Annotation, AnnotationSet
from scene_r1_cli.data.capture import Capture, capture_of
from scene_r1_cli.data.prepare import SceneReport, plan_scene, prepare_scene
from scene_r1_cli.data.sources import SOURCES
from scene_r1_cli.data.sources.incomplete import what_is_missing
from scene_r1_cli.data.sources.prepared import SCENE_FILE, read_record
from scene_r1_cli.data.sources.scannet import SCANS_FOLDERS
from scene_r1_cli.data.splits import scannet_split
from scene_r1_cli.errors import InputError, SceneR1Error, UsageError
from scene_r1_cli.files import write_text
from scene_r1_cli.parallel import Executor, run_jobs
from scene_r1_cli.preprocess_config import PreprocessConfig

MAX_DEPTH = 3
"""Folders below a root that are searched for captures."""

SCENES_FILE = "scenes.jsonl"


@dataclass(frozen=True)
class SceneJob:
    """One scene's work, sent to a process or a Ray worker."""

    capture: Capture
    folder: Path
    config: PreprocessConfig
    annotations: Mapping[str, Sequence[Annotation]]
    dry_run: bool
    one_of_many: bool


@dataclass
class Summary:
    """What became of all captures.

    Attributes:
        reports: Scenes that are there now (or would be), by id.
        failures: Scenes that are not: id and reason.
    """

    reports: dict[str, SceneReport] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def skipped(self) -> Counter[str]:
        """Frames that were not usable, by reason."""
        total: Counter[str] = Counter()
        for report in self.reports.values():
            total.update(report.skipped)
        return total

    def labels(self) -> dict[str, Counter[str]]:
        """Counts of every annotation set."""
        total: dict[str, Counter[str]] = {}
        for report in self.reports.values():
            for name, counts in report.labels.items():
                total.setdefault(name, Counter()).update(counts)
        return total


def find_captures(root: Path, source: str) -> list[Capture]:
    """Captures of one format below a root, by scene id.

    Args:
        root: A data set's root, a folder of captures, or one capture.
        source: A key of SOURCES.

    Raises:
        UsageError: There is no such format.
        InputError: There is no such folder, or no capture of that format in it.
    """
    if source not in SOURCES:
        raise UsageError(f"--source takes {', '.join(SOURCES)}, not {source!r}.")
    if not root.exists():
        raise InputError(f"There is no folder {root}.")
    paths = _scannet_captures(root) if source == "scannet" else list(_matching(root, source, MAX_DEPTH))
    captures = sorted((capture_of(path, source) for path in paths), key=lambda item: item.scene_id)
    if not captures:
        if missing := what_is_missing(root):
            raise InputError(*missing)
        raise InputError(
            f"{root} holds no capture of the format {source}.",
            f"It looks like: {SOURCES[source].looks_like}.",
        )
    repeated = [name for name, count in Counter(item.scene_id for item in captures).items() if count > 1]
    if repeated:
        raise InputError(
            f"{root} holds several captures named {repeated[0]}; a store has one scene of a name.",
            "Rename their folders, or preprocess them into different stores.",
        )
    return captures


def choose_captures(
    captures: Sequence[Capture], split: str | None, scene_ids: Sequence[str]
) -> tuple[list[Capture], list[str]]:
    """The captures of a split of ScanNet, or those named.

    Returns:
        Captures, and the named scenes that are not there.

    Raises:
        UsageError: There is no such split.
    """
    wanted = set(scene_ids)
    chosen = list(captures)
    if split is not None:
        names = scannet_split(split)
        chosen = [item for item in chosen if item.scene_id in names]
    if wanted:
        chosen = [item for item in chosen if item.scene_id in wanted]
    return chosen, sorted(wanted - {item.scene_id for item in chosen})


def preprocess(
    captures: Sequence[Capture],
    out: Path,
    config: PreprocessConfig,
    sets: Sequence[AnnotationSet] = (),
    *,
    workers: int = 1,
    executor: Executor = "local",
    ray_address: str | None = None,
    dry_run: bool = False,
    progress: Callable[[Summary], object] | None = None,
) -> Summary:
    """Prepare scenes and label them; what is done already is kept, what fails is told and stops nothing.

    Args:
        captures: Sources.
        out: ``<store>/<dataset>``.
        config: Settings.
        sets: Annotation files; a scene gets the rows that name it.
        workers: Local processes.
        executor: ``local`` or ``ray``.
        ray_address: See ``run_jobs``.
        dry_run: Write nothing, and report what would be.
        progress: Told the summary so far after every scene.

    Returns:
        All of it.
    """
    of_scene = {item.name: item.by_scene() for item in sets}
    jobs = [
        SceneJob(
            replace(capture, path=capture.path.absolute()),
            (out / capture.scene_id).absolute(),
            config,
            {name: rows[capture.scene_id] for name, rows in of_scene.items() if capture.scene_id in rows},
            dry_run,
            workers > 1 or executor == "ray",
        )
        for capture in captures
    ]
    if workers > 1 or executor == "ray":
        # The longest first, so that none of them is begun when the others end.
        jobs.sort(key=lambda job: -_num_bytes(job.capture))
    summary = Summary()
    for job, outcome in run_jobs(_run, jobs, workers=workers, executor=executor, ray_address=ray_address):
        scene_id = job.capture.scene_id
        if isinstance(outcome, SceneReport):
            summary.reports[scene_id] = outcome
        elif isinstance(outcome, (SceneR1Error, OSError)):
            summary.failures[scene_id] = str(outcome)
        else:
            summary.failures[scene_id] = f"bug in scener1: {type(outcome).__name__}: {outcome}"
        if progress is not None:
            progress(summary)
    if not dry_run and summary.reports:
        _write_list(out)
    return summary


def free_bytes(path: Path) -> int:
    """Free disk space where a path is or would be made."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _run(job: SceneJob) -> SceneReport:
    if job.one_of_many:
        import cv2

        # Each process has its core.
        cv2.setNumThreads(1)
    if job.dry_run:
        return plan_scene(job.capture, job.folder, job.config.frames)
    report = prepare_scene(job.capture, job.folder, job.config.frames)
    is_visit = job.capture.source == "scenefun3d" and _is_annotated(job.capture.path)
    if not (job.annotations or is_visit):
        return report
    made_from = read_record(job.folder)["fingerprint"]
    if is_visit:
        from scene_r1_cli.data.label_visit import label_visit

        labels, faults = label_visit(job.capture.path, job.folder, job.config.labels, made_from)
        return replace(report, labels=labels, notes=(*report.notes, *faults))
    from scene_r1_cli.data.label_scene import label_scene

    labels = label_scene(job.capture.path, job.folder, job.annotations, job.config.labels, made_from)
    return replace(report, labels=labels)


def _is_annotated(visit: Path) -> bool:
    """A visit of SceneFun3D brings its annotation along; a test visit and a single video have none."""
    return all((visit / f"{visit.name}_{name}.json").is_file() for name in ("annotations", "descriptions"))


def _num_bytes(capture: Capture) -> int:
    """Size of a ``.sens``; 0 for what lies in many files."""
    path = capture.path
    return sum(item.stat().st_size for item in ([path] if path.is_file() else path.glob("*.sens")))


def absent_scenes(captures: Sequence[Capture], sets: Sequence[AnnotationSet]) -> dict[str, list[str]]:
    """Scenes that annotation files name and that are not among the captures, by the file's name."""
    there = {capture.scene_id for capture in captures}
    absent = {item.path.name: sorted(item.by_scene().keys() - there) for item in sets}
    return {name: scenes for name, scenes in absent.items() if scenes}


def _scannet_captures(root: Path) -> list[Path]:
    if root.is_file() or any(root.glob("*.sens")):
        return [root]
    found = [path.parent for name in SCANS_FOLDERS for path in (root / name).glob("*/*.sens")]
    return sorted(set(found or [path.parent for path in root.glob("*/*.sens")]))


def _matching(path: Path, source: str, depth: int) -> Iterator[Path]:
    if SOURCES[source].matches(path):
        yield path
    elif depth and path.is_dir():
        for child in sorted(path.iterdir()):
            if not child.name.startswith(".") and (child.is_dir() or SOURCES[source].matches(child)):
                yield from _matching(child, source, depth - 1)


def _write_list(out: Path) -> None:
    """``scenes.jsonl``: the record of every prepared scene, without its lists of frames."""
    lines = []
    for path in sorted(out.glob(f"*/{SCENE_FILE}")):
        record = read_record(path.parent)
        record.pop("skipped", None)
        lines.append(json.dumps(record) + "\n")
    write_text(out / SCENES_FILE, "".join(lines))
