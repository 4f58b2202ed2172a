"""Many questions about the same frames in one sequence: the frames' tokens are computed once.

Frames come first; behind them lie question and reply of every question, each a branch that sees the frames
and itself but no other branch, at the positions it would have alone. So a row costs the frames once and a
few dozen tokens per question.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from scene_r1_cli.models.branch_attention import Branches
from scene_r1_cli.models.pocket.tokens import coordinate_texts, time_texts
from scene_r1_cli.models.vlm import time_text

FRAME = 0
"""Branch of the frames' tokens; questions are branches 1, 2, …"""


@dataclass(frozen=True)
class Row:
    """One packed sequence of L tokens.

    Attributes:
        ids: (L,) int64.
        positions: (3, L) int64 rotary positions.
        branch: (L,) int64.
        is_image: (L,) bool, tokens whose embedding is a frame's.
        is_reply: (L,) bool, tokens to learn.
        is_answer: (L,) bool, those of them behind ``<answer>`` where that is a span or a box.
        is_thought: (L,) bool, those of them before ``<answer>``.
    """

    ids: np.ndarray
    positions: np.ndarray
    branch: np.ndarray
    is_image: np.ndarray
    is_reply: np.ndarray
    is_answer: np.ndarray
    is_thought: np.ndarray


class Packer:
    """Writes rows with one tokenizer.

    Args:
        tokenizer: pocket's.
        think: Whether questions ask for thinking, and replies begin with it.
    """

    def __init__(self, tokenizer, *, think: bool = True) -> None:
        self._tokenizer, self.think = tokenizer, think
        names = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<answer>")
        self._start, self._image, self._end, self._answer = tokenizer.convert_tokens_to_ids(list(names))

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, control tokens included."""
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def row(
        self, times_s: Sequence[float], grid_hw: tuple[int, int], questions: Sequence[tuple[str, str, bool]]
    ) -> Row:
        """Pack some frames and questions about them.

        Args:
            times_s: Time of each frame.
            grid_hw: Rows and columns of each frame's tokens.
            questions: Prompts of ``models/prompts.py``, what to reply, and whether that is a span or a box.
        """
        ids, positions = self._frames(times_s, grid_hw)
        is_image = [token == self._image for token in ids]
        branch = [FRAME] * len(ids)
        is_reply, is_answer, is_thought = ([False] * len(ids) for _ in range(3))
        after = int(max(position[0] for position in positions)) + 1
        for number, (prompt, reply, is_find) in enumerate(questions, start=1):
            asked = self.tokens(f"{prompt}<|im_end|>\n<|im_start|>assistant\n")
            said = self.tokens(f"{reply}<|im_end|>")
            own = asked + said
            answer_at = said.index(self._answer)
            ids += own
            positions += [(after + index,) * 3 for index in range(len(own))]
            branch += [number] * len(own)
            is_image += [False] * len(own)
            is_reply += [False] * len(asked) + [True] * len(said)
            is_answer += [False] * len(asked) + [is_find and index > answer_at for index in range(len(said))]
            is_thought += [False] * len(asked) + [index < answer_at for index in range(len(said))]
        flags = (np.array(values, dtype=bool) for values in (is_image, is_reply, is_answer, is_thought))
        return Row(np.array(ids), np.array(positions).T, np.array(branch), *flags)

    def _frames(
        self, times_s: Sequence[float], grid_hw: tuple[int, int]
    ) -> tuple[list[int], list[tuple[int, ...]]]:
        """Tokens and positions of the part all questions share, as ``get_rope_index`` has them."""
        ids: list[int] = []
        positions: list[tuple[int, ...]] = []
        at = 0
        text = "<|im_start|>user\n"
        for time_s in times_s:
            before = [*self.tokens(text + time_text(time_s)), self._start]
            ids += [*before, *[self._image] * (grid_hw[0] * grid_hw[1]), self._end]
            positions += [(at + index,) * 3 for index in range(len(before))]
            at += len(before)
            positions += [(at, at + y, at + x) for y in range(grid_hw[0]) for x in range(grid_hw[1])]
            at += max(grid_hw)
            positions.append((at,) * 3)
            at += 1
            text = ""
        return ids, positions


@dataclass(frozen=True)
class Batch:
    """Rows padded to one length L; padding is a branch of its own that nobody sees.

    Attributes:
        ids: (B, L) int64.
        positions: (3, B, L) int64.
        branch: (B, L) int64, ``FRAME`` for frames and 1, 2, ... for questions.
        branches: What a token may look at, for ``branch_attention``.
        is_image: (B, L) bool.
        learned: (M, 2) int64 row and place of each token to learn.
        is_answer: (M,) bool.
        is_thought: (M,) bool.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    branch: torch.Tensor
    branches: tuple[Branches, ...]
    is_image: torch.Tensor
    learned: torch.Tensor
    is_answer: torch.Tensor
    is_thought: torch.Tensor

    @cached_property
    def mask(self) -> torch.Tensor:
        """(B, 1, L, L) bool, True where a token may look."""
        same = self.branch[:, :, None] == self.branch[:, None, :]
        return torch.tril(same | (self.branch[:, None, :] == FRAME))[:, None]


def collate(rows: Sequence[Row], pad_id: int) -> Batch:
    """Pad rows into a batch."""
    length = max(len(row.ids) for row in rows)

    def padded(name: str, value: int) -> torch.Tensor:
        full = np.full((len(rows), length), value, dtype=np.int64)
        for index, row in enumerate(rows):
            full[index, : len(row.ids)] = getattr(row, name)
        return torch.from_numpy(full)

    branch = padded("branch", -1)
    positions = np.zeros((3, len(rows), length), dtype=np.int64)
    for index, row in enumerate(rows):
        positions[:, index, : len(row.ids)] = row.positions
    is_reply = padded("is_reply", 0).bool()
    return Batch(
        ids=padded("ids", pad_id),
        positions=torch.from_numpy(positions),
        branch=branch,
        branches=tuple(_branches(row.branch) for row in rows),
        is_image=padded("is_image", 0).bool(),
        learned=is_reply.nonzero(),
        is_answer=padded("is_answer", 0).bool()[is_reply],
        is_thought=padded("is_thought", 0).bool()[is_reply],
    )


def _branches(branch: np.ndarray) -> Branches:
    counts = np.bincount(branch).tolist()
    return Branches(counts[FRAME], tuple(counts[FRAME + 1 :]))


class SoftNumbers:
    """Targets that share a little of a number's weight with its neighbours: near is better than far.

    Attributes:
        coordinate_ids: (449,) int64, token of each whole number.
        time_ids: (1000,) int64, token of each tenth of a second.
        values: For ``coordinate`` and ``time``, (V,) float32 value of each token, -1 for one that is none.

    Args:
        tokenizer: pocket's.
        sigma_px: Spread over coordinates.
        sigma_s: Spread over times.
    """

    def __init__(self, tokenizer, sigma_px: float, sigma_s: float) -> None:
        reach = 9
        size = len(tokenizer)
        self.ids = torch.arange(size)[:, None].repeat(1, 2 * reach + 1)
        self.weights = torch.zeros(size, 2 * reach + 1)
        self.weights[:, reach] = 1.0
        self.coordinate_ids = torch.tensor(tokenizer.convert_tokens_to_ids(coordinate_texts()))
        self.time_ids = torch.tensor(tokenizer.convert_tokens_to_ids(time_texts()))
        self.values = {
            "coordinate": _values(self.coordinate_ids, 1.0, size),
            "time": _values(self.time_ids, 0.1, size),
        }
        steps = torch.arange(-reach, reach + 1)
        for tokens, sigma in ((self.coordinate_ids, sigma_px), (self.time_ids, sigma_s * 10)):
            places = torch.arange(len(tokens))[:, None] + steps
            inside = (places >= 0) & (places < len(tokens))
            weights = torch.exp(-0.5 * (steps / sigma) ** 2) * inside
            self.ids[tokens] = tokens[places.clamp(0, len(tokens) - 1)]
            self.weights[tokens] = weights / weights.sum(dim=1, keepdim=True)

    def to(self, device: torch.device) -> SoftNumbers:
        """The same on another device."""
        there = copy(self)
        there.ids, there.weights = self.ids.to(device), self.weights.to(device)
        there.coordinate_ids, there.time_ids = self.coordinate_ids.to(device), self.time_ids.to(device)
        there.values = {kind: values.to(device) for kind, values in self.values.items()}
        return there

    def loss(self, logits: torch.Tensor, target: torch.Tensor, is_soft: torch.Tensor) -> torch.Tensor:
        """(M,) cross entropy of (M, V) logits; numbers are soft where ``is_soft``."""
        log_shares = logits.float().log_softmax(dim=-1)
        hard = log_shares.gather(1, target[:, None])[:, 0]
        soft = (log_shares.gather(1, self.ids[target]) * self.weights[target]).sum(dim=1)
        return -torch.where(is_soft, soft, hard)


def _values(tokens: torch.Tensor, step: float, size: int) -> torch.Tensor:
    """(size,) value of each token of a row of numbers, -1 for all others."""
    values = torch.full((size,), -1.0)
    values[tokens] = torch.arange(len(tokens)) * step
    return values
