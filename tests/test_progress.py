"""How far a loop is reaches who listens, and is told with the time left."""

from scene_r1_cli.cli.output import StageLine
from scene_r1_cli.progress import counted, listening


def test_only_a_listener_is_told():
    told = []
    assert list(counted("abc", 3)) == ["a", "b", "c"]
    with listening(lambda done, total: told.append((done, total))):
        assert list(counted("abc", 3)) == ["a", "b", "c"]
    assert list(counted("abc", 3)) == ["a", "b", "c"]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_line_names_stage_count_and_time_left():
    now = [0.0]
    line = StageLine("the [red] chair", lambda: now[0])
    assert line.stage("surface") == r"the \[red] chair: surface"
    now[0] = 5.0  # the first item may have loaded something: time is taken from its end
    assert line.counted(1, 11) == r"the \[red] chair: surface 1/11"
    now[0] = 9.0
    assert line.counted(3, 11) == r"the \[red] chair: surface 3/11, 16 s left"
    assert line.stage("points") == r"the \[red] chair: points"
    now[0] = 20.0
    assert line.counted(1, 2) == r"the \[red] chair: points 1/2"
