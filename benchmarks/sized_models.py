"""Models of the Qwen2.5-VL architecture in the sizes that benchmarks compare."""

from __future__ import annotations

from typing import Any, Literal

SIZES = ("pocket", "100m", "3b", "7b")
Size = Literal["pocket", "100m", "3b", "7b"]

QWEN = {
    "3b": {
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "7b": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
    },
}  # fmt: skip
"""Sizes of the language models of Qwen2.5-VL-3B and -7B, from their published configurations."""


def make_model(size: Size, device: str = "cpu") -> tuple[Any, Any, Any]:
    """Model, processor and family. What is computed does not depend on the weights.

    ``pocket`` is itself; the others' weights are random. ``100m`` has pocket's vision tower, ``3b`` and
    ``7b`` are Qwen's sizes throughout, in bfloat16; all have pocket's tokenizer.
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
        return model.to(torch.device(device)), processor, family  # pyright: ignore[reportArgumentType]
    config: Any = model.config
    text = config.text_config
    dtype = torch.float32
    if size == "100m":
        text.hidden_size, text.intermediate_size, text.num_hidden_layers = 768, 2560, 10
        text.num_attention_heads, text.num_key_value_heads = 12, 4
        text.rope_parameters["mrope_section"] = [8, 12, 12]
        config.vision_config.out_hidden_size = 768
    else:
        dtype = torch.bfloat16
        for name, value in QWEN[size].items():
            setattr(text, name, value)
        config.tie_word_embeddings = text.tie_word_embeddings
        text.rope_parameters |= {"mrope_section": [16, 24, 24], "rope_theta": 1e6}
        vision = config.vision_config
        vision.depth, vision.hidden_size, vision.intermediate_size, vision.num_heads = 32, 1280, 3420, 16
        vision.fullatt_block_indexes, vision.out_hidden_size = [7, 15, 23, 31], text.hidden_size
    text.layer_types = ["full_attention"] * text.num_hidden_layers
    with torch.device(device):
        built: Any = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=dtype)
    return built.eval(), processor, family
