"""Branches attend as a mask over the whole sequence would have them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from scene_r1_cli.models import branch_attention
from scene_r1_cli.models.branch_attention import Branches, attend

LAYOUTS = [Branches(7, (3, 5, 1)), Branches(11, (4,)), Branches(6, ()), Branches(1, (2, 2, 2, 2))]


def masked(query, key, value, layouts):
    """The same by one mask a row; padding gives zero."""
    length = query.shape[2]
    rows = []
    for row, layout in enumerate(layouts):
        branch = torch.full((length,), -1)
        branch[: layout.shared] = 0
        at = layout.shared
        for number, own in enumerate(layout.lengths, start=1):
            branch[at : at + own] = number
            at += own
        visible = torch.tril((branch[:, None] == branch) | (branch == 0))
        repeated = (states[row].repeat_interleave(2, dim=0) for states in (key, value))
        whole = scaled_dot_product_attention(query[row], *repeated, attn_mask=visible, scale=0.3)
        rows.append((whole * (branch >= 0)[:, None]).transpose(0, 1))
    return torch.stack(rows)


def ours(query, key, value, layouts):
    layer: Any = SimpleNamespace(num_key_value_groups=2)
    return attend(layer, query, key, value, None, scaling=0.3, branches=layouts)[0]


@pytest.mark.parametrize("layouts", [LAYOUTS, LAYOUTS[:1], LAYOUTS[2:3]])
def test_outputs_and_gradients_are_those_of_a_mask(layouts):
    generator = torch.Generator().manual_seed(0)
    shapes = [(len(layouts), heads, 18, 8) for heads in (4, 2, 2)]
    inputs = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    results = []
    for function in (ours, masked):
        states = [part.clone().requires_grad_() for part in inputs]
        query, key, value = states
        output = function(query, key, value, layouts)
        output.square().sum().backward()
        results.append([output.detach(), *(part.grad for part in states)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("cast", [False, True])
def test_half_precision_is_attended_to_in_float32(cast, monkeypatch):
    asked = []

    def watched(query, *others, **named):
        asked.append(query.dtype)
        return scaled_dot_product_attention(query, *others, **named)

    monkeypatch.setattr(branch_attention, "scaled_dot_product_attention", watched)
    query, key, value = (torch.randn(1, heads, 18, 8) for heads in (4, 2, 2))
    if not cast:
        query, key, value = query.bfloat16(), key.bfloat16(), value.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=cast):
        found = ours(query, key, value.bfloat16(), LAYOUTS[:1])
    assert set(asked) == {torch.float32}
    assert found.dtype == torch.bfloat16  # As the projections', so that what follows costs no more.
    expected = masked(query.float(), key.float(), value.bfloat16().float(), LAYOUTS[:1])
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.02)
