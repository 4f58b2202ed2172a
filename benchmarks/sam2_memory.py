"""Does SAM 2.1's memory grow with the video? Ours and the stock predictor, on the same frames.

A box is tracked through a made-up video with the tiny model's real architecture and random weights: what is
stored does not depend on the weights. Each predictor runs in a process of its own; after a warm-up, a line
is fitted to its resident memory.

    python -m benchmarks.sam2_memory --size 1024 --frames 150
    python -m benchmarks.sam2_memory --size 128 --frames 3000

The stock predictor keeps all frames as float32 tensors from the start; they are made before its line begins.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 20
"""Frames before the line begins: the memory bank fills, allocators settle."""


def frame_rgb(position: int, size: int) -> np.ndarray:
    """(size, size, 3) uint8: a square that wanders over grey."""
    image = np.full((size, size, 3), 128, np.uint8)
    at = size // 4 + (position * 3) % (size // 2)
    image[at : at + size // 8, at : at + size // 8] = (200, 60, 40)
    return image


def resident_kb() -> float:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise RuntimeError("/proc/self/status has no VmRSS")


def track(ours: bool, size: int, frames: int, channel) -> None:
    """Track all frames and send (position, KB) pairs, outputs kept at the end, and seconds a frame."""
    import torch

    from scene_r1_cli.config import TrackerConfig
    from scene_r1_cli.models.trackers.sam2 import load_sam2
    from scene_r1_cli.models.trackers.sam2_predictor import SharedFeatures

    torch.manual_seed(0)
    tracker = load_sam2(TrackerConfig(name="sam2", checkpoint="random", image_size=size, device="cpu"))
    model: Any = tracker.model
    state = model.new_state(
        lambda position: frame_rgb(position, size), range(frames), (size, size), SharedFeatures(4)
    )
    if not ours:
        state["images"] = torch.stack([state["images"][position] for position in range(frames)])
        # Ours is a subclass: these are its parent's own.
        from sam2.sam2_video_predictor import SAM2VideoPredictor

        model.__class__ = SAM2VideoPredictor
    box = np.array([size / 4, size / 4, size * 3 / 8, size * 3 / 8], dtype=np.float32)
    model.add_new_points_or_box(state, 0, 1, box=box)
    if ours:
        model.propagate_in_video_preflight(state)
        steps = (model.step(state, position, False) for position in range(frames))
    else:
        steps = model.propagate_in_video(state)
    measured = []
    started = time.perf_counter()
    for position, _ in enumerate(steps):
        measured.append((position, resident_kb()))
    seconds = (time.perf_counter() - started) / frames
    stored = sum(len(kept) for outputs in state["output_dict_per_obj"].values() for kept in outputs.values())
    channel.send((measured, stored, seconds))


def slope_kb(measured: list[tuple[int, float]]) -> float:
    """KB a frame after the warm-up: median slope between halves, as one late allocation is no trend."""
    positions, kb = np.array(measured[WARM_UP:]).T
    half = len(kb) // 2
    slopes = (kb[half : 2 * half] - kb[:half]) / (positions[half : 2 * half] - positions[:half])
    return float(np.median(slopes))


def main() -> None:
    """Run both and print one JSON object."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--size", type=int, default=1024, help="Side of the model's input.")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--only", choices=("ours", "stock"))
    args = parser.parse_args()
    if args.frames < 3 * WARM_UP:
        parser.error(f"--frames must be at least {3 * WARM_UP}")
    result: dict = {"size": args.size, "frames": args.frames, "machine": platform.machine()}
    context = multiprocessing.get_context("spawn")
    for name in (args.only,) if args.only else ("ours", "stock"):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=track, args=(name == "ours", args.size, args.frames, sender))
        process.start()
        sender.close()
        measured, stored, seconds = receiver.recv()
        process.join()
        result[name] = {
            "kb_per_frame": round(slope_kb(measured), 1),
            "first_mb": round(measured[WARM_UP][1] / 1024, 1),
            "last_mb": round(measured[-1][1] / 1024, 1),
            "stored_outputs": stored,
            "seconds_per_frame": round(seconds, 3),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
