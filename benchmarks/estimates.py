"""Means of benchmarks' rows, with the intervals that evaluation uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from scene_r1_cli.evaluation.statistics import mean_by_scene


class OfScene(Protocol):
    """A row that knows its scene."""

    @property
    def scene_id(self) -> str:
        """Rows of one scene are drawn together."""
        ...


Row = TypeVar("Row", bound=OfScene)


def estimate(rows: Sequence[Row], value: Callable[[Row], float | None]) -> dict[str, Any]:
    """``{value, n, ci95}`` of what a row has; None leaves a row out. Intervals are over scenes, 95 %."""
    known = [(float(number), row.scene_id) for row in rows if (number := value(row)) is not None]
    return mean_by_scene([number for number, _ in known], [scene for _, scene in known]).as_json()
