"""An OpenAI-compatible server: reaching it, asking again while it is busy, and what its refusals mean.

The key comes from the environment and is only ever put into the request's header.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from scene_r1_cli.config import ModelConfig
from scene_r1_cli.errors import ConfigError, SetupError

logger = logging.getLogger(__name__)

KEY_VARIABLES = ("SCENER1_API_KEY", "OPENAI_API_KEY")
CONNECT_TIMEOUT_S = 10.0
LONGEST_PAUSE_S = 30.0
BUSY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Server:
    """A server of chat completions.

    Args:
        client: Client whose base URL is the server's, with its headers and timeouts.
        retries: How often it is asked again while it is busy, failing or out of reach.
        sleep: Waits some seconds between tries.
    """

    def __init__(self, client: httpx.Client, *, retries: int, sleep: Callable[[float], None]) -> None:
        self._client = client
        self._retries = retries
        self._sleep = sleep

    @classmethod
    def of(
        cls,
        config: ModelConfig,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Server:
        """The server of ``config.endpoint``; nothing is sent yet.

        Args:
            config: Its URL, timeout and retries.
            transport: Stands in for the network in tests.
            sleep: Waits some seconds between tries.

        Raises:
            SetupError: The key in the environment is none.
            ConfigError: The URL is none.
        """
        key = _key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(config.endpoint_timeout_s, connect=CONNECT_TIMEOUT_S)
        url = _base_url(config.endpoint or "")
        client = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        return cls(client, retries=config.endpoint_retries, sleep=sleep)

    @property
    def url(self) -> str:
        """The server's URL without a user or password in it."""
        return str(self._client.base_url.copy_with(username=None, password=None)).rstrip("/")

    def served_models(self) -> list[str]:
        """Names the server lists; empty if it has no list.

        Raises:
            SetupError: It cannot be reached, or refuses the key.
        """
        try:
            response = self._client.get("models")
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code in (401, 403):
            raise self._no_access(response.status_code)
        try:
            return [str(model["id"]) for model in response.json()["data"]]
        except (ValueError, KeyError, TypeError):
            logger.info("%s does not list its models (HTTP %d)", self.url, response.status_code)
            return []

    def only_model(self, served: Sequence[str]) -> str:
        """The one model served.

        Raises:
            ConfigError: There are several, or it has no list.
        """
        if len(served) == 1:
            return served[0]
        raise ConfigError(
            f"model.name is not given and {self.url} serves {_listed(served)}.", "Name one with --model."
        )

    def check_served(self, name: str, served: Sequence[str]) -> None:
        """Try a model that is not listed with one token: some servers do not list every model they serve.

        Raises:
            SetupError: It is not served, or the server fails.
        """
        body = {"model": name, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        response = self._post(body)
        if response.status_code in (400, 404, 422):
            raise self._not_served(name, served)
        if not response.is_success:
            raise self._refusal(response, name)

    def complete(self, body: dict[str, Any]) -> httpx.Response:
        """What the server answers to a chat request.

        Raises:
            SetupError: It fails, is busy or out of reach also after all retries, or refuses.
        """
        response = self._post(body)
        if not response.is_success:
            raise self._refusal(response, body["model"])
        return response

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
                    raise self._unreachable(error) from error
                problem, pause_s = type(error).__name__, _pause_s(attempt)
            else:
                if is_last or response.status_code not in BUSY_STATUSES:
                    return response
                problem = f"HTTP {response.status_code}"
                pause_s = _pause_s(attempt, response.headers.get("retry-after"))
            logger.warning("%s: %s, asking again in %.0f s", self.url, problem, pause_s)
            self._sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _refusal(self, response: httpx.Response, name: str) -> SetupError:
        """What a failed request means."""
        status = response.status_code
        if status in (401, 403):
            return self._no_access(status)
        if status == 404:
            return self._not_served(name, self.served_models())
        hint = "Ask again later, or see the server's log."
        if status in (400, 413, 422):
            hint = "If the prompt is too long, use fewer or smaller frames (--set video.max_frames=…)."
        return SetupError(f"The server {self.url} answered HTTP {status}: {_server_message(response)}.", hint)

    def _not_served(self, name: str, served: Sequence[str]) -> SetupError:
        return SetupError(
            f"{self.url} does not serve {name!r}; it serves {_listed(served)}.",
            "Name one of them with --model, or start the server with this model.",
        )

    def _no_access(self, status: int) -> SetupError:
        return SetupError(
            f"The server {self.url} refuses the key (HTTP {status}).",
            f"Set {' or '.join(KEY_VARIABLES)} to a key that is valid there.",
        )

    def _unreachable(self, error: httpx.TransportError) -> SetupError:
        waited = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
        what = "did not answer in time" if waited else "cannot be reached"
        hint = (
            "Raise model.endpoint_timeout_s."
            if waited
            else "Start it, or give its URL: --set model.endpoint=…"
        )
        return SetupError(f"The server {self.url} {what} ({type(error).__name__}).", hint)


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


def _listed(served: Sequence[str]) -> str:
    return ", ".join(served[:20]) if served else "no model that it lists"


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
