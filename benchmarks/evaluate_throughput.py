"""Many questions about one video: all at once behind one prefix, beside ``generate`` a question at a time.

Every reply has the same number of new tokens (nothing ends one), so both do the same work. ``generate`` is
timed on a few of the questions, which all cost it the same; ours on all. The tokens of both are compared.

    python -m benchmarks.evaluate_throughput --size pocket
    python -m benchmarks.evaluate_throughput --size 100m --questions 64 --alone 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.sized_models import make_model

OBJECTS = ("chair", "desk", "lamp", "shelf", "trash can", "monitor", "pillow", "bed")
COLORS = ("red", "blue", "white", "black", "green", "brown", "gray", "yellow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=("pocket", "100m"), default="pocket")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--questions", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--alone", type=int, default=4, help="questions asked one at a time")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    from scene_r1_cli.config import SamplingConfig
    from scene_r1_cli.models.prompts import span_prompt
    from scene_r1_cli.models.transformers_vlm import TransformersVLM
    from scene_r1_cli.models.vlm import VideoPrefix

    model, processor, family = make_model(arguments.size)
    model.generation_config.eos_token_id = [model.config.get_text_config().vocab_size - 1]
    vlm = TransformersVLM(arguments.size, model, processor, family, SamplingConfig())
    alone = TransformersVLM(arguments.size, model, processor, family, SamplingConfig())
    alone._shares_prefix = False
    width, height = vlm.model_size_wh((arguments.side, arguments.side), arguments.side)
    shape = (arguments.frames, height, width, 3)
    frames_rgb = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    prefix = VideoPrefix(frames_rgb, np.arange(arguments.frames) * 2.0)
    asked = [
        span_prompt(f"the {color} {name}", 2.0 * arguments.frames) for color in COLORS for name in OBJECTS
    ]

    one_s, many_s = [], {count: [] for count in arguments.questions}
    expected: list[str] = []
    num_tokens = 0
    for _ in range(arguments.rounds):
        started = time.perf_counter()
        replies = [
            alone.generate(prefix, [question], max_new_tokens=arguments.new_tokens)[0]
            for question in asked[: arguments.alone]
        ]
        one_s.append((time.perf_counter() - started) / arguments.alone)
        expected = [reply.text for reply in replies]
        num_tokens = replies[0].num_prompt_tokens
        for count, times in many_s.items():
            started = time.perf_counter()
            replies = vlm.generate(prefix, asked[:count], max_new_tokens=arguments.new_tokens)
            times.append((time.perf_counter() - started) / count)
            same = [reply.text for reply in replies[: arguments.alone]] == expected[:count]
            assert same, "the batch gave other tokens than generate"
    found = {
        "size": arguments.size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "frames": arguments.frames,
        "prompt_tokens": num_tokens,
        "new_tokens": arguments.new_tokens,
        "generate_s_per_question": statistics.median(one_s),
        "shared_s_per_question": {count: statistics.median(times) for count, times in many_s.items()},
    }
    found["times_faster"] = {
        count: round(found["generate_s_per_question"] / seconds, 1)
        for count, seconds in found["shared_s_per_question"].items()
    }
    print(json.dumps(found, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
