"""A model behind an OpenAI-compatible server: vLLM, SGLang, Ollama, ``transformers serve``.

Frames arrive at the model's own size already, so the server's resize is the identity. The key comes from
the environment and is only ever put into the request's header.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import httpx
import numpy as np

from scene_r1_cli.config import ModelConfig, SamplingConfig
from scene_r1_cli.errors import ConfigError, SetupError
from scene_r1_cli.models.families import FAMILIES, Family, family_in_name, family_named, size_on_grid
from scene_r1_cli.models.vlm import Asked, AsksOne, Reply

logger = logging.getLogger(__name__)

KEY_VARIABLES = ("SCENER1_API_KEY", "OPENAI_API_KEY")
CONNECT_TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 30.0
BUSY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
JPEG_QUALITY = 95


class EndpointVLM(AsksOne):
    """A served model; see ``VLM``.

    Args:
        name: The model as the server calls it.
        family: Row of the family table.
        client: Client whose base URL is the server's, with its headers and timeouts.
        sampling: How replies are decoded unless a call says otherwise.
        retries: How often a busy or failing server is asked again.
        concurrency: Requests about the same frames that are under way at once.
        sleep: Waits some seconds between tries.
    """

    def __init__(
        self,
        name: str,
        family: Family,
        client: httpx.Client,
        sampling: SamplingConfig,
        *,
        retries: int,
        concurrency: int = 1,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.family = family
        self._client = client
        self._sampling = sampling
        self._retries = retries
        self._concurrency = concurrency
        self._sleep = sleep

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
        headers = {}
        key = _key()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        timeout = httpx.Timeout(config.endpoint_timeout_s, connect=CONNECT_TIMEOUT_S)
        url = _base_url(config.endpoint or "")
        client = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        served = _served_models(client)
        name = config.name or _only_model(served, client)
        family = family_named(config.family) if config.family else family_in_name(name)
        if family is None:
            raise ConfigError(
                f"The name {name!r} does not tell the model's family.",
                f"Give it with --set model.family=… ({', '.join(FAMILIES)}).",
            )
        vlm = cls(
            name,
            family,
            client,
            config.sampling,
            retries=config.endpoint_retries,
            concurrency=config.endpoint_concurrency,
            sleep=sleep,
        )
        if name not in served:
            vlm._check_served(served)
        return vlm

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
                "seed": sampling.seed + number,
                # Published checkpoints ship a repetition penalty, which would change greedy replies.
                "frequency_penalty": 0.0,
            }
            response = self._post(body)
            if not response.is_success:
                self._refused(response)
            return self._reply(response)

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

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        """Send a chat request, again after a pause while the server is busy, failing or out of reach.

        Returns:
            Whatever the server says in the end, success or not.
        """
        for attempt in range(self._retries + 1):
            is_last = attempt == self._retries
            try:
                response = self._client.post("chat/completions", json=body)
            except httpx.TransportError as error:
                if is_last:
                    raise _unreachable(self._client, error) from error
                problem, pause_s = type(error).__name__, _pause_s(attempt)
            else:
                if is_last or response.status_code not in BUSY_STATUSES:
                    return response
                problem = f"HTTP {response.status_code}"
                pause_s = _pause_s(attempt, response.headers.get("retry-after"))
            logger.warning("%s: %s, asking again in %.0f s", _shown_url(self._client), problem, pause_s)
            self._sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, response: httpx.Response) -> NoReturn:
        """Raise what a failed request means."""
        url = _shown_url(self._client)
        status = response.status_code
        if status in (401, 403):
            raise _no_access(self._client, status)
        if status == 404:
            served = _served_models(self._client)
            raise _not_served(self.name, served, self._client)
        hint = "Ask again later, or see the server's log."
        if status in (400, 413, 422):
            hint = "If the prompt is too long, use fewer or smaller frames (--set video.max_frames=…)."
        raise SetupError(f"The server {url} answered HTTP {status}: {_server_message(response)}.", hint)

    def _check_served(self, served: Sequence[str]) -> None:
        """Try the model with one token: some servers do not list every model they serve."""
        body = {"model": self.name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        response = self._post(body)
        if response.status_code in (400, 404, 422):
            raise _not_served(self.name, served, self._client)
        if not response.is_success:
            self._refused(response)

    def _reply(self, response: httpx.Response) -> Reply:
        try:
            data = response.json()
            choice = data["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            usage = data.get("usage") or {}
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise SetupError(
                f"The server {_shown_url(self._client)} answered with something that is no chat completion.",
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


def _key() -> str | None:
    """The key from the environment; checked here, since an error further on would show it."""
    for variable in KEY_VARIABLES:
        key = os.environ.get(variable, "").strip()
        if key:
            if not (key.isascii() and key.isprintable()):
                raise SetupError(f"{variable} holds characters that cannot be in a key.", "Set it again.")
            return key
    return None


def _base_url(endpoint: str) -> httpx.URL:
    """The URL that ``/chat/completions`` comes behind: a bare server gets the usual ``/v1``."""
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise _no_url(endpoint) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _no_url(endpoint)
    return url.copy_with(path="/v1") if url.path in ("", "/") else url


def _no_url(endpoint: str) -> ConfigError:
    return ConfigError(
        f"model.endpoint {endpoint!r} is no URL of a server.", "For example: http://localhost:8000/v1"
    )


def _served_models(client: httpx.Client) -> list[str]:
    """Names the server lists; empty if it has no list."""
    try:
        response = client.get("models")
    except httpx.TransportError as error:
        raise _unreachable(client, error) from error
    if response.status_code in (401, 403):
        raise _no_access(client, response.status_code)
    try:
        return [str(model["id"]) for model in response.json()["data"]]
    except (ValueError, KeyError, TypeError):
        logger.info("%s does not list its models (HTTP %d)", _shown_url(client), response.status_code)
        return []


def _only_model(served: Sequence[str], client: httpx.Client) -> str:
    if len(served) == 1:
        return served[0]
    raise ConfigError(
        f"model.name is not given and {_shown_url(client)} serves {_listed(served)}.",
        "Name one with --model.",
    )


def _not_served(name: str, served: Sequence[str], client: httpx.Client) -> SetupError:
    return SetupError(
        f"{_shown_url(client)} does not serve {name!r}; it serves {_listed(served)}.",
        "Name one of them with --model, or start the server with this model.",
    )


def _listed(served: Sequence[str]) -> str:
    return ", ".join(served[:20]) if served else "no model that it lists"


def _no_access(client: httpx.Client, status: int) -> SetupError:
    return SetupError(
        f"The server {_shown_url(client)} refuses the key (HTTP {status}).",
        f"Set {' or '.join(KEY_VARIABLES)} to a key that is valid there.",
    )


def _unreachable(client: httpx.Client, error: httpx.TransportError) -> SetupError:
    waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    what = "did not answer in time" if waited else "cannot be reached"
    hint = (
        "Raise model.endpoint_timeout_s." if waited else "Start it, or give its URL: --set model.endpoint=…"
    )
    return SetupError(f"The server {_shown_url(client)} {what} ({type(error).__name__}).", hint)


def _shown_url(client: httpx.Client) -> str:
    """The server's URL without a user or password in it."""
    return str(client.base_url.copy_with(username=None, password=None)).rstrip("/")


def _server_message(response: httpx.Response) -> str:
    """The server's own words, on one line and cut short."""
    try:
        data = response.json()
        error = data.get("error", data.get("detail", data)) if isinstance(data, dict) else data
        text = error.get("message", error) if isinstance(error, dict) else error
    except ValueError:
        text = response.text
    line = " ".join(str(text).split()).rstrip(".")
    return line if len(line) <= 300 else line[:299] + "…"


def _pause_s(attempt: int, retry_after: str | None = None) -> float:
    """Seconds to wait: what the server asks for, else 1, 2, 4, …; never longer than LONGEST_PAUSE_S."""
    try:
        wanted_s = float(retry_after) if retry_after is not None else 2.0**attempt
    except ValueError:  # the header may also be a date
        wanted_s = 2.0**attempt
    return min(max(wanted_s, 0.0), LONGEST_PAUSE_S)


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
