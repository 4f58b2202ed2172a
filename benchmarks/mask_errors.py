"""Masks as a tracker would make them, from true ones: the frozen error model of ``benchmarks/lifting.py``.

Three sources: ``exact`` (the true mask), ``dilated`` (grown by 8 px) and ``tracker_like`` (each frame goes
wrong on its own, in one of the ways below). The result depends on (seed, object, frame) alone. Lengths are
pixels of the colour image (640 x 480 in the benchmark); areas are shares of the true mask's.

| constant | value | why |
|---|---|---|
| DILATED_PX | 8 | given by the benchmark's definition: 1.25 % of the image's width |
| MISSED | 0.10 | frames in which the tracker loses the object: blur, fast turns, low mask score |
| SWITCHED | 0.10 | given: frames in which it follows another object, of the same class if one is in view |
| ERODED | 0.25 | frames that lose parts: thin legs, dark or shiny patches |
| SPILLED | 0.25 | frames that leak over a weak edge |
| ERODED_AND_SPILLED | 0.10 | frames with both; in the rest (0.20 of all) only the rim is inexact |
| RIM_SIGMA_PX | 1.5 | video trackers predict at a quarter of 1024 px: a cell is 2.5 px here |
| RIM_WAVE_PX | 12 | errors of a rim go on over a few such cells |
| ERODE_PX | 2 to 6 | shrinkage that is seen but does not lose an object of usual size |
| ERODE_LIMIT | 0.25 | at most this share of the distance from rim to middle: thin objects are not lost |
| BITE_SHARE | 0.10 to 0.35 | a part such as a chair's leg or one sofa cushion is lost |
| SPILL_SHARE | 0.10 to 0.40 | a part of like size is gained |
| SPILL_IN_NEIGHBOUR | 0.5 | half of the spills stop at the next object's rim, half go anywhere |
| ROUGHNESS | 0.4 | noise against distance in a blob's outline: no disc, and in one piece as leaks are |
| MIN_SWITCH_PX | 100 | a smaller mask is no object a tracker would take |

A mix, not a copy, of one tracker: the shares are round numbers, fixed before any method was run on them.
Real errors go on over neighbouring frames; here frames are independent, which is kinder to methods that
let views vote, and the same for all rows. Raise ``VERSION`` if anything here changes the masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np

VERSION = 1

MaskSource = Literal["exact", "dilated", "tracker_like"]
SOURCES: tuple[MaskSource, ...] = ("exact", "dilated", "tracker_like")

DILATED_PX = 8
MISSED = 0.10
SWITCHED = 0.10
ERODED = 0.25
SPILLED = 0.25
ERODED_AND_SPILLED = 0.10
RIM_SIGMA_PX = 1.5
RIM_WAVE_PX = 12
ERODE_PX = (2.0, 6.0)
ERODE_LIMIT = 0.25
BITE_SHARE = (0.10, 0.35)
SPILL_SHARE = (0.10, 0.40)
SPILL_IN_NEIGHBOUR = 0.5
ROUGHNESS = 0.4
MIN_SWITCH_PX = 100


def make_mask(
    source: MaskSource,
    instances: np.ndarray,
    object_id: int,
    class_of: Mapping[int, str],
    seed: int,
    frame_index: int,
) -> np.ndarray | None:
    """One object's mask in one frame, as a mask source gives it.

    Args:
        source: Which errors.
        instances: (H, W) uint8 at the colour image's size, 0 = none, object_id + 1 otherwise.
        object_id: The object; it may be absent.
        class_of: Class of every object a tracker could switch to; walls, floor and ceiling left out.
        seed: Of the scene.
        frame_index: Of the frame.

    Returns:
        (H, W) bool; None if the source has no mask in this frame.
    """
    true_mask = instances == object_id + 1
    if not true_mask.any():
        return None
    if source == "exact":
        return true_mask
    if source == "dilated":
        return grown(true_mask, DILATED_PX)
    rng = np.random.default_rng([VERSION, seed, object_id, frame_index])
    fate = rng.random()
    if fate < MISSED:
        return None
    if fate < MISSED + SWITCHED:
        other = switch_target(instances, object_id, class_of)
        return wavy_rim(true_mask if other is None else instances == other + 1, rng)
    fate -= MISSED + SWITCHED
    mask = true_mask
    if fate < ERODED + ERODED_AND_SPILLED:
        mask = with_parts_lost(mask, rng)
    if ERODED <= fate < ERODED + ERODED_AND_SPILLED + SPILLED:
        mask = with_spill(mask, instances, rng)
    return wavy_rim(mask, rng)


def grown(mask: np.ndarray, radius_px: float) -> np.ndarray:
    """(H, W) bool: every pixel within ``radius_px`` of the mask, by Euclidean distance."""
    return distance_to(mask) <= radius_px + 1e-3


def distance_to(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 pixels to the nearest set pixel of an (H, W) bool mask, 0 on it."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def distance_inside(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 pixels to the nearest unset pixel; beyond the image counts as set."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def switch_target(instances: np.ndarray, object_id: int, class_of: Mapping[int, str]) -> int | None:
    """The object a tracker would confuse with this one.

    Returns:
        The nearest object in the image of the same class, else the nearest of any; None if there is none.
    """
    areas = np.bincount(instances.ravel(), minlength=256)
    here = _center(instances == object_id + 1)
    candidates = []
    for other, name in class_of.items():
        if other == object_id or areas[other + 1] < MIN_SWITCH_PX:
            continue
        distance = float(np.linalg.norm(_center(instances == other + 1) - here))
        candidates.append((name != class_of.get(object_id), distance, other))
    return min(candidates)[2] if candidates else None


def with_parts_lost(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shrink a mask, and take a bite of irregular outline from its rim; what is left is never empty."""
    inside = distance_inside(mask)
    radius = min(rng.uniform(*ERODE_PX), ERODE_LIMIT * float(inside.max()))
    eroded = inside > radius
    lost = _blob(eroded, _random_pixel(eroded & (inside <= radius + 2), rng), rng.uniform(*BITE_SHARE), rng)
    return eroded & ~lost


def with_spill(mask: np.ndarray, instances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a blob of irregular outline beside the rim, in the instance it touches or in anything around."""
    rim = grown(mask, 2) & ~mask
    in_neighbour = rng.random() < SPILL_IN_NEIGHBOUR
    share = rng.uniform(*SPILL_SHARE)
    if not rim.any():
        return mask
    at = _random_pixel(rim, rng)
    allowed = ~mask & (instances == instances[at]) if in_neighbour else ~mask
    count = int(share * mask.sum())
    return mask | _blob(allowed, at, count / max(1, int(allowed.sum())), rng)


def wavy_rim(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move the rim in and out by smooth noise of ``RIM_SIGMA_PX``; a mask that would vanish stays."""
    signed = np.where(mask, distance_inside(mask) - 0.5, 0.5 - distance_to(mask))
    moved = signed + RIM_SIGMA_PX * smooth_noise(mask.shape, RIM_WAVE_PX, rng) > 0
    return moved if moved.any() else mask


def smooth_noise(size_hw: tuple[int, ...], wave_px: float, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32 noise of about unit size that changes over ``wave_px`` pixels."""
    coarse = [int(np.ceil(side / wave_px)) + 1 for side in size_hw]
    noise = rng.standard_normal(coarse).astype(np.float32)
    return cv2.resize(noise, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_CUBIC)


def _blob(
    allowed: np.ndarray, center_yx: tuple[int, int], share: float, rng: np.random.Generator
) -> np.ndarray:
    """(H, W) bool: up to ``share`` of the allowed pixels, near a place by a distance that noise bends.

    It is in one piece; other pieces that the noise makes are left out.
    """
    count = int(share * allowed.sum())
    rows, columns = np.nonzero(allowed)
    radius = max(2.0, np.sqrt(count / np.pi))
    distance = np.hypot(rows - center_yx[0], columns - center_yx[1]) / radius
    noise = smooth_noise(allowed.shape, max(3.0, 0.75 * radius), rng)[rows, columns]
    chosen = np.argsort(distance + ROUGHNESS * noise, kind="stable")[:count]
    blob = np.zeros(allowed.shape, dtype=np.uint8)
    blob[rows[chosen], columns[chosen]] = 1
    if not count:
        return blob > 0
    parts = cv2.connectedComponents(blob)[1]
    return parts == parts[rows[chosen[0]], columns[chosen[0]]]


def _random_pixel(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of one set pixel; the mask has some."""
    rows, columns = np.nonzero(mask)
    index = int(rng.integers(len(rows)))
    return int(rows[index]), int(columns[index])


def _center(mask: np.ndarray) -> np.ndarray:
    """(2,) mean row and column of the set pixels."""
    return np.array([axis.mean() for axis in np.nonzero(mask)])
