"""Training goes on after a kill as if nothing had happened, and refuses what it cannot do in one sentence."""

from pathlib import Path

import pytest
import torch

from scene_r1_cli.config_load import load_settings
from scene_r1_cli.data.rooms import split_seeds
from scene_r1_cli.errors import ConfigError, InputError, SetupError
from scene_r1_cli.files import write_json
from scene_r1_cli.training import pocket, room_views
from scene_r1_cli.training.room_views import load_views, make_views, save_views
from scene_r1_cli.training_config import PhaseConfig, PocketConfig, ViewsConfig
from tests.training.views import block_views

CONFIG = PocketConfig(
    bfloat16=False,
    train_rooms=2,
    vision_video_frames=2,
    vision_key_frames=2,
    key_frames_per_room=2,
    val_rooms=1,
    validate_every=1,
    save_every_s=1e-6,
    vision=PhaseConfig(steps=2, learning_rate=1e-3),
    language=PhaseConfig(steps=2, learning_rate=1e-3),
    joint=PhaseConfig(steps=2, learning_rate=1e-3),
    look=PhaseConfig(steps=2, learning_rate=1e-3),
)


class Killed(Exception):
    """Stands for a process that is killed."""


@pytest.fixture
def rooms(monkeypatch):
    """Training on hand-made rooms, which take no rendering."""

    def make(folder, seeds, config):
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            save_views(folder / f"room{seed}.npz", block_views(seed))
            yield folder / f"room{seed}.npz"

    monkeypatch.setattr(pocket, "make_views", make)


def _weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(("phase", "step"), [("vision", 2), ("language", 1), ("joint", 1), ("look", 1)])
def test_a_killed_run_resumes_to_the_same_weights(rooms, tmp_path, phase, step):
    whole = pocket.train_pocket(CONFIG, tmp_path / "whole", resume=False, progress=lambda *_: None)

    def kill(at, done, steps, measured):
        if (at, done) == (phase, step):
            raise Killed

    with pytest.raises(Killed):
        pocket.train_pocket(CONFIG, tmp_path / "killed", resume=False, progress=kill)
    resumed = pocket.train_pocket(CONFIG, tmp_path / "killed", resume=True, progress=lambda *_: None)
    expected, found = _weights(whole), _weights(resumed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_steps_drawn_by_other_processes_are_those_drawn_here(tmp_path):
    """There a frozen tower's features are computed each time, here they are kept in half precision."""
    steps = {}
    for workers in (0, 2):
        config = CONFIG.model_copy(update={"workers": workers, "look_trains_vision": True})
        views = tmp_path / str(workers) / "views"
        views.mkdir(parents=True)
        write_json(views / "views.json", config.views.model_dump(mode="json"))
        for seed in (*split_seeds("train")[:2], *split_seeds("val")[:1]):
            save_views(views / f"room{seed}.npz", block_views(seed))

        def note(phase, step, total, measured, workers=workers):
            steps.setdefault(workers, []).append((phase, step, total, dict(measured)))

        pocket.train_pocket(config, tmp_path / str(workers), resume=False, progress=note)
    assert [step[:3] for step in steps[0]] == [step[:3] for step in steps[2]]
    assert any("key_class" in step[3] for step in steps[0] if step[0] == "look")
    for here, there in zip(steps[0], steps[2], strict=True):
        assert here[3].keys() == there[3].keys()
        for name, value in here[3].items():
            assert there[3][name] == pytest.approx(value, rel=0.02, abs=0.02), (here[:2], name)


def test_a_device_that_is_not_there_is_told_before_a_room_is_made(rooms, tmp_path):
    config = CONFIG.model_copy(update={"device": "cuda:99"})
    with pytest.raises(SetupError, match="device is cuda:99, which this machine does not have"):
        pocket.train_pocket(config, tmp_path, resume=False, progress=lambda *_: None)
    assert not list(tmp_path.iterdir())


def test_rooms_can_be_left_out_at_the_beginning(rooms, tmp_path):
    config = CONFIG.model_copy(update={"first_room": 3})

    def kill(phase, *_):
        if phase == "vision":
            raise Killed

    with pytest.raises(Killed):
        pocket.train_pocket(config, tmp_path, resume=False, progress=kill)
    made = sorted(int(file.stem.removeprefix("room")) for file in (tmp_path / "views").iterdir())
    assert made == [*split_seeds("train")[3:5], split_seeds("val")[0]]


def test_more_rooms_than_there_are_are_refused_in_one_sentence(tmp_path):
    config = CONFIG.model_copy(update={"first_room": 6999})
    with pytest.raises(ConfigError, match="has 7000 rooms; first_room and train_rooms ask for 7001"):
        pocket.train_pocket(config, tmp_path, resume=False, progress=lambda *_: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("resume", "sentence"), [(True, "no state.pt to resume"), (False, "already holds a run")]
)
def test_resume_must_fit_the_folder(tmp_path, resume, sentence):
    if not resume:
        (tmp_path / "state.pt").touch()
    with pytest.raises(InputError, match=sentence):
        pocket.train_pocket(CONFIG, tmp_path, resume=resume, progress=lambda *_: None)


def test_a_state_of_another_architecture_is_refused_in_one_sentence(rooms, tmp_path):
    pocket.train_pocket(CONFIG, tmp_path, resume=False, progress=lambda *_: None)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    state["model"] = {name: weight for name, weight in state["model"].items() if "layers.7" not in name}
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(InputError, match="another version of scener1, whose pocket had other sizes"):
        pocket.train_pocket(CONFIG, tmp_path, resume=True, progress=lambda *_: None)


def _killed_in_vision(out):
    def kill(phase, step, *_):
        if (phase, step) == ("vision", 2):
            raise Killed

    with pytest.raises(Killed):
        pocket.train_pocket(CONFIG, out, resume=False, progress=kill)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train_rooms": 3, "seed": 1}, "other settings of seed, train_rooms\\."),
        ({"look": PhaseConfig(steps=3, learning_rate=1e-3)}, "other settings of look\\."),
    ],
)
def test_resume_with_other_settings_is_refused_before_a_room_is_made(
    rooms, tmp_path, monkeypatch, change, named
):
    _killed_in_vision(tmp_path)
    monkeypatch.setattr(pocket, "make_views", None)
    config = CONFIG.model_copy(update=change)
    with pytest.raises(InputError, match=named):
        pocket.train_pocket(config, tmp_path, resume=True, progress=lambda *_: None)


def test_resume_may_change_what_does_not_change_the_data(rooms, tmp_path):
    _killed_in_vision(tmp_path)
    changed = CONFIG.model_copy(update={"validate_every": 2, "save_every_s": 60.0})
    assert pocket.train_pocket(changed, tmp_path, resume=True, progress=lambda *_: None).is_dir()


def test_views_are_read_as_written(tmp_path):
    views = block_views()
    save_views(tmp_path / "room1.npz", views)
    read = load_views(tmp_path / "room1.npz")
    assert (read.labels, read.colors, read.sentences, read.questions) == (
        views.labels,
        views.colors,
        views.sentences,
        views.questions,
    )
    assert (read.video.instances == views.video.instances).all()
    # JPEG: near, not equal.
    assert abs(read.key.rgb.astype(int) - views.key.rgb.astype(int)).mean() < 8


def test_rooms_rendered_otherwise_are_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(room_views, "view_room", lambda seed, config: block_views(seed))
    for _ in range(2):
        assert list(make_views(tmp_path, [1000], ViewsConfig())) == [tmp_path / "room1000.npz"]
    with pytest.raises(InputError, match="rendered with another key_frames, short_share"):
        next(make_views(tmp_path, [1000], ViewsConfig(short_share=0.0, key_frames=8)))
    (tmp_path / "views.json").unlink()
    with pytest.raises(InputError, match="has no views"):
        next(make_views(tmp_path, [1000], ViewsConfig()))


def test_shipped_configurations_are_accepted():
    for name in ("pocket", "pocket-gpu", "pocket-more", "pocket-no-think"):
        assert load_settings(PocketConfig, files=[Path(f"configs/train/{name}.yaml")]).train_rooms > 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("threadz: 3", "threadz is no setting"),
        ("a: [", "not valid YAML"),
        ("seed: x", "seed is 'x'"),
    ],
)
def test_bad_configurations_name_the_key(tmp_path, text, sentence):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_settings(PocketConfig, files=[path])


@pytest.mark.parametrize("think", [True, False])
def test_training_goes_on_from_a_checkpoint_with_the_last_phase(rooms, tmp_path, think):
    first = pocket.train_pocket(CONFIG, tmp_path / "first", resume=False, progress=lambda *_: None)
    phases = []
    more = CONFIG.model_copy(update={"start": str(first), "think": think})
    second = pocket.train_pocket(
        more, tmp_path / "more", resume=False, progress=lambda *at: phases.append(at[0])
    )
    assert set(phases) == {"rooms", "look"}
    before, after = _weights(first), _weights(second)
    vision = [name for name in before if "visual" in name]
    assert all(torch.equal(before[name], after[name]) for name in vision)
    assert any(not torch.equal(before[name], after[name]) for name in before if name not in vision)
    assert (first / "tokenizer.json").read_bytes() == (second / "tokenizer.json").read_bytes()


def test_a_model_of_another_architecture_is_no_start(rooms, tmp_path):
    from tests.tiny_models import save_tiny_vlm

    config = CONFIG.model_copy(update={"start": str(save_tiny_vlm(tmp_path / "tiny", "qwen2.5-vl"))})
    with pytest.raises(InputError, match="no model of pocket's architecture"):
        pocket.train_pocket(config, tmp_path / "run", resume=False, progress=lambda *_: None)
