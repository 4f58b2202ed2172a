"""A person walks through a room with a camera in the hand and looks at one thing after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from scene_r1_cli.data.rooms.floor_plan import CELL_M, FloorPlan
from scene_r1_cli.data.rooms.layout import Room, RoomObject

RATE_HZ = 30.0
"""The path is computed at this rate, whatever the frame rate, so that it follows from the seed alone."""

WALK_M_S = 0.55
TURN_RAD_S = np.deg2rad(48)
PATH_CELLS = 2
"""Cells of the floor grid per step of the walking graph: 10 cm."""

FirstSeen = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(N, 3) eyes and (N, 3) points to the (N,) ``object_id`` that each eye sees in that direction."""


@dataclass(frozen=True)
class _Stop:
    """Where to stand and what to look at."""

    node: int
    look_at_m: np.ndarray


class _WalkGraph:
    """Shortest ways over the walkable floor, away from furniture where there is room."""

    def __init__(self, plan: FloorPlan) -> None:
        clearance = cv2.distanceTransform(1 - plan.blocked, cv2.DIST_L2, 5) * CELL_M
        free = plan.walkable()[::PATH_CELLS, ::PATH_CELLS].astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=4)
        rows, columns = np.nonzero(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))
        rows, columns = rows * PATH_CELLS, columns * PATH_CELLS
        self.points_m = (np.stack([columns, rows], axis=1) + 0.5) * CELL_M
        node = np.full((clearance.shape[0], clearance.shape[1]), -1)
        node[rows, columns] = np.arange(len(rows))
        starts, ends, costs = [], [], []
        for step_x, step_y in ((1, 0), (0, 1), (1, 1), (1, -1)):
            row, column = rows + step_y * PATH_CELLS, columns + step_x * PATH_CELLS
            inside = (row >= 0) & (row < node.shape[0]) & (column < node.shape[1])
            here = np.flatnonzero(inside)
            there = node[row[here], column[here]]
            here, there = here[there >= 0], there[there >= 0]
            room_m = clearance[rows[here], columns[here]]
            starts.append(here)
            ends.append(there)
            costs.append(np.hypot(step_x, step_y) * PATH_CELLS * CELL_M * (1 + 0.25 / room_m))
        size = (len(rows), len(rows))
        pairs = np.concatenate(starts), np.concatenate(ends)
        self._graph = coo_matrix((np.concatenate(costs), pairs), shape=size).tocsr()

    def ways_from(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """(N,) cost to every node, and (N,) the node before it on the way."""
        return dijkstra(self._graph, directed=False, indices=node, return_predecessors=True)

    def way(self, before: np.ndarray, end: int) -> np.ndarray:
        """(K, 2) points of a way that ends at a node."""
        nodes = [end]
        while before[nodes[-1]] >= 0:
            nodes.append(int(before[nodes[-1]]))
        return self.points_m[nodes[::-1]]


def walk_through(room: Room, duration_s: float, first_seen: FirstSeen) -> np.ndarray:
    """The camera of every thirtieth of a second.

    Args:
        room: The room.
        duration_s: Length of the video.
        first_seen: Tells what is seen first along a ray.

    Returns:
        (N, 4, 4) float64 world_from_camera at ``RATE_HZ``.
    """
    rng = np.random.default_rng([room.seed, 3])
    graph = _WalkGraph(room.plan)
    eye_z = rng.uniform(1.32, 1.60)
    positions, look_at = _tour(room, graph, duration_s, eye_z, first_seen, rng)
    count = int(np.ceil(duration_s * RATE_HZ)) + 1
    positions, look_at = positions[:count], look_at[:count]
    smooth = gaussian_filter1d(positions, 0.25 * RATE_HZ, axis=0, mode="nearest")
    xy_m = _keep_off(room.plan, smooth, positions)
    height = eye_z + 0.07 * _sway(count, 0.12, rng) + 0.012 * _sway(count, 1.6, rng)
    height = np.clip(height, 1.2, 1.7)
    toward = look_at - np.concatenate([xy_m, height[:, None]], axis=1)
    yaw = np.unwrap(np.arctan2(toward[:, 1], toward[:, 0]))
    pitch = np.arctan2(toward[:, 2], np.maximum(np.hypot(toward[:, 0], toward[:, 1]), 0.5))
    yaw = gaussian_filter1d(yaw, 0.30 * RATE_HZ, mode="nearest")
    pitch = gaussian_filter1d(pitch, 0.30 * RATE_HZ, mode="nearest")
    yaw += np.deg2rad(5.0) * _sway(count, 0.25, rng) + np.deg2rad(0.5) * _sway(count, 2.5, rng)
    pitch += np.deg2rad(3.0) * _sway(count, 0.25, rng) + np.deg2rad(0.5) * _sway(count, 2.5, rng)
    roll = np.deg2rad(2.5) * _sway(count, 0.2, rng) + np.deg2rad(0.4) * _sway(count, 2.0, rng)
    pitch = np.clip(pitch, np.deg2rad(-55), np.deg2rad(20))
    return _cameras(np.concatenate([xy_m, height[:, None]], axis=1), yaw, pitch, roll)


def _tour(
    room: Room,
    graph: _WalkGraph,
    duration_s: float,
    eye_z: float,
    first_seen: FirstSeen,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) positions and (N, 3) points looked at, before smoothing, for at least the duration."""
    node = int(rng.integers(len(graph.points_m)))
    look_at = np.array([*room.plan.corners_m.mean(axis=0), 0.8])
    positions, gazes = [graph.points_m[node : node + 1]], [look_at[None]]
    count = 1
    waiting: list[_Stop] = []
    while count < duration_s * RATE_HZ + 2:
        if not waiting:
            stops = (_stop_for(item, graph, eye_z, first_seen, rng) for item in room.furniture)
            waiting = [stop for stop in stops if stop is not None]
        costs, before = graph.ways_from(node)
        # The nearest thing to see next, in walking and in turning, with some whim.
        turns = np.array([_turn(graph.points_m[node], look_at, stop.look_at_m) for stop in waiting])
        effort = costs[[stop.node for stop in waiting]] / WALK_M_S + turns / TURN_RAD_S
        stop = waiting.pop(int(np.argmin(effort + rng.uniform(0, 1.5, len(waiting)))))
        way = graph.way(before, stop.node)
        lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
        turn = _turn(way[-1], look_at, stop.look_at_m)
        seconds = max(lengths[-1] / WALK_M_S, turn / TURN_RAD_S, 0.4)
        share = np.linspace(0, 1, max(2, int(seconds * RATE_HZ)))
        eased = share**2 * (3 - 2 * share)
        walked = np.stack([np.interp(eased * lengths[-1], lengths, way[:, i]) for i in range(2)], axis=1)
        gaze = _swing(walked, look_at, stop.look_at_m, eased)
        dwell = int(rng.uniform(0.5, 1.3) * RATE_HZ)
        positions += [walked, np.repeat(walked[-1:], dwell, axis=0)]
        gazes += [gaze, np.repeat(stop.look_at_m[None], dwell, axis=0)]
        count += len(walked) + dwell
        node, look_at = stop.node, stop.look_at_m
    return np.concatenate(positions), np.concatenate(gazes)


def _swing(walked_m: np.ndarray, from_m: np.ndarray, to_m: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(N, 3) points looked at while the gaze turns the short way from one point to another."""
    start, end = from_m[:2] - walked_m, to_m[:2] - walked_m
    start_yaw, end_yaw = np.arctan2(start[:, 1], start[:, 0]), np.arctan2(end[:, 1], end[:, 0])
    delta = np.mod(end_yaw - start_yaw + np.pi, 2 * np.pi) - np.pi
    # Half a turn could flip sides from one step to the next: keep to the side it began on.
    delta = np.unwrap(delta)
    yaw = start_yaw + share * delta
    reach = np.hypot(*start.T) * (1 - share) + np.hypot(*end.T) * share
    z = from_m[2] * (1 - share) + to_m[2] * share
    return np.stack([walked_m[:, 0] + reach * np.cos(yaw), walked_m[:, 1] + reach * np.sin(yaw), z], axis=1)


def _turn(at_m: np.ndarray, from_m: np.ndarray, to_m: np.ndarray) -> float:
    start, end = from_m[:2] - at_m, to_m[:2] - at_m
    delta = np.arctan2(end[1], end[0]) - np.arctan2(start[1], start[0])
    return float(abs(np.mod(delta + np.pi, 2 * np.pi) - np.pi))


def _stop_for(
    item: RoomObject, graph: _WalkGraph, eye_z: float, first_seen: FirstSeen, rng: np.random.Generator
) -> _Stop | None:
    """A place that shows an object from its front, one to three metres away; None if no place does."""
    low, high = item.faces.bounds_m
    center = (low + high) / 2
    away = graph.points_m - center[:2]
    distance = np.hypot(away[:, 0], away[:, 1])
    wanted = 1.1 + 0.65 * float(np.linalg.norm(high - low))
    front = item.world_from_object[:2, 1]
    facing = away @ front / np.maximum(distance, 1e-6)
    fit = -np.abs(distance - wanted) + 0.6 * facing + rng.uniform(0, 0.8, len(distance))
    candidates = np.argsort(-fit)[:24]
    eyes = np.concatenate([graph.points_m[candidates], np.full((len(candidates), 1), eye_z)], axis=1)
    seen = first_seen(eyes, np.broadcast_to(center, eyes.shape)) == item.object_id
    if not seen.any():
        return None
    return _Stop(int(candidates[np.argmax(seen)]), center)


def _keep_off(plan: FloorPlan, smooth_m: np.ndarray, walked_m: np.ndarray) -> np.ndarray:
    """(N, 2) smooth path, pulled back to where was walked wherever smoothing cut a corner too closely."""
    clearance = cv2.distanceTransform(1 - plan.blocked, cv2.DIST_L2, 5) * CELL_M
    pull = np.zeros(len(smooth_m))
    for _ in range(8):
        path = smooth_m + pull[:, None] * (walked_m - smooth_m)
        cells = np.clip((path / CELL_M).astype(int), 0, np.array(clearance.shape[::-1]) - 1)
        tight = clearance[cells[:, 1], cells[:, 0]] < 0.16
        if not tight.any():
            break
        near = gaussian_filter1d(tight.astype(float), 4, mode="nearest")
        pull = np.clip(pull + near / max(near.max(), 1e-9) * 0.5, 0, 1)
    return path


def _sway(count: int, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) smooth random motion of deviation 1 that changes about ``rate_hz`` times a second."""
    sigma = RATE_HZ / (2 * np.pi * rate_hz)
    pad = int(4 * sigma)
    values = gaussian_filter1d(rng.standard_normal(count + 2 * pad), sigma)[pad : pad + count]
    return np.clip(values * np.sqrt(2 * np.sqrt(np.pi) * sigma), -2.5, 2.5)


def _cameras(eyes_m: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """(N, 4, 4) world_from_camera of cameras that look along yaw and pitch, turned by roll."""
    forward = np.stack([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)], axis=1)
    right = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], axis=1)
    down = np.cross(forward, right)
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    cameras = np.tile(np.eye(4), (len(yaw), 1, 1))
    cameras[:, :3, 0] = cos * right + sin * down
    cameras[:, :3, 1] = -sin * right + cos * down
    cameras[:, :3, 2] = forward
    cameras[:, :3, 3] = eyes_m
    return cameras
