"""The traps of the benchmarks' own scorers, one by one."""

import pytest

from scene_r1_cli.evaluation import answers


def test_em_is_letter_for_letter():
    assert answers.exact_match("brown", ["brown", "dark brown"])
    assert not answers.exact_match("Brown", ["brown"])
    assert not answers.exact_match("brown ", ["brown"])


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("The  Chair!", "chair"),
        ("2", "two"),
        ("23", "twenty-three"),
        ("22", "22"),
        ("none", "zero"),
        ("chair2", "chair"),
        ("to the left of a TV", "to left of tv"),
        ("backwards", "backward"),
    ],
)
def test_answers_are_cleaned_as_leo_cleans_them(text, cleaned):
    assert answers.clean_answer(text) == cleaned


def test_refined_match_looks_inside_without_spaces():
    assert answers.refined_match("on the night stand", ["nightstand"])
    assert answers.refined_match("stand", ["night stand"])
    assert not answers.refined_match("desk", ["night stand"])


def test_refined_match_has_the_public_scorers_fault_with_empty_predictions():
    assert answers.refined_match("", ["anything"])


def test_an_exact_answer_later_in_the_list_still_counts():
    assert answers.exact_match("table", ["tables", "table"])
    assert answers.clean_match("the table", ["tables", "table"])


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What is it?", "what"),
        ("Is it red?", "is"),
        ("Which one?", "which"),
        ("Where is it?", "other"),
        ("", "other"),
    ],
)
def test_sqa3d_types_are_first_words(question, kind):
    assert answers.sqa3d_type(question) == kind


@pytest.mark.parametrize(
    ("prediction", "truth", "value"),
    [
        ("3", "3", 1.0),
        ("3 meters", "3", 1.0),
        ("3.", "3", 1.0),
        ("about 3", "3", 0.0),
        ("1.5", "3", 0.1),
        ("1.6", "3", 0.1),
        ("2.9", "3", 1.0),
        ("2.84", "3", 0.9),
        ("x", "3", 0.0),
        ("0", "0", 1.0),
        ("1", "0", 0.0),
        ("nan", "3", 0.0),
    ],
)
def test_mean_relative_accuracy_reads_the_first_word(prediction, truth, value):
    found = answers.vsi_score(prediction, truth, "object_abs_distance")
    assert found == pytest.approx(value)


def test_thetas_are_ten_and_an_error_of_five_percent_counts_fully():
    assert len(answers.THETAS) == 10
    assert answers.mean_relative_accuracy("20", "20") == 1
    assert answers.mean_relative_accuracy("30", "20") == pytest.approx(0.1)
    assert answers.mean_relative_accuracy("30.1", "20") == 0


@pytest.mark.parametrize(
    ("prediction", "official", "read"),
    [("B", 1, 1), ("b.", 1, 0), ("B. chair", 1, 1), ("The answer is B", 0, 1), ("A or B", 0, 1), ("C", 0, 0)],
)
def test_choices_by_the_first_word_and_read_through(prediction, official, read):
    assert answers.vsi_score(prediction, "B", "object_rel_distance") == official
    assert answers.vsi_score_read(prediction, "B", "object_rel_distance") == read


@pytest.mark.parametrize(
    ("prediction", "truth", "kind", "read"),
    [
        ("about 3 meters", "3", "object_abs_distance", 1),
        ("300 cm", "3", "object_abs_distance", 1),
        ("10 feet", "3.048", "object_abs_distance", 1),
        ("0.8 m", "80", "object_size_estimation", 1),
        ("80", "80", "object_size_estimation", 1),
        ("200 square feet", "18.58", "room_size_estimation", 1),
        ("4 chairs", "4", "object_counting", 1),
        ("1,200 cm", "12", "object_abs_distance", 1),
        ("none", "4", "object_counting", 0),
    ],
)
def test_numbers_are_read_with_their_units(prediction, truth, kind, read):
    assert answers.vsi_score_read(prediction, truth, kind) == pytest.approx(read)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Where is the bed?", "place"),
        ("How many chairs are there?", "number"),
        ("What is the color of the bed?", "color"),
        ("What type of chair is it?", "object nature"),
        ("What is on the table?", "object"),
        ("Which one is red?", "other"),
    ],
)
def test_scanqa_kinds_are_the_words_its_scorer_looks_for(question, kind):
    assert answers.scanqa_type(question) == kind
