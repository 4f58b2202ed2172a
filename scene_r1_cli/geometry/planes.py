"""Large planes in a fused surface: the floors, walls and table tops that objects stand on or before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CANDIDATES = 128
"""Samples tried as planes in each round."""

MIN_ALIGNMENT = 0.9
"""Cosine between a sample's normal and its plane's: 26 degrees, more than a fused normal's noise."""


@dataclass(frozen=True)
class Plane:
    """Points p with ``normal @ p == offset_m``; the normal is unit and on the side the cameras saw."""

    normal: np.ndarray
    offset_m: float

    def distance_m(self, points_m: np.ndarray) -> np.ndarray:
        """(N,) signed distance of (N, 3) points, positive on the side the cameras saw."""
        return points_m @ self.normal - self.offset_m


def find_planes(
    points_m: np.ndarray,
    normals: np.ndarray,
    tolerance_m: float,
    min_samples: int,
    max_planes: int,
    seed: int = 0,
) -> list[Plane]:
    """Planes by size, each fitted to the samples that earlier ones left.

    Args:
        points_m: (N, 3).
        normals: (N, 3) unit, zero where unknown.
        tolerance_m: Farthest a sample of the plane lies from it.
        min_samples: Smaller planes are not returned.
        max_planes: At most this many.
        seed: Of the sampling; the result is the same for the same seed.

    Returns:
        Planes, the largest first; possibly none.
    """
    generator = np.random.default_rng(seed)
    left = np.flatnonzero(normals.any(axis=1))
    planes: list[Plane] = []
    while len(planes) < max_planes and len(left) >= min_samples:
        points, directions = points_m[left], normals[left]
        # Votes on a sample are enough to rank candidates, and bound the cost.
        voters = generator.choice(len(left), min(len(left), 2000), replace=False)
        tried = generator.choice(len(left), min(len(left), CANDIDATES), replace=False)
        offsets = np.einsum("kc,kc->k", directions[tried], points[tried])
        near = np.abs(points[voters] @ directions[tried].T - offsets) <= tolerance_m
        near &= directions[voters] @ directions[tried].T >= MIN_ALIGNMENT
        best = int(np.argmax(near.sum(axis=0)))
        plane = Plane(directions[tried[best]].astype(np.float64), float(offsets[best]))
        for _ in range(2):
            inliers = on_plane(plane, points, directions, tolerance_m)
            if inliers.sum() < 3:
                break
            plane = _fit(points[inliers], plane.normal)
        inliers = on_plane(plane, points, directions, tolerance_m)
        if inliers.sum() < min_samples:
            break
        planes.append(plane)
        left = left[~inliers]
    return planes


def on_plane(plane: Plane, points_m: np.ndarray, normals: np.ndarray, tolerance_m: float) -> np.ndarray:
    """(N,) bool: near the plane and facing the same way; a sample without a normal does not count."""
    return (np.abs(plane.distance_m(points_m)) <= tolerance_m) & (normals @ plane.normal >= MIN_ALIGNMENT)


def _fit(points_m: np.ndarray, towards: np.ndarray) -> Plane:
    """Least-squares plane of >= 3 points, its normal on the side of ``towards``."""
    center = points_m.mean(axis=0).astype(np.float64)
    spread = points_m - center
    normal = np.linalg.eigh(spread.T @ spread)[1][:, 0]
    if normal @ towards < 0:
        normal = -normal
    return Plane(normal, float(normal @ center))
