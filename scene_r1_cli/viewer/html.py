"""Writes HTML pages that work from ``file://`` without a network; everything from outside is escaped."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from scene_r1_cli.errors import InputError
from scene_r1_cli.files import atomic_path, write_text

DATA_SCRIPT = "data.js"
CHUNK_SCRIPT = "data-{}.js"
THREE = "three.min.js"


@dataclass(frozen=True)
class Picture:
    """One picture of a page.

    Attributes:
        path: Relative to the report folder.
        caption: Frame, time and what is drawn.
        is_keyframe: A key frame with its 2D box; else a further view.
    """

    path: str
    caption: str
    is_keyframe: bool = False


def write_page(
    folder: Path,
    template: str,
    values: Mapping[str, Any],
    *,
    data: Mapping[str, Any] | None = None,
    chunks: Sequence[Any] = (),
    scripts: Sequence[str] = (),
) -> Path:
    """Write ``index.html`` with its scripts beside it.

    Browsers block ``fetch`` and module scripts on ``file://``, so data is a classic script.

    Args:
        folder: The report folder.
        template: A file of ``viewer/templates``.
        values: What the template shows.
        data: What the scripts read as ``window.SCENER1``.
        chunks: Data that the scripts load when it is asked for: ``window.SCENER1_CHUNKS[number]``.
        scripts: Files of ``viewer/static``, run in this order after the data.

    Returns:
        Path of the page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Select by name would leave `.html.j2` unescaped; escape always.
    environment = Environment(
        loader=PackageLoader("scene_r1_cli.viewer"), autoescape=True, undefined=StrictUndefined
    )
    if data is not None:
        write_text(folder / DATA_SCRIPT, f"window.SCENER1 = {_script_json(data)};\n")
    for old in folder.glob(CHUNK_SCRIPT.format("*")):
        old.unlink()
    for number, chunk in enumerate(chunks):
        text = f"(window.SCENER1_CHUNKS ||= [])[{number}] = {_script_json(chunk)};\n"
        write_text(folder / CHUNK_SCRIPT.format(f"{number:03d}"), text)
    for name in scripts:
        with (
            atomic_path(folder / name) as partial,
            resources.as_file(resources.files("scene_r1_cli.viewer") / "static" / name) as source,
        ):
            shutil.copyfile(source, partial)
    used = [*([DATA_SCRIPT] if data is not None else []), *scripts]
    page = folder / "index.html"
    write_text(page, environment.get_template(template).render({**values, "scripts": used}))
    return page


def single_file(folder: Path) -> str:
    """The page of a report folder with its scripts, pictures and video inside it.

    Raises:
        InputError: There is no report.
    """
    page = folder / "index.html"
    if not page.is_file():
        raise InputError(f"{folder} holds no report (index.html).")
    text = page.read_text(encoding="utf-8").replace("script-src 'self' file:", "script-src 'unsafe-inline'")
    text = text.replace("media-src 'self' file:", "media-src data:")
    # What users wrote cannot match: quotes in it are escaped.
    scripts = re.findall(r'<script src="([^"]+)"></script>', text)
    chunks = "".join(_inline_script(path) for path in sorted(folder.glob(CHUNK_SCRIPT.format("*"))))
    for name in scripts:
        after = chunks if name == DATA_SCRIPT else ""
        text = text.replace(f'<script src="{name}"></script>', _inline_script(folder / name) + after)
    head, mark, scripted = text.partition("<script>")
    for name in dict.fromkeys(re.findall(r'(?<= src=")([^":]+)(?=")', head)):
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        data = base64.b64encode((folder / name).read_bytes()).decode()
        head = head.replace(f' src="{name}"', f' src="data:{kind};base64,{data}"')
    return head + mark + scripted


def _inline_script(path: Path) -> str:
    # A script ends at the first closing tag, wherever it stands.
    content = path.read_text(encoding="utf-8").replace("</script", "<\\/script")
    return f"<script>{content}</script>\n"


def _script_json(data: Any) -> str:
    """JSON that cannot end its script, whatever the texts in it say."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
