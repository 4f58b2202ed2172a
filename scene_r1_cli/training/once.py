"""What a GRPO step would compute many times over, computed once; results are the same.

TRL prepares the frames of a prompt once for each of its completions, and that twice. A frozen vision tower
gives the same features of the same frames when sampling, in the loss, and in the next epoch.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

KEPT_BYTES = 2**29


@contextmanager
def each_image_once(image_processor: Any) -> Iterator[None]:
    """Within it, images that are equal are prepared once; for processors that cut images into patches."""
    prepare = image_processor.preprocess

    def preprocess(images: Any, *args: Any, **kwargs: Any) -> Any:
        from transformers.image_utils import make_flat_list_of_images

        flat: Any = make_flat_list_of_images(images)
        keys = [
            (image.mode, image.size, image.tobytes()) if hasattr(image, "tobytes") else image
            for image in flat
        ]
        if not all(isinstance(key, tuple) for key in keys):
            return prepare(images, *args, **kwargs)
        places = {key: place for place, key in reversed(list(enumerate(keys)))}
        different = sorted(places.values())
        prepared = prepare([flat[place] for place in different], *args, **kwargs)
        if set(prepared) != {"pixel_values", "image_grid_thw"}:
            return prepare(images, *args, **kwargs)
        grids = torch.as_tensor(prepared["image_grid_thw"])
        patches = torch.as_tensor(prepared["pixel_values"]).split(grids.prod(dim=-1).tolist())
        order = [different.index(places[key]) for key in keys]
        prepared["pixel_values"] = torch.cat([patches[number] for number in order])
        prepared["image_grid_thw"] = grids[order]
        return prepared

    image_processor.preprocess = preprocess
    try:
        yield
    finally:
        del image_processor.preprocess


def keep_features(visual: Any, max_bytes: int = KEPT_BYTES) -> None:
    """Let a frozen vision tower keep the features of frames it has seen, the latest up to ``max_bytes``."""
    compute = visual.forward
    kept: OrderedDict[bytes, Any] = OrderedDict()
    sizes: dict[bytes, int] = {}

    def forward(pixel_values: torch.Tensor, grid_thw: torch.Tensor, **kwargs: Any) -> Any:
        digest = hashlib.blake2b(pixel_values.detach().float().cpu().contiguous().numpy().tobytes())
        digest.update(str((grid_thw.tolist(), sorted(kwargs))).encode())
        key = digest.digest()
        if key not in kept:
            # Features made while sampling are used in the loss, which inference mode would forbid.
            with torch.inference_mode(False), torch.no_grad():
                kept[key] = compute(pixel_values.clone(), grid_thw=grid_thw.clone(), **kwargs)
            sizes[key] = sum(_num_bytes(value) for value in kept[key].values())
        kept.move_to_end(key)
        while sum(sizes.values()) > max_bytes and len(kept) > 1:
            del sizes[kept.popitem(last=False)[0]]
        # A copy: the model puts other things into what it is given.
        return type(kept[key])(**kept[key])

    visual.forward = forward


def _num_bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(map(_num_bytes, value)) if isinstance(value, list | tuple) else 0
