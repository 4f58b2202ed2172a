"""Of several replies to one question, the one to believe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class MostAgreed(NamedTuple):
    """One of several replies.

    Attributes:
        index: Which.
        agreement: How like it the others are, in the mean; 1 if the question was asked once.
    """

    index: int
    agreement: float


def most_agreed(values: Sequence[T], iou: Callable[[T, T], float], num_replies: int) -> MostAgreed:
    """The value that others are most like, the first of equals.

    Decoding that takes the reply with the least expected loss, by what else the model would have replied
    (minimum Bayes risk), with the IoU for the gain.

    Args:
        values: What the replies say, at least one.
        iou: How like each other two are, in [0, 1].
        num_replies: Replies asked for; those that say nothing agree with none.
    """
    if num_replies == 1:
        return MostAgreed(0, 1.0)
    ious = np.array([[iou(a, b) for b in values] for a in values])
    np.fill_diagonal(ious, 0.0)
    agreement = ious.sum(axis=1) / (num_replies - 1)
    best = int(agreement.argmax())
    return MostAgreed(best, float(agreement[best]))
