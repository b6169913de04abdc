"""Chunks of array work on all cores: numpy and torch release the interpreter lock while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """A pool of threads; one thread means plain calls. Use as a context manager."""

    def __init__(self, threads: int):
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        # Two levels of threads would wait for each other: many small products gain more from chunks than from inner threads.
        self._limit = threadpool_limits(1, user_api="blas") if threads > 1 else None

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """function(item) for every item, in order; the first exception is raised here."""
        todo = list(items)
        if self._pool is None or len(todo) < 2:
            return [function(item) for item in todo]
        return list(self._pool.map(function, todo))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if self._limit is not None:
            self._limit.restore_original_limits()
