"""Reports made without a model, for tests of pages."""

import numpy as np

from scene_r1_cli.data.labels import Label
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predictions import match
from scene_r1_cli.evaluation.report import write_evaluation_report
from scene_r1_cli.evaluation.score import metrics, score
from scene_r1_cli.geometry.boxes import aabb_from_bounds
from scene_r1_cli.training.report import write_training_report

HOSTILE = [
    "<script>alert(1)</script>",
    "</think><img src=x onerror=alert(1)>",
    "\u05e9\u05dc\u05d5\u05dd \u202e right to left",
    "x" * 10_000,
    "</script><script>alert(1)</script>\u2028",
]


def write_evaluation(run, count):
    """The page of ``count`` grounded queries, a third right, some hostile; returns its path."""
    truth = aabb_from_bounds(np.zeros(3), np.ones(3))
    items, rows = [], []
    for number in range(count):
        text = HOSTILE[number] if number < len(HOSTILE) else f"the chair number {number}"
        label = Label(f"scene{number % 20:04d}_00", f"q{number}", text, 1, ((2.0, 9.0),), 0, (), box3d=truth)
        items.append(Item(label, "ground", {"class": f"class {number % 12}"}))
        shift = (0.05, 0.5, 2.0)[number % 3]
        rows.append(
            {
                "scene_id": label.scene_id,
                "query_id": label.query_id,
                "box3d": {"center_m": [0.5 + shift, 0.5, 0.5], "size_m": [1, 1, 1], "score": 1.0},
                "span_s": [3.0, 8.0] if number % 5 else [20.0, 21.0],
                "rationale": {"temporal": f"{text} because " + "it is so. " * 40, "image": None},
            }
        )
    run.start("evaluate", {}, [])
    found = ItemSet("rooms", tuple(items), {}, "test")
    matched = match(rows, found.items)
    scored = score(found, matched)
    return write_evaluation_report(found, matched, scored, metrics(found, scored) | {"about": {}}, run)


def write_training(run):
    """The page of a training run of 59 steps with hostile replies; returns its path."""
    run.start("train-temporal", {}, [])
    for step in range(1, 60):
        run.append_training({"step": step, "reward": step / 60, "entropy": 0.5, "loss": None})
    replies = [{"text": text, "reward": 0.5} for text in HOSTILE]
    sample = {"step": 1, "scene_id": "s", "query": HOSTILE[0], "truth": "1 s", "picture": None}
    run.append_sample(sample | {"replies": replies})
    return write_training_report(run, "train-temporal", "pocket", "done")
