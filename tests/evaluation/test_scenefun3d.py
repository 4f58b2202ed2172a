"""SceneFun3D's benchmark on a small visit of our own writer: submission files, truth, figures."""

import json

import numpy as np
import pytest

from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.element_masks import (
    decode_runs,
    encode_runs,
    points_near,
    read_query,
    write_query,
)
from scene_r1_cli.evaluation.predictions import match
from scene_r1_cli.evaluation.scenefun3d import (
    add_average_precision,
    overlaps_by_query,
    submitted,
    visit_items,
    with_mask_iou,
)
from scene_r1_cli.evaluation.score import metrics, score
from tests import visits


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenefun3d")
    visits.write_visit(path, visit="421000", videos=("42445000",))
    visits.write_visit(path, visit="421001", videos=("42445001",))
    return path


def _indices(root):
    rows = json.loads((root / "421000" / "421000_annotations.json").read_text())["annotations"]
    return {row["annot_id"]: np.array(row["indices"]) for row in rows}


def report_of(items, folder):
    items, rows = submitted(items, folder)
    matched = match(rows, items.items)
    found, faults = overlaps_by_query(items, folder)
    scored = with_mask_iou(score(items, matched), found)
    report = metrics(items, scored)
    add_average_precision(report, items, found)
    return report, faults


def figures(report):
    return {name: entry["value"] for name, entry in report["metrics"].items()}


def write_truth(items, folder, indices, keep=lambda key: True):
    for item in items.items:
        if keep(item.key):
            ids = visits.TASKS[item.label.query_id][1]
            write_query(folder, item.key, [(indices[annot_id], 0.9) for annot_id in ids])


def test_the_truth_itself_scores_one_and_a_missing_query_is_told(root, tmp_path):
    items = visit_items(root, tmp_path / "store")
    assert len(items.items) == 6
    indices = _indices(root)
    write_truth(items, tmp_path / "all", indices)
    report, faults = report_of(items, tmp_path / "all")
    assert faults == []
    assert report["missing"] == 0
    for name in ("ap", "ap_50", "ap_25", "recall", "recall_50", "recall_25", "mask_iou"):
        assert figures(report)[name] == 1.0
    # 8 elements; without the query of two elements of one visit, 6 are left
    write_truth(items, tmp_path / "part", indices, lambda key: key != ("421000", "ffff-3"))
    report, _ = report_of(items, tmp_path / "part")
    assert report["missing"] == 1
    assert figures(report)["recall_50"] == pytest.approx(6 / 8)
    assert figures(report)["ap_50"] == pytest.approx(6 / 8)
    low, high = report["metrics"]["ap_50"]["ci95"]
    assert low == pytest.approx(0.5)
    assert high == 1.0
    assert report["groups"]["affordance"]["hook_pull"]["ap_50"]["value"] == 1.0
    assert report["groups"]["affordance"]["several"]["ap_50"]["value"] == 0.5


def test_a_mask_over_excluded_points_loses_nothing_by_them(root, tmp_path):
    items = visit_items(root, tmp_path / "store")
    indices = _indices(root)
    for item in items.items:
        own = np.concatenate([indices[name] for name in visits.TASKS[item.label.query_id][1][:1]])
        write_query(tmp_path / "s", item.key, [(np.union1d(own, indices["gggg-9"]), 1.0)])
    report, _ = report_of(items, tmp_path / "s")
    assert figures(report)["recall_50"] == pytest.approx(6 / 8)


def test_the_files_are_the_toolkits(tmp_path):
    write_query(tmp_path, ("421000", "dddd-1"), [(np.array([0, 1, 2, 7, 9, 10]), 0.75), (np.array([4]), 1)])
    assert (tmp_path / "421000_dddd-1.txt").read_text() == (
        "predicted_masks/421000_dddd-1_000.txt 0.75\npredicted_masks/421000_dddd-1_001.txt 1\n"
    )
    assert (tmp_path / "predicted_masks" / "421000_dddd-1_000.txt").read_text() == "1 3 8 1 10 2"
    read = read_query(tmp_path, ("421000", "dddd-1"), 11)
    assert read is not None
    first, second = read
    assert first[0].tolist() == [0, 1, 2, 7, 9, 10]
    assert (first[1], second[1]) == (0.75, 1.0)
    # A query without a mask still has a file with a line, or the toolkit stops at it.
    write_query(tmp_path, ("421000", "eeee-2"), [])
    assert (tmp_path / "421000_eeee-2.txt").read_text() == "predicted_masks/421000_eeee-2_000.txt 0\n"
    assert read_query(tmp_path, ("421000", "none"), 11) is None


def test_runs_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    for share in (0.01, 0.5, 0.99, 1.0):
        indices = np.flatnonzero(rng.random(500) < share)
        np.testing.assert_array_equal(decode_runs(encode_runs(indices), 500, tmp_path), indices)
    assert encode_runs(np.zeros(0, np.int64)) == ""


@pytest.mark.parametrize(
    ("line", "mask", "told"),
    [
        ("predicted_masks/m.txt", "1 3", "line 1, is no path of a mask and a score"),
        ("predicted_masks/m.txt nan", "1 3", "is no path of a mask and a score"),
        ("../../m.txt 0.5", "1 3", "names a mask outside of its folder"),
        ("/etc/passwd 0.5", "1 3", "names a mask outside of its folder"),
        ("predicted_masks/none.txt 0.5", "1 3", "none.txt cannot be read"),
        ("predicted_masks/m.txt 0.5", "1 3 5", "is no list of runs"),
        ("predicted_masks/m.txt 0.5", "0 3", "names points that the laser scan of 11 points"),
        ("predicted_masks/m.txt 0.5", "9 4", "names points that the laser scan of 11 points"),
        ("predicted_masks/m.txt 0.5", "1 99999999999999", "names points that the laser scan of 11 points"),
        ("predicted_masks/m.txt 0.5", "1 -3", "is no list of runs"),
    ],
)
def test_a_damaged_submission_is_named(tmp_path, line, mask, told):
    (tmp_path / "s" / "predicted_masks").mkdir(parents=True)
    (tmp_path / "s" / "v_d.txt").write_text(line)
    (tmp_path / "s" / "predicted_masks" / "m.txt").write_text(mask)
    with pytest.raises(InputError, match=told):
        read_query(tmp_path / "s", ("v", "d"), 11)


def test_a_file_of_no_query_is_told(root, tmp_path):
    items = visit_items(root, tmp_path / "store")
    write_truth(items, tmp_path / "s", _indices(root))
    write_query(tmp_path / "s", ("421000", "zzzz"), [])
    write_query(tmp_path / "s", ("999999", "dddd-1"), [])
    queries, rows = submitted(items, tmp_path / "s")
    matched = match(rows, queries.items)
    assert len(matched.rows) == 6
    assert [fault.split(" (")[1] for fault in matched.faults] == [
        "421000, zzzz) is for no query of this evaluation",
        "999999, dddd-1) is for no query of this evaluation",
    ]
    with pytest.raises(InputError, match="of these queries"):
        submitted(items, tmp_path)


def test_a_damaged_query_counts_as_wrong_and_the_rest_goes_on(root, tmp_path):
    items = visit_items(root, tmp_path / "store")
    write_truth(items, tmp_path / "s", _indices(root))
    (tmp_path / "s" / "421000_dddd-1.txt").write_text("predicted_masks/none.txt 1\n")
    report, faults = report_of(items, tmp_path / "s")
    assert len(faults) == 1
    assert "counts as wrong" in faults[0]
    assert figures(report)["recall_50"] == pytest.approx(7 / 8)


def test_a_lifted_point_stands_for_its_cell():
    scan = np.stack(np.meshgrid(np.arange(0, 0.1, 0.005), np.arange(0, 0.1, 0.005), [0.0]), -1).reshape(-1, 3)
    found = points_near(scan, np.array([[0.05, 0.05, 0.001]]), 0.02)
    distances = np.linalg.norm(scan[found] - [0.05, 0.05, 0.001], axis=1)
    assert len(found) > 30
    assert distances.max() <= np.sqrt(3) / 2 * 0.02
    assert np.linalg.norm(np.delete(scan, found, axis=0) - [0.05, 0.05, 0.001], axis=1).min() > 0.0173


def test_no_visit_is_told(tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        visit_items(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match="holds no visit"):
        visit_items(tmp_path, tmp_path)
