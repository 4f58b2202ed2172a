"""Ways to split the surface around a prompt into object and surroundings, careful to bold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scene_r1_cli.geometry.graphcut import min_cut, surface_affinity
from scene_r1_cli.geometry.planes import find_planes, on_plane
from scene_r1_cli.geometry.surface import FusedSurface
from scene_r1_cli.geometry.voxels import connected_parts
from scene_r1_cli.models.trackers.evidence import Evidence

PRIORS = (4.0, 10.0, 25.0)
"""Pull of the prompt on a voxel it covers, relative to 4 / (object size in voxels): with the least, only
what hardly touches its surroundings is cut out; with the most, nearly all that the prompt covers."""

MAX_PLANES = 6

PLANE_SEAM = 0.5
"""What is left of the affinity between a background plane and what touches it."""

SAME_COLOR = 15.0
"""A plane's piece goes on only over changes of colour (RGB distance, 0 to 442) up to this: a picture's front
and the wall around it are level."""

UNSEEN = 0.3
"""Pull outwards, relative to the prompt's, of a voxel hidden in the prompt's view and beside its box."""

BEYOND = 0.5
"""A plane's piece is background if this much of what the prompt covers of it lies beyond the prompt."""

NEVER = 100.0
"""Weight of what a prompt rules out."""

COLOR_BINS = 16
"""Bins of a colour histogram along each axis."""

MAX_LOG_RATIO = 2.0
"""Log of how much more common a colour is inside than outside at which it says no more."""


@dataclass(frozen=True)
class SurfaceGraph:
    """Neighbouring voxels, and how surely they are of one object.

    Attributes:
        surface: The voxels.
        pairs: (E, 2) int32.
        affinity: (E,) in (0, 1].
        across: Size of the object in voxels.
    """

    surface: FusedSurface
    pairs: np.ndarray
    affinity: np.ndarray
    across: float


@dataclass(frozen=True)
class Split:
    """One way to split the voxels: (V,) bool, True for the object, and whether it heeds planes."""

    is_object: np.ndarray
    heeds_planes: bool


def link_voxels(surface: FusedSurface, size_m: float) -> SurfaceGraph:
    """The graph of a surface around an object of about ``size_m``."""
    pairs = surface.grid.neighbour_pairs()
    affinity = surface_affinity(surface.points_m, surface.normals, surface.colors_rgb, pairs)
    return SurfaceGraph(surface, pairs, affinity, max(size_m / surface.grid.voxel_m, 4.0))


def cut_hypotheses(graph: SurfaceGraph, evidence: Evidence) -> Iterator[Split]:
    """Splits of a surface, from careful to bold in three ways.

    Planes that go on beyond the box are ruled out; the same but where their colour is the box's own, and
    colour pulls everywhere; and with no heed to planes, which alone finds what lies flat on them.
    """
    background = background_planes(graph, evidence)
    # -1: a colour of the surroundings, 1: of nothing but what is in the box.
    own = color_ratio(graph.surface.colors_rgb, evidence) / MAX_LOG_RATIO
    nothing = np.zeros(len(own))
    for planes, tint, heeds_planes in (
        (background, nothing, True),
        (background & (own <= 0), own, True),
        (np.zeros_like(background), nothing, False),
    ):
        seam = planes[graph.pairs[:, 0]] != planes[graph.pairs[:, 1]]
        links = np.where(seam, PLANE_SEAM * graph.affinity, graph.affinity)
        ruled_out = planes | (evidence.outside >= np.maximum(evidence.inside, 1))
        for prior in PRIORS:
            pull = prior * 4 / graph.across
            wanted = pull * evidence.covered * (1 + tint)
            other = UNSEEN * pull * evidence.unseen + pull * evidence.covered * np.maximum(-tint, 0)
            cut = min_cut(graph.pairs, links, np.where(planes, 0, wanted), np.where(ruled_out, NEVER, other))
            yield Split(cut, heeds_planes)


def color_ratio(colors_rgb: np.ndarray, evidence: Evidence) -> np.ndarray:
    """(V,) log of how much more common each (V, 3) colour is inside the prompts than outside, clipped."""
    bins = np.minimum(colors_rgb * (COLOR_BINS / 256), COLOR_BINS - 1).astype(np.int64)
    flat = (bins[:, 0] * COLOR_BINS + bins[:, 1]) * COLOR_BINS + bins[:, 2]
    shares = []
    for weights in (evidence.covered, evidence.outside > evidence.inside):
        counts = np.bincount(flat, weights, COLOR_BINS**3).reshape((COLOR_BINS,) * 3)
        # Light and noise move a colour by about a bin.
        smooth = ndimage.gaussian_filter(counts, 1.0, mode="nearest").ravel()
        shares.append((smooth / max(smooth.sum(), 1e-9))[flat])
    floor = 1e-4
    ratio = np.log((shares[0] + floor) / (shares[1] + floor))
    return np.clip(ratio, -MAX_LOG_RATIO, MAX_LOG_RATIO)


def background_planes(graph: SurfaceGraph, evidence: Evidence) -> np.ndarray:
    """(V,) bool: voxels on planes that go on beyond the prompt, as floors, walls and table tops do."""
    surface, pairs = graph.surface, graph.pairs
    inside, outside = evidence.inside, evidence.outside
    tolerance_m = 0.005 + 0.5 * surface.grid.voxel_m
    num_outside = int((outside > inside).sum())
    min_samples = max(30, num_outside // 50)
    planes = find_planes(surface.points_m, surface.normals, tolerance_m, min_samples, MAX_PLANES)
    background = np.zeros(len(inside), dtype=bool)
    change = np.linalg.norm(surface.colors_rgb[pairs[:, 0]] - surface.colors_rgb[pairs[:, 1]], axis=1)
    pairs = pairs[change <= SAME_COLOR]
    for plane in planes:
        # A table top and the seats around it may be level: each connected piece is judged by itself.
        near = np.abs(plane.distance_m(surface.points_m)) <= tolerance_m
        inner = pairs[near[pairs[:, 0]] & near[pairs[:, 1]]]
        piece = connected_parts(len(near), inner)
        facing = on_plane(plane, surface.points_m, surface.normals, tolerance_m)
        beyond = np.bincount(piece, weights=facing & (outside > inside))
        within = np.bincount(piece, weights=facing & (inside > outside))
        # The far side of the object is a plane too, which the prompt sees neither inside nor beyond.
        goes_on = beyond >= np.maximum(BEYOND * within, 0.5 * min_samples)
        background |= near & goes_on[piece]
    return background
