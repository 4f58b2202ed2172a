"""How objects of a room stand to each other, with margins: a relation holds clearly, clearly not, or neither.

Each test answers for one target and one rival at a time. ``holds`` is strict and ``may_hold`` is generous: a
sentence is fair if its relation holds for the target and may not hold for any rival.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scene_r1_cli.data.rooms.layout import Room, RoomObject

NEXT_TO_M = 0.45
NOT_NEXT_TO_M = 1.0
CLOSEST_MARGIN_M = 0.5
CLOSEST_RATIO = 0.7
CORNER_M = 0.35
NOT_CORNER_M = 1.0


@dataclass(frozen=True)
class Relations:
    """Distances and directions between the objects of one room; all arguments are ``object_id``."""

    room: Room

    @cached_property
    def gaps_m(self) -> np.ndarray:
        """(N, N) float64 distance between the outlines of two objects on the floor; 0 if they overlap."""
        outlines = [_outline(item) for item in self.room.furniture]
        count = len(outlines)
        gaps = np.zeros((count, count))
        for i in range(count):
            for j in range(i + 1, count):
                gaps[i, j] = gaps[j, i] = outline_gap(outlines[i], outlines[j])
        return gaps

    @cached_property
    def centers_m(self) -> np.ndarray:
        """(N, 3) middle of each object's bounds."""
        return np.array(
            [(item.faces.bounds_m[0] + item.faces.bounds_m[1]) / 2 for item in self.room.furniture]
        )

    @cached_property
    def heights_m(self) -> np.ndarray:
        """(N, 2) lowest and highest z of each object."""
        return np.array(
            [[item.faces.bounds_m[0][2], item.faces.bounds_m[1][2]] for item in self.room.furniture]
        )

    def next_to(self, target: int, anchor: int) -> bool:
        """Side by side, at about the same height, neither on the other."""
        return self.gaps_m[target, anchor] < NEXT_TO_M and self._share_height(target, anchor)

    def maybe_next_to(self, target: int, anchor: int) -> bool:
        """Near enough that someone might say so."""
        return bool(self.gaps_m[target, anchor] < NOT_NEXT_TO_M)

    def closer(self, target: int, rival: int, anchor: int) -> bool:
        """The target is clearly nearer to the anchor than the rival is."""
        near, far = self.gaps_m[target, anchor], self.gaps_m[rival, anchor]
        return bool(near + CLOSEST_MARGIN_M < far and near < CLOSEST_RATIO * far)

    def on(self, target: int, anchor: int) -> bool:
        """The anchor carries the target."""
        return self.room.objects[target].standing_on == anchor

    def above(self, target: int, anchor: int) -> bool:
        """The target hangs over the anchor."""
        return self.maybe_above(target, anchor) and self._overlap_share(target, anchor) > 0.5

    def maybe_above(self, target: int, anchor: int) -> bool:
        """Part of the target is higher than the anchor and over it or next to it."""
        is_higher = self.heights_m[target, 0] > self.heights_m[anchor, 1] - 0.05
        return bool(is_higher and self.gaps_m[target, anchor] < 0.3)

    def between(self, target: int, first: int, second: int) -> bool:
        """The target lies in the space between two others, near the line that joins them."""
        span = float(np.linalg.norm(self.centers_m[second, :2] - self.centers_m[first, :2]))
        share, off_m = self._along(target, first, second)
        near = self.gaps_m[target, first] < 1.3 and self.gaps_m[target, second] < 1.3
        return 1.0 < span < 4.0 and 0.25 < share < 0.75 and off_m < min(0.45, 0.22 * span) and near

    def maybe_between(self, target: int, first: int, second: int) -> bool:
        """Someone might say so."""
        share, off_m = self._along(target, first, second)
        return -0.05 < share < 1.05 and off_m < 1.1

    def side_of(self, target: int, anchor: int, faced: int) -> float:
        """Metres from the anchor to the target, to the right of someone who faces ``faced``."""
        front = self.room.objects[faced].world_from_object[:2, 1]
        right = np.array([-front[1], front[0]])
        return float((self.centers_m[target, :2] - self.centers_m[anchor, :2]) @ right)

    def beside(self, target: int, anchor: int, faced: int, right: bool) -> bool:
        """The target is clearly on one side of the anchor, and near it, for someone who faces ``faced``."""
        sideways = self.side_of(target, anchor, faced) * (1 if right else -1)
        front = self.room.objects[faced].world_from_object[:2, 1]
        ahead = abs(float((self.centers_m[target, :2] - self.centers_m[anchor, :2]) @ front))
        return sideways > 0.4 and sideways > 1.2 * ahead and self.gaps_m[target, anchor] < 1.2

    def maybe_beside(self, target: int, anchor: int, faced: int, right: bool) -> bool:
        """Someone might say so."""
        sideways = self.side_of(target, anchor, faced) * (1 if right else -1)
        return sideways > 0.05 and self.gaps_m[target, anchor] < 3.5

    def corner_distance(self, target: int) -> float:
        """Metres from an object's outline to the nearest corner of the room that points outwards."""
        corners = self.room.plan.corners_m
        before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
        (in_x, in_y), (out_x, out_y) = (corners - before).T, (after - corners).T
        outline = _outline(self.room.objects[target])
        turns_left = in_x * out_y > in_y * out_x
        return min(outline_gap(outline, corner[None]) for corner in corners[turns_left])

    def _share_height(self, target: int, anchor: int) -> bool:
        low = max(self.heights_m[target, 0], self.heights_m[anchor, 0])
        high = min(self.heights_m[target, 1], self.heights_m[anchor, 1])
        stacked = self.on(target, anchor) or self.on(anchor, target)
        return bool(high - low > 0.1 and not stacked)

    def _overlap_share(self, target: int, anchor: int) -> float:
        """Share of the target's extent along its own width that lies over the anchor's."""
        item = self.room.objects[target]
        along = item.world_from_object[:2, 0]
        own, other = _outline(item) @ along, _outline(self.room.objects[anchor]) @ along
        overlap = min(own.max(), other.max()) - max(own.min(), other.min())
        return float(overlap / max(own.max() - own.min(), 1e-6))

    def _along(self, target: int, first: int, second: int) -> tuple[float, float]:
        """Where the target lies along the line from first to second (0 ... 1), and how far off it."""
        start, end = self.centers_m[first, :2], self.centers_m[second, :2]
        line = end - start
        length = max(float(np.linalg.norm(line)), 1e-6)
        away = self.centers_m[target, :2] - start
        off = abs(float(line[0] * away[1] - line[1] * away[0])) / length
        return float(away @ line) / length**2, off


def _outline(item: RoomObject) -> np.ndarray:
    """(4, 2) outline of an object on the floor plan."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * item.size_m[:2] / 2
    if abs(item.world_from_object[2, 2]) > 0.99:
        return corners @ item.world_from_object[:2, :2].T + item.world_from_object[:2, 3]
    low, high = item.faces.bounds_m
    return np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])


def outline_gap(a_m: np.ndarray, b_m: np.ndarray) -> float:
    """Distance between two convex outlines, (N, 2) counter-clockwise; one may be a single point."""
    if _overlap(a_m, b_m):
        return 0.0
    return min(_corner_distance(a_m, b_m), _corner_distance(b_m, a_m))


def _corner_distance(points_m: np.ndarray, outline_m: np.ndarray) -> float:
    """Least distance of (N, 2) points to the sides of an outline."""
    start, side = outline_m, np.roll(outline_m, -1, axis=0) - outline_m
    away = points_m[:, None] - start
    square = np.maximum((side**2).sum(-1), 1e-12)
    share = np.clip((away * side).sum(-1) / square, 0, 1)
    return float(np.linalg.norm(away - share[..., None] * side, axis=-1).min())


def _overlap(a_m: np.ndarray, b_m: np.ndarray) -> bool:
    """True if no side of either outline separates them."""
    for outline in (a_m, b_m):
        sides = np.roll(outline, -1, axis=0) - outline
        for normal in np.stack([sides[:, 1], -sides[:, 0]], axis=1):
            if not normal.any():
                continue
            one, other = a_m @ normal, b_m @ normal
            if one.max() < other.min() or other.max() < one.min():
                return False
    return True
