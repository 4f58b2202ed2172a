"""Which queries a benchmark's file gives, which of them are taken, and into which parts they fall."""

import json

import numpy as np
import pytest

from scene_r1_cli.data.labels import KeyframeLabel, Label
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.evaluation.chosen import in_subset, read_subset
from scene_r1_cli.evaluation.groups import BY_ALL, BY_ANNOTATED
from scene_r1_cli.evaluation.items import annotated_items
from scene_r1_cli.evaluation.summary import summarize
from scene_r1_cli.evaluation.tables import markdown
from scene_r1_cli.evaluation.views import distance_group, distance_of, seconds_in_view
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from tests.box_world import circle, make_scene

TRAIN, VAL = "scene0000_00", "scene0011_00"
NR3D_HEAD = (
    "assignmentid,scan_id,target_id,utterance,stimulus_id,tokens,mentions_target_class,correct_guess,"
    "instance_type\n"
)


def nr3d_line(number, scene, utterance, mentions="True", guess="True"):
    return f"{number},{scene},5,{utterance},{scene}-desk-2-5-6,['desk'],{mentions},{guess},desk\n"


@pytest.fixture
def nr3d(tmp_path):
    path = tmp_path / "nr3d.csv"
    lines = [
        nr3d_line(1, TRAIN, "the desk of another split"),
        nr3d_line(2, VAL, "The desk; near the door"),
        nr3d_line(3, VAL, "it is by the bed", mentions="False"),
        nr3d_line(4, VAL, "the second desk", guess="False"),
    ]
    path.write_text(NR3D_HEAD + "".join(lines))
    return path


@pytest.fixture
def boxes(tmp_path):
    path = tmp_path / "gt.json"
    path.write_text(json.dumps({VAL: {"5": [0, 0, 1, 1, 1, 1], "6": [3, 0, 1, 1, 1, 1]}}))
    return path


def test_nr3d_is_cut_to_the_split_and_to_sentences_that_name_the_class(nr3d, tmp_path):
    items = annotated_items("nr3d", nr3d, tmp_path, split="val")
    assert [item.label.query_id for item in items.items] == ["5_2", "5_4"]
    assert items.items[1].groups["a person who heard it"] == "took another object"
    assert items.items[0].groups["class"] == "desk"
    assert "of 4 rows 1 are of other splits" in items.notes
    assert "does not name the object's class" in items.notes[-1]
    with pytest.raises(InputError, match="no usable row of the split test"):
        annotated_items("nr3d", nr3d, tmp_path, split="test")


def test_nr3ds_report_says_how_a_box_stands_for_an_object(nr3d, boxes, tmp_path):
    items = annotated_items("nr3d", nr3d, tmp_path, gt_boxes=boxes)
    near = {"center_m": [0.2, 0, 1], "size_m": [1, 1, 1]}
    rows = [{"scene_id": VAL, "query_id": "5_2", "box3d": near}]
    report, _, _ = summarize(items, rows, {}, "test")
    assert report["metrics"]["acc_by_distance"]["value"] == 0.5
    text = markdown(report)
    assert "gtbbox_dist" in text
    assert "as in VLM-Grounder's paper" in text
    assert f"true boxes: --gt-boxes {boxes.name}" in text


def test_a_subset_in_referit3ds_columns_is_found_by_its_sentence(nr3d, tmp_path):
    items = annotated_items("nr3d", nr3d, tmp_path)
    path = tmp_path / "nr3d_250.csv"
    path.write_text(f"scan_id,target_id,utterance\n{VAL},5,the  desk near THE door.\n{VAL},5,never said\n")
    taken = in_subset(items, read_subset(path))
    assert [item.label.query_id for item in taken.items] == ["5_2"]
    assert "1 of the subset's 2 rows name no query that is here" in taken.notes


def test_a_subset_names_object_0_too(tmp_path):
    path = tmp_path / "subset.json"
    path.write_text(json.dumps([{"scene_id": VAL, "object_id": 0, "ann_id": "3"}]))
    assert read_subset(path) == {("ann", VAL, "0", "3")}


@pytest.mark.parametrize("text", ["scan_id,target_id\na,1\n", "x\n1\n", "scene_id\na\n"])
def test_what_is_no_list_of_queries_is_told(text, tmp_path):
    path = tmp_path / "subset.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="is no list of queries"):
        read_subset(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_subset(tmp_path / "none.csv")


def scanrefer(tmp_path):
    path = tmp_path / "ScanRefer_filtered_val.json"
    row = {"scene_id": VAL, "object_name": "desk", "description": "the desk"}
    path.write_text(json.dumps([row | {"object_id": str(n), "ann_id": "0"} for n in (5, 7)]))
    table = tmp_path / "scannetv2-labels.combined.tsv"
    table.write_text("raw_category\tnyu40class\ndesk\tdesk\nchair\tchair\n")
    return path


def test_true_boxes_come_from_one_source_and_what_has_none_is_told(tmp_path, boxes):
    path = scanrefer(tmp_path)
    items = annotated_items("scanrefer", path, tmp_path, gt_boxes=boxes)
    report, _, _ = summarize(items, [], {}, "test")
    assert report["metrics"]["mean_iou"]["n"] == 1
    assert any(note.startswith("1 queries have no true box here") for note in report["notes"])
    assert report["about"]["frames"] == "test"
    with pytest.raises(UsageError, match="both give true boxes"):
        annotated_items("scanrefer", path, tmp_path, gt_boxes=boxes, scannet_root=tmp_path)
    with pytest.raises(InputError, match=f"has no scans/{VAL}"):
        annotated_items("scanrefer", path, tmp_path, scannet_root=tmp_path)


def test_the_rule_over_all_objects_is_said_to_need_scannet(tmp_path):
    items = annotated_items("scanrefer", scanrefer(tmp_path), tmp_path)
    assert items.items[0].groups[BY_ANNOTATED] == "multiple"
    assert BY_ALL not in items.items[0].groups
    assert any(BY_ALL in note and "--scannet-root" in note for note in items.notes)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("ScanRefer_filtered_val.json", "[]", "is empty"),
        ("vsibench.jsonl", "", "is empty"),
        ("nr3d.csv", NR3D_HEAD, "no usable row of the split val"),
    ],
)
def test_an_empty_split_is_told(name, text, told, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    benchmark = {"json": "scanrefer", "jsonl": "vsibench", "csv": "nr3d"}[name.rsplit(".")[-1]]
    with pytest.raises(InputError, match=told):
        annotated_items(benchmark, path, tmp_path)


def test_distance_is_to_the_camera_of_the_best_frame_that_is_here():
    scene = make_scene([], circle((0, 0, 0), 2.0, 1.0, [0, 90, 180]))
    indices = scene.frame_indices.tolist()
    camera_m = scene.world_from_color_camera(indices[1])[:3, 3]
    low_m = camera_m + np.array([2.0, -0.5, -0.5])
    box = aabb_from_bounds(low_m, low_m + 1.0)

    def label(*views):
        frames = tuple(KeyframeLabel(index, (0, 0, 1, 1), share) for index, share in views)
        return Label("s", "q", "x", 1, ((0.0, 1.0),), 0, frames, box3d=box)

    gone = max(indices) + 1
    seen = label((indices[0], 0.3), (indices[1], 0.9), (gone, 1.0))
    assert distance_of(seen, scene) == pytest.approx(2.5)
    assert distance_of(label((gone, 1.0)), scene) is None
    assert [distance_group(d) for d in (1.49, 1.5, 3.0)] == ["under 1.5 m", "1.5 to 3 m", "3 m or more"]


def test_seconds_in_view_are_those_of_all_runs():
    assert seconds_in_view([(0, 1), (5, 6.9)]) == "under 3 s"
    assert seconds_in_view([(0, 3)]) == "3 to 8 s"
    assert seconds_in_view([(0, 4), (10, 14)]) == "8 s or more"
