"""Which of defaults, preset, files, --set and flags wins, and what is said about a mistake."""

import pytest

from scene_r1_cli.config import GroundConfig
from scene_r1_cli.config_load import load_config
from scene_r1_cli.errors import ConfigError


@pytest.fixture
def yaml_file(tmp_path):
    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_nothing_given_is_the_default_preset():
    config = load_config()
    assert config.preset == GroundConfig().preset
    assert config == load_config(preset=GroundConfig().preset)


def test_each_layer_wins_over_the_one_before(yaml_file):
    first = yaml_file("video: {fps: 3, max_frames: 7}\nmodel: {name: a}", "first.yaml")
    second = yaml_file("video:\n  max_frames: 8\n", "second.yaml")
    preset = load_config(preset="qwen2.5-vl-7b")
    config = load_config(preset="qwen2.5-vl-7b", files=[first, second])
    assert (preset.video.fps, preset.video.max_frames) == (1.0, 64)
    assert (config.video.fps, config.video.max_frames) == (3.0, 8)
    assert config.video.max_side_px == preset.video.max_side_px

    sets = ["video.max_frames=9", "model.name=b", "model.name=c"]
    config = load_config(preset="qwen2.5-vl-7b", files=[first, second], sets=sets)
    assert (config.video.max_frames, config.model.name) == (9, "c")

    flags = {"model.name": "d", "tracker.name": None}
    config = load_config(preset="qwen2.5-vl-7b", files=[first, second], sets=sets, flags=flags)
    assert (config.model.name, config.tracker.name) == ("d", "sam2")


@pytest.mark.parametrize(
    ("given", "preset"),
    [
        ({"sets": ["preset=qwen3-vl-4b"]}, "qwen3-vl-4b"),
        ({"preset": "qwen3-vl-8b", "sets": ["preset=qwen3-vl-4b"]}, "qwen3-vl-8b"),
    ],
)
def test_where_the_preset_may_be_named(given, preset):
    config = load_config(**given)
    assert config.preset == preset
    assert config.model.name == load_config(preset=preset).model.name


def test_a_file_names_its_preset(yaml_file):
    config = load_config(files=[yaml_file("preset: qwen3-vl-4b\nvideo: {fps: 0.5}\n")])
    assert (config.preset, config.model.name) == ("qwen3-vl-4b", "Qwen/Qwen3-VL-4B-Instruct")
    assert config.video.fps == 0.5


def test_a_resolved_config_gives_itself_again(yaml_file):
    import yaml

    config = load_config(preset="qwen3-vl-8b", sets=["model.sampling.temperature=0.7"])
    text = yaml.safe_dump(config.model_dump(mode="json"))
    assert load_config(files=[yaml_file(text)]) == config


VALUES = [
    # --set, section, value
    ("video.fps=1.5", lambda c: c.video.fps, 1.5),
    ("video.fps=5e-1", lambda c: c.video.fps, 0.5),
    ("model.sampling.temperature=1E0", lambda c: c.model.sampling.temperature, 1.0),
    ("model.name=7e", lambda c: c.model.name, "7e"),
    ("model.family=null", lambda c: c.model.family, None),
    ("model.name=a=b", lambda c: c.model.name, "a=b"),
    ("model.name=@odd: text", lambda c: c.model.name, "@odd: text"),
    ("model.sampling={temperature: 0.5, seed: 3}", lambda c: c.model.sampling.seed, 3),
    ("lifting.vote=false", lambda c: c.lifting.vote, False),
]


@pytest.mark.parametrize(("text", "read", "value"), VALUES)
def test_set_reads_yaml_values(text, read, value):
    assert read(load_config(sets=[text])) == value


def test_an_empty_file_and_empty_sections_change_nothing(yaml_file):
    files = [yaml_file("", "empty.yaml"), yaml_file("video:\n#  fps: 3\nmodel:\n", "sections.yaml")]
    assert load_config(files=files) == load_config()


MISTAKES = [
    # --set, words of the message, hint
    ("video.fsp=3", "--set video.fsp=3: video.fsp is no setting; video has fps, max_frames", "video.fps"),
    ("fps=3", "fps is no setting; there are preset, model, tracker", "video.fps"),
    ("vidoe.fps=3", "vidoe is no setting", "video"),
    ("video=3", "video is a section, not a value; video has fps", ""),
    ("model.name.x=3", "model.name takes one value", ""),
    ("video.fps=-1", "video.fps is -1 (from --set video.fps=-1): input should be greater than 0", ""),
    ("video.fps=fast", "video.fps is 'fast'", ""),
    ("tracker.name=sam3", "'geometric' or 'sam2'", ""),
    ("model.name=3", "input should be a valid string", ""),
    ("video.fps", "--set video.fps is not KEY=VALUE", "--set video.fps=1.5"),
    ("=3", "is not KEY=VALUE", ""),
    ("preset=nope", "Preset 'nope' is not known", ""),
    ("preset=3", "Preset '3' is not known", ""),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES)
def test_a_mistake_is_one_sentence_that_names_it(text, message, hint):
    with pytest.raises(ConfigError) as error:
        load_config(sets=[text])
    assert message in error.value.message
    assert hint in error.value.hint
    assert "\n" not in error.value.message
    assert error.value.exit_code == 2


FILES = [
    ("video:\n  fps: [1", "is not valid YAML (line 2"),
    ("- a\n- b\n", "holds no settings"),
    ("just text", "holds no settings"),
    ("video:\n  3: 4\n", "video.3 is no setting"),
    ("1: 2\n", "1 is no setting"),
    ("video: {fps: 0}\n", "video.fps is 0 (from "),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_a_mistake_in_a_file_names_the_file(yaml_file, text, message):
    path = yaml_file(text)
    with pytest.raises(ConfigError) as error:
        load_config(files=[path])
    assert message in error.value.message
    assert str(path) in error.value.message


def test_a_file_that_cannot_be_read(tmp_path):
    binary = tmp_path / "image.yaml"
    binary.write_bytes(b"\xff\xd8\xff\xe0")
    for path, message in [
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "directory"),
        (binary, "UTF-8"),
    ]:
        with pytest.raises(ConfigError, match=message):
            load_config(files=[path])


def test_off_is_a_word_although_yaml_reads_it_as_false():
    assert load_config(sets=["surface.use=off"]).surface.use == "off"
