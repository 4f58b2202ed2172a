"""The data that flows through the pipeline, as frozen dataclasses.

Frames of reference (see docs/conventions.md): ``camera`` is OpenCV (+x right, +y down, +z forward);
``scan`` is the capture's own frame; ``world`` is ``scan`` turned so that +z is up. Transforms are
``a_from_b`` (4, 4) float64 with ``points_a = a_from_b @ points_b``. All lengths are metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

Clock = Literal["sens", "fps", "timestamps"]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion, in pixels of a ``size_wh`` image.

    An integer pixel coordinate is a pixel centre: the image covers x in [-0.5, width - 0.5].
    """

    fx: float
    fy: float
    cx: float
    cy: float
    size_wh: tuple[int, int]

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64 intrinsic matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True)
class Frame:
    """One usable frame of a capture; its pixels are read through the scene when needed.

    Attributes:
        frame_index: Index in the source capture, before any sampling or skipping.
        timestamp_s: Seconds since the first source frame.
        scan_from_camera: (4, 4) float64, of the *depth* camera; always finite.
    """

    frame_index: int
    timestamp_s: float
    scan_from_camera: np.ndarray


@dataclass(frozen=True)
class SkippedFrame:
    """A source frame that cannot be used, and why (for example "camera transform is not finite")."""

    frame_index: int
    reason: str


class FrameReader(Protocol):
    """Decodes the pixels of one capture. Implementations must be safe to use from several threads."""

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB at the colour camera's size. Raises InputError when unreadable."""
        ...

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(H, W) float32 metres at the depth camera's size, 0 = no reading. Raises InputError."""
        ...


@dataclass(frozen=True)
class Scene:
    """One capture: two cameras, where they were, and a way to read what they saw.

    Attributes:
        scene_id: Name of the scene, safe as a folder name.
        source: Name of the reader that opened it (``scannet``, ``exported``, ``tsdf``, ...).
        path: File or folder the capture was opened from.
        color_camera: Intrinsics and size of the colour images.
        depth_camera: Intrinsics and size of the depth images; never assumed equal to colour.
        depth_from_color: (4, 4) colour camera to depth camera; identity when registered.
        world_from_scan: (4, 4) axis alignment: gravity points to -z in ``world``.
        gravity: Where ``world_from_scan`` comes from: ``axis_alignment`` (the data set's own),
            ``measured`` (a sensor's gravity vector), ``estimated`` (from cameras and depth).
        frames: Usable frames by rising ``frame_index``; never empty.
        skipped: Unusable frames with their reasons.
        clock: Where timestamps come from; ``fps`` means index / fps.
        reader: Decoder of pixels.
        surface_path: Mesh of the scene in the ``scan`` frame, or None.
        superpoints_path: Over-segmentation of that mesh, or None.
        notes: What a person should know of this capture (frames lost, calibration assumed).
    """

    scene_id: str
    source: str
    path: Path
    color_camera: Camera
    depth_camera: Camera
    depth_from_color: np.ndarray
    world_from_scan: np.ndarray
    gravity: Literal["axis_alignment", "measured", "estimated"]
    frames: tuple[Frame, ...]
    skipped: tuple[SkippedFrame, ...]
    clock: Clock
    reader: FrameReader = field(repr=False)
    surface_path: Path | None = None
    superpoints_path: Path | None = None
    notes: tuple[str, ...] = ()

    def frame(self, frame_index: int) -> Frame:
        """The frame with this source index.

        Raises:
            KeyError: No usable frame has this index.
        """
        return self._frames_by_index[frame_index]

    def world_from_depth_camera(self, frame_index: int) -> np.ndarray:
        """(4, 4) float64 depth camera to world at a frame."""
        return self.world_from_scan @ self.frame(frame_index).scan_from_camera

    def world_from_color_camera(self, frame_index: int) -> np.ndarray:
        """(4, 4) float64 colour camera to world at a frame."""
        return self.world_from_depth_camera(frame_index) @ self.depth_from_color

    def read_color(self, frame_index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB; see FrameReader."""
        return self.reader.read_color(frame_index)

    def read_depth(self, frame_index: int) -> np.ndarray:
        """(H, W) float32 metres, 0 = no reading; see FrameReader."""
        return self.reader.read_depth(frame_index)

    @property
    def frame_indices(self) -> np.ndarray:
        """(N,) int64 source indices of the usable frames, rising."""
        return np.array([frame.frame_index for frame in self.frames], dtype=np.int64)

    @property
    def timestamps_s(self) -> np.ndarray:
        """(N,) float64 seconds of the usable frames."""
        return np.array([frame.timestamp_s for frame in self.frames], dtype=np.float64)

    @property
    def duration_s(self) -> float:
        """End of the capture: the last usable frame's time plus one median sample period."""
        times = self.timestamps_s
        period = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
        return float(times[-1]) + period

    def __post_init__(self) -> None:
        by_index = {frame.frame_index: frame for frame in self.frames}
        object.__setattr__(self, "_frames_by_index", by_index)

    _frames_by_index: Mapping[int, Frame] = field(init=False, repr=False, compare=False)


@dataclass(frozen=True)
class Query:
    """What a person asks of a scene."""

    scene_id: str
    query_id: str
    text: str


@dataclass(frozen=True)
class TemporalSpan:
    """A half-open time interval ``[start_s, end_s)`` in seconds since the first source frame.

    ``drawn_s`` are the intervals of all replies that could be read, the chosen one's among them; empty if one
    was asked for. Boxes may come from any of them.
    """

    start_s: float
    end_s: float
    rationale: str = ""
    drawn_s: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Box2D:
    """A box in the original colour image: ``xyxy_px`` are pixel-centre coordinates, x1 < x2, y1 < y2.

    ``score`` is what it counts where boxes of several frames vote: 1 if span and box were asked for once,
    else the share of spans that hold its frame (one more is thought to hold every frame) times the square of
    its mean IoU with the frame's other replies.
    """

    frame_index: int
    xyxy_px: tuple[float, float, float, float]
    label: str = ""
    rationale: str = ""
    score: float = 1.0


@dataclass(frozen=True)
class RleMask:
    """A binary mask as COCO uncompressed RLE: column-major run lengths, first run counts zeros."""

    size_hw: tuple[int, int]
    counts: np.ndarray

    @classmethod
    def encode(cls, mask: np.ndarray) -> RleMask:
        """From (H, W) bool."""
        flat = np.asarray(mask, dtype=bool).ravel(order="F")
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        bounds = np.concatenate([[0], edges, [flat.size]])
        counts = np.diff(bounds)
        if flat.size and flat[0]:
            counts = np.concatenate([[0], counts])
        return cls(size_hw=(int(mask.shape[0]), int(mask.shape[1])), counts=counts.astype(np.int64))

    def decode(self) -> np.ndarray:
        """To (H, W) bool."""
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape(self.size_hw, order="F")

    @property
    def area(self) -> int:
        """Number of set pixels."""
        return int(self.counts[1::2].sum())


@dataclass(frozen=True)
class FrameMask:
    """One object's mask in one frame, at the colour image's size."""

    frame_index: int
    mask: RleMask
    score: float


MaskTrack = Iterator[FrameMask]
"""A stream of masks of one object; never a (T, H, W) array of a whole video."""


@dataclass(frozen=True)
class PointSet:
    """Points believed to lie on the object.

    Attributes:
        points_world_m: (N, 3) float32.
        colors_rgb: (N, 3) uint8.
        view_counts: (N,) int32, number of views that agree on each point.
        num_views: Number of frames that gave points.
    """

    points_world_m: np.ndarray
    colors_rgb: np.ndarray
    view_counts: np.ndarray
    num_views: int


@dataclass(frozen=True)
class Box3D:
    """A box in the world frame with full lengths.

    Attributes:
        center_m: (3,) float64.
        size_m: (3,) float64, full lengths along the box's own axes, all > 0.
        world_from_box: (4, 4) float64; rotation is about +z only (identity for an axis-aligned box).
        score: Confidence in [0, 1].
    """

    center_m: np.ndarray
    size_m: np.ndarray
    world_from_box: np.ndarray
    score: float = 1.0

    @property
    def yaw_rad(self) -> float:
        """Rotation about +z from world x to the box's x."""
        return float(np.arctan2(self.world_from_box[1, 0], self.world_from_box[0, 0]))


@dataclass(frozen=True)
class Answer:
    """A reply to a free-form question."""

    text: str
    rationale: str = ""


@dataclass(frozen=True)
class AnswerResult:
    """Everything ``qa`` found for one question; serialised as docs/result.schema.json."""

    query: Query
    answer: Answer | None
    timings_s: Mapping[str, float]
    failure: Failure | None = None
    run_dir: str | None = None


@dataclass(frozen=True)
class Failure:
    """Which stage had nothing, and why."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Truth:
    """How the result compares with a label, where one is known; None is "not known", never 0."""

    box3d_iou: float | None = None
    span_iou: float | None = None
    box_iou: float | None = None


@dataclass(frozen=True)
class GroundingResult:
    """Everything ``ground`` found for one query; serialised as docs/result.schema.json."""

    query: Query
    span: TemporalSpan | None
    boxes_2d: tuple[Box2D, ...]
    box3d: Box3D | None
    obb: Box3D | None
    num_points: int
    surface_source: Literal["scannet", "fused"] | None
    timings_s: Mapping[str, float]
    failure: Failure | None = None
    truth: Truth | None = None
    mask_path: str | None = None
    run_dir: str | None = None
