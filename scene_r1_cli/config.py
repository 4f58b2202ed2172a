"""The configuration of every command, as pydantic models. A default lives here and nowhere else.

Imports no torch, so ``--help``, ``--dry-run`` and config checks are quick. Lengths are metres,
times seconds, pixels those of the image named in the field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from scene_r1_cli.strict_model import StrictModel


class VideoConfig(StrictModel):
    """Which frames the vision-language model sees for the span, and how large."""

    fps: float = Field(default=2.0, gt=0, description="Sampling rate of the video shown to the model.")
    max_frames: int = Field(
        default=32, ge=1, description="Frames at most; a longer video is sampled more sparsely."
    )
    max_side_px: int = Field(default=448, ge=28, description="Longer side of each frame after resizing.")


class SamplingConfig(StrictModel):
    """How replies are decoded; temperature 0 is greedy."""

    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = 0


class SpanConfig(StrictModel):
    """Temporal grounding."""

    max_new_tokens: int = Field(default=512, ge=1)
    think: bool = Field(default=True, description="Ask for reasoning before the answer.")
    retries: int = Field(default=1, ge=0, description="How often an unparsable reply is asked again.")
    replies: int = Field(
        default=1,
        ge=1,
        description="Replies drawn; the span that others are most like is used, and key frames are spread "
        "over all of them.",
    )
    replies_temperature: float = Field(default=0.7, gt=0, description="Of the replies, if there are several.")


class BoxConfig(StrictModel):
    """Image grounding on key frames of the span."""

    num_keyframes: int = Field(default=3, ge=1, description="Key frames asked, one prompt each.")
    sharpest_of: int = Field(
        default=5, ge=1, description="Frames looked at for each key frame; the sharpest is used."
    )
    search_frames: int = Field(
        default=8,
        ge=0,
        description="Frames outside every span asked if none inside has a box; 0 is off.",
    )
    max_side_px: int = Field(default=1024, ge=28, description="Longer side of a key frame after resizing.")
    replies: int = Field(
        default=1,
        ge=1,
        description="Replies drawn for each key frame; the box that agrees best with the others is used.",
    )
    replies_temperature: float = Field(default=0.7, gt=0, description="Of the replies, if there are several.")
    vote: bool = Field(
        default=True, description="Leave out the box of a key frame that most others disagree with, in 3D."
    )
    max_new_tokens: int = Field(default=512, ge=1)
    think: bool = Field(default=True, description="Ask for reasoning before the answer.")
    retries: int = Field(default=1, ge=0)


class AnswerConfig(StrictModel):
    """Answering a free-form question."""

    max_new_tokens: int = Field(default=512, ge=1)
    think: bool = Field(default=True, description="Ask for reasoning before the answer.")
    retries: int = Field(default=1, ge=0)


class ModelConfig(StrictModel):
    """Which vision-language model answers."""

    name: str = Field(
        default="", description="Hub name or folder of a checkpoint, or the served model's name."
    )
    endpoint: str | None = Field(
        default=None, description="Base URL of an OpenAI-compatible server, with its /v1."
    )
    endpoint_timeout_s: float = Field(
        default=300.0, gt=0, description="Longest wait for one reply of a server."
    )
    endpoint_retries: int = Field(
        default=4, ge=0, description="How often a busy or failing server is asked again."
    )
    endpoint_concurrency: int = Field(
        default=8, ge=1, description="Requests of one scene that a server is sent at once."
    )
    family: str | None = Field(
        default=None, description="Box convention; read from the checkpoint when not given."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    sampling: SamplingConfig = SamplingConfig()


class TrackerConfig(StrictModel):
    """Which tracker carries a box's mask through the frames."""

    name: Literal["geometric", "sam2"] = "geometric"
    checkpoint: str | None = Field(default=None, description="SAM 2.1: hub name, file, or preset name.")
    model_config_name: str | None = Field(
        default=None, description="SAM 2.1: configuration in the sam2 package."
    )
    image_size: int | None = Field(
        default=None,
        ge=64,
        multiple_of=32,
        description="SAM 2.1: side of its input; the checkpoint's own if not given.",
    )
    shared_frames: int = Field(
        default=64,
        ge=4,
        description="SAM 2.1: frames of a scene whose features its queries share; 17 MB each at 1024 pixels.",
    )
    device: str = "auto"
    max_views: int = Field(default=48, ge=1, description="Frames tracked at most.")
    second_pass: bool = Field(
        default=False, description="Track again in the frames that see most of what the first pass found."
    )


class SurfaceConfig(StrictModel):
    """The surface of the whole scene, cut into superpoints, which masks are weighed on."""

    # YAML reads a bare `off` as false.
    use: Annotated[
        Literal["auto", "fused", "off"], BeforeValidator(lambda given: "off" if given is False else given)
    ] = Field(
        default="auto",
        description="auto: the data set's own mesh and segments, else fused from the depth images; fused: "
        "always fused; off: lift without.",
    )
    voxel_m: float = Field(default=0.02, gt=0, description="Edge of a voxel of the fused surface.")
    max_frames: int = Field(default=300, ge=1, description="Frames fused at most, evenly spread.")
    max_depth_m: float = Field(default=5.0, gt=0, description="Farther readings are not fused.")
    truncation_voxels: float = Field(
        default=4.0, gt=1, description="Distance from a reading at which it says nothing more, in voxels."
    )
    min_frames: int = Field(default=2, ge=1, description="Readings that a piece of surface needs.")
    threshold: float = Field(default=0.01, gt=0, description="Larger gives larger superpoints.")
    min_vertices: int = Field(default=60, ge=1, description="Smaller superpoints are merged.")
    smooth_rounds: int = Field(
        default=3,
        ge=0,
        description="How often directions are averaged along the surface, creases apart; 0 is off.",
    )
    color_weight: float = Field(
        default=1.0, ge=0, description="Weight of colour beside that of the surface's direction."
    )


class LiftingConfig(StrictModel):
    """From masks, depth and cameras to a 3D box."""

    min_points: int = Field(default=30, ge=1, description="Fewer points than this are a failure, not a box.")
    erode_edges_px: int = Field(
        default=2, ge=0, description="Depth pixels dropped beside a depth jump; 0 is off."
    )
    erode_mask_px: int = Field(
        default=1, ge=0, description="Depth pixels dropped inside the mask's rim; 0 is off."
    )
    voxel_m: float = Field(default=0.02, gt=0, description="Cells that points of all views are fused in.")
    vote: bool = Field(default=True, description="Keep a voxel only if the views that see it agree.")
    min_view_share: float = Field(
        default=0.4, ge=0, le=1, description="Share of the views that see a voxel to agree."
    )
    superpoints: bool = Field(
        default=True, description="Keep a voxel only if the masks cover enough of its superpoint."
    )
    min_superpoint_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of what the views see of a superpoint to be covered."
    )
    remove_outliers: bool = Field(default=True, description="Drop voxels that have few others around them.")
    outlier_neighbours: int = Field(
        default=6, ge=1, description="Least number of voxels, itself included, within two cells of one."
    )
    largest_cluster: bool = Field(default=True, description="Keep the main connected part and parts like it.")
    cluster_reach: int = Field(
        default=2, ge=1, le=4, description="Gap in voxels that a connected part may bridge."
    )
    cluster_min_share: float = Field(
        default=0.01, gt=0, le=1, description="Smallest part kept, relative to the main."
    )
    contact: bool = Field(
        default=True,
        description="Let the box end at the floor, table or shelf that the object stands on.",
    )
    flat_objects: bool = Field(
        default=True,
        description="Let a picture, rug or board be its face, and end at what it hangs or lies on.",
    )
    flatten_m: float = Field(
        default=0.04,
        ge=0,
        description="Layer at each side in which a flat face's noisy points are averaged; 0 is off.",
    )
    thin_m: float = Field(
        default=0.2,
        ge=0,
        description="Up to this, across a thin object, points count by the views that saw them; 0 is off.",
    )
    trim: float = Field(
        default=0.002, ge=0, lt=0.5, description="Share of the points cut from each end of a side."
    )
    min_size_m: float = Field(
        default=0.01, gt=0, description="Least length of a side: the depth of a flat object."
    )


class GroundConfig(StrictModel):
    """Everything ``scener1 ground`` can be told."""

    preset: str = "pocket"
    model: ModelConfig = ModelConfig()
    tracker: TrackerConfig = TrackerConfig()
    video: VideoConfig = VideoConfig()
    span: SpanConfig = SpanConfig()
    box: BoxConfig = BoxConfig()
    surface: SurfaceConfig = SurfaceConfig()
    lifting: LiftingConfig = LiftingConfig()
    answer: AnswerConfig = AnswerConfig()
