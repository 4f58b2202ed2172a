"""Hand-made views of a room: blocks of colour on grey, as small as training takes them."""

import numpy as np

from scene_r1_cli.training.room_views import Frames, RoomQuestion, RoomViews, Sentence


def block_views(seed=1):
    """Two objects: a red chair in frames 1 and 2 of the video, and a lamp that is in every frame."""
    rng = np.random.default_rng(seed)
    return RoomViews(
        seed=seed,
        duration_s=8.0,
        labels=("chair", "lamp", "wall"),
        colors=("red", "", ""),
        video=_frames(np.array([0.0, 2.0, 4.0, 6.0]), (56, 84), rng),
        key=_frames(np.array([1.0, 3.0]), (112, 140), rng),
        sentences=(
            Sentence("the chair", 0, (2.0, 5.0), ((2.0, 5.0),)),
            Sentence("the lamp by the chair", 1, (0.0, 8.0), ((0.0, 8.0),)),
        ),
        questions=(
            RoomQuestion("What color is the chair?", "red", "color", (0,)),
            RoomQuestion(
                "What is the size of this room (in square meters)?", "12.5", "room_size_estimation", ()
            ),
        ),
    )


def _frames(times_s, size_hw, rng):
    height, width = size_hw
    rgb = rng.integers(110, 130, (len(times_s), height, width, 3)).astype(np.uint8)
    instances = np.zeros((len(times_s), height, width), np.uint8)
    instances[1:3, 14:42, 28:56] = 1
    instances[:, :14, :28] = 2
    rgb[instances == 1] = (200, 30, 30)
    rgb[instances == 2] = (240, 240, 90)
    return Frames(times_s, rgb, instances)
