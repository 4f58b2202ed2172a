"""What this machine has, and what each missing thing costs."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any

from scene_r1_cli import __version__

SYSTEM_LIBRARIES = {"libusb-1.0.so.0": "libusb-1.0-0", "libGL.so.1": "libgl1", "libgomp.so.1": "libgomp1"}
"""What Open3D loads from the system on Linux, and Debian's packages."""

MIN_MEMORY_GB = 4.0
MIN_DISK_GB = 5.0


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What.
        ok: It is there.
        needed: scener1 does nothing without it.
        found: What was found.
        cost: What does not work without it.
        mend: The command that mends it.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    cost: str = ""
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def examine(scannet_root: Path | None = None) -> list[Check]:
    """Look at everything; nothing is loaded that takes long but torch and Open3D."""
    checks = [
        Check(
            "Python", sys.version_info >= (3, 11), True, platform.python_version(), "everything", "use 3.11"
        ),
        Check("scener1", True, True, __version__),
        _memory(),
        _disk(),
        _system_libraries(),
        _importing("torch", True, "every model", "pip install torch"),
        _gpu(),
        _importing("open3d", True, "fusing surfaces", "pip install open3d"),
        *(_package(*row) for row in PACKAGES),
        _pocket(),
        _cache(),
    ]
    return [*checks, _scannet(scannet_root)] if scannet_root is not None else checks


PACKAGES = (
    ("transformers", True, "every model", "pip install transformers"),
    ("sam2", False, "--tracker sam2", "pip install sam2"),
    ("av", True, "videos", "pip install av"),
    ("scenezoo", True, "ScanNet++, ARKitScenes, 3RScan, MultiScan, Matterport3D", "pip install scenezoo"),
    ("trl", False, "train-temporal, train-image, train-qa", "pip install 'scener1[train]'"),
    ("ray", False, "--executor ray", "pip install 'scener1[ray]'"),
    ("viser", False, "scener1 view", "pip install 'scener1[view]'"),
    ("liblzfse", False, "Record3D files", "pip install 'scener1[record3d]'"),
)


def _system_libraries() -> Check:
    missing = [] if sys.platform != "linux" else [name for name in SYSTEM_LIBRARIES if not _loads(name)]
    packages = " ".join(SYSTEM_LIBRARIES[name] for name in missing)
    return Check(
        "system libraries",
        not missing,
        True,
        f"missing: {', '.join(missing)}" if missing else "all there",
        "Open3D, so fusing surfaces",
        f"sudo apt-get install -y {packages}",
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _package(name: str, needed: bool, cost: str, mend: str) -> Check:
    there = util.find_spec(name) is not None
    try:
        version = metadata.version(name) if there else "not installed"
    except metadata.PackageNotFoundError:
        version = "installed"
    return Check(name, there, needed, version, cost, mend)


def _importing(name: str, needed: bool, cost: str, mend: str) -> Check:
    """A package whose system libraries may be missing: only importing it tells."""
    try:
        module = import_module(name)
    except (ImportError, OSError) as error:
        return Check(name, False, needed, str(error).splitlines()[0], cost, mend)
    return Check(name, True, needed, str(getattr(module, "__version__", "installed")))


def _gpu() -> Check:
    def look() -> str:
        torch: Any = import_module("torch")
        if torch.cuda.is_available():
            total = torch.cuda.get_device_properties(0).total_memory / 2**30
            return f"{torch.cuda.get_device_name(0)}, {total:.0f} GiB"
        return "mps" if torch.backends.mps.is_available() else ""

    found = _quietly(look)
    cost = "models of billions of parameters are slow; pocket and boxes given by hand are not"
    return Check(
        "GPU", bool(found), False, found or "none", cost, "use a machine with one, or --preset endpoint"
    )


def _memory() -> Check:
    pages = _quietly(lambda: str(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30))
    size = float(pages or 0)
    return Check(
        "memory",
        size >= MIN_MEMORY_GB,
        False,
        f"{size:.1f} GiB",
        "fusing large scenes",
        "use a larger machine",
    )


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return Check(
        "disk here", free >= MIN_DISK_GB, False, f"{free:.0f} GiB free", "stores and runs", "free some space"
    )


def _pocket() -> Check:
    from scene_r1_cli.models.pocket import pocket_path

    path = pocket_path()
    mend = "install scener1 again"
    return Check("pocket", path is not None, False, "shipped" if path else "missing", "scener1 demo", mend)


def _cache() -> Check:
    root = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
    models = sorted(item.name.removeprefix("models--").replace("--", "/") for item in root.glob("models--*"))
    found = ", ".join(models) or f"none in {root}"
    cost = "presets of large models need their weights"
    return Check("model weights", bool(models), False, found, cost, "hf download Qwen/Qwen2.5-VL-7B-Instruct")


def _scannet(root: Path) -> Check:
    """How many scans have what preprocess and lifting read; test scans have no segments."""
    from scene_r1_cli.data.sources.scannet import SCANS_FOLDERS

    scans = [path for name in SCANS_FOLDERS for path in sorted((root / name).glob("*")) if path.is_dir()]
    parts = {
        ".sens": ".sens",
        ".txt (alignment)": ".txt",
        "mesh": "_vh_clean_2.ply",
        "segments": "_vh_clean_2.0.010000.segs.json",
        "instance masks": "_2d-instance-filt.zip",
    }
    counts = {
        name: sum((path / f"{path.name}{end}").is_file() for path in scans) for name, end in parts.items()
    }
    without = [path.name for path in scans if not (path / f"{path.name}.sens").is_file()]
    found = f"{len(scans)} scans in {root}: " + ", ".join(f"{n} with {name}" for name, n in counts.items())
    return Check(
        "ScanNet",
        bool(scans) and not without,
        False,
        found + (f"; the first without .sens is {without[0]}" if without else ""),
        "preprocess of those scans" if scans else "preprocess --scannet-root",
        f"python download-scannet.py -o {root} --type .sens (the script ScanNet sends)",
    )


def _quietly(look: Callable[[], str]) -> str:
    try:
        return look()
    except (ImportError, OSError, RuntimeError, ValueError, AttributeError):
        return ""
