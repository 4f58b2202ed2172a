"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, ``transformers serve``.

Frames arrive at the model's own size already, so the server's resize is the identity.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np

from scene_r1_cli.config import ModelConfig, SamplingConfig
from scene_r1_cli.errors import ConfigError, SetupError
from scene_r1_cli.models.families import FAMILIES, Family, family_in_name, family_named, size_on_grid
from scene_r1_cli.models.server import Server
from scene_r1_cli.models.vlm import Asked, AsksOne, Reply, times_before

JPEG_QUALITY = 95


class EndpointVLM(AsksOne):
    """A served model; see ``VLM``.

    Args:
        name: The model as the server calls it.
        family: Row of the family table.
        server: Where it is served.
        sampling: How replies are decoded unless a call says otherwise.
        concurrency: Requests about the same frames that are under way at once.
    """

    def __init__(
        self, name: str, family: Family, server: Server, sampling: SamplingConfig, *, concurrency: int = 1
    ) -> None:
        self.name = name
        self.family = family
        self._server = server
        self._sampling = sampling
        self._concurrency = concurrency

    @classmethod
    def connect(
        cls,
        config: ModelConfig,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> EndpointVLM:
        """Reach the server and check that it serves the model.

        Args:
            config: ``endpoint`` and ``name``; an empty name takes the only model served.
            transport: Stands in for the network in tests.
            sleep: Waits some seconds between tries.

        Raises:
            SetupError: The server cannot be reached, refuses the key, or does not serve the model.
            ConfigError: The URL is none, or the model's family is not known and not given.
        """
        server = Server.of(config, transport, sleep)
        served = server.served_models()
        name = config.name or server.only_model(served)
        family = family_named(config.family) if config.family else family_in_name(name)
        if family is None:
            raise ConfigError(
                f"The name {name!r} does not tell the model's family.",
                f"Give it with --set model.family=… ({', '.join(FAMILIES)}).",
            )
        if name not in served:
            server.check_served(name, served)
        return cls(name, family, server, config.sampling, concurrency=config.endpoint_concurrency)

    def model_size_wh(self, original_wh: tuple[int, int], max_side_px: int) -> tuple[int, int]:
        """See ``VLM.model_size_wh``."""
        return size_on_grid(original_wh, max_side_px, self.family.grid)

    def generate_each(
        self, asked: Sequence[Asked], *, max_new_tokens: int, sampling: SamplingConfig | None = None
    ) -> list[list[Reply]]:
        """See ``VLM.generate_each``.

        The first question about some frames is answered before their others are sent, so that a server's
        prefix cache holds the frames when they come; a few are under way at a time.

        Raises:
            SetupError: The server fails, is busy or out of reach also after all retries, or refuses.
        """
        sampling = sampling or self._sampling
        shared = [[_content_part(part) for part in prefix.parts()] for prefix, _ in asked]
        times = [times_before(suffixes) for _, suffixes in asked]

        def ask(place: int, number: int) -> Reply:
            body = {
                "model": self.name,
                "messages": [
                    {
                        "role": "user",
                        "content": [*shared[place], _content_part(asked[place].suffixes[number])],
                    }
                ],
                "max_tokens": max_new_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                # A question that is asked several times wants several replies.
                "seed": sampling.seed + times[place][number],
                # Published checkpoints ship a repetition penalty, which would change greedy replies.
                "frequency_penalty": 0.0,
            }
            return self._reply(self._server.complete(body))

        numbers = [range(len(suffixes)) for _, suffixes in asked]
        firsts = [(place, number) for place, of_place in enumerate(numbers) for number in of_place[:1]]
        others = [(place, number) for place, of_place in enumerate(numbers) for number in of_place[1:]]
        replies: list[list[Reply]] = [[] for _ in asked]
        with ThreadPoolExecutor(self._concurrency) as pool:
            for questions in (firsts, others):
                # If one fails, `map` cancels those that have not begun.
                for (place, _), reply in zip(questions, pool.map(lambda q: ask(*q), questions), strict=True):
                    replies[place].append(reply)
        return replies

    def _reply(self, response: httpx.Response) -> Reply:
        try:
            data = response.json()
            choice = data["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            usage = data.get("usage") or {}
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise SetupError(
                f"The server {self._server.url} answered with something that is no chat completion.",
                "Check that model.endpoint is the base URL of an OpenAI-compatible API.",
            ) from error
        # A server with a reasoning parser takes the thinking out of the text.
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if reasoning:
            text = f"<think>{reasoning}</think>{text}"
        return Reply(
            text=text,
            finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
            num_prompt_tokens=usage.get("prompt_tokens"),
            num_new_tokens=usage.get("completion_tokens"),
        )


def _content_part(part: str | np.ndarray) -> dict[str, Any]:
    """One part of a chat message: text, or a frame as a data URL."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": data_url(part)}}


def data_url(frame_rgb: np.ndarray) -> str:
    """An (H, W, 3) uint8 frame as a JPEG data URL, colour at full resolution."""
    import cv2

    frame_bgr = cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR)
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    encoded = cv2.imencode(".jpg", frame_bgr, options)[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
