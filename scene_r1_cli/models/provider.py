"""Loads the vision-language model and the tracker a configuration names, once, when first needed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from scene_r1_cli.config import GroundConfig, ModelConfig
from scene_r1_cli.errors import SetupError

if TYPE_CHECKING:
    from scene_r1_cli.models.trackers import Tracker
    from scene_r1_cli.models.vlm import VLM


class Models:
    """The models of one configuration; a query that is given its boxes never loads the VLM."""

    def __init__(self, config: GroundConfig) -> None:
        self._config = config

    def load(self, *, with_vlm: bool) -> None:
        """Load now what a run will need, so that a missing model is told before any work."""
        if with_vlm:
            _ = self.vlm
        _ = self.tracker

    @cached_property
    def vlm(self) -> VLM:
        """The vision-language model. Raises SetupError when it cannot be loaded."""
        return load_vlm(self._config.model)

    @cached_property
    def tracker(self) -> Tracker:
        """The tracker. Raises SetupError when it cannot be loaded."""
        from scene_r1_cli.models.trackers import load_tracker

        return load_tracker(self._config.tracker)


def load_vlm(config: ModelConfig) -> VLM:
    """The model a configuration names: an endpoint, or a checkpoint on this machine.

    Raises:
        SetupError: It is not there (weights, server, package).
        InputError: The checkpoint is no vision-language model.
        ConfigError: Its family is not known and not given.
    """
    if config.endpoint is not None:
        from scene_r1_cli.models.endpoint import EndpointVLM

        return EndpointVLM.connect(config)
    if config.name in ("", "pocket"):
        return _load_pocket(config)
    from scene_r1_cli.models.transformers_vlm import TransformersVLM

    return TransformersVLM.load(config)


def _load_pocket(config: ModelConfig) -> VLM:
    """The model shipped in the package."""
    from scene_r1_cli.models.pocket import pocket_path

    weights = pocket_path()
    if weights is None:
        raise SetupError(
            "The weights of pocket are missing from this installation.",
            "They come with it: install scener1 again.",
        )
    from scene_r1_cli.models.transformers_vlm import TransformersVLM

    vlm = TransformersVLM.load(config.model_copy(update={"name": str(weights)}))
    vlm.name = "pocket"
    return vlm
