"""JSON forms of the pipeline's types: what artifacts, ``--json`` and ``predictions.jsonl`` hold.

``result_to_json`` follows docs/result.schema.json. Numbers are plain Python numbers, so the
output has no numpy and no NaN; "not known" is null, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scene_r1_cli.types import (
    Answer,
    AnswerResult,
    Box2D,
    Box3D,
    FrameMask,
    GroundingResult,
    RleMask,
    TemporalSpan,
)

SCHEMA_VERSION = 1

Json = dict[str, Any]


def span_to_json(span: TemporalSpan) -> Json:
    """A span as ``{start_s, end_s, rationale, drawn_s}``."""
    return {
        "start_s": float(span.start_s),
        "end_s": float(span.end_s),
        "rationale": span.rationale,
        "drawn_s": [[float(start_s), float(end_s)] for start_s, end_s in span.drawn_s],
    }


def span_from_json(data: Json) -> TemporalSpan:
    """Inverse of span_to_json."""
    return TemporalSpan(
        start_s=data["start_s"],
        end_s=data["end_s"],
        rationale=data["rationale"],
        drawn_s=tuple((start_s, end_s) for start_s, end_s in data["drawn_s"]),
    )


def boxes_2d_to_json(boxes: Sequence[Box2D]) -> list[Json]:
    """Boxes as a list of ``{frame_index, xyxy_px, label, rationale, score}``."""
    return [
        {
            "frame_index": int(box.frame_index),
            "xyxy_px": [float(value) for value in box.xyxy_px],
            "label": box.label,
            "rationale": box.rationale,
            "score": float(box.score),
        }
        for box in boxes
    ]


def boxes_2d_from_json(data: Sequence[Json]) -> tuple[Box2D, ...]:
    """Inverse of boxes_2d_to_json."""
    return tuple(
        Box2D(
            frame_index=item["frame_index"],
            xyxy_px=(item["xyxy_px"][0], item["xyxy_px"][1], item["xyxy_px"][2], item["xyxy_px"][3]),
            label=item["label"],
            rationale=item["rationale"],
            score=item["score"],
        )
        for item in data
    )


def boxes_2d_to_coco(result: GroundingResult, size_wh: tuple[int, int]) -> Json:
    """The 2D boxes as a COCO detection file; an image's id is its frame index."""
    annotations = [
        {
            "id": number,
            "image_id": box.frame_index,
            "category_id": 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "score": float(box.score),
        }
        for number, box in enumerate(result.boxes_2d, start=1)
        for x1, y1, x2, y2 in [[float(value) for value in box.xyxy_px]]
    ]
    indices = dict.fromkeys(box.frame_index for box in result.boxes_2d)
    images = [
        {"id": index, "file_name": f"{index:06d}.jpg", "width": size_wh[0], "height": size_wh[1]}
        for index in indices
    ]
    categories = [{"id": 1, "name": result.query.text}]
    return {"images": images, "annotations": annotations, "categories": categories}


def masks_to_json(masks: Sequence[FrameMask]) -> list[Json]:
    """Masks as a list of ``{frame_index, size_hw, counts, score}`` (COCO uncompressed RLE)."""
    return [
        {
            "frame_index": int(item.frame_index),
            "size_hw": list(item.mask.size_hw),
            "counts": item.mask.counts.tolist(),
            "score": float(item.score),
        }
        for item in masks
    ]


def masks_from_json(data: Sequence[Json]) -> tuple[FrameMask, ...]:
    """Inverse of masks_to_json."""
    return tuple(
        FrameMask(
            frame_index=item["frame_index"],
            mask=RleMask(
                size_hw=(item["size_hw"][0], item["size_hw"][1]),
                counts=np.asarray(item["counts"], dtype=np.int64),
            ),
            score=item["score"],
        )
        for item in data
    )


def box3d_to_json(box: Box3D) -> Json:
    """A box as ``{center_m, size_m, yaw_rad, score}``, world frame, full lengths."""
    return {
        "center_m": [float(value) for value in box.center_m],
        "size_m": [float(value) for value in box.size_m],
        "yaw_rad": box.yaw_rad,
        "score": float(box.score),
    }


def box3d_from_json(data: Mapping[str, Any]) -> Box3D:
    """Inverse of box3d_to_json; a missing yaw is 0 and a missing score 1."""
    from scene_r1_cli.geometry.transforms import rotation_about_z

    center = np.asarray(data["center_m"], dtype=np.float64)
    world_from_box = rotation_about_z(data.get("yaw_rad", 0.0))
    world_from_box[:3, 3] = center
    return Box3D(
        center_m=center,
        size_m=np.asarray(data["size_m"], dtype=np.float64),
        world_from_box=world_from_box,
        score=data.get("score", 1.0),
    )


def answer_to_json(answer: Answer) -> Json:
    """An answer with its reasoning."""
    return {"text": answer.text, "rationale": answer.rationale}


def answer_from_json(data: Mapping[str, Any]) -> Answer:
    """Inverse of answer_to_json."""
    return Answer(text=data["text"], rationale=data["rationale"])


def _without(data: Json, *keys: str) -> Json:
    return {key: value for key, value in data.items() if key not in keys}


def _rounded(timings_s: Mapping[str, float]) -> Json:
    return {name: round(seconds, 4) for name, seconds in timings_s.items()}


def result_to_json(result: GroundingResult) -> Json:
    """The result object of docs/result.schema.json."""
    box = _without(box3d_to_json(result.box3d), "yaw_rad") if result.box3d else None
    image_rationale = "\n\n".join(box2d.rationale for box2d in result.boxes_2d if box2d.rationale)
    truth = result.truth
    return {
        "schema_version": SCHEMA_VERSION,
        "scene_id": result.query.scene_id,
        "query_id": result.query.query_id,
        "query": result.query.text,
        "status": "failed" if result.failure else "ok",
        "failure": (
            {"stage": result.failure.stage, "reason": result.failure.reason} if result.failure else None
        ),
        "span_s": [float(result.span.start_s), float(result.span.end_s)] if result.span else None,
        "boxes_2d": [_without(item, "rationale", "score") for item in boxes_2d_to_json(result.boxes_2d)],
        "boxes3d": [box] if box else [],
        "box3d": box,
        "obb": _without(box3d_to_json(result.obb), "score") if result.obb else None,
        "mask_path": result.mask_path,
        "answers": [],
        "num_points": result.num_points,
        "surface_source": result.surface_source,
        "rationale": {
            "temporal": (result.span.rationale or None) if result.span else None,
            "image": image_rationale or None,
        },
        "timings_s": _rounded(result.timings_s),
        "truth": (
            {"box3d_iou": truth.box3d_iou, "span_iou": truth.span_iou, "box_iou": truth.box_iou}
            if truth
            else None
        ),
        "run_dir": result.run_dir,
    }


def answer_result_to_json(result: AnswerResult) -> Json:
    """The result object of docs/result.schema.json for a question: an answer, and no boxes."""
    answer = result.answer
    return {
        "schema_version": SCHEMA_VERSION,
        "scene_id": result.query.scene_id,
        "query_id": result.query.query_id,
        "query": result.query.text,
        "status": "failed" if result.failure else "ok",
        "failure": (
            {"stage": result.failure.stage, "reason": result.failure.reason} if result.failure else None
        ),
        "span_s": None,
        "boxes_2d": [],
        "boxes3d": [],
        "box3d": None,
        "obb": None,
        "mask_path": None,
        "answers": [answer.text] if answer else [],
        "num_points": 0,
        "surface_source": None,
        "rationale": {"temporal": (answer.rationale or None) if answer else None, "image": None},
        "timings_s": _rounded(result.timings_s),
        "truth": None,
        "run_dir": result.run_dir,
    }
