"""Configuration of ``scener1 train-sft``. Imports no torch."""

from __future__ import annotations

from pydantic import Field

from scene_r1_cli.strict_model import StrictModel


class ViewsConfig(StrictModel):
    """What is rendered of each training room."""

    fps: float = Field(default=3.0, gt=0, description="Rate at which visibility is measured.")
    render_wh: tuple[int, int] = Field(default=(336, 252), description="Size of rendering, then reduced.")
    visibility_wh: tuple[int, int] = Field(
        default=(112, 84), description="Size at which visibility is measured."
    )
    video_wh: tuple[int, int] = Field(default=(196, 140), description="Frames of the span: multiples of 28.")
    key_wh: tuple[int, int] = Field(default=(224, 168), description="Frames of the box: multiples of 28.")
    video_frames: int = Field(default=32, ge=1, description="Frames of the video, evenly spread.")
    key_frames: int = Field(default=16, ge=1, description="Single frames, drawn at random.")
    short_share: float = Field(default=0.2, ge=0, le=1, description="Share of videos cut short.")


class PhaseConfig(StrictModel):
    """One phase of training."""

    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)
    warmup: int = Field(default=50, ge=0, description="Steps over which the learning rate rises.")


class PocketConfig(StrictModel):
    """Everything ``scener1 train-sft`` can be told about making pocket."""

    seed: int = 0
    start: str | None = Field(
        default=None,
        description="Checkpoint, run or 'pocket' to go on from with the last phase; null begins at nothing.",
    )
    think: bool = Field(
        default=True, description="Replies begin with the think block; false: the start for --no-think."
    )
    threads: int = Field(default=1, ge=1, description="CPU threads of PyTorch.")
    device: str = Field(default="cpu", description="cpu, auto, cuda, cuda:1 or mps.")
    workers: int = Field(
        default=0,
        ge=0,
        description="Processes that render rooms and draw steps ahead, for a GPU, as one keeps it waiting. "
        "0: a frozen tower's features are kept, best on a CPU.",
    )
    bfloat16: bool | None = Field(
        default=None,
        description="Multiply in bfloat16; weights stay float32. null: if the device has it.",
    )
    train_rooms: int = Field(default=200, ge=1, description="Rooms of the train split, one after the other.")
    first_room: int = Field(
        default=0,
        ge=0,
        description="Rooms of the train split left out at its beginning, e.g. those that start has seen.",
    )
    val_rooms: int = Field(default=20, ge=1, description="First rooms of the val split, looked at meanwhile.")
    validate_every: int = Field(default=200, ge=1, description="Steps between looks at those rooms.")
    views: ViewsConfig = ViewsConfig()
    questions_per_row: int = Field(default=10, ge=1, description="Questions packed behind the same frames.")
    answers_per_row: int = Field(
        default=4, ge=0, description="Questions to answer that join them behind a video, in the last phase."
    )
    vision_video_frames: int = Field(default=16, ge=1, description="Video frames per vision step.")
    vision_key_frames: int = Field(default=8, ge=1, description="Key frames per vision step.")
    rooms_per_step: int = Field(default=1, ge=1, description="Rooms per step of the other phases.")
    key_frames_per_room: int = Field(default=4, ge=1, description="Key frames of each of those rooms.")
    video_from: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the language phase on key frames alone, which comes first.",
    )
    look_trains_vision: bool = Field(
        default=False, description="The vision tower learns in the last phase, too; a GPU can afford it."
    )
    sigma_px: float = Field(default=2.0, gt=0, description="Softness of coordinates in the loss.")
    sigma_s: float = Field(default=0.3, gt=0, description="Softness of times in the loss.")
    save_every_s: float = Field(default=60.0, gt=0, description="Seconds between checkpoints for --resume.")
    vision: PhaseConfig = PhaseConfig(steps=600, learning_rate=1.0e-3)
    language: PhaseConfig = PhaseConfig(steps=1200, learning_rate=1.5e-3)
    joint: PhaseConfig = PhaseConfig(steps=200, learning_rate=3.0e-4)
    look: PhaseConfig = PhaseConfig(steps=400, learning_rate=8.0e-4)
