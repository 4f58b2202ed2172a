"""ScanQA's n-gram metrics: figures worked out by hand, and what is said where they cannot be had."""

import math
import shutil
import sys

import pytest

from scene_r1_cli.data.labels import Label
from scene_r1_cli.evaluation import ngrams
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.summary import summarize
from scene_r1_cli.evaluation.tables import markdown


@pytest.fixture
def java():
    pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    if shutil.which("java") is None:
        pytest.skip("there is no Java")


@pytest.mark.integration  # METEOR's tables take ten seconds to load
@pytest.mark.usefixtures("java")
def test_figures_are_those_worked_out_by_hand():
    """Case and punctuation do not count, and an empty answer shifts no other."""
    predictions = ["a brown chair", "On the LEFT\nof the bed.", "", "next to a small table!"]
    answers = [["the brown chair"], ["on the left of the bed"], ["a desk"], ["next to a small table"]]
    found = ngrams.ngram_scores(predictions, answers)
    # 13 of 14 words fit; 14 words where the answers have 16.
    assert found.corpus["bleu_1"] == pytest.approx(13 / 14 * math.exp(1 - 16 / 14), abs=1e-6)
    # precision and recall of the first are 2/3
    assert found.by_answer["rouge_l"] == pytest.approx([2 / 3, 1, 0, 1])
    assert found.corpus["rouge_l"] == pytest.approx((2 / 3 + 2) / 4)
    # ten is CIDEr's largest value; it is no fraction
    assert list(found.by_answer["cider"])[1:] == pytest.approx([10, 0, 10])
    assert 0.5 < found.corpus["meteor"] < 1


def asked():
    label = Label("scene0000_00", "q1", "What is it?", None, (), None, (), ("a chair",), "object")
    return ItemSet("scanqa", (Item(label, "qa"),), {}, "test")


def rows():
    return [{"scene_id": "scene0000_00", "query_id": "q1", "answers": ["a chair"]}]


def no_java(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def broken_java(monkeypatch, tmp_path):
    (tmp_path / "java").write_text("#!/bin/sh\necho no JVM here >&2\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")


def no_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)


@pytest.mark.parametrize(
    ("hide", "told"),
    [
        (no_java, "there is no Java"),
        (broken_java, "no JVM here"),
        (no_package, "pip install 'scener1[ngrams]'"),
    ],
)
def test_without_java_or_the_package_the_columns_say_not_computed_and_why(hide, told, monkeypatch, tmp_path):
    if hide is not no_package:
        pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    hide(monkeypatch, tmp_path)
    report, _, _ = summarize(asked(), rows(), {}, "test")
    assert report["metrics"]["em"]["value"] == 1
    for name in ngrams.NAMES:
        assert report["metrics"][name]["value"] is None
        assert told in report["metrics"][name]["reason"]
    assert told in report["about"]["n-gram metrics"]
    heads, cells = [
        line.split("|") for line in markdown(report).splitlines() if "CIDEr" in line or "| all" in line
    ]
    assert cells[[head.strip() for head in heads].index("CIDEr")].strip() == "not computed"


def test_the_report_names_the_tokenizer_and_has_intervals_where_a_figure_is_a_mean(monkeypatch):
    made_up = ngrams.NgramScores(dict.fromkeys(ngrams.NAMES, 0.5), {"rouge_l": [0.5], "cider": [0.5]})
    asked_with = []
    monkeypatch.setattr(ngrams, "ngram_scores", lambda *given: asked_with.append(given) or made_up)
    report, _, _ = summarize(asked(), [], {}, "test")
    assert asked_with == [([""], [("a chair",)])]
    assert report["metrics"]["bleu_1"] == {"value": 0.5, "n": 1, "ci95": None}
    assert report["metrics"]["rouge_l"]["ci95"] == [0.5, 0.5]
    assert "PTB tokenizer" in report["about"]["n-gram metrics"]
