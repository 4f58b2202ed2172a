"""SAM 2.1 as a tracker (Ravi et al., arXiv 2408.00714), through the ``sam2`` package."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scene_r1_cli.config import TrackerConfig
from scene_r1_cli.errors import InputError, SetupError
from scene_r1_cli.models.trackers import TrackedFrame, check_prompt
from scene_r1_cli.types import FrameReader, RleMask, Scene

if TYPE_CHECKING:
    from scene_r1_cli.models.trackers.sam2_predictor import SharedFeatures, StreamingPredictor

logger = logging.getLogger(__name__)

HUB_FILES = {
    "facebook/sam2.1-hiera-tiny": ("configs/sam2.1/sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny.pt"),
    "facebook/sam2.1-hiera-small": ("configs/sam2.1/sam2.1_hiera_s.yaml", "sam2.1_hiera_small.pt"),
    "facebook/sam2.1-hiera-base-plus": ("configs/sam2.1/sam2.1_hiera_b+.yaml", "sam2.1_hiera_base_plus.pt"),
    "facebook/sam2.1-hiera-large": ("configs/sam2.1/sam2.1_hiera_l.yaml", "sam2.1_hiera_large.pt"),
}
"""Hub name to the package's configuration and the weights' file name."""

DEFAULT_CHECKPOINT = "large"

RANDOM = "random"
"""A checkpoint name for tests: SAM 2.1 with random weights, whose masks mean nothing."""


def load_sam2(config: TrackerConfig) -> Sam2Tracker:
    """Build the model and load its weights.

    Args:
        config: ``checkpoint`` is a size (tiny, small, base-plus, large), a hub name, a file, or ``random``.

    Returns:
        A tracker.

    Raises:
        SetupError: The package, the weights or the device are missing, or the weights do not fit.
    """
    try:
        import sam2
        import torch
        from hydra.utils import instantiate
        from omegaconf import OmegaConf
    except ImportError as error:
        raise SetupError(
            f"the sam2 tracker needs the package {error.name}", "pip install sam2, or use --tracker geometric"
        ) from error
    device = _device(config.device, torch.cuda.is_available())
    config_name, weights = _resolve(config)
    # The file is read directly: hydra's global state may belong to somebody else.
    model_file = Path(sam2.__file__).parent / config_name
    if not model_file.is_file():
        raise SetupError(
            f"the sam2 package has no configuration {config_name}",
            "Known: " + ", ".join(name for name, _ in HUB_FILES.values()),
        )
    settings: Any = OmegaConf.load(model_file)
    settings.model["_target_"] = "scene_r1_cli.models.trackers.sam2_predictor.StreamingPredictor"
    settings.model["binarize_mask_from_pts_for_mem_enc"] = True
    settings.model["sam_mask_decoder_extra_args"] = {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    if config.image_size is not None:
        settings.model["image_size"] = config.image_size
    model = instantiate(settings.model, _recursive_=True)
    if weights is None:
        logger.warning("SAM 2.1 runs with RANDOM weights: its masks mean nothing")
    else:
        _load_weights(model, weights)
    return Sam2Tracker(model.to(device).eval(), config.shared_frames)


class Sam2Tracker:
    """Holds the weights, and image features of the scene last opened; see ``Tracker``."""

    def __init__(self, model: StreamingPredictor, shared_frames: int) -> None:
        self.model = model
        self.shared_frames = shared_frames
        self._of_reader: tuple[FrameReader, SharedFeatures] | None = None

    def open(self, scene: Scene, frame_indices: Sequence[int]) -> Sam2Session:
        """Start a session; see ``Tracker.open``."""
        from scene_r1_cli.models.trackers.sam2_predictor import SharedFeatures

        if self._of_reader is None or self._of_reader[0] is not scene.reader:
            self._of_reader = (scene.reader, SharedFeatures(self.shared_frames))
        return Sam2Session(self.model, scene, frame_indices, self._of_reader[1])


class Sam2Session:
    """See ``TrackerSession``. Memory does not grow with the number of frames.

    The frames before the first prompt are tracked backwards, and their masks kept as run lengths until the
    pass is done; then those from the prompt on are tracked forwards and handed out as they come.
    """

    def __init__(
        self, model: StreamingPredictor, scene: Scene, frame_indices: Sequence[int], features: SharedFeatures
    ) -> None:
        self.model = model
        self.scene = scene
        self.frame_indices = sorted({int(index) for index in frame_indices})
        self.first_prompt = len(self.frame_indices)
        self.state = model.new_state(
            scene.read_color, self.frame_indices, scene.color_camera.size_wh, features
        )

    def add(
        self,
        obj_id: int,
        frame_index: int,
        *,
        box_xyxy_px: Sequence[float] | None = None,
        mask: np.ndarray | None = None,
    ) -> None:
        """See ``TrackerSession.add``.

        Raises:
            InputError: The frame's colour image cannot be read.
        """
        check_prompt(self.frame_indices, frame_index, box_xyxy_px, mask)
        position = self.frame_indices.index(frame_index)
        with _precision(self.model):
            if box_xyxy_px is not None:
                # The predictor divides by the size: it counts from the image's corner, not a pixel's centre.
                box = np.asarray(box_xyxy_px, dtype=np.float32) + 0.5
                self.model.add_new_points_or_box(self.state, position, obj_id, box=box)
            else:
                self.model.add_new_mask(self.state, position, obj_id, mask)
        self.first_prompt = min(self.first_prompt, position)

    def __iter__(self) -> Iterator[TrackedFrame]:
        """See ``TrackerSession.__iter__``."""
        if not self.state["obj_ids"]:
            return
        with _precision(self.model):
            self.model.propagate_in_video_preflight(self.state)
        before = list(self._track(range(self.first_prompt - 1, -1, -1), reverse=True))
        yield from reversed(before)
        yield from self._track(range(self.first_prompt, len(self.frame_indices)), reverse=False)

    def _track(self, positions: range, reverse: bool) -> Iterator[TrackedFrame]:
        for position in positions:
            frame_index = self.frame_indices[position]
            try:
                with _precision(self.model):
                    logits, presence = self.model.step(self.state, position, reverse)
            except InputError as error:
                logger.warning("frame %d is not tracked: %s", frame_index, error.message)
                continue
            masks = (logits > 0).cpu().numpy()
            scores = presence.sigmoid().cpu().tolist()
            found = {
                obj_id: (RleMask.encode(mask), score)
                for obj_id, mask, score in zip(self.state["obj_ids"], masks, scores, strict=True)
                if mask.any()
            }
            if found:
                yield frame_index, found


def _precision(model: StreamingPredictor) -> contextlib.AbstractContextManager:
    """Half-width arithmetic on a GPU, as the weights were trained; plain on a CPU."""
    import torch

    if model.device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _device(wanted: str, has_cuda: bool) -> str:
    if wanted == "auto":
        return "cuda" if has_cuda else "cpu"
    if wanted.startswith("cuda") and not has_cuda:
        raise SetupError(f"the tracker is to run on {wanted}, but PyTorch sees no GPU", "use device: cpu")
    return wanted


def _resolve(config: TrackerConfig) -> tuple[str, Path | None]:
    """Configuration name and weights file; no file for random weights."""
    checkpoint = config.checkpoint or DEFAULT_CHECKPOINT
    if checkpoint == RANDOM:
        return config.model_config_name or HUB_FILES["facebook/sam2.1-hiera-tiny"][0], None
    hub_name = checkpoint if checkpoint in HUB_FILES else f"facebook/sam2.1-hiera-{checkpoint}"
    if hub_name in HUB_FILES:
        config_name, file_name = HUB_FILES[hub_name]
        return config.model_config_name or config_name, _download(hub_name, file_name)
    path = Path(checkpoint).expanduser()
    if not path.is_file():
        raise SetupError(
            f"{checkpoint} is neither a file nor a SAM 2.1 checkpoint",
            "Give a file, one of tiny, small, base-plus, large, or a hub name: " + ", ".join(HUB_FILES),
        )
    by_file = {file_name: config_name for config_name, file_name in HUB_FILES.values()}
    config_name = config.model_config_name or by_file.get(path.name)
    if config_name is None:
        raise SetupError(
            f"the size of the SAM 2.1 model in {path.name} is not known from its name",
            "Set tracker.model_config_name, for example configs/sam2.1/sam2.1_hiera_l.yaml",
        )
    return config_name, path


def _download(hub_name: str, file_name: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(hf_hub_download(hub_name, file_name))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError) as error:
        raise SetupError(
            f"the weights of {hub_name} are not on this machine and could not be downloaded",
            f"Run: hf download {hub_name} {file_name}   or use --tracker geometric",
        ) from error


def _load_weights(model: StreamingPredictor, path: Path) -> None:
    import pickle

    import torch

    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["model"]
        model.load_state_dict(weights)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SetupError(
            f"{path} does not hold the weights of this SAM 2.1 model: {reason}",
            "Check tracker.checkpoint and tracker.model_config_name",
        ) from error
