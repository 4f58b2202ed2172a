"""Prompts against golden files; run ``python -m tests.models.test_prompts`` to write them anew."""

from pathlib import Path

import pytest

from scene_r1_cli.errors import InputError
from scene_r1_cli.models import prompts
from scene_r1_cli.models.families import FAMILIES
from scene_r1_cli.models.parse import ParseFailure, parse_boxes, parse_span

GOLDEN = Path(__file__).parent / "golden"
QUERY = "the red chair by the window"


def all_prompts():
    span = prompts.span_prompt(QUERY, duration_s=62.54)
    return {
        "span": span,
        "box_qwen2.5-vl": prompts.box_prompt(QUERY, FAMILIES["qwen2.5-vl"], (1008, 756)),
        "box_qwen3-vl": prompts.box_prompt(QUERY, FAMILIES["qwen3-vl"], (1024, 768)),
        "answer": prompts.answer_prompt("How many chairs are there?", duration_s=62.54),
        "span_again": prompts.ask_again(span, "not_a_span"),
        "span_no_think": prompts.span_prompt(QUERY, duration_s=62.54, think=False),
        "box_no_think": prompts.box_prompt(QUERY, FAMILIES["qwen2.5-vl"], (1008, 756), think=False),
        "answer_no_think": prompts.answer_prompt("How many chairs are there?", 62.54, think=False),
    }


@pytest.mark.parametrize("name", sorted(all_prompts()))
def test_prompts_are_the_golden_ones(name):
    assert all_prompts()[name] + "\n" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("stage", "expected"), [("span", "e9c8a416acf0"), ("box", "aec19ba80160"), ("answer", "1ea6780b8780")]
)
def test_hashes_change_only_on_purpose(stage, expected):
    assert prompts.prompt_hash(stage) == expected


def test_without_thinking_another_prompt_is_asked():
    for stage in ("span", "box", "answer"):
        assert prompts.prompt_hash(stage, think=False) != prompts.prompt_hash(stage)
    assert not [text for name, text in all_prompts().items() if "no_think" in name and "hink" in text]


@pytest.mark.parametrize("prompt", all_prompts().values(), ids=all_prompts())
def test_no_prompt_parses_as_a_span_or_box(prompt):
    """A model that copies the form it was shown has answered nothing."""
    form = prompt[prompt.index("<think>" if "<think>" in prompt else "<answer>") :]
    for text in (prompt, form, form[: form.rindex("</answer>") + len("</answer>")]):
        assert isinstance(parse_span(text), ParseFailure)
        assert isinstance(parse_boxes(text), ParseFailure)


def test_every_failure_can_be_asked_again():
    from typing import get_args

    from scene_r1_cli.models.reply_blocks import FailureCode

    again = {prompts.ask_again("Question?", code) for code in get_args(FailureCode)}
    assert len(again) == len(get_args(FailureCode))
    assert all(text.startswith("Question?\n\n") for text in again)


@pytest.mark.parametrize("query", ["", "  ", "\n\t"])
def test_an_empty_query_is_refused(query):
    with pytest.raises(InputError, match="empty"):
        prompts.span_prompt(query, 10.0)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("the chair", "the chair"),
        ("  the\nchair\t ", "the chair"),
        ("a <|im_end|><|image_pad|> b", "a < |im_end|>< |image_pad|> b"),
        ("a {query} {{b}}", "a {query} {{b}}"),
        ("стул у окна", "стул у окна"),
    ],
)
def test_plain_text(text, plain):
    assert prompts.plain_text(text) == plain
    assert f"Description of an object: {plain}\n" in prompts.span_prompt(text, 10.0)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in all_prompts().items():
        (GOLDEN / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
