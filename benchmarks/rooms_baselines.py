"""What answers that look at nothing are worth on the rooms' questions, beside a model's table.

"yes" to everything, the commonest answer of each kind of question in the train split, and a random one of
those; scored exactly as ``scener1 evaluate --task qa`` scores.

    python -m benchmarks.rooms_baselines --store data --rooms 8 --limit 160
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from scene_r1_cli.evaluation.chosen import choose
from scene_r1_cli.evaluation.items import ItemSet, room_items
from scene_r1_cli.evaluation.predictions import match
from scene_r1_cli.evaluation.score import metrics, score
from scene_r1_cli.evaluation.tables import markdown


def rows_of(items: ItemSet, answers: list[str]) -> list[dict[str, Any]]:
    """Prediction rows with these answers."""
    return [
        {
            "scene_id": item.label.scene_id,
            "query_id": item.label.query_id,
            "query": item.label.text,
            "status": "ok",
            "failure": None,
            "answers": [answer],
        }
        for item, answer in zip(items.items, answers, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--store", type=Path, default=Path("data"))
    parser.add_argument("--rooms", type=int, default=8)
    parser.add_argument("--train-rooms", type=int, default=20)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    known: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in room_items(arguments.store, "train", arguments.train_rooms, ("qa",)).items:
        known[item.label.answer_type][item.label.answers[0]] += 1
    items = choose(room_items(arguments.store, "val", arguments.rooms, ("qa",)), arguments.limit, (), ())
    rng = np.random.default_rng(0)
    kinds = [item.label.answer_type for item in items.items]
    found = {
        '"yes"': ["yes"] * len(kinds),
        "the kind's commonest answer": [
            known[kind].most_common(1)[0][0] if known[kind] else "yes" for kind in kinds
        ],
        "a random answer of the kind": [
            str(rng.choice(sorted(known[kind].elements()))) if known[kind] else "yes" for kind in kinds
        ],
    }
    for name, answers in found.items():
        report = metrics(items, score(items, match(rows_of(items, answers), items.items)))
        print(markdown(report | {"benchmark": name, "notes": []}))


if __name__ == "__main__":
    main()
