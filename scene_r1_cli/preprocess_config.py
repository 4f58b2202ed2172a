"""Configuration of ``scener1 preprocess``. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scene_r1_cli.strict_model import StrictModel


class FramesConfig(StrictModel):
    """Which frames of a capture are kept, and how."""

    fps: float | None = Field(
        default=2.0, gt=0, description="Frames kept a second, the sharpest of each bin; null keeps all."
    )
    sharpness: Literal["bytes", "pixels"] = Field(
        default="bytes",
        description="Measured by the size of the encoded image (free), or by decoding it (slow).",
    )
    depth: Literal["z16", "png"] = Field(
        default="z16", description="zlib-compressed uint16 as ScanNet stores it, or 16-bit PNG."
    )
    in_place: bool = Field(default=False, description="Keep an index into the source and copy no image.")
    video: bool = Field(default=False, description="Also write video.mp4 of the frames kept.")
    verify: bool = Field(default=False, description="Decode every kept image, and skip those that fail.")


class LabelsConfig(StrictModel):
    """How labels are made from annotations."""

    instances: Literal["auto", "images", "mesh"] = Field(
        default="auto",
        description="Where objects are in a frame: ScanNet's instance zip, or its mesh seen by the camera.",
    )
    mesh_side_px: int = Field(
        default=648, ge=64, description="Longer side of the picture that the mesh is rendered to."
    )


class PreprocessConfig(StrictModel):
    """Everything ``scener1 preprocess`` can be told."""

    frames: FramesConfig = FramesConfig()
    labels: LabelsConfig = LabelsConfig()
