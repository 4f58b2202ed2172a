"""The real ``scener1 preprocess``: rooms to a store and labels, killed and started again, and on Ray."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from scene_r1_cli.data.rooms import RoomOptions, make_rooms

pytestmark = pytest.mark.integration
SMALL = RoomOptions(fps=4, duration_s=15, color_size_wh=(320, 240), depth_size_wh=(160, 120))
SCENER1 = [sys.executable, "-m", "scene_r1_cli.cli"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("rooms")
    make_rooms(path, "val", 4, SMALL)
    return path


def command(root, store, *more):
    annotations = root / "ScanRefer_filtered_val.json"
    return [
        *SCENER1, "preprocess", "--scannet-root", str(root), "--store", str(store),
        "--annotations", str(annotations), *more,
    ]  # fmt: skip


def run(arguments, **kwargs):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False, **kwargs)


def contents(store):
    """Every file's bytes, without what names the store's own place."""
    return {
        str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed")
    done = run(command(root, store, "--json"))
    assert done.returncode == 0, done.stderr
    return store, json.loads(done.stdout)


def test_scenes_and_labels_are_written_and_ground_finds_them(root, undisturbed):
    store, data = undisturbed
    assert data["scenes"] == {"prepared": 4, "kept": 0, "planned": 0, "failed": 0}
    assert data["labels"]["scanrefer"]["queries"] > 50
    scene = sorted(path.name for path in (store / "scannet").iterdir() if path.is_dir())[0]
    found = run([*SCENER1, "ground", scene, "the chair", "--store", str(store), "--dry-run", "--json"])
    assert found.returncode == 0, found.stderr


def test_killed_at_any_moment_and_started_again_it_ends_the_same(root, undisturbed, tmp_path):
    store = tmp_path / "store"
    expected = contents(undisturbed[0])
    kills = 0
    for after in (1, 3, 6):
        process = subprocess.Popen(
            command(root, store, "--workers", "2"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Killed while files of the n-th folder appear.
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if (
                len(list(store.glob("scannet/*/color/*"))) + len(list(store.glob("scannet/.*/color/*")))
                > 12 * after
            ):
                break
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        for folder in (store / "scannet").glob("scene*"):
            if folder.is_dir():
                assert (folder / "scene.json").is_file()
    assert kills
    assert run(command(root, store)).returncode == 0
    assert contents(store) == expected


def test_failed_scenes_give_exit_code_5_and_are_named(root, tmp_path):
    data = tmp_path / "root"
    for name in sorted(path.name for path in (root / "scans").iterdir())[:2]:
        (data / "scans" / name).mkdir(parents=True)
        for path in (root / "scans" / name).glob(f"{name}*"):
            (data / "scans" / name / path.name).symlink_to(path)
    (data / "scans" / name / f"{name}.sens").unlink()
    (data / "scans" / name / f"{name}.sens").write_bytes(b"no capture")
    done = run(
        [*SCENER1, "preprocess", "--scannet-root", str(data), "--store", str(tmp_path / "s"), "--json"]
    )
    assert done.returncode == 5
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure["scene_id"] == name


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "Give --scannet-root DIR"),
        (["--scannet-root", "nowhere"], 3, "There is no folder nowhere"),
        (["--source", "nope", "--root", "."], 2, "--source takes"),
        (["--scannet-root", ".", "--set", "frames.fsp=3"], 2, "Did you mean frames.fps?"),
        (["--scannet-root", ".", "--executor", "slurm"], 2, "local or ray"),
    ],
)
def test_usage_is_told(arguments, code, told, tmp_path):
    done = run([*SCENER1, "preprocess", *arguments], cwd=tmp_path)
    assert done.returncode == code
    assert told in done.stderr
    assert not list(tmp_path.iterdir())


def test_two_ray_nodes_give_what_one_machine_gives(root, undisturbed, tmp_path):
    pytest.importorskip("ray")
    script = f"""
import json, ray, subprocess, sys, os
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1, "include_dashboard": False}})
cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
command = {command(root, tmp_path / "store", "--executor", "ray")!r}
done = subprocess.run(command, capture_output=True, text=True)
print(json.dumps([done.returncode, done.stderr]))
ray.init(address=cluster.address, log_to_driver=False)
print(json.dumps(len([node for node in ray.nodes() if node["Alive"]])))
ray.shutdown()
cluster.shutdown()
"""
    done = run([sys.executable, "-c", script])
    lines = [json.loads(line) for line in done.stdout.splitlines() if line[:1] in "[0123456789"]
    assert lines, done.stderr
    assert lines[0][0] == 0, lines[0][1]
    assert lines[1] == 2
    assert contents(tmp_path / "store") == contents(undisturbed[0])
