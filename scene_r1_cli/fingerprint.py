"""Hashes of what a result was made from: equal inputs are recognised, changed ones are not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
from pydantic import BaseModel

from scene_r1_cli.types import Scene


def fingerprint(*parts: Any) -> str:
    """Short hash of values, config models and the pipeline's dataclasses; stable across processes."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=_canonical)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [str(value.dtype), list(value.shape), content]
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    raise TypeError(f"cannot fingerprint a {type(value).__name__}")


def scene_fingerprint(scene: Scene) -> str:
    """Hash of what decides a scene's geometry: cameras, camera transforms, times, alignment."""
    digest = hashlib.sha256(
        f"{scene.scene_id} {scene.source} {scene.color_camera} {scene.depth_camera}".encode()
    )
    for matrix in (scene.depth_from_color, scene.world_from_scan):
        digest.update(np.ascontiguousarray(matrix).tobytes())
    digest.update(scene.frame_indices.tobytes() + scene.timestamps_s.tobytes())
    digest.update(np.stack([frame.scan_from_camera for frame in scene.frames]).tobytes())
    return digest.hexdigest()[:16]
