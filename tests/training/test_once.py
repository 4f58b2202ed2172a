"""What is computed once is what would have been computed many times over."""

import numpy as np
import pytest
import torch
from PIL import Image

from scene_r1_cli.training.once import each_image_once, keep_features
from tests.tiny_models import save_tiny_vlm


@pytest.fixture(scope="module", params=["qwen2.5-vl", "qwen3-vl"])
def loaded(request, tmp_path_factory):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = save_tiny_vlm(tmp_path_factory.mktemp("tiny") / request.param, request.param)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model, AutoProcessor.from_pretrained(folder)


def image(seed, width=128, height=96):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8))


def test_equal_images_are_prepared_once(loaded, monkeypatch):
    processor = loaded[1].image_processor
    images = [image(0), image(1, 96, 128), image(0), image(2), image(1, 96, 128), image(1, 128, 96)]
    expected = processor(images, return_tensors="pt")
    seen = []
    real = type(processor).preprocess

    def watched(self, images, **more):
        seen.append(len(images))
        return real(self, images, **more)

    monkeypatch.setattr(type(processor), "preprocess", watched)
    for given in (images, [images[:2], images[2:]]):
        with each_image_once(processor) as table:
            for settings in ({"return_tensors": "pt"}, {}):
                found = processor(given, **settings)
                assert found["pixel_values"].shape == (len(expected["pixel_values"]), 1)
                assert torch.equal(table.patches(found["pixel_values"]), expected["pixel_values"])
                assert torch.equal(found["image_grid_thw"], expected["image_grid_thw"])
            assert torch.equal(table.patches(expected["pixel_values"]), expected["pixel_values"])
    assert seen == [4, 4]
    with each_image_once(processor) as table:
        first = processor(images[:1])["pixel_values"]
        assert torch.equal(table.patches(first), expected["pixel_values"][: len(first)])
        found = processor(images)["pixel_values"]
        assert torch.equal(table.patches(found), expected["pixel_values"])
    assert seen == [4, 4, 1, 3]
    processor(images)
    assert seen == [4, 4, 1, 3, 6]
    assert "preprocess" not in processor.__dict__


def features_of(model, inputs):
    found = model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    return torch.cat(list(found.pooler_output)), getattr(found, "deepstack_features", None)


def test_a_frozen_tower_is_run_once_for_the_same_frames(loaded):
    model, processor = loaded
    model.model.visual.requires_grad_(False)
    pairs = ([image(seed), image(seed + 1)] for seed in (0, 5))
    one, two = (processor.image_processor(pair, return_tensors="pt") for pair in pairs)
    expected = [features_of(model, inputs) for inputs in (one, two)]
    runs = []
    handle = model.model.visual.blocks[0].register_forward_hook(lambda *_: runs.append(1))
    keep_features(model.model.visual)
    try:
        with torch.inference_mode():
            found = [features_of(model, inputs) for inputs in (one, two, one)]
        found.append(features_of(model, two))
        assert len(runs) == 2
        for (features, deep), (right, right_deep) in zip(found, [*expected, *expected], strict=True):
            torch.testing.assert_close(features, right)
            if right_deep is not None:
                torch.testing.assert_close(deep, right_deep)
        # Made while sampling, used where gradients are.
        assert not found[0][0].requires_grad
        scale = torch.ones(1, requires_grad=True)
        (features_of(model, one)[0] * scale).sum().backward()
        assert scale.grad is not None
        assert len(runs) == 2
    finally:
        handle.remove()
        del model.model.visual.forward


def test_only_so_many_features_are_kept(loaded):
    model, processor = loaded
    inputs = [processor.image_processor([image(seed)], return_tensors="pt") for seed in range(3)]
    runs = []
    handle = model.model.visual.blocks[0].register_forward_hook(lambda *_: runs.append(1))
    keep_features(model.model.visual, max_bytes=1)
    try:
        for number in (0, 0, 1, 2, 0):
            features_of(model, inputs[number])
        assert len(runs) == 4
    finally:
        handle.remove()
        del model.model.visual.forward
