"""pocket refuses, in one sentence, what it was not made for."""

from dataclasses import replace

import pytest

from scene_r1_cli.errors import SetupError, UsageError
from scene_r1_cli.models.pocket.domain import check_query, check_scene
from tests.fake_vlm import plain_scene


@pytest.mark.parametrize(
    "text",
    ["the chair", "Find the GARBAGE BIN by the door", "the middle one of the three shelves", "two sofas"],
)
def test_known_nouns_pass(text):
    check_query(text)


@pytest.mark.parametrize("text", ["the mug", "the chairlift", "red", "the wall behind it"])
def test_other_words_are_refused(text):
    with pytest.raises(UsageError, match="knows no object") as error:
        check_query(text)
    assert "chair" in error.value.hint
    assert "--preset" in error.value.hint
    assert "\n" not in error.value.message


def test_only_a_folder_with_a_rooms_recipe_is_a_room(tmp_path):
    scene = replace(plain_scene([0.0]), path=tmp_path)
    with pytest.raises(SetupError, match="not one") as error:
        check_scene(scene)
    assert error.value.exit_code == 4
    assert "--preset pocket" in error.value.hint
    (tmp_path / "room.json").touch()
    check_scene(scene)
    check_scene(replace(scene, path=tmp_path / "scene9000_00.sens"))
