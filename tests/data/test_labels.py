import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scene_r1_cli.data.labels import KeyframeLabel, Label, read_labels, write_labels
from scene_r1_cli.errors import InputError
from scene_r1_cli.geometry.boxes import aabb_from_bounds

GROUNDING = Label(
    scene_id="scene0000_00",
    query_id="1",
    text="the chair – by the window",
    object_id=3,
    runs_s=((0.0, 1.5), (4.0, 6.5)),
    main_run=1,
    keyframes=(KeyframeLabel(120, (1.0, 2.0, 30.5, 40.0), 0.9),),
    answers=(),
    answer_type="none",
    box3d=aabb_from_bounds(np.array([0, 0, 0.0]), np.array([1, 2, 3.0])),
)
QUESTION = Label("scene0000_00", "2", "how many chairs?", None, (), None, (), ("4", "four"), "number", None)


def test_round_trip(tmp_path):
    path = tmp_path / "labels" / "rooms.parquet"
    write_labels(path, [GROUNDING, QUESTION])
    grounding, question = read_labels(path)
    assert question == QUESTION
    assert grounding.box3d is not None
    np.testing.assert_array_equal(grounding.box3d.size_m, [1, 2, 3])
    np.testing.assert_array_equal(grounding.box3d.center_m, [0.5, 1, 1.5])
    for name in ("text", "object_id", "runs_s", "main_run", "keyframes"):
        assert getattr(grounding, name) == getattr(GROUNDING, name)
    assert [item.name for item in path.parent.iterdir()] == ["rooms.parquet"]


def test_empty_set_keeps_its_columns(tmp_path):
    path = tmp_path / "x.parquet"
    write_labels(path, [])
    assert read_labels(path) == []
    assert "keyframes" in pq.read_schema(path).names


@pytest.mark.parametrize("kind", ["missing", "text", "other columns"])
def test_what_is_no_label_file(tmp_path, kind):
    path = tmp_path / "x.parquet"
    if kind == "text":
        path.write_text("hello")
    if kind == "other columns":
        pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match=r"x\.parquet"):
        read_labels(path)
