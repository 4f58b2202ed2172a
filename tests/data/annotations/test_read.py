"""Annotation files in, whatever their format; bad rows are told and left out."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scene_r1_cli.data.annotations import read_annotations
from scene_r1_cli.errors import InputError

SCANREFER = {
    "scene_id": "scene0000_00", "object_id": "34", "object_name": "coffee_table", "ann_id": "1",
    "description": "the low table", "token": ["the", "low", "table"],
}  # fmt: skip
MULTI = {
    "scene_id": "scene0000_00", "object_ids": [3, 4], "object_name": "chair", "ann_id": 7,
    "description": "the chairs", "eval_type": "mt",
}  # fmt: skip
SCANQA = {
    "scene_id": "scene0000_00", "object_ids": [8], "object_names": ["desk"], "question_id": "val-scene0000-0",
    "question": "what is brown?", "answers": ["desk", "the desk"],
}  # fmt: skip
NR3D = (
    "assignmentid,scan_id,target_id,utterance,stimulus_id,tokens,mentions_target_class,instance_type\n"
    "11,scene0000_00,5,the desk in the back,scene0000_00-desk-2-5-6,\"['the', 'desk']\",True,desk\n"
)
VSI = {
    "id": 3, "dataset": "scannet", "scene_name": "scene0000_00", "question_type": "object_rel_distance",
    "question": "Which is closest?", "ground_truth": "B", "options": ["A. chair", "B. bed"],
}  # fmt: skip


def write(path, data):
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("file", "data", "name", "query_id", "object_ids"),
    [
        ("ScanRefer_filtered_val.json", [SCANREFER], "scanrefer", "34_1", (34,)),
        ("multi3drefer_val.json", [MULTI], "multi3drefer", "3-4_7", (3, 4)),
        ("nr3d.csv", NR3D, "nr3d", "5_11", (5,)),
        ("sr3d.csv", NR3D.replace("11,", "12,"), "sr3d", "5_12", (5,)),
        ("ScanQA_v1.0_val.json", [SCANQA], "scanqa", "val-scene0000-0", (8,)),
        ("vsibench.jsonl", json.dumps(VSI) + "\n", "vsibench", "3", ()),
    ],
)
def test_formats_are_told_by_what_is_inside(tmp_path, file, data, name, query_id, object_ids):
    found = read_annotations(write(tmp_path / file, data))
    (row,) = found.rows
    assert (found.name, row.query_id, row.object_ids, row.scene_id) == (
        name,
        query_id,
        object_ids,
        "scene0000_00",
    )
    assert found.faults == ()


def test_a_sentence_about_nothing_is_a_sentence(tmp_path):
    (row,) = read_annotations(
        write(tmp_path / "m.json", [MULTI | {"object_ids": [], "eval_type": "zt_w_d"}])
    ).rows
    assert row.object_ids == ()
    assert row.kind == "zt_w_d"


def test_sqa3d_joins_its_two_files(tmp_path):
    question = {
        "scene_id": "scene0380_00",
        "situation": "I sit.",
        "question": "What is left?",
        "question_id": 9,
    }
    answer = {"question_id": 9, "answers": [{"answer": "door"}], "question_type": "what"}
    path = write(tmp_path / "v1_balanced_questions_val_scannetv2.json", {"questions": [question]})
    write(tmp_path / "v1_balanced_sqa_annotations_val_scannetv2.json", {"annotations": [answer]})
    (row,) = read_annotations(path).rows
    assert row.answers == ("door",)
    assert row.text == "I sit. What is left?"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"object_id": "x"}, "invalid literal"),
        ({"object_id": "-4"}, "no object id"),
        ({"description": " "}, "sentence is empty"),
        ({"scene_id": "../../etc"}, "no scene id"),
        ({"ann_id": "1"}, "has a query 34_1 already"),
    ],
)
def test_a_bad_row_is_left_out_and_told_and_the_rest_goes_on(tmp_path, broken, why):
    rows = [SCANREFER, SCANREFER | {"ann_id": "2"} | broken, SCANREFER | {"ann_id": "3"}]
    found = read_annotations(write(tmp_path / "a.json", rows))
    assert [row.query_id for row in found.rows] == ["34_1", "34_3"]
    (fault,) = found.faults
    assert why in fault
    assert "a.json, row 2" in fault


def test_a_missing_field_is_named(tmp_path):
    row = {name: value for name, value in SCANREFER.items() if name != "ann_id"}
    assert "'ann_id' is missing" in read_annotations(write(tmp_path / "a.json", [row])).faults[0]


@pytest.mark.parametrize("data", ["", "[", "[]", "{}", "[1]", '{"questions": 3}', "\x00"])
def test_another_file_is_refused_by_name(tmp_path, data):
    path = write(tmp_path / "what.json", data)
    with pytest.raises(InputError, match=r"what\.json"):
        read_annotations(path)


def test_a_csv_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="scan_id, target_id, utterance"):
        read_annotations(write(tmp_path / "a.csv", "x,y\n1,2\n"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


# A busy machine draws slowly; that is no fault.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(JSON, st.fixed_dictionaries({key: JSON for key in SCANREFER})), max_size=4))
@example([SCANREFER | {"object_id": float("inf")}, SCANREFER | {"ann_id": 10**400}])
def test_any_rows_behind_a_good_one_are_rows_or_faults(tmp_path_factory, rows):
    path = write(tmp_path_factory.mktemp("fuzz") / "a.json", [SCANREFER, *rows])
    found = read_annotations(path)
    assert len(found.rows) + len(found.faults) == 1 + len(rows)
