"""What a GRPO step would compute many times over, computed once; results are the same.

TRL prepares the frames of a prompt once for each of its completions, and that twice. A frozen vision tower
gives the same features of the same frames when sampling, in the loss, and in the next epoch.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

KEPT_BYTES = 2**29


class PatchTable:
    """The patches of different images, once each; a batch holds their places in it instead of themselves.

    A batch repeats a video for each completion of each question about it: in gigabytes, if it held patches.
    """

    def __init__(self) -> None:
        self._patches: list[torch.Tensor] = []
        self._held: dict[Any, tuple[torch.Tensor, torch.Tensor]] = {}
        self._size = 0

    def __contains__(self, key: Any) -> bool:
        return key in self._held

    def add(self, key: Any, patches: torch.Tensor, grid_thw: torch.Tensor) -> None:
        """Keep (P, D) patches of an image and its (3,) grid."""
        end = self._size + len(patches)
        self._held[key] = (torch.arange(self._size, end)[:, None], grid_thw)
        self._patches.append(patches)
        self._size = end

    def places(self, keys: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """(P, 1) int64 places of the patches of all images in order, and their (N, 3) grids."""
        places, grids = zip(*(self._held[key] for key in keys), strict=True)
        return torch.cat(places), torch.stack(grids)

    def patches(self, places: torch.Tensor) -> torch.Tensor:
        """(P, D) patches at (P, 1) places, on the device of these; patches themselves are given back."""
        if places.is_floating_point():
            return places
        if len(self._patches) > 1 or self._patches[0].device != places.device:
            self._patches = [torch.cat([of_image.to(places.device) for of_image in self._patches])]
        return self._patches[0][places[:, 0]]


@contextmanager
def each_image_once(image_processor: Any) -> Iterator[PatchTable]:
    """Within it, images that are equal are prepared once; for processors that cut images into patches.

    Instead of patches, these then give their places in the table.
    """
    prepare = image_processor.preprocess
    table = PatchTable()

    def preprocess(images: Any, **kwargs: Any) -> Any:
        from transformers.image_processing_base import BatchFeature
        from transformers.image_utils import make_flat_list_of_images

        flat: Any = make_flat_list_of_images(images)
        # TRL asks for tensors one time and not the other; places are tensors anyway.
        settings = repr(sorted((name, repr(kwargs[name])) for name in kwargs.keys() - {"return_tensors"}))
        # A batch repeats most objects; each is read once.
        objects = {id(image): image for image in flat}
        if not all(hasattr(image, "tobytes") and hasattr(image, "mode") for image in objects.values()):
            return prepare(images, **kwargs)
        shown = {number: _shown(image) for number, image in objects.items()}
        keys = [(settings, shown[id(image)]) for image in flat]
        new = {key: image for key, image in zip(keys, flat, strict=True) if key not in table}
        if new:
            prepared = prepare(list(new.values()), **kwargs)
            if set(prepared) != {"pixel_values", "image_grid_thw"}:
                return prepare(images, **kwargs)
            grids = torch.as_tensor(prepared["image_grid_thw"])
            patches = torch.as_tensor(prepared["pixel_values"]).split(grids.prod(dim=-1).tolist())
            for key, of_image, grid in zip(new, patches, grids, strict=True):
                table.add(key, of_image, grid)
        places, grids = table.places(keys)
        return BatchFeature({"pixel_values": places, "image_grid_thw": grids})

    image_processor.preprocess = preprocess
    try:
        yield table
    finally:
        del image_processor.preprocess


def _shown(image: Any) -> tuple[str, tuple[int, int], bytes]:
    """What a picture of PIL shows, without keeping it."""
    return image.mode, image.size, hashlib.blake2b(image.tobytes()).digest()


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
