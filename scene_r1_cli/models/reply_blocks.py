"""The blocks of a reply: where it thinks, where it answers, and why an answer cannot be read.

The answer is the last ``<answer>`` block outside ``<think>``; a reply without any ``<answer>`` tag counts
only if all of it (after its thinking) is the answer and nothing else. Matching is linear in the length of the
reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

FailureCode = Literal["no_answer", "unclosed_answer", "not_a_span", "not_json", "not_boxes", "empty"]


@dataclass(frozen=True)
class ParseFailure:
    """Why a reply could not be read.

    Attributes:
        code: Kind, for counting.
        detail: One sentence part for people, e.g. "no <answer> block".
    """

    code: FailureCode
    detail: str


_TAG = re.compile(r"<(/?)(think|answer)>", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Blocks:
    """Where a reply thinks and answers. ``answer`` is None without a tag, a failure if it is not closed."""

    think: str
    answer: str | ParseFailure | None
    after_think: str


def blocks_of(text: str) -> Blocks:
    """Split a reply into its thinking and its answer in one pass over its tags.

    A ``</think>`` without an opening tag closes thinking that began with the reply: some chat templates
    open ``<think>`` in the prompt.
    """
    tags = [(match.start(), match.end(), match[1] == "/", match[2].lower()) for match in _TAG.finditer(text)]
    thinks: list[tuple[int, int, int]] = []  # start of the tag, end of the thought, end of the closing tag
    open_at: tuple[int, int] | None = None
    for start, end, is_closing, name in tags:
        if name != "think":
            continue
        if not is_closing:
            open_at = open_at or (start, end)
        elif open_at is not None:
            thinks.append((open_at[0], start, end))
            open_at = None
        elif not thinks:
            thinks.append((0, start, end))
    thought_end = thinks[-1][2] if thinks else 0
    answer = _last_answer(text, tags, thinks)
    if thinks:
        think = text[thinks[0][0] : thinks[0][1]]
    elif open_at is not None:
        first_answer = next((t[0] for t in tags if t[3] == "answer" and t[0] > open_at[0]), len(text))
        think = text[open_at[1] : first_answer]
    else:
        think = ""
    has_open_thought = open_at is not None
    return Blocks(_TAG.sub("", think).strip(), answer, "" if has_open_thought else text[thought_end:])


def _last_answer(
    text: str, tags: list[tuple[int, int, bool, str]], thinks: list[tuple[int, int, int]]
) -> str | ParseFailure | None:
    """Content of the last answer block outside thinking."""
    answer: str | ParseFailure | None = None
    think_index = 0
    for position, (start, end, is_closing, name) in enumerate(tags):
        while think_index < len(thinks) and thinks[think_index][2] <= start:
            think_index += 1
        in_thought = think_index < len(thinks) and thinks[think_index][0] <= start
        if name != "answer" or is_closing or in_thought:
            continue
        following = tags[position + 1] if position + 1 < len(tags) else None
        if following is not None and following[2] and following[3] == "answer":
            answer = text[end : following[0]].strip()
        else:
            answer = ParseFailure("unclosed_answer", "the last <answer> block is not closed")
    return answer


@dataclass(frozen=True)
class Body:
    """What to read the answer from, and whether it stood between answer tags."""

    text: str
    is_tagged: bool

    def failure(self, code: FailureCode, what: str) -> ParseFailure:
        """A failure that shows the start of what was read; without tags, that is what was wrong first."""
        if not self.is_tagged:
            return ParseFailure("no_answer", "no <answer> block")
        shown = self.text if len(self.text) <= 60 else self.text[:59] + "…"
        return ParseFailure(code, f"{shown!r} {what}")


def answer_body(text: str) -> Body | ParseFailure:
    """The last answer block, or all of the reply after its thinking when it has no answer tags."""
    blocks = blocks_of(text)
    if isinstance(blocks.answer, ParseFailure):
        return blocks.answer
    if blocks.answer is not None:
        empty = ParseFailure("empty", "the <answer> block is empty")
        return Body(blocks.answer, is_tagged=True) if blocks.answer else empty
    rest = blocks.after_think.strip()
    return Body(rest, is_tagged=False) if rest else ParseFailure("no_answer", "no <answer> block")
