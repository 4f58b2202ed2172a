"""Arms of the learning benchmark."""

import argparse

import pytest

# To pyright, which looks in tests/ first, `benchmarks` is this folder.
from benchmarks import learning  # pyright: ignore[reportAttributeAccessIssue]


def test_an_arm_is_a_model_or_a_name_with_the_models_of_its_seeds():
    arms = learning.arms_of(["pocket", "grpo=runs/a,runs/b"])
    assert arms == {"pocket": ["pocket"], "grpo": ["runs/a", "runs/b"]}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Counts how often a model is asked."""
    calls = []

    def score(what, samples, config, cache):
        calls.append((what, config.model.name, config.span.think))
        return {"span IoU": [0.5]}

    monkeypatch.setattr(learning, "score", score)
    settings = {"preset": "pocket", "set": [], "out": tmp_path / "kept", "store": tmp_path}
    return calls, argparse.Namespace(**settings)


def test_what_a_model_scored_is_kept_for_the_same_question_and_weights(asked, tmp_path):
    calls, arguments = asked
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_text("weights")

    def ask(what="temporal"):
        return learning.kept_score(what, str(weights.parent), [], arguments)

    assert ask() == ask() == {"span IoU": [0.5]}
    assert len(calls) == 1
    ask("image")
    assert len(calls) == 2
    arguments.set = ["span.think=false"]
    ask()
    assert calls[-1] == ("temporal", str(weights.parent), False)
    weights.write_text("other weights")
    ask()
    assert len(calls) == 4


def test_each_metric_of_each_arm_is_told_beside_the_first(capsys):
    scenes = ["a", "a", "b", "b"]
    start, better = {"span IoU": [0.1, 0.2, 0.3, 0.4]}, {"span IoU": [0.2, 0.3, 0.4, 0.5]}
    learning.tell("temporal", {"start": [start], "grpo": [better, better]}, scenes)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "temporal: span IoU"
    assert lines[2].split()[:2] == ["start", "0.250"]
    assert "0.350" in lines[3]
    assert "+0.100 [+0.100, +0.100]" in lines[3]
    assert lines[4].split() == ["of", "each:", "0.350", "0.350"]
