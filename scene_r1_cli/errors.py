"""What can go wrong, as types: each error is one sentence, a hint, and an exit code.

Exit codes: 1 a bug in scener1, 2 usage or config, 3 input data, 4 environment,
5 finished but some items failed, 130 Ctrl-C. The command line prints ``message`` and ``hint``
and exits with ``exit_code``; a traceback is shown only with ``--debug``.
"""

from __future__ import annotations

import errno
import re


class SceneR1Error(Exception):
    """A known problem, told in one sentence.

    Args:
        message: What was given and what is accepted.
        hint: What to do about it; empty if the message already says so.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SceneR1Error):
    """The command line asks for something that cannot be (exit 2)."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or ``--set`` is wrong (exit 2)."""


class InputError(SceneR1Error):
    """Input data is missing or invalid (exit 3)."""

    exit_code = 3


class SetupError(SceneR1Error):
    """The machine lacks something: weights, a package, a GPU, a system library (exit 4)."""

    exit_code = 4


class StageFailure(SceneR1Error):
    """A stage of the pipeline found nothing for one query (exit 5).

    Args:
        stage: Name of the stage: ``video span box masks points box3d answer``.
        reason: Why there is no result; becomes ``failure.reason`` of the result.
    """

    exit_code = 5

    def __init__(self, stage: str, reason: str, hint: str = "") -> None:
        super().__init__(f"{stage}: {reason}", hint)
        self.stage = stage
        self.reason = reason


_TORCH_WRITER = re.compile(r"inline_container.*unexpected pos \d+ vs \d+")
"""PyTorch's writer says no more when it could write less than it had."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a disk ran full, as Python, safetensors or PyTorch tell it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(error) or _TORCH_WRITER.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
