"""Runs the stages of one query: times them, stores what they make, and loads what is already made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scene_r1_cli import serialize
from scene_r1_cli.errors import InputError, StageFailure
from scene_r1_cli.fingerprint import fingerprint
from scene_r1_cli.query_dir import QueryDir
from scene_r1_cli.types import Answer, Box2D, Box3D, FrameMask, PointSet, TemporalSpan

logger = logging.getLogger(__name__)
T = TypeVar("T")

Record = Callable[[Mapping[str, Any]], None]
"""Told each model exchange (prompt, raw reply, parse) of a stage, also of one that fails."""


@dataclass
class StageCache:
    """What the stages of one query share.

    A stage whose inputs have the fingerprint of a stored artifact is loaded; else it is computed and
    stored. A stage that raises StageFailure stores nothing but its model exchanges.

    Attributes:
        artifacts: Where results are stored and found again; None keeps nothing.
        scene_fingerprint: Part of every stage's fingerprint.
        on_stage: Told the name of each stage before it computes.
        timings_s: Seconds of each stage that ran, filled as they run.
    """

    artifacts: QueryDir | None
    scene_fingerprint: str
    on_stage: Callable[[str], None] | None = None
    timings_s: dict[str, float] = field(default_factory=dict)

    def span(self, inputs: list[Any], compute: Callable[[Record], TemporalSpan]) -> TemporalSpan:
        """Temporal grounding, stored as ``span.json``."""
        asked = self._recording("span", compute)
        return self._json_stage("span", inputs, asked, serialize.span_to_json, serialize.span_from_json)

    def boxes_2d(
        self, inputs: list[Any], compute: Callable[[Record], tuple[Box2D, ...]]
    ) -> tuple[Box2D, ...]:
        """Image grounding, stored as ``boxes_2d.json``."""
        asked = self._recording("box", compute)
        return self._json_stage(
            "box", inputs, asked, serialize.boxes_2d_to_json, serialize.boxes_2d_from_json
        )

    def answer(self, inputs: list[Any], compute: Callable[[Record], Answer]) -> Answer:
        """An answer to a question, stored as ``answer.json``."""
        asked = self._recording("answer", compute)
        return self._json_stage("answer", inputs, asked, serialize.answer_to_json, serialize.answer_from_json)

    def masks(self, inputs: list[Any], compute: Callable[[], Iterable[FrameMask]]) -> tuple[FrameMask, ...]:
        """Tracking, stored as ``masks.json``."""
        return self._json_stage(
            "masks", inputs, lambda: tuple(compute()), serialize.masks_to_json, serialize.masks_from_json
        )

    def points(self, inputs: list[Any], compute: Callable[[], PointSet]) -> PointSet:
        """Lifting, stored as ``points.ply``."""
        key = fingerprint("points", self.scene_fingerprint, inputs)
        stored = self.artifacts.load_points(key) if self.artifacts else None
        if stored is not None:
            logger.info("points: unchanged, loaded")
            return stored
        value = self._timed("points", compute)
        if self.artifacts:
            self.artifacts.save_points(key, value)
        return value

    def surface(self, compute: Callable[[], T]) -> T:
        """The scene's surface: timed only, since it belongs to the scene and is kept with it."""
        return self._timed("surface", compute)

    def boxes_3d(self, inputs: list[Any], compute: Callable[[], tuple[Box3D, Box3D]]) -> tuple[Box3D, Box3D]:
        """Fitting, stored as ``box3d.json``."""
        return self._json_stage("box3d", inputs, compute, _boxes_3d_to_json, _boxes_3d_from_json)

    def timings_with_total(self) -> dict[str, float]:
        """Seconds of each stage that ran, and their sum as ``total``."""
        return {**self.timings_s, "total": sum(self.timings_s.values())}

    def _json_stage(
        self,
        stage: str,
        inputs: list[Any],
        compute: Callable[[], T],
        to_json: Callable[[T], Any],
        from_json: Callable[[Any], T],
    ) -> T:
        key = fingerprint(stage, self.scene_fingerprint, inputs)
        stored = self.artifacts.load_json(stage, key) if self.artifacts else None
        if stored is not None:
            logger.info("%s: unchanged, loaded", stage)
            return from_json(stored)
        value = self._timed(stage, compute)
        if self.artifacts:
            self.artifacts.save_json(stage, key, to_json(value))
        return value

    def _recording(self, stage: str, compute: Callable[[Record], T]) -> Callable[[], T]:
        """Give a stage a recorder of model exchanges, stored however the stage ends."""

        def asked() -> T:
            exchanges: list[Mapping[str, Any]] = []
            try:
                return compute(exchanges.append)
            finally:
                if self.artifacts and exchanges:
                    self.artifacts.save_exchanges(stage, exchanges)

        return asked

    def _timed(self, stage: str, compute: Callable[[], T]) -> T:
        if self.on_stage:
            self.on_stage(stage)
        started, timed_before_s = time.perf_counter(), sum(self.timings_s.values())
        try:
            return compute()
        except StageFailure as failure:
            logger.info("%s failed: %s", stage, failure.reason)
            raise
        except InputError as error:
            # Data found bad only now (one unreadable image) fails this query, not the ones after it.
            logger.info("%s failed: %s", stage, error.message)
            raise StageFailure(stage, error.message, error.hint) from error
        finally:
            # Less what stages inside it took, so that the sum is the time that passed.
            inside_s = sum(self.timings_s.values()) - timed_before_s
            self.timings_s[stage] = time.perf_counter() - started - inside_s
            logger.info("%s: %.2f s", stage, self.timings_s[stage])


def _boxes_3d_to_json(boxes: tuple[Box3D, Box3D]) -> dict[str, Any]:
    return {"aabb": serialize.box3d_to_json(boxes[0]), "obb": serialize.box3d_to_json(boxes[1])}


def _boxes_3d_from_json(data: Mapping[str, Any]) -> tuple[Box3D, Box3D]:
    return serialize.box3d_from_json(data["aabb"]), serialize.box3d_from_json(data["obb"])
