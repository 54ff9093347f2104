"""Heavy jobs on more than one core or machine: one function over many tasks.

A job is a module-level function and a list of argument tuples; each task writes its own file or
returns a small value, may run twice, and its second run replaces the first. Local processes are
the default; `JINGWEI_EXECUTOR=tcp://scheduler:8786` gives the same tasks to Dask distributed (the
extra `dask`), whose workers see the data folder at the same path. Either survives the death of a
worker: what it had not finished is done again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

R = TypeVar("R")
TRIES = 3  # how often a task may take its worker with it


class ExecutorError(RuntimeError):
    """The executor cannot be used, or a task ended its worker again and again."""


class Executor(Protocol):
    def run(
        self, function: Callable[..., R], tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, R]]:
        """(index of the task, result) of every task, in the order in which they end.

        What a task raises is raised here.
        """


class Local:
    """Processes on this machine, as many as cores unless said otherwise."""

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or os.cpu_count() or 1

    def run(
        self, function: Callable[..., R], tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, R]]:
        left = dict(enumerate(tasks))
        for _ in range(TRIES):
            context = multiprocessing.get_context("spawn")
            workers = min(self.processes, len(left)) or 1
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                futures = {pool.submit(function, *task): i for i, task in left.items()}
                try:
                    for future in as_completed(futures):
                        result = future.result()
                        i = futures[future]
                        del left[i]
                        yield i, result
                    return
                except BrokenProcessPool:
                    continue  # a worker was killed: the others go with it, the rest is done anew
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        raise ExecutorError(
            f"{len(left)} tasks ended their process {TRIES} times; the first: "
            f"{function.__name__}{tasks[min(left)]!r:.300}"
        )


class Dask:
    """A Dask cluster by the address of its scheduler."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise ExecutorError(
                f"JINGWEI_EXECUTOR={address!r} needs Dask: install jingwei[dask]"
            ) from None
        try:
            self.client = Client(address, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ExecutorError(
                f"JINGWEI_EXECUTOR={address!r}: no Dask scheduler answers there ({error})"
            ) from None

    def run(
        self, function: Callable[..., R], tasks: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, R]]:
        from distributed import as_completed as completed

        futures = {
            self.client.submit(function, *task, pure=False): i for i, task in enumerate(tasks)
        }
        try:
            for future in completed(futures, loop=self.client.loop):
                yield futures[future], future.result()
        finally:
            self.client.cancel(list(futures))

    def close(self) -> None:
        self.client.close()


def executor(address: str = "", processes: int | None = None) -> Executor:
    """The executor by its setting: empty for local processes, else the scheduler's address."""
    return Dask(address) if address else Local(processes)
