"""Runs one function over many jobs: in this process, in a pool of processes, or on a Ray cluster.

One job that fails, or that takes its whole process down, never stops the others.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from scene_r1_cli.errors import SceneR1Error, SetupError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

Executor = Literal["local", "ray"]
Job = TypeVar("Job")
Result = TypeVar("Result")

RAY_RETRIES = 2

Outcome = tuple[Job, Result | Exception]
"""A job with what it returned or raised."""


class WorkerLost(SceneR1Error):
    """The process of a job ended without an answer: killed, out of memory, or crashed in native code."""

    exit_code = 5


def warm_up(*modules: str) -> None:
    """Begin to load modules in the process that workers will be forked from, while this one goes on.

    To be called before ``run_jobs``, and only where it will start a local pool; without it the pool loads the
    module of its function when the first job is there.
    """
    import multiprocessing

    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
        forkserver.ensure_running()


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    executor: Executor = "local",
    ray_address: str | None = None,
) -> Iterator[Outcome[Job, Result]]:
    """Run jobs and hand out each one's outcome as it ends, in any order.

    Args:
        function: Picklable, of one job.
        jobs: Picklable.
        workers: Processes of the local pool; 1 runs everything in this process.
        executor: ``local`` or ``ray``.
        ray_address: Address of a Ray cluster; None takes the one that ``RAY_ADDRESS`` names, else the
            cluster on this machine, else starts one here.

    Raises:
        SetupError: Ray is asked for and is not installed or cannot be reached.
    """
    if executor == "ray":
        return _on_ray(function, jobs, ray_address)
    if workers <= 1 or len(jobs) <= 1:
        return _here(function, jobs)
    return _in_pool(function, jobs, workers)


def _here(function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Outcome[Job, Result]]:
    for job in jobs:
        try:
            yield job, function(job)
        except Exception as error:
            yield job, error


def _in_pool(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Outcome[Job, Result]]:
    from concurrent.futures import as_completed
    from concurrent.futures.process import BrokenProcessPool

    unanswered: list[Job] = []
    with _pool(function, min(workers, len(jobs))) as pool:
        futures = {pool.submit(function, job): job for job in jobs}
        for future in as_completed(futures):
            outcome = _outcome(future)
            if isinstance(outcome, BrokenProcessPool):
                unanswered.append(futures[future])
            else:
                yield futures[future], outcome
    # A dead process takes the pool with it, and nothing tells whose it was: each gets its own.
    for job in unanswered:
        with _pool(function, 1) as pool:
            outcome = _outcome(pool.submit(function, job))
        if isinstance(outcome, BrokenProcessPool):
            outcome = WorkerLost("its process ended without an answer (killed, out of memory, or crashed)")
        yield job, outcome


def _pool(function: Callable[[Job], Result], workers: int) -> ProcessPoolExecutor:
    """Processes that are forked from one that has loaded what the function needs, and nothing else.

    Not forked from this one: Open3D's and torch's threads do not survive that.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    if "forkserver" not in multiprocessing.get_all_start_methods():
        return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    return ProcessPoolExecutor(workers, mp_context=context)


def _outcome(future: Future) -> Any:
    try:
        return future.result()
    except Exception as error:
        return error


def _on_ray(
    function: Callable[[Job], Result], jobs: Sequence[Job], address: str | None
) -> Iterator[Outcome[Job, Result]]:
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError
    except ImportError as error:
        raise SetupError("Ray is not installed.", "pip install 'scener1[ray]'") from error
    with ExitStack() as stack:
        # Ray prints what it has to say of its nodes on stdout, which is for data, whatever it is told: from a
        # thread of its own and at any time, so between two outcomes, too.
        stack.enter_context(redirect_stdout(sys.stderr))
        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SetupError(
                    f"The Ray cluster {address or ''} cannot be reached: {error}",
                    "Start one with `ray start --head`, or leave --ray-address out.",
                ) from error
            stack.callback(ray.shutdown)
        # A job on a node that dies is started anew elsewhere; one that keeps taking its worker down is lost.
        remote = ray.remote(max_retries=RAY_RETRIES)(function)
        pending = {remote.remote(job): job for job in jobs}
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1)
            job = pending.pop(done[0])
            try:
                yield job, ray.get(done[0])
            except RayTaskError as error:
                yield job, error.cause if isinstance(error.cause, Exception) else error
            except RayError as error:
                yield job, WorkerLost(f"its Ray worker was lost ({type(error).__name__})")
