"""Workers that are stopped, killed or wait for ever: nothing is lost, and nothing hangs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest

from verifier import parallel
from verifier.parallel import Late, Workers, within_memory

pytestmark = pytest.mark.skipif(os.name != "posix" or not hasattr(os, "fork"), reason="children are forked")


def deadlock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = (deadlock, stopped, killed)


def faulty(fault: Callable[[], None], parent: int) -> Callable[[int], np.ndarray]:
    def work(item: int) -> np.ndarray:
        if os.getpid() != parent and item == 3:
            fault()
        return np.full(50_000, item)  # more than a pipe holds

    return work


@pytest.mark.parametrize("fault", FAULTS)
def test_the_parent_does_what_a_child_does_not(fault: Callable[[], None]) -> None:
    start = time.monotonic()
    with patch.object(parallel, "_PATIENCE", (0.1, 1.0)), Workers(2, start + 60.0) as workers:
        assert [int(r[0]) for r in workers.map(faulty(fault, os.getpid()), range(4))] == [0, 1, 2, 3]
    assert time.monotonic() - start < 10.0


@pytest.mark.parametrize("fault", FAULTS)
def test_no_time_is_left_for_what_a_child_does_not(fault: Callable[[], None]) -> None:
    """The share is lost and said to be; the child is gone."""
    start, children, fork = time.monotonic(), [], os.fork

    def recorded() -> int:
        children.append(fork())
        return children[-1]

    with patch.object(os, "fork", recorded), Workers(2, start + (0.0 if fault is killed else 0.2)) as workers, pytest.raises(Late):
        workers.map(faulty(fault, os.getpid()), range(4))
    assert time.monotonic() - start < 10.0
    assert len(children) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)


def test_an_answer_in_time_is_taken_after_the_deadline() -> None:
    """The parent's own share may take longer than a child's."""
    parent = os.getpid()

    def work(item: int) -> int:
        time.sleep(0.3 if os.getpid() == parent else 0.0)
        return item

    with Workers(2, time.monotonic() + 0.1) as workers:
        assert workers.map(work, range(2)) == [0, 1]


def test_a_wait_that_is_stopped_ends_soon() -> None:
    """An interrupt is told to the parent alone, so the children go on."""
    start, parent = time.monotonic(), os.getpid()
    work = lambda item: time.sleep(0.0 if os.getpid() == parent else 60.0)  # noqa: E731
    with Workers(2, stop=lambda: time.monotonic() > start + 0.5) as workers, pytest.raises(Late):
        workers.map(work, [1, 2])
    assert time.monotonic() < start + 10.0


class Pieces(list[int]):
    def select(self, index: slice) -> Pieces:
        return Pieces(self[index])


def out_of_memory() -> Exception:
    """What torch raises on a device, where torch is in use."""
    torch = sys.modules.get("torch")
    return MemoryError() if torch is None else torch.cuda.OutOfMemoryError()


@pytest.mark.parametrize("most", [1, 3, 100])
def test_what_does_not_fit_the_memory_is_done_in_parts(most: int) -> None:
    sizes: list[int] = []

    def work(pieces: Pieces) -> list[int]:
        sizes.append(len(pieces))
        if len(pieces) > most:
            raise out_of_memory()
        return [2 * p for p in pieces]

    found = within_memory(work, Pieces(range(11)))
    assert [r for part in found for r in part] == list(range(0, 22, 2))
    assert max(map(len, found)) <= most and len(sizes) <= 21


def test_a_single_piece_that_does_not_fit_is_an_error() -> None:
    def work(pieces: Pieces) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        within_memory(work, Pieces(range(3)))
