"""Which part of the surface around a prompt is the object: the geometric tracker's 3D reasoning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scene_r1_cli.geometry.surface import FusedSurface
from scene_r1_cli.geometry.voxels import connected_parts
from scene_r1_cli.models.trackers.evidence import Evidence, gather_evidence, union_bounds
from scene_r1_cli.models.trackers.hypotheses import Split, SurfaceGraph, cut_hypotheses, link_voxels
from scene_r1_cli.models.trackers.region import DepthView, Prompt, Region
from scene_r1_cli.types import Scene

AGREEMENT_WEIGHT = 0.8
"""Gain of score for mean IoU with all other splits, in units of IoU with the box: a split that many settings
find is one the surface has."""

SIZE_COST = 0.1
"""Loss of score for e times the voxels: what fills the box as well with less is rather the object."""

DEPTH_COST = 0.2
"""Loss of score for an extent along the line of sight as long as the box is wide: what lies behind the
object, or before it, makes a split deep."""

BLIND_COST = 0.05
"""Loss of score for a split that took no heed of planes: it leaks more often."""

MIN_PART = 0.01
"""Share of the covered voxels that a part needs to be looked at."""

MAX_PARTS = 12

MIN_GAIN = 0.03
"""How much better the box must be filled for another part to be the object's."""

GAP_COST = 0.3
"""What a gap as long as the object costs, in the same measure."""


@dataclass(frozen=True)
class ObjectModel:
    """The object found: a surface, which of its voxels are it, and how well it fills the box (IoU)."""

    surface: FusedSurface
    is_object: np.ndarray
    region: Region
    fit: float


def find_object(
    scene: Scene,
    surface: FusedSurface,
    region: Region,
    prompts: Sequence[Prompt],
    views: dict[int, DepthView],
) -> ObjectModel | None:
    """Split a surface in several ways, and take the split that fills the prompts and that others confirm.

    Args:
        scene: The capture.
        surface: Fused around the prompt.
        region: The region it was fused in.
        prompts: Boxes or masks of this object.
        views: The depth view of at least every prompt's frame.

    Returns:
        The object; None if no part of the surface is under a prompt.
    """
    evidence = gather_evidence(scene, surface, prompts, views)
    if not evidence.covered.any():
        return None
    graph = link_voxels(surface, region.size_m)
    splits = [
        Split(needed_parts(graph, evidence, cut.is_object), cut.heeds_planes)
        for cut in cut_hypotheses(graph, evidence)
    ]
    splits = [split for split in splits if split.is_object.any()]
    if not splits:
        return None
    fits = np.array([evidence.fit(evidence.bounds(split.is_object)) for split in splits])
    depths = [evidence.depth_extent_m(split.is_object) / region.size_m for split in splits]
    best = int(np.argmax(score_splits(splits, fits, np.array(depths))))
    return ObjectModel(surface, splits[best].is_object, region, float(fits[best]))


def score_splits(splits: Sequence[Split], fits: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """How likely each of S splits is the object.

    Args:
        splits: S non-empty splits of the same voxels.
        fits: (S,) IoU with the prompts' boxes.
        depths: (S,) extent along the line of sight, relative to the size that the boxes tell.

    Returns:
        (S,) scores; only their order means something.
    """
    chosen = np.stack([split.is_object for split in splits]).astype(np.float32)
    shared, sizes = chosen @ chosen.T, chosen.sum(axis=1)
    overlap = shared / (sizes[:, None] + sizes - shared)
    blind = np.array([not split.heeds_planes for split in splits])
    return (
        fits
        + AGREEMENT_WEIGHT * overlap.mean(axis=1)
        - SIZE_COST * np.log(sizes / sizes.max())
        - DEPTH_COST * depths
        - BLIND_COST * blind
    )


def needed_parts(graph: SurfaceGraph, evidence: Evidence, is_object: np.ndarray) -> np.ndarray:
    """The connected part that fills the prompts best, and parts without which they are filled worse.

    What stands apart behind or before the object lies in the box, but the box does not need it.

    Returns:
        (V,) bool, a subset of ``is_object``; all False if the prompts cover none of it.
    """
    pairs, points_m = graph.pairs, graph.surface.points_m
    inner = pairs[is_object[pairs[:, 0]] & is_object[pairs[:, 1]]]
    part = connected_parts(len(is_object), inner)
    covered = np.bincount(part, weights=is_object & (evidence.covered > 0))
    large = np.argsort(-covered)[:MAX_PARTS]
    large = large[covered[large] >= max(3.0, MIN_PART * covered.max())]
    members = [is_object & (part == label) for label in large]
    bounds = [evidence.bounds(among) for among in members]
    corners = [np.percentile(points_m[among], [2, 98], axis=0) for among in members]
    chosen = np.zeros(len(is_object), dtype=bool)
    if not members:
        return chosen
    fits = [evidence.fit(bound) for bound in bounds]
    best = int(np.argmax(fits))
    chosen, bound, box, fit = members[best], bounds[best], corners[best], fits[best]
    left = [index for index in range(len(members)) if index != best]
    while left:
        gains = [
            evidence.fit(union_bounds(bound, bounds[index]))
            - fit
            - GAP_COST * _gap_m(box, corners[index]) / (graph.across * graph.surface.grid.voxel_m)
            for index in left
        ]
        if max(gains) < MIN_GAIN:
            break
        index = left.pop(int(np.argmax(gains)))
        chosen = chosen | members[index]
        bound = union_bounds(bound, bounds[index])
        fit = evidence.fit(bound)
        box = np.stack([np.minimum(box[0], corners[index][0]), np.maximum(box[1], corners[index][1])])
    return chosen


def _gap_m(first: np.ndarray, second: np.ndarray) -> float:
    """Distance between two boxes given as (2, 3) corners; 0 if they touch."""
    apart = np.maximum(np.maximum(first[0] - second[1], second[0] - first[1]), 0)
    return float(np.linalg.norm(apart))
