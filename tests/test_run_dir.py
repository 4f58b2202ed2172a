import json

import numpy as np
import pytest

from scene_r1_cli.config import BoxConfig
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.files import atomic_path, write_json
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.query_dir import QueryDir, query_id_of, slug
from scene_r1_cli.run_dir import RunDir
from scene_r1_cli.types import PointSet, TemporalSpan


def make_points(n=5):
    return PointSet(
        points_world_m=np.arange(3 * n, dtype=np.float32).reshape(n, 3),
        colors_rgb=np.full((n, 3), 7, dtype=np.uint8),
        view_counts=np.arange(n, dtype=np.int32),
        num_views=4,
    )


def started(path):
    run = RunDir(path)
    run.start("ground", {"preset": "pocket"}, ["ground", "x"])
    return run


def test_atomic_path_leaves_nothing_on_error(tmp_path):
    target = tmp_path / "a" / "file.txt"

    def fail():
        with atomic_path(target) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(target.parent.iterdir()) == []


def test_write_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the chair by the window", "the-chair-by-the-window"),
        ("../../etc/passwd", "etc-passwd"),
        ("椅子", "query"),
        ("scene0011_00", "scene0011_00"),
        ("x" * 100, "x" * 40),
        ("...", "query"),
    ],
)
def test_slug(text, expected):
    assert slug(text) == expected


def test_query_ids_differ_when_slugs_agree():
    assert query_id_of("the chair!") != query_id_of("the chair?")
    assert query_id_of("the chair") == query_id_of("the chair")


def test_fingerprint_sees_every_kind_of_input():
    base = fingerprint("span", TemporalSpan(0.0, 1.0), BoxConfig(), np.zeros(3))
    assert base == fingerprint("span", TemporalSpan(0.0, 1.0), BoxConfig(), np.zeros(3))
    changed = [
        fingerprint("box", TemporalSpan(0.0, 1.0), BoxConfig(), np.zeros(3)),
        fingerprint("span", TemporalSpan(0.0, 1.5), BoxConfig(), np.zeros(3)),
        fingerprint("span", TemporalSpan(0.0, 1.0), BoxConfig(retries=0), np.zeros(3)),
        fingerprint("span", TemporalSpan(0.0, 1.0), BoxConfig(), np.zeros(3, np.float32)),
        fingerprint("span", TemporalSpan(0.0, 1.0), BoxConfig(), np.array([0, 0, 1.0])),
    ]
    assert base not in changed
    with pytest.raises(TypeError):
        fingerprint(object())


def test_query_dir_loads_only_what_matches(tmp_path):
    directory = QueryDir(tmp_path / "q")
    assert directory.load_json("span", "a") is None
    directory.save_json("span", "a", {"start_s": 1})
    assert directory.load_json("span", "a") == {"start_s": 1}
    assert directory.load_json("span", "b") is None
    assert directory.stored("span") == {"start_s": 1}


def test_query_dir_says_which_file_is_broken(tmp_path):
    directory = QueryDir(tmp_path)
    (tmp_path / "span.json").write_text("{")
    with pytest.raises(InputError, match=r"span\.json"):
        directory.load_json("span", "a")


def test_points_round_trip_as_ply(tmp_path):
    directory = QueryDir(tmp_path)
    directory.save_points("key", make_points())
    loaded = directory.load_points("key")
    assert loaded is not None
    np.testing.assert_array_equal(loaded.points_world_m, make_points().points_world_m)
    np.testing.assert_array_equal(loaded.colors_rgb, make_points().colors_rgb)
    np.testing.assert_array_equal(loaded.view_counts, make_points().view_counts)
    assert loaded.num_views == 4
    assert directory.load_points("other") is None
    assert directory.points_path.read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")


def test_exchanges_of_a_stage_replace_its_old_ones(tmp_path):
    directory = QueryDir(tmp_path)
    directory.save_exchanges("span", [{"stage": "span", "reply": "1"}])
    directory.save_exchanges("box", [{"stage": "box", "reply": "2"}])
    directory.save_exchanges("span", [{"stage": "span", "reply": "3"}])
    assert [row["reply"] for row in directory.read_exchanges()] == ["2", "3"]


def test_second_start_needs_resume_or_overwrite(tmp_path):
    path = tmp_path / "run"
    started(path).query("s", "q").save_json("span", "a", 1)
    with pytest.raises(UsageError, match="already holds a run"):
        RunDir(path)
    assert RunDir(path, resume=True).query("s", "q").load_json("span", "a") == 1
    RunDir(path, overwrite=True)
    assert not path.exists()
    with pytest.raises(UsageError, match="exclude"):
        RunDir(path, resume=True, overwrite=True)


@pytest.mark.parametrize("flags", [{}, {"resume": True}, {"overwrite": True}])
def test_never_touches_a_folder_that_is_no_run(tmp_path, flags):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="holds no scener1 run"):
        RunDir(tmp_path, **flags)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_manifest_tells_how_a_run_ended(tmp_path):
    run = started(tmp_path / "run")
    assert run.manifest()["status"] == "running"
    run.finish("done")
    manifest = run.manifest()
    assert manifest["status"] == "done"
    assert manifest["command"] == "ground"
    assert manifest["finished_at"] >= manifest["started_at"]


def test_predictions_keep_the_latest_line_and_survive_a_kill(tmp_path):
    run = started(tmp_path / "run")
    for value in (1, 2):
        run.append_prediction({"scene_id": "s", "query_id": "q", "value": value})
    with (run.path / "predictions.jsonl").open("a") as file:
        file.write('{"scene_id": "s", "query_id": "cut')
    assert run.read_predictions() == [{"scene_id": "s", "query_id": "q", "value": 2}]
    assert json.loads((run.path / "run.json").read_text())["argv"] == ["ground", "x"]
