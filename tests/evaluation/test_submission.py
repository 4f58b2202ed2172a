"""Predictions written for a test server and read back score the same."""

import json

import numpy as np
import pytest

from scene_r1_cli.data.labels import Label
from scene_r1_cli.evaluation.groups import BY_ANNOTATED
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predictions import match, read_predictions
from scene_r1_cli.evaluation.score import metrics, score
from scene_r1_cli.evaluation.submission import submission
from scene_r1_cli.geometry.boxes import aabb_from_bounds

SCENE = "scene0000_00"
FAILED = {"stage": "box", "reason": "none"}


def figures(items, rows):
    found = metrics(items, score(items, match(rows, items.items)))["metrics"]
    return {name: (entry["value"], entry["n"]) for name, entry in found.items()}


def written(items, rows, tmp_path):
    path = tmp_path / "pred.json"
    path.write_text(json.dumps(submission(items, match(rows, items.items))))
    return json.loads(path.read_text()), read_predictions([path])


def scanrefer_items():
    truth = aabb_from_bounds(np.array([-1.0, 0.2, 0.0]), np.array([0.5, 1.0, 2.0]))
    items = []
    for number, (kind, name) in enumerate([("unique", "chair"), ("multiple", "others"), ("multiple", "bed")]):
        label = Label(SCENE, f"{number}_7", "the thing", number, (), None, (), box3d=truth)
        items.append(
            Item(label, "ground", {BY_ANNOTATED: kind, "class": name}, (str(number), "7"), (number,))
        )
    return ItemSet("scanrefer", tuple(items), {}, "test")


def test_scanrefers_file_has_every_query_and_comes_back_the_same(tmp_path):
    items = scanrefer_items()
    box = {"center_m": [-0.2, 0.6, 1.1], "size_m": [1.5, 0.8, 1.9]}
    rows = [
        {"scene_id": SCENE, "query_id": "0_7", "box3d": box},
        {"scene_id": SCENE, "query_id": "1_7", "box3d": None, "failure": FAILED},
    ]
    file, back = written(items, rows, tmp_path)
    assert [row["unique_multiple"] for row in file] == [0, 1, 1]
    assert [row["others"] for row in file] == [0, 1, 0]
    assert (file[0]["object_id"], file[0]["ann_id"]) == ("0", "7")
    corners = np.array(file[0]["bbox"])
    assert corners.shape == (8, 3)
    assert len(np.unique(corners, axis=0)) == 8
    np.testing.assert_allclose(corners.min(axis=0), [-0.95, 0.2, 0.15])
    np.testing.assert_allclose(corners.max(axis=0), [0.55, 1.0, 2.05])
    assert np.array(file[1]["bbox"]).shape == (8, 3)
    assert figures(items, back) == figures(items, rows)
    assert figures(items, rows)["acc_at_0.50"] == (pytest.approx(1 / 3), 3)


def test_scanqas_file_has_ten_places_and_comes_back_the_same(tmp_path):
    items = ItemSet(
        "scanqa",
        tuple(
            Item(Label(SCENE, f"q{number}", "What?", None, (), None, (), ("a chair", "chair")), "qa")
            for number in range(3)
        ),
        {},
        "test",
    )
    rows = [
        {"scene_id": SCENE, "query_id": "q0", "answers": ["bed", "chair"]},
        {"scene_id": SCENE, "query_id": "q1", "answers": ["chair"]},
        {"scene_id": SCENE, "query_id": "q2", "answers": [], "failure": FAILED},
    ]
    file, back = written(items, rows, tmp_path)
    assert [len(row["answer_top10"]) for row in file] == [10, 10, 10]
    assert file[0]["answer_top10"][:3] == ["bed", "chair", "chair"]
    assert set(file[0]) == {"scene_id", "question_id", "answer_top10", "bbox"}
    assert figures(items, back) == figures(items, rows)
    assert figures(items, rows)["em"] == (pytest.approx(1 / 3), 3)
    assert figures(items, rows)["em_at_10"] == (pytest.approx(2 / 3), 3)


def test_a_test_split_without_answers_is_written_and_not_scored(tmp_path):
    items = ItemSet("scanqa", (Item(Label(SCENE, "q0", "What?", None, (), None, ()), "qa"),), {}, "test")
    rows = [{"scene_id": SCENE, "query_id": "q0", "answers": ["bed"]}]
    file, _ = written(items, rows, tmp_path)
    assert file[0]["answer_top10"] == ["bed"] * 10
    assert figures(items, rows) == {}


def test_a_benchmark_without_a_server_has_no_file():
    items = scanrefer_items()
    assert submission(ItemSet("nr3d", items.items, {}, "test"), match([], items.items)) is None
    unknown = tuple(Item(item.label, "ground", {}, item.names) for item in items.items)
    assert submission(ItemSet("scanrefer", unknown, {}, "test"), match([], unknown)) is None
