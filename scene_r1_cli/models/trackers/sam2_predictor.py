"""SAM 2.1's video predictor with constant memory: frames come one by one, and old results are let go.

The stock predictor loads every frame before it starts and keeps every result (facebookresearch/sam2 issues
62, 264 and 456). What a frame's prediction may look at is bounded, so the rest can go. Imports torch and
sam2: import this module only when the tracker is used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from sam2.sam2_video_predictor import SAM2VideoPredictor

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

State = dict[str, Any]


class LazyFrames:
    """What the predictor takes for its list of images; decodes a frame when asked for it and keeps none."""

    def __init__(self, read_rgb: Callable[[int], np.ndarray], num_frames: int, image_size: int) -> None:
        self.read_rgb = read_rgb
        self.num_frames = num_frames
        self.image_size = image_size

    def __len__(self) -> int:
        return self.num_frames

    def __getitem__(self, position: int) -> torch.Tensor:
        """(3, S, S) float32, normalised as SAM 2 was trained."""
        image = Image.fromarray(self.read_rgb(position)).resize((self.image_size, self.image_size))
        tensor = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)
        return (tensor - torch.tensor(IMAGE_MEAN)[:, None, None]) / torch.tensor(IMAGE_STD)[:, None, None]


class SharedFeatures:
    """Image features of a scene's last frames, by frame index; sessions on the scene share them.

    Args:
        max_frames: Frames kept; the prompts and the two passes of one session alone need 4.
    """

    def __init__(self, max_frames: int) -> None:
        self.max_frames = max_frames
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, frame_index: int) -> Any | None:
        """The features, or None."""
        return self._kept.get(frame_index)

    def put(self, frame_index: int, features: Any) -> None:
        """Keep features as the latest; the oldest go."""
        self._kept[frame_index] = features
        self._kept.move_to_end(frame_index)
        while len(self._kept) > self.max_frames:
            self._kept.popitem(last=False)


class StreamingPredictor(SAM2VideoPredictor):
    """Adds a state over lazy frames, one step of tracking, and the forgetting of old results."""

    def new_state(
        self,
        read_rgb: Callable[[int], np.ndarray],
        frame_indices: Sequence[int],
        size_wh: tuple[int, int],
        features: SharedFeatures,
    ) -> State:
        """What ``init_state`` makes, but nothing is read yet.

        Args:
            read_rgb: (H, W, 3) uint8 of a frame index.
            frame_indices: Frames of the video, in order.
            size_wh: Size of its frames.
            features: Of these frames' scene and this model.

        Returns:
            A state for the predictor's methods.
        """
        return {
            "images": LazyFrames(lambda at: read_rgb(frame_indices[at]), len(frame_indices), self.image_size),
            "num_frames": len(frame_indices),
            "frame_indices": list(frame_indices),
            "offload_video_to_cpu": True,
            "offload_state_to_cpu": False,
            "video_height": size_wh[1],
            "video_width": size_wh[0],
            "device": self.device,
            "storage_device": self.device,
            "point_inputs_per_obj": {},
            "mask_inputs_per_obj": {},
            "cached_features": {},
            "shared_features": features,
            "constants": {},
            "obj_id_to_idx": OrderedDict(),
            "obj_idx_to_id": OrderedDict(),
            "obj_ids": [],
            "output_dict_per_obj": {},
            "temp_output_dict_per_obj": {},
            "frames_tracked_per_obj": {},
        }

    @torch.inference_mode()
    def step(self, state: State, position: int, reverse: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Track every object on one frame; call on neighbouring positions in the direction of ``reverse``.

        Returns:
            (objects, H, W) mask logits at the video's size, (objects,) logits that the object is there.
        """
        masks, scores = [], []
        for obj_idx, outputs in state["output_dict_per_obj"].items():
            found = outputs["cond_frame_outputs"].get(position)
            if found is None:
                found, _ = self._run_single_frame_inference(
                    inference_state=state,
                    output_dict=outputs,
                    frame_idx=position,
                    batch_size=1,
                    is_init_cond_frame=False,
                    point_inputs=None,
                    mask_inputs=None,
                    reverse=reverse,
                    run_mem_encoder=True,
                )
                outputs["non_cond_frame_outputs"][position] = found
            state["frames_tracked_per_obj"][obj_idx][position] = {"reverse": reverse}
            masks.append(found["pred_masks"].to(state["device"]))
            scores.append(found["object_score_logits"].flatten()[0])
        _, video_masks = self._get_orig_video_res_output(state, torch.cat(masks).float())
        self._forget(state, position, reverse)
        return video_masks[:, 0], torch.stack(scores).float()

    @property
    def num_remembered(self) -> int:
        """Frames back that a prediction may look at: spatial memories and object pointers."""
        memories = self.num_maskmem * max(1, self.memory_temporal_stride_for_eval)
        return max(memories, self.max_obj_ptrs_in_encoder)

    def _forget(self, state: State, position: int, reverse: bool) -> None:
        """Drop results that no later step of this pass can look at."""
        for obj_idx, outputs in state["output_dict_per_obj"].items():
            for results in (outputs["non_cond_frame_outputs"], state["frames_tracked_per_obj"][obj_idx]):
                for old in list(results):
                    behind = old - position if reverse else position - old
                    if behind < 0 or behind > self.num_remembered:
                        del results[old]

    def _get_image_feature(self, inference_state: State, frame_idx: int, batch_size: int):
        """As the stock one, which keeps one frame, but shared by the sessions of a scene."""
        shared, frame_index = inference_state["shared_features"], inference_state["frame_indices"][frame_idx]
        known = shared.get(frame_index)
        inference_state["cached_features"] = {} if known is None else {frame_idx: known}
        features = super()._get_image_feature(inference_state, frame_idx, batch_size)
        shared.put(frame_index, inference_state["cached_features"][frame_idx])
        inference_state["cached_features"] = {}
        return features
