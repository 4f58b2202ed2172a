"""How far a loop is, told to whoever listens: the command line shows it with the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Listener = Callable[[int, int], None]
"""Told how many are done, of how many."""

_listener: ContextVar[Listener | None] = ContextVar("scener1_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of every counted loop inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def counted(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items, with a word to the listener after each; costs nothing when nobody listens."""
    listener = _listener.get()
    for number, item in enumerate(items, start=1):
        yield item
        if listener is not None:
            listener(number, total)
