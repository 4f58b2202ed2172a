import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from scene_r1_cli import serialize
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.geometry.transforms import rotation_about_z
from scene_r1_cli.types import (
    Box2D,
    Box3D,
    Failure,
    FrameMask,
    GroundingResult,
    Query,
    RleMask,
    TemporalSpan,
    Truth,
)

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "result.schema.json").read_text())


def make_obb():
    world_from_box = rotation_about_z(0.3)
    world_from_box[:3, 3] = [1, 2, 0.5]
    return Box3D(np.array([1, 2, 0.5]), np.array([1.0, 0.5, 1.0]), world_from_box, 0.8)


def make_result(**changes):
    fields = {
        "query": Query("scene0011_00", "q1", "the <b>chair</b> – 椅子"),
        "span": TemporalSpan(1.0, 2.5, "it is seen early"),
        "boxes_2d": (Box2D(30, (1.0, 2.0, 30.0, 40.0), "chair", "red seat"),),
        "box3d": aabb_from_bounds(np.zeros(3), np.ones(3)),
        "obb": make_obb(),
        "num_points": 100,
        "surface_source": None,
        "timings_s": {"masks": 0.5, "total": 0.5},
        "truth": Truth(box3d_iou=np.float64(0.5), span_iou=None, box_iou=1.0),
    }
    return GroundingResult(**{**fields, **changes})


@pytest.mark.parametrize(
    "result",
    [
        make_result(),
        make_result(span=None, truth=None),
        make_result(
            box3d=None, obb=None, boxes_2d=(), num_points=0, failure=Failure("points", "no depth in the mask")
        ),
        make_result(surface_source="fused", mask_path="queries/a/b/points.ply", run_dir="runs/x"),
    ],
)
def test_result_follows_its_schema(result):
    data = json.loads(json.dumps(serialize.result_to_json(result), allow_nan=False))
    jsonschema.validate(data, SCHEMA)
    assert data["status"] == ("failed" if result.failure else "ok")
    assert data["query"] == result.query.text


def test_schema_refuses_a_flat_box():
    data = serialize.result_to_json(make_result(box3d=aabb_from_bounds(np.zeros(3), np.array([1, 1, 0.0]))))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, SCHEMA)


def test_box3d_round_trip():
    box = serialize.box3d_from_json(json.loads(json.dumps(serialize.box3d_to_json(make_obb()))))
    np.testing.assert_allclose(box.world_from_box, make_obb().world_from_box, atol=1e-12)
    np.testing.assert_allclose(box.size_m, make_obb().size_m)
    assert box.score == 0.8


def test_boxes_2d_and_span_round_trip():
    boxes = make_result().boxes_2d
    assert serialize.boxes_2d_from_json(json.loads(json.dumps(serialize.boxes_2d_to_json(boxes)))) == boxes
    span = TemporalSpan(1.0, 2.5, "why", ((1.0, 2.5), (4.0, 5.0)))
    assert serialize.span_from_json(json.loads(json.dumps(serialize.span_to_json(span)))) == span


def test_masks_round_trip():
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 0:5] = True
    stored = json.loads(json.dumps(serialize.masks_to_json([FrameMask(7, RleMask.encode(mask), 0.25)])))
    (loaded,) = serialize.masks_from_json(stored)
    np.testing.assert_array_equal(loaded.mask.decode(), mask)
    assert (loaded.frame_index, loaded.score, loaded.mask.area) == (7, 0.25, 10)
