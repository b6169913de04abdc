"""The progress of a suite on stderr: one line a result, on a terminal above a live table of categories, running instances and time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from verifier.bench.store import Row
from verifier.bench.suite import Instance

if TYPE_CHECKING:
    from verifier.bench.live import Screen


@dataclass(frozen=True)
class Running:
    """An instance that a worker is at, its seconds so far and its timeout."""

    instance: Instance
    seconds: float
    timeout: float


@dataclass
class Tally:
    """Of one category, or of all: results by status, and how many of them are solved and wrong."""

    total: int = 0
    solved: int = 0
    wrong: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        return self.statuses.total()

    def add(self, row: Row) -> None:
        self.statuses[row.status] += 1
        self.solved += row.outcome.solved
        self.wrong += row.outcome.wrong


class Progress:
    """Tells what became of each instance. A stream that can no longer be written is left alone: it must not cost the results."""

    def __init__(self, stream: IO[str] | None, instances: Sequence[Instance], jobs: int, remaining: float):
        """`remaining`: seconds of all timeouts together, the upper limit of the time left; stream None: say nothing."""
        self._stream = stream
        self._jobs, self._remaining = jobs, remaining
        self.all = Tally(len(instances))
        self.categories: dict[str, Tally] = {}
        for instance in instances:
            self.categories.setdefault(instance.category, Tally()).total += 1
        self._spent = 0.0
        self._started = time.monotonic()
        self._screen = _screen(self, stream)

    @property
    def passed(self) -> float:
        return time.monotonic() - self._started

    def add(self, row: Row) -> None:
        for tally in (self.all, self.categories.setdefault(row.category, Tally())):
            tally.add(row)
        self._spent += row.seconds
        self._remaining -= row.timeout
        text = line(row, self.all.done, self.all.total)
        self._say(lambda: self._write(text) if self._screen is None else self._screen.print(text, row.outcome.wrong))

    def tick(self, running: Sequence[Running]) -> None:
        screen = self._screen
        if screen is not None:
            self._say(lambda: screen.show(running))

    def close(self) -> None:
        screen = self._screen
        if screen is not None:
            self._say(screen.close)

    def left(self) -> float:
        """Seconds: as long as the instances took so far on average, but no more than their timeouts."""
        most, done = max(0.0, self._remaining) / self._jobs, self.all.done
        return most if not done else min(most, self._spent / done * (self.all.total - done) / self._jobs)

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text + "\n")
            self._stream.flush()

    def _say(self, what: Callable[[], None]) -> None:
        try:
            what()
        except OSError:
            self._stream = self._screen = None


def _screen(progress: Progress, stream: IO[str] | None) -> Screen | None:
    if stream is None or not stream.isatty():
        return None
    from verifier.bench.live import Screen

    try:
        return Screen(progress, stream)
    except OSError:
        return None


def line(row: Row, done: int, total: int) -> str:
    note = ""
    if row.outcome.wrong and row.truth is not None:
        note = f"  WRONG: the stored verdict is {row.truth.verdict}"
    elif row.error is not None:
        note = f"  {row.error['code']}: {row.error['message']}"
    elif row.outcome.late:
        note = "  too late"
    return f"{done:>{len(str(total))}}/{total}  {row.status:<8}{row.seconds:>8.2f} s  {row.category}  {row.onnx}  {row.vnnlib}{note}"


def span(seconds: float) -> str:
    """3725 -> "1 h 02 min"; 65 -> "1 min 05 s"; 5 -> "5 s"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"
