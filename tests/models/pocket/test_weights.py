"""The weights that are shipped: small, whole, and right about rooms they were not trained on."""

import numpy as np
import pytest
from safetensors import safe_open

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.geometry.boxes import box2d_iou
from scene_r1_cli.geometry.intervals import best_run_iou
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.parse import BoxesReply, SpanReply, parse_boxes, parse_span, parse_think
from scene_r1_cli.models.pocket import pocket_path
from scene_r1_cli.models.prompts import box_prompt, span_prompt
from scene_r1_cli.models.transformers_vlm import TransformersVLM
from scene_r1_cli.models.vlm import VideoPrefix
from scene_r1_cli.training.replies import frame_boxes
from scene_r1_cli.training.room_views import load_views, make_views
from scene_r1_cli.training_config import ViewsConfig

MAX_BYTES = 20e6


@pytest.fixture(scope="module")
def vlm():
    return TransformersVLM.load(ModelConfig(name=str(pocket_path()), device="cpu"))


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    """A room of the val split."""
    folder = tmp_path_factory.mktemp("views")
    return load_views(next(iter(make_views(folder, split_seeds("val")[:1], ViewsConfig()))))


def test_all_files_together_are_small_and_half_precision():
    folder = pocket_path()
    assert folder is not None
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_BYTES
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F16"}  # noqa: SIM118


def test_it_finds_spans_and_says_what_it_saw(vlm, views):
    sentences = views.sentences[:: max(1, len(views.sentences) // 12)][:12]
    prompts = [span_prompt(sentence.text, views.duration_s) for sentence in sentences]
    replies = vlm.generate(VideoPrefix(views.video.rgb, views.video.times_s), prompts, max_new_tokens=160)
    spans = [parse_span(reply.text) for reply in replies]
    found = []
    for span, sentence in zip(spans, sentences, strict=True):
        readable = isinstance(span, SpanReply)
        found.append(best_run_iou((span.start_s, span.end_s), sentence.runs_s) if readable else 0.0)
    assert sum(isinstance(span, SpanReply) for span in spans) >= len(spans) - 1
    whole = [best_run_iou((0.0, views.duration_s), sentence.runs_s) for sentence in sentences]
    assert np.mean(found) > np.mean(whole)
    named = [
        views.labels[s.object_id] in parse_think(r.text) for s, r in zip(sentences, replies, strict=True)
    ]
    assert np.mean(named) > 0.5


def test_it_boxes_objects_better_than_by_chance(vlm, views):
    scores, others = [], []
    for frame in range(0, len(views.key.rgb), 4):
        boxes = {key: xyxy for key, (xyxy, _) in frame_boxes(views.key.instances[frame]).items()}
        image_rgb = views.key.rgb[frame]
        asked = [s for s in views.sentences if s.object_id in boxes][:3]
        if not asked:
            continue
        size_wh = (image_rgb.shape[1], image_rgb.shape[0])
        prompts = [box_prompt(sentence.text, FAMILIES["qwen2.5-vl"], size_wh) for sentence in asked]
        prefix = VideoPrefix(image_rgb[None], views.key.times_s[frame : frame + 1])
        for sentence, reply in zip(asked, vlm.generate(prefix, prompts, max_new_tokens=96), strict=True):
            found = parse_boxes(reply.text)
            assert isinstance(found, BoxesReply)
            box = found.boxes[0].xyxy_model if found.boxes else None
            truth = boxes[sentence.object_id]
            scores.append(box2d_iou(box, truth) if box else 0.0)
            others.append(np.mean([box2d_iou(other, truth) for other in boxes.values()]))
    assert len(scores) >= 5
    assert np.mean(scores) > np.mean(others)
