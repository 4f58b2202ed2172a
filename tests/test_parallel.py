"""Jobs that fail, and jobs that take their process down, stop no other."""

import os

import pytest

from scene_r1_cli.parallel import WorkerLost, run_jobs


def square(number):
    if number == 3:
        raise ValueError("three")
    if number == 4:
        os._exit(9)
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_that_jobs_outcome(workers):
    outcomes = dict(run_jobs(square, [1, 2, 3], workers=workers))
    assert outcomes[1] == 1
    assert outcomes[2] == 4
    assert isinstance(outcomes[3], ValueError)


def test_a_killed_process_loses_its_own_job_only():
    outcomes = dict(run_jobs(square, [4, 1, 2, 5], workers=2))
    assert isinstance(outcomes.pop(4), WorkerLost)
    assert outcomes == {1: 1, 2: 4, 5: 25}


def test_no_jobs():
    assert list(run_jobs(square, [], workers=4)) == []
