"""Fixtures that several test modules share."""

from functools import cache

import pytest


@pytest.fixture(scope="session")
def tiny_vlm_folder(tmp_path_factory):
    """Call with a family to get a folder with a tiny random checkpoint, written once per session."""
    import torch

    from tests.tiny_models import save_tiny_vlm

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("checkpoints")

    @cache
    def folder(family):
        return save_tiny_vlm(root / f"tiny-{family}", family)

    return folder
