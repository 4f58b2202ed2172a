"""The only module that prints. stdout is data; everything else goes to stderr."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scene_r1_cli.errors import SceneR1Error
from scene_r1_cli.progress import listening

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@cache
def _console() -> Console:
    """Rich on stderr. Loading it takes longer than a short command, so only a terminal gets it."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _on_terminal() -> bool:
    return sys.stderr.isatty() or "FORCE_COLOR" in os.environ


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object on stdout. Plain ``print``: Rich would wrap lines and eat ``[brackets]``."""
    print(json.dumps(data, ensure_ascii=False, allow_nan=False))


def print_data(text: str) -> None:
    """A plain line of data on stdout."""
    print(text)


def print_markdown(text: str) -> None:
    """A Markdown report on stdout: drawn by Rich on a terminal, as it is for a pipe or a file."""
    if sys.stdout.isatty():
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text)


def note(text: str) -> None:
    """A line for people on stderr; ``text`` is shown as it is, never read as markup."""
    if _on_terminal():
        _console().print(text, markup=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr)


def next_step(command: str) -> None:
    """The last line of a command: what to type next."""
    note(f"next: {command}")


def print_error(error: SceneR1Error) -> None:
    """A known error: one sentence, then what to do."""
    _headed("error: ", error.message)
    if error.hint:
        note(f"  {error.hint}")


def print_bug(error: Exception) -> None:
    """An error nobody foresaw."""
    _headed("bug in scener1: ", f"{type(error).__name__}: {error}")
    note("  Run again with --debug to see where, and please report it with that output.")


def _headed(head: str, text: str) -> None:
    if _on_terminal():
        _console().print(head, style="bold red", end="")
        note(text)
    else:
        note(f"{head}{text}")


@contextmanager
def going_on(out: Path | None = None, *, resume: bool = True) -> Iterator[None]:
    """Where work can be stopped: Ctrl-C prints the command that goes on with it.

    Args:
        out: The run's folder, where it was chosen for the person.
        resume: Whether going on takes ``--resume``; else the same command goes on.
    """
    try:
        yield
    except KeyboardInterrupt:
        note(f"go on with: {command_again(sys.argv[1:], out, resume=resume)}")
        raise


def command_again(argv: Sequence[str], out: Path | None, *, resume: bool) -> str:
    """A command line that goes on with what ``argv`` began, quoted for a shell."""
    words = [word for word in argv if word not in ("--resume", "--overwrite")]
    if out is not None and not any(word == "--out" or word.startswith("--out=") for word in words):
        words += ["--out", str(out)]
    return shlex.join(["scener1", *words, *(["--resume"] if resume else [])])


@contextmanager
def logging_to(log_path: Path | None, *, quiet: bool = False) -> Iterator[None]:
    """Send the package's log to stderr (warnings and up) and, whole, to a run's log file."""
    root = logging.getLogger("scene_r1_cli")
    root.setLevel(logging.INFO)
    handlers: list[logging.Handler] = []
    to_people = _handler_for_people()
    to_people.setLevel(logging.ERROR if quiet else logging.WARNING)
    handlers.append(to_people)
    if log_path is not None:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(log_path, encoding="utf-8")
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(to_file)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _handler_for_people() -> logging.Handler:
    if _on_terminal():
        from rich.logging import RichHandler

        return RichHandler(console=_console(), show_time=False, show_path=False, markup=False)
    plain = logging.StreamHandler(sys.stderr)
    plain.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    return plain


@contextmanager
def stage_status(title: str) -> Iterator[Callable[[str], None]]:
    """A spinner that names the stage being computed, how far it is and the time left; for terminals."""
    if not _on_terminal() or "CI" in os.environ:
        yield lambda stage: None
        return
    stage_line = StageLine(title)
    with _console().status(title) as status:

        def on_stage(stage: str) -> None:
            status.update(stage_line.stage(stage))

        with listening(lambda done, total: status.update(stage_line.counted(done, total))):
            yield on_stage


class StageLine:
    """The words of ``stage_status``.

    Args:
        title: What is being done.
        now_s: A clock.
    """

    def __init__(self, title: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._title, self._now_s = title, now_s
        self._name = ""
        self._begun_s = now_s()

    def stage(self, name: str) -> str:
        """A stage begins."""
        self._name = name
        return self._words()

    def counted(self, done: int, total: int) -> str:
        """A loop of it is so far; the time left goes by what its items took so far."""
        if done <= 1:
            self._begun_s = self._now_s()
            return self._words(f"{done}/{total}")
        left_s = (self._now_s() - self._begun_s) / (done - 1) * (total - done)
        return self._words(f"{done}/{total}, {left_s:.0f} s left")

    def _words(self, count: str = "") -> str:
        from rich.markup import escape

        return escape(
            ": ".join(part for part in (self._title, " ".join((self._name, count)).strip()) if part)
        )


def note_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for people on stderr."""
    _console().print(_table(title, columns, rows))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


@contextmanager
def live_table() -> Iterator[Callable[[str, Sequence[str], Sequence[Sequence[str]]], None] | None]:
    """A table on stderr drawn anew in place: call with title, columns, rows. None without a terminal."""
    if not _on_terminal() or "CI" in os.environ:
        yield None
        return
    from rich.live import Live

    with Live(console=_console(), auto_refresh=False) as live:
        yield lambda title, columns, rows: live.update(_table(title, columns, rows), refresh=True)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar with rate and ETA; call with the number done and maybe a word. Silent without a terminal."""
    if not _on_terminal():
        yield lambda done, word="": None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=title, file=sys.stderr) as bar:

        def update(done: int, word: str = "") -> None:
            if word:
                bar.set_postfix_str(word, refresh=False)
            bar.update(done - bar.n)

        yield update
