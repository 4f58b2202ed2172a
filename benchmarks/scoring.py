"""Seconds to score as many predictions as ScanRefer's val split has, from a predictions file to the table.

python -m benchmarks.scoring
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from scene_r1_cli.data.labels import Label
from scene_r1_cli.evaluation.items import Item, ItemSet
from scene_r1_cli.evaluation.predictions import match, read_predictions
from scene_r1_cli.evaluation.score import metrics, score
from scene_r1_cli.evaluation.tables import markdown
from scene_r1_cli.geometry.boxes import aabb_from_bounds

NUM_QUERIES, NUM_SCENES, ROUNDS = 9_508, 141, 5


def main() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(-3, 3, (NUM_QUERIES, 3))
    high = low + rng.uniform(0.2, 1.5, (NUM_QUERIES, 3))
    items, rows = [], []
    for number in range(NUM_QUERIES):
        scene_id, query_id = f"scene{number % NUM_SCENES:04d}_00", f"q{number}"
        box = aabb_from_bounds(low[number], high[number])
        label = Label(scene_id, query_id, "the chair", number, ((1.0, 5.0),), 0, (), box3d=box)
        items.append(Item(label, "ground", {"unique or multiple": "unique" if number % 4 else "multiple"}))
        center_m = (box.center_m + rng.normal(0, 0.15, 3)).tolist()
        found = {"center_m": center_m, "size_m": box.size_m.tolist(), "score": 1.0}
        rows.append({"scene_id": scene_id, "query_id": query_id, "span_s": [2.0, 6.0], "box3d": found})
    item_set = ItemSet("scanrefer", tuple(items), {}, "made up")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "predictions.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        seconds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            matched = match(read_predictions([file]), item_set.items)
            table = markdown(metrics(item_set, score(item_set, matched)))
            seconds.append(time.perf_counter() - started)
    print(table.splitlines()[-1])
    print(f"{NUM_QUERIES} predictions: median {statistics.median(seconds):.2f} s of {ROUNDS}")


if __name__ == "__main__":
    main()
