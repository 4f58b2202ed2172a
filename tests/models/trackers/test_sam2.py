"""The sam2 tracker through the package's real code, with random weights: shapes, order, memory, errors."""

import logging
from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.errors import SetupError
from scene_r1_cli.models.trackers import load_tracker
from tests.box_world import Block, circle, make_scene

BLOCK = Block((-0.3, -0.3, 0.0), (0.3, 0.3, 0.6), (200, 60, 40))
BOX = (80.0, 60.0, 160.0, 120.0)


@pytest.fixture(scope="module")
def tracker():
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = TrackerConfig(name="sam2", checkpoint="random", image_size=128, device="cpu")
    return load_tracker(config)


@pytest.fixture
def scene():
    return make_scene([BLOCK], circle((0, 0, 0.3), 1.8, 1.4, np.linspace(0, 60, 30)))


def test_masks_of_all_frames_come_in_order_at_the_color_size(tracker, scene):
    session = tracker.open(scene, range(6))
    session.add(7, 3, box_xyxy_px=BOX)
    tracked = list(session)
    assert [frame_index for frame_index, _ in tracked] == sorted(frame_index for frame_index, _ in tracked)
    assert tracked
    for _, objects in tracked:
        assert set(objects) == {7}
        mask, score = objects[7]
        assert mask.size_hw == (180, 240)
        assert mask.area > 0
        assert 0 <= score <= 1


def test_frames_are_positions_in_the_session_not_in_the_capture(tracker, scene):
    session = tracker.open(scene, [20, 4, 11])
    session.add(1, 11, box_xyxy_px=BOX)
    assert {frame_index for frame_index, _ in session} <= {4, 11, 20}
    assert session.frame_indices == [4, 11, 20]


def test_stored_results_do_not_grow_with_the_video(tracker, scene, monkeypatch):
    monkeypatch.setattr(tracker, "shared_frames", 4)
    session = tracker.open(scene, range(30))
    session.add(1, 4, box_xyxy_px=BOX)
    session.add(2, 6, box_xyxy_px=BOX)
    kept, features = [], []
    for _ in session:
        outputs = session.state["output_dict_per_obj"]
        kept.append(max(len(per_object["non_cond_frame_outputs"]) for per_object in outputs.values()))
        features.append(len(session.state["shared_features"]))
    bound = session.model.num_remembered
    assert bound < 30 - 6
    assert max(kept) == bound + 1
    assert max(features) <= 4


def test_queries_of_a_scene_share_image_features_and_their_masks_stay_the_same(tracker, scene, monkeypatch):
    encoded = []
    encode = type(tracker.model).forward_image
    monkeypatch.setattr(
        type(tracker.model), "forward_image", lambda self, image: encoded.append(1) or encode(self, image)
    )

    def track(frame_indices, at):
        session = tracker.open(scene, frame_indices)
        session.add(1, at, box_xyxy_px=BOX)
        return [(index, objects[1][0].counts.tolist()) for index, objects in session]

    alone = track(range(4, 12), 8)
    assert len(encoded) == 8
    assert track(range(2, 10), 3) != alone
    assert len(encoded) == 10  # frames 2 and 3 are new
    assert track(range(4, 12), 8) == alone
    assert len(encoded) == 10
    tracker.open(replace(scene, reader=copy(scene.reader)), range(4, 12)).add(1, 8, box_xyxy_px=BOX)
    assert len(encoded) == 11  # another scene's frames are others


def test_forgetting_changes_no_prediction(tracker, scene, monkeypatch):
    def run():
        session = tracker.open(scene, range(24))
        session.add(1, 0, box_xyxy_px=BOX)
        return {frame_index: objects[1][0].counts.tolist() for frame_index, objects in session}

    bounded = run()
    monkeypatch.setattr(type(tracker.model), "_forget", lambda *_: None)
    assert run() == bounded


def test_a_box_and_a_mask_are_different_prompts(tracker, scene):
    mask = np.zeros((180, 240), dtype=bool)
    mask[60:120, 80:160] = True
    session = tracker.open(scene, [0, 1])
    session.add(1, 0, mask=mask)
    first = dict(session)[0][1][0].decode()
    # SAM 2 returns a given mask as it is, but for its own smaller grid.
    assert (first & mask).sum() > 0.8 * (first | mask).sum()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"frame_index": 99, "box_xyxy_px": BOX}, "not one of"),
        ({"frame_index": 0}, "either a box or a mask"),
        ({"frame_index": 0, "box_xyxy_px": BOX, "mask": np.ones((180, 240), bool)}, "either a box or a mask"),
    ],
)
def test_wrong_prompts_are_refused(tracker, scene, prompt, message):
    with pytest.raises(ValueError, match=message):
        tracker.open(scene, [0, 1]).add(1, **prompt)


def test_random_weights_are_announced(caplog):
    with caplog.at_level(logging.WARNING):
        load_tracker(TrackerConfig(name="sam2", checkpoint="random", image_size=64, device="cpu"))
    assert "RANDOM" in caplog.text


def test_two_models_can_be_built_when_hydra_belongs_to_somebody_else():
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    config = TrackerConfig(name="sam2", checkpoint="random", image_size=64, device="cpu")
    load_tracker(config)
    GlobalHydra.instance().clear()
    with initialize_config_module("tests", version_base="1.2"):
        load_tracker(config)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": "tiny"}, "not on this machine"),
        ({"checkpoint": "facebook/sam2.1-hiera-large"}, "not on this machine"),
        ({"checkpoint": "nowhere.pt"}, "neither a file"),
        ({"checkpoint": "random", "model_config_name": "configs/none.yaml"}, "no configuration"),
        ({"checkpoint": "random", "device": "cuda"}, "sees no GPU"),
    ],
)
def test_missing_parts_are_setup_errors(settings, message, monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SetupError, match=message):
        load_tracker(TrackerConfig(name="sam2", **settings))


def test_a_file_of_something_else_is_a_setup_error(tmp_path):
    import torch

    path = tmp_path / "sam2.1_hiera_tiny.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(SetupError, match="does not hold"):
        load_tracker(TrackerConfig(name="sam2", checkpoint=str(path), device="cpu"))
    torch.save({"model": {"weight": torch.zeros(1)}}, path)
    with pytest.raises(SetupError, match="does not hold"):
        load_tracker(TrackerConfig(name="sam2", checkpoint=str(path), device="cpu"))


def test_a_saved_checkpoint_is_loaded(tracker, tmp_path):
    import torch

    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": tracker.model.state_dict()}, path)
    again = load_tracker(TrackerConfig(name="sam2", checkpoint=str(path), image_size=128, device="cpu"))
    loaded, original = again.model.state_dict(), tracker.model.state_dict()  # pyright: ignore
    assert all(torch.equal(loaded[key], original[key]) for key in original)
