"""Models of the Qwen2.5-VL architecture in the sizes that benchmarks compare."""

from __future__ import annotations

from typing import Any, Literal

SIZES = ("pocket", "100m")
Size = Literal["pocket", "100m"]


def make_model(size: Size) -> tuple[Any, Any, Any]:
    """Model, processor and family: pocket itself, or 100 M random parameters behind pocket's vision tower.

    What is computed does not depend on the weights.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    from scene_r1_cli.config import ModelConfig
    from scene_r1_cli.models.checkpoint import load_checkpoint
    from scene_r1_cli.models.pocket import pocket_path

    torch.manual_seed(0)
    model, processor, family = load_checkpoint(
        ModelConfig(name=str(pocket_path()), dtype="float32", device="cpu")
    )
    if size == "pocket":
        return model, processor, family
    config: Any = model.config
    text = config.text_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 768, 2560, 10
    text.num_attention_heads, text.num_key_value_heads = 12, 4
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    text.rope_parameters["mrope_section"] = [8, 12, 12]
    config.vision_config.out_hidden_size = 768
    return Qwen2_5_VLForConditionalGeneration(config).eval(), processor, family
