"""Independent pieces of array work on all cores.

Threads of one process gain little here: most array operations of small networks take microseconds, and the interpreter
lock passes from one to the other. So `map` forks: a child has everything that the parent has, computes its share and sends
the results back. Where fork is not to be had, the pieces run one after another.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Protocol, Self, TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE = 10.0, 20.0
"""A child may take 10 seconds, and 20 times as long as the parent took for a share of the same size: one that takes longer is taken
to be stopped for good, such as by a lock that another thread held at the fork."""
_LOOK = 0.2
"""Seconds between two looks at whether a wait is to be stopped: an interrupt reaches the parent alone."""


class Late(Exception):
    """The deadline has passed before there was a result."""


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """As many processes at a time as cores, and one thread in each, until `deadline` on the monotonic clock, or `stop` says so. Use as a
    context manager."""

    def __init__(self, cores: int, deadline: float = float("inf"), stop: Callable[[], bool] = lambda: False):
        self.cores = cores if sys.platform == "linux" else 1
        self._deadline = deadline
        self._stop = stop
        # Two levels of parallel work would wait for each other.
        self._limit = threadpool_limits(1, user_api="blas") if self.cores > 1 else None
        if sys.platform == "linux":
            _keep_freed_memory()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """function(item) for every item, in order. `function` must not have side effects: it may run in a child process.

        Where a child fails, is killed (such as for memory) or does not answer, the parent computes its share, and so meets an
        exception itself. Raises Late where there is no time for that, or the wait is stopped.
        """
        todo = list(items)
        count = min(self.cores, len(todo))
        if count < 2:
            return [function(item) for item in todo]
        shares = [todo[i * len(todo) // count : (i + 1) * len(todo) // count] for i in range(count)]
        children = [_Child(function, share) for share in shares[1:]]
        start = time.monotonic()
        try:
            results = [function(item) for item in shares[0]]
            patience = _PATIENCE[0] + _PATIENCE[1] * (time.monotonic() - start)
            for child, share in zip(children, shares[1:]):
                found: list[R] | None = child.results(min(self._deadline, time.monotonic() + patience), self._stop)
                if found is None and (time.monotonic() >= self._deadline or self._stop()):
                    raise Late
                results += [function(item) for item in share] if found is None else found
        finally:
            for child in children:
                child.end()
        return results

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._limit is not None:
            self._limit.restore_original_limits()


class Divisible(Protocol):
    """Pieces of work that can be done in parts."""

    def __len__(self) -> int: ...

    def select(self, index: slice) -> Self: ...


D = TypeVar("D", bound=Divisible)


def within_memory(function: Callable[[D], R], pieces: D) -> list[R]:
    """function(pieces), or, where that does not fit the memory of the device, of both halves of it, and so on down to a single piece."""
    try:
        return [function(pieces)]
    except _out_of_memory():
        if len(pieces) < 2:
            raise
    middle = len(pieces) // 2  # outside of the handler: what the failed attempt holds is free by now
    return [r for part in (slice(None, middle), slice(middle, None)) for r in within_memory(function, pieces.select(part))]


def _out_of_memory() -> tuple[type[Exception], ...]:
    """What numpy raises, and torch where it is in use."""
    torch = sys.modules.get("torch")
    return (MemoryError,) if torch is None else (MemoryError, torch.cuda.OutOfMemoryError)


class _Child:
    """A forked process that computes a list of results and ends."""

    def __init__(self, function: Callable[[T], R], share: list[T]):
        self._read, write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._read)
                _end_with_parent()
                with os.fdopen(write, "wb") as stream:
                    pickle.dump([function(item) for item in share], stream, protocol=pickle.HIGHEST_PROTOCOL)
            finally:
                # Nothing of the parent's (buffers, exit handlers, exception messages) is the child's to deal with.
                os._exit(0)
        os.close(write)

    def results(self, until: float, stop: Callable[[], bool]) -> list[R] | None:
        """What the child sent by the moment `until`, or before `stop`; None where it ended before, or has not done."""
        poll, parts = select.poll(), []
        poll.register(self._read, select.POLLIN)
        while True:
            left = until - time.monotonic()
            if poll.poll(1000.0 * min(_LOOK, max(0.0, left))):
                part = os.read(self._read, 1 << 20)
                if not part:
                    break
                parts.append(part)
            elif left <= 0.0 or stop():
                break
        try:
            return pickle.loads(b"".join(parts))  # noqa: S301 - written by this program a moment ago, through a private pipe
        except (pickle.UnpicklingError, EOFError):
            return None

    def end(self) -> None:
        """Stop the child if it still runs, and release what it held."""
        os.close(self._read)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _end_with_parent() -> None:
    """In a child: leave interrupts to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _keep_freed_memory() -> None:
    """Have the C library keep large blocks for reuse: mapping and clearing them anew takes a sixth of the search's time."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, 1 << 29)
