"""Thresholds, groups, missing and damaged predictions."""

import numpy as np
import pytest

from scene_r1_cli.data.annotations import Annotation
from scene_r1_cli.data.labels import Label
from scene_r1_cli.errors import InputError, UsageError
from scene_r1_cli.evaluation.chosen import choose
from scene_r1_cli.evaluation.compare import compare
from scene_r1_cli.evaluation.groups import (
    referit3d_groups,
    unique_or_multiple,
    unique_or_multiple_of_all,
)
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predictions import match, read_predictions, unaligned_guess
from scene_r1_cli.evaluation.run import shard_of
from scene_r1_cli.evaluation.scene_truth import read_gt_boxes
from scene_r1_cli.evaluation.score import max_iou, metrics, score
from scene_r1_cli.evaluation.statistics import (
    difference_of_seeds,
    mean_by_scene,
    mean_of_seeds,
    paired_difference,
)
from scene_r1_cli.evaluation.summary import joined_about, summarize
from scene_r1_cli.evaluation.tables import markdown
from scene_r1_cli.geometry.boxes import aabb_from_bounds, aabb_iou


def box(x=0.0, size=1.0):
    low = np.array([x, 0.0, 0.0])
    return aabb_from_bounds(low, low + size)


def as_json(found):
    return {"center_m": found.center_m.tolist(), "size_m": found.size_m.tolist(), "score": 1.0}


def item(number, truth=None, scene="scene0000_00", runs_s=()):
    made = Label(scene, f"q{number}", "the chair", 1, runs_s, None, (), box3d=truth)
    return Item(made, "ground", {"part": "odd" if number % 2 else "even"}, (str(number), "0"), (number,))


def item_set(*items, benchmark="scanrefer", boxes=None):
    return ItemSet(benchmark, tuple(items), {}, "test", (), boxes or {})


def row(number, predicted=None, scene="scene0000_00", **more):
    found = {"scene_id": scene, "query_id": f"q{number}", "box3d": as_json(predicted) if predicted else None}
    return found | more


def values(items, rows):
    report = metrics(items, score(items, match(rows, items.items)))
    return report, {name: entry["value"] for name, entry in report["metrics"].items()}


def test_a_threshold_is_met_by_equality_and_nothing_is_rounded_before_it():
    """Shifted by 1/3 a unit cube has IoU 0.5; a hair more has 0.4999…, which rounds to 0.50."""
    exact, less = box(1 / 3), box(1 / 3 + 1e-5)
    assert max_iou([exact], box()) == pytest.approx(0.5)
    items = item_set(item(1, box()), item(2, box()))
    _, found = values(items, [row(1, box(0.2)), row(2, less)])
    assert found["acc_at_0.50"] == 0.5
    half = box(0, 1)
    doubled = aabb_from_bounds(np.zeros(3), np.array([2.0, 1.0, 1.0]))
    assert max_iou([half], doubled) == 0.5
    _, found = values(item_set(item(1, doubled)), [row(1, half)])
    assert found["acc_at_0.50"] == 1.0


def test_the_iou_is_scanrefers_on_random_pairs():
    rng = np.random.default_rng(0)
    a_low, b_low = rng.uniform(-1, 1, (2, 20_000, 3))
    a_high, b_high = a_low + rng.uniform(0.01, 2, (20_000, 3)), b_low + rng.uniform(0.01, 2, (20_000, 3))
    overlap = np.clip(np.minimum(a_high, b_high) - np.maximum(a_low, b_low), 0, None).prod(axis=1)
    volumes = (a_high - a_low).prod(axis=1) + (b_high - b_low).prod(axis=1)
    theirs = overlap / (volumes - overlap + 1e-8)
    ours = aabb_iou((a_low + a_high) / 2, a_high - a_low, (b_low + b_high) / 2, b_high - b_low)
    assert np.abs(ours - theirs).max() < 1e-6
    for threshold in (0.25, 0.5):
        assert ((ours >= threshold) == (theirs >= threshold)).all()


def test_missing_and_failed_predictions_are_wrong_and_counted():
    items = item_set(item(1, box()), item(2, box()), item(3, box()))
    report, found = values(items, [row(1, box()), row(2, failure={"stage": "box", "reason": "none"})])
    assert found["mean_iou"] == pytest.approx(1 / 3)
    assert (report["missing"], report["failed"]) == (1, 1)
    assert report["failures"] == {"box": 1}
    assert set(report["groups"]["part"]) == {"odd", "even"}
    assert "counted as wrong" in markdown(report)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"center_m": [0, 0, float("nan")], "size_m": [1, 1, 1]}, "not finite"),
        ({"center_m": [0, 0, 0], "size_m": [1, -1, 1]}, "negative side"),
        ({"center_m": [0, 0]}, "no center_m and size_m"),
    ],
)
def test_a_damaged_box_counts_as_wrong_and_is_told(bad, told):
    items = item_set(item(1, box()))
    matched = match([{"scene_id": "scene0000_00", "query_id": "q1", "box3d": bad}], items.items)
    assert told in matched.faults[0]
    assert score(items, matched)[0].scores["mean_iou"] == 0


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"boxes3d": [{"center_m": [0, 0, float("inf")], "size_m": [1, 1, 1]}]}, "not finite"),
        ({"boxes3d": 3}, "boxes3d that are no list"),
        ({"span_s": [5, 2]}, "span_s that is not"),
        ({"span_s": [1, float("nan")]}, "span_s that is not"),
        ({"span_s": "1 to 2"}, "span_s that is not"),
        ({"answers": "chair"}, "answers that are no list"),
    ],
)
def test_any_damaged_field_counts_as_wrong_and_is_told(bad, told):
    """Of boxes3d and box3d either can be what is scored, so both go."""
    items = item_set(item(1, box(), runs_s=((0.0, 4.0),)))
    matched = match([row(1, box()) | bad], items.items)
    assert told in matched.faults[0]
    (found,) = score(items, matched)
    wrong = "mean_iou" if "boxes3d" in bad else "span_iou"
    assert found.scores[wrong] == 0


def test_many_faults_are_counted_and_the_first_shown():
    items = item_set(item(1, box()))
    report, _, _ = summarize(items, [row(n, box()) for n in range(2, 30)], {}, "test")
    assert len(report["faults"]) == 28
    assert "and 18 more such predictions" in report["notes"][-1]
    assert "(counted as wrong): 1" in markdown(report)


def test_unknown_and_repeated_predictions_are_told_and_the_first_counts():
    items = item_set(item(1, box()))
    rows = [row(1, box()), row(1, box(5)), row(9, box()), row(1, box(), scene="scene0707_00")]
    matched = match(rows, items.items)
    assert len(matched.faults) == 3
    assert "has a prediction already" in matched.faults[0]
    assert score(items, matched)[0].scores["mean_iou"] == 1


def test_predictions_are_found_by_object_and_annotation_id(tmp_path):
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    rows = [{"scene_id": "scene0000_00", "object_id": "1", "ann_id": "0", "bbox": corners}]
    path = tmp_path / "pred.json"
    import json

    path.write_text(json.dumps(rows))
    items = item_set(item(1, box()))
    assert score(items, match(read_predictions([path]), items.items))[0].scores["mean_iou"] == 1
    path.write_text('[{"scene_id": "a"}]')
    with pytest.raises(InputError, match=r"pred\.json"):
        read_predictions([path])


def test_boxes_in_another_frame_get_a_helpful_guess():
    items = item_set(*[item(n, box()) for n in range(8)])
    matched = match([row(n, box(2.0 + 0.01 * n)) for n in range(8)], items.items)
    assert "axisAlignment" in unaligned_guess(matched, items.items)
    often_wrong = match([row(n, box(0.1 if n < 2 else 3.0)) for n in range(8)], items.items)
    assert unaligned_guess(often_wrong, items.items) == ""
    near = match([row(n, box(0.1)) for n in range(8)], items.items)
    assert unaligned_guess(near, items.items) == ""


def scanrefer(scene, object_id, name, ann=0):
    extra = {"object_name": name, "ann_id": str(ann)}
    return Annotation(scene, f"{object_id}_{ann}", "x", (object_id,), extra=extra)


NYU = {"chair": "chair", "desk": "desk", "fridge": "refridgerator", "lamp": "lamp", "box": "box"}


def test_unique_counts_annotated_objects_of_the_class_once_each():
    rows = [
        scanrefer("a", 1, "chair"),
        scanrefer("a", 1, "chair", 1),
        scanrefer("a", 2, "desk"),
        scanrefer("a", 3, "desk"),
        scanrefer("b", 4, "desk"),
    ]
    found = unique_or_multiple(rows, NYU)
    assert found["a", "1_0"] == found["a", "1_1"] == "unique"
    assert found["a", "2_0"] == "multiple"
    assert found["b", "4_0"] == "unique"


def test_two_kinds_of_others_are_multiple_and_a_misspelt_refrigerator_is_one_of_them():
    rows = [scanrefer("a", 1, "fridge"), scanrefer("a", 2, "lamp"), scanrefer("b", 3, "lamp")]
    found = unique_or_multiple(rows, NYU)
    assert found["a", "1_0"] == found["a", "2_0"] == "multiple"
    assert found["b", "3_0"] == "unique"


def test_the_other_rule_counts_objects_that_nobody_describes():
    rows = [scanrefer("a", 1, "chair")]
    assert unique_or_multiple(rows, NYU)["a", "1_0"] == "unique"
    assert unique_or_multiple_of_all(rows, NYU, {"a": ["chair", "chair", "desk"]})["a", "1_0"] == "multiple"


def test_referit3d_groups():
    def of(stimulus, *tokens):
        return referit3d_groups(
            Annotation("a", "1", "x", (1,), extra={"stimulus_id": stimulus, "tokens": list(tokens)})
        )

    assert of("scene0000_00-office chair-2-5-6", "the", "chair") == {
        "difficulty": "easy",
        "view": "independent",
    }
    assert of("scene0000_00-chair-3-5-6-7", "left") == {"difficulty": "hard", "view": "dependent"}


def test_nr3d_matches_a_box_to_a_true_one_by_both_rules():
    boxes = {
        ("scene0000_00", 1): box(0),
        ("scene0000_00", 2): aabb_from_bounds(np.array([1.2, 0, 0]), np.array([1.4, 1, 1])),
    }
    items = item_set(item(1, box()), benchmark="nr3d", boxes=boxes)
    (found,) = score(items, match([row(1, box(0.45))], items.items))
    assert found.scores["acc_by_iou"] == 1
    assert found.scores["acc_by_distance"] == 0
    (none,) = score(items, match([row(1)], items.items))
    assert (none.scores["acc_by_iou"], none.scores["acc_by_distance"]) == (0, 0)


def test_multi3drefer_f1_counts_empty_answers_and_extra_boxes():
    boxes = {("scene0000_00", 1): box(0), ("scene0000_00", 2): box(3)}
    none = Item(item(0).label, "ground", {}, None, ())
    both = Item(item(1).label, "ground", {}, None, (1, 2))
    items = item_set(none, both, benchmark="multi3drefer", boxes=boxes)
    rows = [row(0), row(1, boxes3d=[as_json(box(0)), as_json(box(9))])]
    first, second = score(items, match(rows, items.items))
    assert first.scores["f1_at_0.50"] == 1
    assert second.scores["f1_at_0.50"] == 0.5
    wrong = score(items, match([row(0, box())], items.items))[0]
    assert wrong.scores["f1_at_0.50"] == 0


def test_vsi_overall_is_the_mean_of_tasks_with_one_direction_task():
    def ask(number, kind, answer):
        made = Label("s", f"q{number}", "?", None, (), None, (), (answer,), kind)
        return Item(made, "qa", {"kind": kind})

    items = ItemSet(
        "vsibench",
        (
            ask(1, "object_rel_direction_easy", "A"),
            ask(2, "object_rel_direction_hard", "A"),
            ask(3, "object_rel_direction_hard", "A"),
            ask(4, "object_counting", "4"),
        ),
        {},
        "test",
    )
    rows = [
        {"scene_id": "s", "query_id": f"q{n}", "answers": [a]}
        for n, a in ((1, "A"), (2, "B"), (3, "B"), (4, "4"))
    ]
    _, found = values(items, rows)
    assert found["vsi"] == 0.5
    assert found["vsi_overall"] == pytest.approx(((1 + 0) / 2 + 1) / 2)


def test_intervals_are_over_scenes_not_queries():
    many = mean_by_scene([1.0] * 50 + [0.0] * 50, ["a"] * 50 + ["b"] * 50)
    assert many.value == 0.5
    assert many.ci95 == (0.0, 1.0)
    assert mean_by_scene([], []).value is None


def test_a_paired_difference_sees_what_two_intervals_do_not():
    rng = np.random.default_rng(1)
    a = rng.uniform(size=200)
    b = a + 0.02
    found = paired_difference(a.tolist(), b.tolist(), [f"s{i // 5}" for i in range(200)])
    assert found.ci95[0] > 0
    assert found.p < 0.01
    same = paired_difference(a.tolist(), a.tolist(), ["s"] * 200)
    assert same.p == 1
    with pytest.raises(ValueError, match="same queries"):
        paired_difference([1.0], [], ["s"])


def test_compare_uses_the_queries_that_both_have():
    items = item_set(*[item(n, box(), scene=f"s{n}") for n in range(6)])
    a = score(items, match([row(n, box(0.5), scene=f"s{n}") for n in range(6)], items.items))
    b = score(items, match([row(n, box(), scene=f"s{n}") for n in range(6)], items.items))
    found = compare(a, b[:4])
    assert found["mean_iou"]["n"] == 4
    assert found["acc_at_0.50"]["difference"] == 1
    with pytest.raises(InputError, match="share no query"):
        compare(a[:1], b[3:4])


def test_the_ladder_is_over_the_same_queries_and_tells_what_it_could_not_take():
    items = item_set(item(1, box()), item(2, box()))
    failed = {"stage": "run", "reason": "the query has no visible run to give"}
    steps = {"span": [row(1, box(0.5))], "mask": [row(1, box()), row(2, failure=failed)]}
    report, _, _ = summarize(items, [row(1, box(9))], {}, "test", steps)
    assert list(report["ladder"]) == ["the model alone", "+ the true span", "+ the true masks"]
    means = [step["mean_iou"]["value"] for step in report["ladder"].values()]
    assert means == pytest.approx([0, 1 / 6, 1 / 2])
    assert {step["mean_iou"]["n"] for step in report["ladder"].values()} == {2}
    assert any("“+ the true masks”: 1 queries failed" in note for note in report["notes"])
    assert "+ the true span | .167" in markdown(report).replace("0.167", ".167")


def test_shards_of_different_models_are_not_told_as_one():
    same = {"model": "a", "oracle": "none"}
    assert joined_about([same, same]) == same
    assert joined_about([same, {"model": "b", "oracle": "none"}]) == {"model": ["a", "b"], "oracle": "none"}
    assert "not known" in joined_about([None, None])["model"]


def test_shards_are_disjoint_and_together_all():
    items = item_set(*[item(n, scene=f"s{n % 7}") for n in range(30)])
    shards = [shard_of(items, f"{i}/3") for i in (1, 2, 3)]
    keys = [entry.key for shard in shards for entry in shard.items]
    assert sorted(keys) == sorted(entry.key for entry in items.items)
    assert len(set(keys)) == 30
    for bad in ("0/3", "4/3", "x", "1"):
        with pytest.raises(UsageError):
            shard_of(items, bad)


def test_a_limit_spreads_over_all():
    items = item_set(*[item(n) for n in range(100)])
    assert [entry.label.query_id for entry in choose(items, 3, (), ()).items] == ["q0", "q50", "q99"]
    with pytest.raises(InputError, match="No query is left"):
        choose(items, None, ("nowhere",), ())


@pytest.mark.parametrize("values", [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1, -1], [0, 0, 0, 1, 1, None], "x"])
def test_damaged_true_boxes_are_named(tmp_path, values):
    import json

    path = tmp_path / "gt.json"
    path.write_text(json.dumps({"scene0000_00": {"3": values}}))
    with pytest.raises(InputError, match="scene0000_00"):
        read_gt_boxes(path)


def test_arms_of_several_seeds_are_compared_scene_by_scene():
    rng = np.random.default_rng(0)
    scenes = [f"s{number // 5}" for number in range(200)]
    base = rng.normal(size=40).repeat(5) + rng.normal(size=200)
    start = [base.tolist()]
    near = [(base + 0.1 + rng.normal(size=200) * 0.02).tolist() for _ in range(3)]
    found = difference_of_seeds(start, near, scenes)
    assert found.value == pytest.approx(0.1, abs=0.01)
    assert 0.08 < found.ci95[0] < found.value < found.ci95[1] < 0.12
    assert found.n == 200
    # Seeds that differ by more than the difference are no evidence.
    apart = [(base + 0.1 + shift).tolist() for shift in (-0.4, 0.0, 0.4)]
    wide = difference_of_seeds(start, apart, scenes)
    assert wide.value == pytest.approx(0.1)
    assert wide.ci95[0] < 0 < wide.ci95[1]
    assert wide.p > 0.05 > found.p
    same = difference_of_seeds(near, near, scenes)
    assert same.value == 0
    assert same.ci95[0] < 0 < same.ci95[1]


def test_one_seed_gives_the_interval_over_scenes_alone():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 60))
    scenes = [f"s{number // 3}" for number in range(60)]
    plain, seeds = paired_difference(a, b, scenes), difference_of_seeds([a], [b], scenes)
    assert seeds.value == pytest.approx(plain.value)
    assert seeds.ci95 == pytest.approx(plain.ci95)
    assert mean_of_seeds([a], scenes).ci95 == pytest.approx(mean_by_scene(a, scenes).ci95)
    assert mean_of_seeds([a, b], scenes).value == pytest.approx((a.mean() + b.mean()) / 2)
    with pytest.raises(ValueError, match="a value for every query"):
        mean_of_seeds([a, b[:-1]], scenes)
