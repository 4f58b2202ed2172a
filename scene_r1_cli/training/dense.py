"""Dense labels of frames: class, colour and box of the object under each patch.

The vision tower learns boxes from the patch's centre. Where a patch lies in its frame it cannot know, since
its positions are relative and nothing marks a frame's border; the language model can, and learns it there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from scene_r1_cli.data.rooms.vocabulary import CLASSES, COLORS
from scene_r1_cli.models.pocket.build import HIDDEN, MERGE, PATCH_PX
from scene_r1_cli.training.replies import frame_boxes
from scene_r1_cli.training.room_views import Frames, RoomViews

CLASS_NAMES = ("", *CLASSES)
COLOR_NAMES = tuple(COLORS)
MIN_PATCH_SHARE = 0.12
"""A patch shows the object that covers most of it, if it covers at least this share."""


class DenseHead(nn.Module):
    """Reads class, colour and box of each patch from its merged token; linear, so it is plain there."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes, self.num_colors = len(CLASS_NAMES), len(COLOR_NAMES)
        self.linear = nn.Linear(HIDDEN, MERGE**2 * (self.num_classes + self.num_colors + 4))

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B, N, HIDDEN) to class (B, N, 4, K), colour (B, N, 4, C) and box (B, N, 4, 4) predictions."""
        out = self.linear(tokens).float().unflatten(-1, (MERGE**2, -1))
        return out.split([self.num_classes, self.num_colors, 4], dim=-1)


def dense_targets(views: RoomViews, frames: Frames) -> dict[str, np.ndarray]:
    """Labels of every patch, in the order of merged tokens.

    Returns:
        ``label`` (T, N, 4) int64 into CLASS_NAMES, ``color`` (T, N, 4) int64 into COLOR_NAMES or -1,
        ``box`` (T, N, 4, 4) float32 corners from the patch's centre over the frame's sides, and
        ``corners_px`` (T, N, 4) int64 corners of the object that covers most of the token, -1 without one.
    """
    count, height, width = frames.instances.shape
    rows, columns = height // PATCH_PX, width // PATCH_PX
    label = np.zeros((count, rows, columns), dtype=np.int64)
    color = np.full((count, rows, columns), -1, dtype=np.int64)
    box = np.zeros((count, rows, columns, 4), dtype=np.float32)
    corners = np.full((count, rows // MERGE, columns // MERGE, 4), -1, dtype=np.int64)
    scale = np.array([width, height, width, height], dtype=np.float32)
    for frame in range(count):
        most = np.full((rows, columns), MIN_PATCH_SHARE * PATCH_PX**2)
        most_of_token = np.full((rows // MERGE, columns // MERGE), MIN_PATCH_SHARE * (MERGE * PATCH_PX) ** 2)
        for object_id, (xyxy, _) in frame_boxes(frames.instances[frame]).items():
            covered = (frames.instances[frame] == object_id + 1).reshape(rows, PATCH_PX, columns, PATCH_PX)
            area = covered.sum(axis=(1, 3))
            wins = area > most
            most = np.where(wins, area, most)
            label[frame][wins] = CLASS_NAMES.index(views.labels[object_id])
            name = views.colors[object_id]
            color[frame][wins] = COLOR_NAMES.index(name) if name else -1
            box[frame][wins] = np.array(xyxy, dtype=np.float32) / scale
            area = area.reshape(rows // MERGE, MERGE, columns // MERGE, MERGE).sum(axis=(1, 3))
            corners[frame][area > most_of_token] = np.rint(xyxy)
            most_of_token = np.maximum(area, most_of_token)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    centre = np.stack([(x + 0.5) / columns, (y + 0.5) / rows] * 2, axis=-1)
    return {
        "label": _merged(label[..., None])[..., 0],
        "color": _merged(color[..., None])[..., 0],
        "box": _merged(box - centre),
        "corners_px": corners.reshape(count, -1, 4),
    }


def _merged(values: np.ndarray) -> np.ndarray:
    """(T, rows, columns, C) of patches to (T, N, 4, C) of merged tokens."""
    count, rows, columns, width = values.shape
    cells = values.reshape(count, rows // MERGE, MERGE, columns // MERGE, MERGE, width)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, MERGE**2, width)


def dense_loss(
    predicted: tuple[torch.Tensor, torch.Tensor, torch.Tensor], target: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss and what to show of it: accuracy of class and colour, error of corners in frame sides."""
    label_logits, color_logits, box = predicted
    label, color = target["label"], target["color"]
    shown = label > 0
    weight = label_logits.new_ones(label_logits.shape[-1])
    weight[0] = 0.4
    label_loss = functional.cross_entropy(label_logits.flatten(0, 2), label.flatten(), weight=weight)
    named = color >= 0
    # Frames may show nothing, or nothing of a colour; a mean of nothing would spoil all weights.
    color_loss = _mean(functional.cross_entropy(color_logits[named], color[named], reduction="none"))
    box_error = _mean((box - target["box"])[shown].abs())
    loss = label_loss + 0.7 * color_loss + 6.0 * box_error
    return loss, {
        "class": _mean((label_logits.argmax(-1) == label)[shown].float()),
        "color": _mean((color_logits.argmax(-1) == color)[named].float()),
        "corner": box_error.detach(),
    }


def _mean(values: torch.Tensor) -> torch.Tensor:
    """The mean, 0 of nothing."""
    return values.sum() / max(1, values.numel())
