"""Two runs on the same queries: is one really better?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scene_r1_cli.errors import InputError
from scene_r1_cli.evaluation.score import Scored
from scene_r1_cli.evaluation.statistics import paired_difference
from scene_r1_cli.evaluation.tables import TITLES


def compare(a: Sequence[Scored], b: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """Paired difference (b less a) of every metric that both have.

    Raises:
        InputError: The runs share no query.
    """
    of_a = {row.item.key: row for row in a}
    of_b = {row.item.key: row for row in b}
    shared = [key for key in of_a if key in of_b]
    if not shared:
        raise InputError("The two runs share no query.", "Compare runs of the same benchmark and split.")
    found: dict[str, dict[str, Any]] = {}
    for name in TITLES:
        keys = [key for key in shared if name in of_a[key].scores and name in of_b[key].scores]
        if not keys:
            continue
        before, after = ([rows[key].scores[name] for key in keys] for rows in (of_a, of_b))
        difference = paired_difference(before, after, [key[0] for key in keys])
        found[name] = {
            "a": sum(before) / len(before),
            "b": sum(after) / len(after),
            "difference": difference.value,
            "ci95": list(difference.ci95),
            "p": difference.p,
            "n": difference.n,
        }
    return found


def markdown(found: dict[str, dict[str, Any]], name_a: str, name_b: str) -> str:
    """The comparison as a table."""
    lines = [f"| | {name_a} | {name_b} | difference | p | n |", "|---|---|---|---|---|---|"]
    for name, row in found.items():
        lines.append(
            f"| {TITLES[name]} | {row['a']:.3f} | {row['b']:.3f} | {row['difference']:+.3f} "
            f"[{row['ci95'][0]:+.3f}, {row['ci95'][1]:+.3f}] | {row['p']:.4f} | {row['n']} |"
        )
    return "\n".join(lines) + "\n"
