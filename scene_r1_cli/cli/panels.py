"""The list of commands in ``scener1 -h``, by what they are for."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

PIPELINE, INSPECT, PROJECT = "Pipeline", "Inspect", "Project"


class PanelGroup(TyperGroup):
    """A group whose help lists commands under their ``rich_help_panel``.

    Typer does so itself only with Rich's markup, which eats ``[brackets]`` and takes longer to load.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, in the order of their first commands; called by typer."""
        limit = formatter.width - 6 - max(len(name) for name in self.commands)
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.commands[name]
            panels.setdefault(_panel(command), []).append((name, command.get_short_help_str(limit)))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _panel(command: Any) -> str:
    panel = getattr(command, "rich_help_panel", None)
    return panel if isinstance(panel, str) else "Commands"
