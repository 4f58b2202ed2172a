"""Configuration of ``scener1 train-temporal``, ``train-image`` and ``train-qa``. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from scene_r1_cli.strict_model import StrictModel

Stage = Literal["temporal", "image", "qa"]


class DifficultyConfig(StrictModel):
    """Which queries teach something: those the start model neither always nor never gets right."""

    replies: int = Field(default=4, ge=2, description="Replies drawn for each query.")
    temperature: float = Field(default=1.0, gt=0)
    low: float = Field(default=0.05, ge=0, le=1, description="Too hard: no reply earns more than this.")
    high: float = Field(default=0.95, ge=0, le=1, description="Too easy: every reply earns at least this.")


class DataConfig(StrictModel):
    """Which labelled queries are trained on."""

    rooms: int = Field(default=40, ge=0, description="First rooms of the train split; 0 takes the store's.")
    labels: str = Field(default="rooms", description="Label set: labels/<name>.parquet of every scene.")
    dataset: str = Field(default="scannet", description="Folder of the store, if rooms is 0.")
    per_scene: int | None = Field(
        default=None, ge=1, description="Queries of each scene, drawn at random; null takes all."
    )
    together: int = Field(
        default=1, ge=1, description="Queries about one video in a row: a step computes its frames once."
    )
    absent: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Stage 2: share of queries asked about a frame that does not show the object.",
    )
    min_truth_s: float = Field(default=0.5, ge=0, description="Queries seen for less are left out.")
    difficulty: DifficultyConfig | None = Field(
        default=None, description="Leave out queries that are too easy or too hard for the start model."
    )
    seed: int = 0


class RewardConfig(StrictModel):
    """Rewards and what each counts."""

    iou: float = Field(default=1.0, ge=0, description="Weight of the IoU (or of the answer's score).")
    format: float = Field(default=0.5, ge=0, description="Weight of the reply's form.")
    runs: Literal["best_run", "union"] = "best_run"
    soft_weight: float = Field(default=0.0, ge=0, le=1, description="Share of the span reward for nearness.")


class LoraSettings(StrictModel):
    """LoRA on the language model; peft's names."""

    r: int = Field(default=64, ge=1)
    lora_alpha: int = Field(default=128, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"


class GrpoConfig(StrictModel):
    """Everything a GRPO stage can be told. ``trl`` takes the keys of TRL's GRPOConfig, unchanged."""

    preset: str = Field(default="pocket", description="Model and frames, as for scener1 ground.")
    model: str | None = Field(default=None, description="Checkpoint or run to start from, else the preset's.")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    think: bool = Field(default=True, description="Ask for reasoning before the answer, and reward its form.")
    max_prompt_tokens: int | None = Field(
        default=None, ge=64, description="Met by fewer or smaller frames; null takes the preset's frames."
    )
    shared_prefix: bool = Field(default=True, description="Compute a prompt once a group; off: stock TRL.")
    freeze_vision: bool = Field(default=True, description="Leave the vision tower as it is.")
    lora: LoraSettings | None = None
    data: DataConfig = DataConfig()
    reward: RewardConfig = RewardConfig()
    trl: dict[str, Any] = Field(default_factory=dict, description="Keys of TRL's GRPOConfig.")
