"""Prompts that begin alike, each with its completion, as one sequence of branches behind what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from scene_r1_cli.models.branch_attention import Branches
from scene_r1_cli.models.shared_prefix import shared_length

IGNORED = -100


@dataclass(frozen=True)
class PackedGroup:
    """Prompts that begin alike, with their completions, as one sequence of L tokens.

    Attributes:
        input_ids: (1, L) the S tokens that all prompts begin with, then per completion the rest of its prompt
            and the completion without its last token.
        labels: (1, L) the token that each position predicts; -100 in prompts.
        branches: What each position may attend to: the S tokens, and itself.
        branch_positions: (L - S,) how far behind the S tokens each later one lies.
        lengths: Tokens of each completion, the last ones of its branch.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    branches: Branches
    branch_positions: torch.Tensor
    lengths: tuple[int, ...]


def pack_group(prompts: Sequence[torch.Tensor], completions: Sequence[torch.Tensor]) -> PackedGroup:
    """Pack prompts, each (P,), and the completion of each, (C >= 1,)."""
    shared = shared_length([prompt.tolist() for prompt in prompts])
    start = prompts[0][:shared]
    pieces, labels, positions = [start], [torch.full_like(start, IGNORED)], []
    for prompt, completion in zip(prompts, completions, strict=True):
        own = torch.cat([prompt[shared:], completion[:-1]])
        pieces.append(own)
        labels += [torch.full_like(prompt[shared + 1 :], IGNORED), completion]
        positions.append(torch.arange(len(own), device=own.device))
    return PackedGroup(
        torch.cat(pieces)[None],
        torch.cat(labels)[None],
        Branches(shared, tuple(len(of_branch) for of_branch in positions)),
        torch.cat(positions),
        tuple(len(completion) for completion in completions),
    )
