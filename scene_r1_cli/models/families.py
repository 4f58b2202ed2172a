"""Model families: the image grid each one sees, and the coordinates it writes boxes in.

A model writes corners as continuous coordinates in which 0 is the image's left (top) edge and the width
(height), or 1000, its right (bottom) edge. Ours are pixel-centre coordinates (``geometry/camera.py``), in
which the left edge is -0.5. So ``x_px = x_model * original_width / model_width - 0.5``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from scene_r1_cli.errors import ConfigError

BoxConvention = Literal["resized_px", "norm1000"]
"""``resized_px``: pixels of the image at the model's size. ``norm1000``: 0-1000 along each side."""

XyxyPx = tuple[float, float, float, float]


@dataclass(frozen=True)
class ImageGrid:
    """Image sizes a processor passes through untouched.

    Attributes:
        factor_px: Sides are multiples of this: patch size times merge size, one image token.
        min_pixels: Smallest area; a smaller image is enlarged.
        max_pixels: Largest area; a larger image is reduced.
    """

    factor_px: int
    min_pixels: int
    max_pixels: int


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Attributes:
        name: As in ``model.family``.
        model_types: ``model_type`` of the checkpoints' config.json.
        patch_px: Side of a vision patch.
        merge: Patches merged into one image token along each side.
        min_pixels: Default lower bound of the family's image processor.
        max_pixels: Default upper bound of the family's image processor.
        box_convention: What the numbers of a box mean.
        shares_prefix: Whether ``models/shared_prefix.py`` can continue a prefilled prefix of these models.
    """

    name: str
    model_types: tuple[str, ...]
    patch_px: int
    merge: int
    min_pixels: int
    max_pixels: int
    box_convention: BoxConvention
    shares_prefix: bool

    @property
    def grid(self) -> ImageGrid:
        """Grid of the published checkpoints; a checkpoint at hand may narrow it."""
        return ImageGrid(self.patch_px * self.merge, self.min_pixels, self.max_pixels)


FAMILIES = {
    family.name: family
    for family in (
        Family("qwen2-vl", ("qwen2_vl",), 14, 2, 56 * 56, 28 * 28 * 16384, "norm1000", True),
        Family("qwen2.5-vl", ("qwen2_5_vl",), 14, 2, 56 * 56, 28 * 28 * 16384, "resized_px", True),
        Family("qwen3-vl", ("qwen3_vl", "qwen3_vl_moe"), 16, 2, 256 * 256, 4096 * 4096, "norm1000", True),
        # Recurrent layers: a padded question behind a cached prefix would enter their state.
        Family("qwen3.5", ("qwen3_5", "qwen3_5_moe"), 16, 2, 256 * 256, 4096 * 4096, "norm1000", False),
    )
}


def family_named(name: str) -> Family:
    """The family called ``name``.

    Raises:
        ConfigError: There is none.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    close = get_close_matches(name, FAMILIES, n=1)
    raise ConfigError(
        f"model.family {name!r} is not known; known are {', '.join(FAMILIES)}.",
        f"Did you mean {close[0]}?" if close else "",
    )


def family_of(model_type: str) -> Family | None:
    """The family of a checkpoint's ``model_type``, or None if no row knows it."""
    return next((family for family in FAMILIES.values() if model_type in family.model_types), None)


def family_in_name(model_name: str) -> Family | None:
    """The family a model's name speaks of ("Qwen/Qwen2.5-VL-7B-Instruct"), or None.

    Longer family names are tried first, so ``qwen2.5-vl`` is not taken for ``qwen2-vl``.
    """
    lowered = model_name.lower().replace("_", "-")
    names = sorted(FAMILIES, key=len, reverse=True)
    return next((FAMILIES[name] for name in names if name in lowered), None)


def size_on_grid(original_wh: tuple[int, int], max_side_px: int, grid: ImageGrid) -> tuple[int, int]:
    """The size at which to show an image: on the grid, longer side at most ``max_side_px``, not enlarged.

    An image below the processor's least area is enlarged, past ``max_side_px`` if need be, since the
    processor would do so anyway.

    Args:
        original_wh: Size of the image in pixels.
        max_side_px: Bound of the longer side.
        grid: The processor's grid.

    Returns:
        Width and height; a processor's resize of such an image is the identity.
    """
    factor = grid.factor_px
    longer_px = min(max_side_px, max(original_wh))
    longer_cells = max(1, longer_px // factor)
    scale = longer_cells * factor / max(original_wh)
    cells = [max(1, min(longer_cells, round(side * scale / factor))) for side in original_wh]
    area = cells[0] * cells[1] * factor * factor
    if area > grid.max_pixels:
        shrink = math.sqrt(grid.max_pixels / area)
        cells = [max(1, math.floor(side * shrink)) for side in cells]
    elif area < grid.min_pixels:
        grow = math.sqrt(grid.min_pixels / area)
        cells = [math.ceil(side * grow) for side in cells]
    return cells[0] * factor, cells[1] * factor


def box_to_original(
    xyxy_model: Sequence[float], family: Family, model_wh: tuple[int, int], original_wh: tuple[int, int]
) -> XyxyPx | None:
    """A box as the model wrote it, in pixels of the original image.

    Args:
        xyxy_model: Corners in the family's convention, x1 <= x2 and y1 <= y2.
        family: Row of the table.
        model_wh: Size at which the model saw the image.
        original_wh: Size of the original colour image.

    Returns:
        Corners in pixel-centre coordinates, clipped to the image; None if nothing of the box is in it.
    """
    if not all(math.isfinite(value) for value in xyxy_model):
        return None
    corners: list[float] = []
    for value, axis in zip(xyxy_model, (0, 1, 0, 1), strict=True):
        full = model_wh[axis] if family.box_convention == "resized_px" else 1000
        edge = min(max(value / full, 0.0), 1.0) * original_wh[axis]
        corners.append(edge - 0.5)
    x1, y1, x2, y2 = corners
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def box_to_model(
    xyxy_px: Sequence[float], family: Family, model_wh: tuple[int, int], original_wh: tuple[int, int]
) -> XyxyPx:
    """Inverse of box_to_original, not rounded: what a model of this family should write for a box."""
    corners: list[float] = []
    for value, axis in zip(xyxy_px, (0, 1, 0, 1), strict=True):
        full = model_wh[axis] if family.box_convention == "resized_px" else 1000
        corners.append((value + 0.5) / original_wh[axis] * full)
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2
