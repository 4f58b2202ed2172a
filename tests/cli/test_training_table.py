"""What people see while GRPO learns."""

import pytest

from scene_r1_cli.cli import output
from scene_r1_cli.cli.training_table import COLUMNS, WINDOW, TrainingTable


def logs(step):
    return {"reward": step / 100, "kl": 0.5, "entropy": 1.0, "completions/mean_length": 20.0, "loss": 9.0}


def shown_of(steps=100, seconds=3.0):
    drawn, now = [], [0.0]
    table = TrainingTable(lambda *what: drawn.append(what), clock=lambda: now[0])
    for step in range(1, steps + 1):
        now[0] += 60.0 if step == 1 else seconds
        table(step, 400, logs(step))
        table(step, 400, {"train_runtime": 1.0})  # no step: TRL's last words
    return drawn


def test_a_table_holds_what_was_measured_and_the_time_left():
    drawn = shown_of()
    assert len(drawn) == 100
    title, columns, rows = drawn[-1]
    assert title == "step 100/400, 15 min left"
    assert columns == COLUMNS
    assert drawn[0][0] == "step 1/400, timing"
    found = {row[0]: row[1:] for row in rows}
    first, last = (sum(range(1, WINDOW + 1)) / WINDOW / 100, sum(range(101 - WINDOW, 101)) / WINDOW / 100)
    assert found["reward"] == ["1.000", f"{last:.3f}", f"{first:.3f}"]
    assert list(found) == ["reward", "KL to the start", "entropy", "tokens"]
    assert shown_of(steps=2, seconds=60.0)[-1][0] == "step 2/400, 6.6 h left"


def test_without_a_terminal_a_step_is_a_line(capfd):
    with output.live_table() as draw:
        assert draw is None
        TrainingTable(draw)(3, 10, logs(3))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == (
        "step 3/10 (timing) reward 0.030 KL to the start 0.500 entropy 1.000 tokens 20.000"
    )


@pytest.mark.parametrize("ci", [False, True])
def test_on_a_terminal_the_table_is_drawn_anew_in_place(monkeypatch, ci):
    import io

    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, highlight=False)
    monkeypatch.setattr(output, "_console", lambda: console)
    monkeypatch.setattr(output, "_on_terminal", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", "1")
    with output.live_table() as draw:
        assert (draw is None) == ci
        table = TrainingTable(draw)
        table(1, 2, logs(1))
        output.note("a note [beside] it")
        table(2, 2, logs(2))
    text = screen.getvalue()
    assert "a note [beside] it" in text
    assert ("\x1b[1A" in text) == (not ci)  # the cursor goes up to draw over the last table
    assert "step 2/2" in text
