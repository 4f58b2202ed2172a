"""Dense labels: what is not there costs nothing, and spoils nothing."""

import numpy as np
import torch

from scene_r1_cli.training.dense import DenseHead, dense_loss, dense_targets
from scene_r1_cli.training.room_views import Frames
from tests.training.views import block_views


def _loss(frames):
    targets = {
        name: torch.from_numpy(values) for name, values in dense_targets(block_views(), frames).items()
    }
    torch.manual_seed(0)
    head = DenseHead()
    tokens = torch.randn(len(frames.rgb), targets["label"].shape[1], head.linear.in_features)
    with torch.no_grad():
        return dense_loss(head(tokens), targets)


def test_a_frame_that_shows_nothing_has_a_finite_loss():
    empty = Frames(np.zeros(1), np.zeros((1, 56, 84, 3), np.uint8), np.zeros((1, 56, 84), np.uint8))
    loss, shown = _loss(empty)
    assert torch.isfinite(loss)
    assert (float(shown["color"]), float(shown["corner"])) == (0.0, 0.0)


def test_of_what_is_shown_class_colour_and_corners_are_learnt():
    loss, shown = _loss(block_views().video)
    assert float(shown["corner"]) > 0
    # Three cross entropies of nothing learnt, at least that of some two dozen classes.
    assert float(loss) > np.log(20)
