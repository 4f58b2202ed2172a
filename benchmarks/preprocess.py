"""How fast do ``.sens`` files become prepared scenes, beside ScanNet's own SensReader and plain ``cp``?

Whole processes, warm page cache, one after the other in each round; medians of the rounds. The readers of
ScanNet are not part of this repository: give ``--cpp-reader`` (``sens``, built from SensReader/c++) and
``--python-reader`` (``reader.py``, ported to Python 3 by you). A missing one is left out.

    python -m benchmarks.preprocess --make big --frames 2000
    python -m benchmarks.preprocess --scene big/scans/scene8020_00 --cpp-reader SENS --python-reader READER
    python -m benchmarks.preprocess --root rooms      # 8 scenes, one worker against two
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scene_r1_cli.data.capture import capture_of
from scene_r1_cli.data.prepare import prepare_scene
from scene_r1_cli.data.rooms import RoomOptions, make_room, split_seeds
from scene_r1_cli.data.sources.prepared import FRAMES_FILE, read_frames
from scene_r1_cli.data.sources.sens import SensReader, index_sens
from scene_r1_cli.preprocess_config import FramesConfig

PYTHON_EXPORTS = ("depth_images", "color_images", "poses", "intrinsics")
FULL = ("--set", "frames.fps=null")


@dataclass(frozen=True)
class Measured:
    """One run of one program."""

    seconds: float
    peak_mb: float


def run(command: Sequence[str], env: dict[str, str] | None = None) -> Measured:
    """Run a program and wait; fails loudly if it does."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode(errors='replace')}")
    return Measured(seconds, usage.ru_maxrss / 1024)


def scener1(source: Path, store: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "scene_r1_cli.cli", "preprocess", "--scannet-root", str(source),
        "--store", str(store), "--workers", "1", *more,
    ]  # fmt: skip


def inside(scene: Path, folder: Path) -> Measured:
    """Our work alone: this process has loaded everything, and has done it once."""
    started = time.perf_counter()
    prepare_scene(capture_of(scene, "scannet"), folder, FramesConfig())
    return Measured(time.perf_counter() - started, 0.0)


def measure_scene(
    scene: Path, rounds: int, cpp: Path | None, python: Path | None, *, sampled_only: bool
) -> dict[str, Any]:
    """Every program on one scene."""
    (sens,) = scene.glob("*.sens")
    found: dict[str, list[Measured]] = {}
    equal: dict[str, Any] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(dir=scene.parent.parent) as name:
            place = Path(name)
            steps: dict[str, list[str]] = {
                "ours, 2 frames a second": scener1(scene, place / "sampled"),
                "ours, in place": scener1(scene, place / "indexed", "--in-place"),
                "ours, every frame": scener1(scene, place / "full", *FULL),
                "ours, every frame, depth as PNG": scener1(scene, place / "png", *FULL, "--depth", "png"),
                "python -c pass": [sys.executable, "-c", "pass"],
                "python -c 'import typer, numpy, pyarrow.parquet'": [
                    sys.executable, "-c", "import typer, numpy, pyarrow.parquet",
                ],
            }  # fmt: skip
            if sampled_only:
                steps = {label: step for label, step in steps.items() if "every frame" not in label}
            for label, command in steps.items():
                found.setdefault(label, []).append(run(command))
            inside(scene, place / "first")
            found.setdefault("ours, 2 frames a second, inside a running process", []).append(
                inside(scene, place / "second")
            )
            kept = place / "sampled" / "scannet" / scene.name
            every = place / "full" / "scannet" / scene.name
            found.setdefault("cp of the sampled bytes", []).append(
                run(["cp", "-r", str(kept), str(place / "a")])
            )
            if sampled_only:
                continue
            found.setdefault("cp of all bytes", []).append(run(["cp", "-r", str(every), str(place / "b")]))
            if cpp is not None:
                (place / "cpp").mkdir()
                found.setdefault("SensReader C++, every frame", []).append(
                    run([str(cpp), str(sens), str(place / "cpp")])
                )
                if number == 0:
                    equal = compare(place / "cpp", every)
                shutil.rmtree(place / "cpp")
            if python is not None and number == 0:  # once: it takes minutes
                command = [
                    sys.executable,
                    str(python),
                    "--filename",
                    str(sens),
                    "--output_path",
                    str(place / "p"),
                ]
                command += [
                    f"--export_{what}" for what in ("depth_images", "color_images", "poses", "intrinsics")
                ]
                found.setdefault("SensReader Python, every frame", []).append(run(command))
    index = index_sens(sens)
    return {
        "scene": scene.name,
        "frames": len(index.color_us),
        "sens_mb": sens.stat().st_size / 2**20,
        "rows": {
            label: {
                "seconds": statistics.median(item.seconds for item in items),
                "fastest": min(item.seconds for item in items),
                "slowest": max(item.seconds for item in items),
                "peak_mb": max(item.peak_mb for item in items),
                "runs": len(items),
            }
            for label, items in found.items()
        },
        "equal_to_cpp": equal,
    }


def compare(cpp: Path, prepared: Path) -> dict[str, int]:
    """How many frames of the C++ reader's export have the very JPEG and depth of ours."""
    table = read_frames(prepared / FRAMES_FILE)
    sens = SensReader(index_sens(next(iter(sens_of(prepared)))))
    size = sens.index.header.depth_camera.size_wh
    same = {"frames": 0, "jpeg": 0, "depth": 0}
    for index in table.frame_index.tolist():
        stem = cpp / f"frame-{index:06d}"
        theirs = cv2.imread(f"{stem}.depth.pgm", cv2.IMREAD_UNCHANGED)
        ours = np.frombuffer(
            zlib.decompress((prepared / "depth" / f"{index}.z16").read_bytes()), "<u2"
        ).reshape(size[1], size[0])
        same["frames"] += 1
        same["depth"] += int(theirs is not None and np.array_equal(theirs, ours))
        color = prepared / "color" / f"{index}.jpg"
        same["jpeg"] += int(Path(f"{stem}.color.jpg").read_bytes() == color.read_bytes())
    return same


def sens_of(prepared: Path) -> list[Path]:
    """The ``.sens`` a prepared scene came from: beside the temporary folder it lies in."""
    root = prepared.parents[3]
    return sorted(root.glob(f"scans/{prepared.name}/*.sens"))


def measure_workers(root: Path, rounds: int) -> dict[str, Any]:
    """CPU-bound preparation of a root's scenes with one worker and with two."""
    found: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for workers, items in found.items():
            with tempfile.TemporaryDirectory() as name:
                command = [*scener1(root, Path(name), "--depth", "png", "--set", "frames.verify=true", *FULL)]
                command[command.index("--workers") + 1] = workers
                items.append(run(command).seconds)
    one, two = (statistics.median(items) for items in found.values())
    return {"one_worker_s": one, "two_workers_s": two, "speed_up": one / two, "rounds": rounds}


def markdown(report: dict[str, Any]) -> str:
    """The table of docs/results.md."""
    lines = ["| | seconds (fastest, slowest) | peak MB | runs |", "|---|---|---|---|"]
    for label, row in report["rows"].items():
        lines.append(
            f"| {label} | {row['seconds']:.2f} ({row['fastest']:.2f}, {row['slowest']:.2f}) "
            f"| {row['peak_mb']:.0f} | {row['runs']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--make", type=Path, help="make a room at 1296×968 and 640×480 there, and stop")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--scene", type=Path, help="folder of one scene with its .sens")
    parser.add_argument("--root", type=Path, help="root of several scenes: one worker against two")
    parser.add_argument("--cpp-reader", type=Path)
    parser.add_argument("--python-reader", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sampled-only", action="store_true", help="no full export, whose writing disturbs the short rows"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    if arguments.make:
        options = RoomOptions(
            fps=30, duration_s=arguments.frames / 30, color_size_wh=(1296, 968), depth_size_wh=(640, 480)
        )
        print(make_room(split_seeds("val")[20], arguments.make, options).path)
        return
    if arguments.scene:
        report = measure_scene(
            arguments.scene,
            arguments.rounds,
            arguments.cpp_reader,
            arguments.python_reader,
            sampled_only=arguments.sampled_only,
        )
        print(markdown(report))
        print(json.dumps(report["equal_to_cpp"]))
    if arguments.root:
        report["workers"] = measure_workers(arguments.root, arguments.rounds)
        print(json.dumps(report["workers"]))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
