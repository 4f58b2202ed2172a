"""Which labels are trained on, and what is said of the others."""

import logging
from pathlib import Path

import pytest

from scene_r1_cli.config_load import load_config
from scene_r1_cli.data.labels import KeyframeLabel, Label, write_labels
from scene_r1_cli.data.sources import open_scene
from scene_r1_cli.errors import ConfigError, InputError
from scene_r1_cli.grpo_config import DataConfig, DifficultyConfig
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.vlm import Reply
from scene_r1_cli.training.difficulty import choose_by_difficulty, measure_difficulty, read_difficulty
from scene_r1_cli.training.grpo_data import PromptDataset
from scene_r1_cli.training.prompt_size import fit_frames, prompt_lengths
from scene_r1_cli.training.samples import Sample, find_samples, ordered_by_video
from tests import captures

DATA = DataConfig(rooms=0, labels="test")
BOX = (4.0, 4.0, 30.0, 30.0)


def label(query_id, runs_s=((0.1, 0.7),), boxes=((2, BOX),), answers=()):
    keyframes = tuple(KeyframeLabel(frame, box, 1.0) for frame, box in boxes)
    main_run = 0 if runs_s else None
    return Label("scene0000_00", query_id, f"chair {query_id}", 1, runs_s, main_run, keyframes, answers)


def store_of(folder, *labels, scene_id="scene0000_00"):
    scene = folder / "scannet" / scene_id
    captures.write_test_sens(scene / f"{scene_id}.sens", 8)
    write_labels(scene / "labels" / "test.parquet", list(labels))
    return folder


@pytest.mark.parametrize(
    ("stage", "bad", "told"),
    [
        ("temporal", label("x", runs_s=((5.0, 9.0),)), "a run is outside the video"),
        ("temporal", label("x", runs_s=((-3.0, 0.5),)), "a run is outside the video"),
        ("temporal", label("x", runs_s=((0.7, 0.1),)), "a run is outside the video"),
        ("image", label("x", boxes=((2, (60.0, 4.0, 90.0, 30.0)),)), "a box is outside the frame"),
        ("image", label("x", boxes=((2, (9.0, 4.0, 9.0, 30.0)),)), "a box is outside the frame"),
        ("image", label("x", boxes=((77, BOX),)), "the video has no such key frame"),
        ("qa", label("x", answers=("", " ")), "its answers are empty"),
    ],
)
def test_a_label_that_cannot_be_right_is_left_out_and_told(tmp_path, caplog, stage, bad, told):
    good = label("good", answers=("a chair",) if stage == "qa" else ())
    store = store_of(tmp_path, bad, good)
    with caplog.at_level(logging.WARNING):
        assert [sample.label.query_id for sample in find_samples(stage, DATA, store)] == ["good"]
    assert f"{told} (1, first query x of scene0000_00)" in caplog.text
    store_of(tmp_path, bad)
    with pytest.raises(InputError, match=told):
        find_samples(stage, DATA, store)


def test_labels_within_rounding_of_the_video_are_kept(tmp_path):
    store = store_of(tmp_path, label("a", runs_s=((0.1, 0.9),), boxes=((2, (-0.5, -0.5, 63.5, 47.5)),)))
    assert len(find_samples("temporal", DATA, store)) == len(find_samples("image", DATA, store)) == 1


def test_a_scene_that_cannot_be_opened_is_left_out_and_told(tmp_path, caplog):
    store = store_of(tmp_path, label("a"))
    store_of(tmp_path, label("b"), scene_id="scene0001_00")
    (tmp_path / "scannet" / "scene0001_00" / "scene0001_00.sens").write_bytes(b"no capture")
    with caplog.at_level(logging.WARNING):
        assert len(find_samples("temporal", DATA, store)) == 1
    assert "its scene cannot be opened (1, first scene0001_00" in caplog.text


def test_a_share_of_frames_does_not_show_the_object(tmp_path, monkeypatch):
    monkeypatch.setattr("scene_r1_cli.training.samples.ABSENT_GAP_S", 0.2)
    boxes = tuple((frame, BOX) for frame in (0, 1))
    store = store_of(tmp_path, label("a", runs_s=((0.0, 0.25),), boxes=boxes), label("b", boxes=boxes))
    scene = open_scene(tmp_path / "scannet" / "scene0000_00")
    times_s = dict(zip(scene.frame_indices.tolist(), scene.timestamps_s.tolist(), strict=True))
    config = DATA.model_copy(update={"absent": 0.75})
    found = find_samples("image", config, store)
    assert found == find_samples("image", config, store)
    absent = [sample for sample in found if sample.frame.box_xyxy_px is None]
    assert len(found) == 4
    assert 1 <= len(absent) <= 2  # of b every frame is too near to its run
    assert {sample.label.query_id for sample in absent} == {"a"}
    assert all(times_s[sample.frame.frame_index] > 0.25 + 0.2 for sample in absent)


def test_a_data_set_that_is_not_in_the_store_is_named(tmp_path):
    store = store_of(tmp_path, label("a"))
    with pytest.raises(InputError, match=r"has no data set arkit, so no label to train on; it has scannet"):
        find_samples("temporal", DATA.model_copy(update={"dataset": "arkit"}), store)


class Model:
    """Counts a token a word and a token for every 28 × 28 pixels; replies what a query deserves."""

    name, family = "model", FAMILIES["qwen2.5-vl"]

    def __init__(self):
        self.asked: list[str] = []

    def model_size_wh(self, original_wh, max_side_px):
        return max_side_px // 28 * 28, max_side_px // 28 * 28

    def count_tokens(self, prefix, suffixes):
        width, height = prefix.size_wh
        frames = len(prefix.frames_rgb) * (width // 28) * (height // 28)
        return [frames + len(text.split()) for text in suffixes]

    def generate(self, prefix, suffixes, *, max_new_tokens, sampling=None):
        self.asked += suffixes
        assert sampling.temperature == 1.0
        return [self.reply(text, number) for number, text in enumerate(suffixes)]

    def reply(self, text, number):
        right = "chair easy" in text or ("chair mixed" in text and number % 2)
        return Reply("right" if right else "wrong", "stop", None, None)


@pytest.fixture
def samples(tmp_path):
    return find_samples("temporal", DATA, store_of(tmp_path, *map(label, ("easy", "hard", "mixed"))))


def test_prompts_are_counted_without_reading_an_image(samples):
    config = load_config()
    dataset = PromptDataset("temporal", samples, Model(), config)  # pyright: ignore
    counted = prompt_lengths(dataset, Model())  # pyright: ignore
    frames = len(dataset.prompt_of(0)[0].frames_rgb)
    side = config.video.max_side_px // 28
    assert counted == [frames * side * side + len(dataset.prompt_of(n)[1].split()) for n in range(3)]
    assert dataset.blank_prompt_of(0)[0].frames_rgb.shape == dataset.prompt_of(0)[0].frames_rgb.shape


@pytest.mark.parametrize("stage", ["temporal", "image"])
def test_max_prompt_tokens_takes_fewer_frames_then_smaller_ones(tmp_path, stage, caplog):
    model, config = Model(), load_config(sets=["video.fps=100", "video.max_side_px=140"])
    found = find_samples(stage, DATA, store_of(tmp_path, label("a")))

    def tokens(settings):
        return max(prompt_lengths(PromptDataset(stage, found, model, settings), model))  # pyright: ignore

    before = tokens(config)
    assert fit_frames(stage, found, model, config, before) == config  # pyright: ignore
    with caplog.at_level(logging.WARNING):
        fitted = fit_frames(stage, found, model, config, before - 1)  # pyright: ignore
    assert tokens(fitted) < before
    name = "box.max_side_px" if stage == "image" else "video.max_side_px"
    assert f"use the model with: --set {name}=" in caplog.text or "video.max_frames=" in caplog.text
    with pytest.raises(ConfigError, match="max_prompt_tokens 64 is too low"):
        fit_frames(stage, found, model, config, 64)  # pyright: ignore


def test_queries_the_start_model_always_or_never_gets_right_are_left_out(samples, tmp_path):
    config, file = DifficultyConfig(replies=4), tmp_path / "difficulty" / "temporal-1.jsonl"
    dataset = PromptDataset("temporal", samples, Model(), load_config())  # pyright: ignore

    def score(text, number):
        return float(text == "right")

    def measure(model, part=(0, 1)):
        measure_difficulty(dataset, model, score, config, file, 8, part=part)
        return model.asked

    assert len(measure(Model(), part=(1, 2))) == 4
    # Killed, and a line cut by a full disk: what is known is not asked again.
    (tmp_path / "difficulty" / "temporal-1.0.jsonl").write_text('{"key": ["scene0000_00", "ea')
    assert len(measure(Model())) == 8
    assert measure(Model()) == []
    rewards = read_difficulty(file)
    assert rewards["scene0000_00", "mixed", None] == [0.0, 1.0, 0.0, 1.0]
    kept = choose_by_difficulty(samples, rewards, config)
    assert [sample.label.query_id for sample in kept] == ["mixed"]
    with pytest.raises(InputError, match="Of 2 queries 1 are too hard and 1 too easy"):
        choose_by_difficulty(samples[:2], rewards, config)


def test_queries_about_one_video_follow_each_other_in_another_order_for_each_seed():
    samples = [Sample(Path(video), label(f"{video}{number}")) for video in "abc" for number in range(7)]
    ordered = ordered_by_video(samples, 3, seed=1)
    assert sorted(sample.key for sample in ordered) == sorted(sample.key for sample in samples)
    whole = [ordered[start : start + 3] for start in range(0, 18, 3)]
    assert all(len({sample.path for sample in run}) == 1 for run in whole)
    assert [sample.path for sample in ordered] != sorted(sample.path for sample in ordered)
    assert ordered == ordered_by_video(samples, 3, seed=1)
    assert ordered != ordered_by_video(samples, 3, seed=2)
