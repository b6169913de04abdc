"""The progress of a suite on stderr: one line a result, on a terminal followed by a live line with the counts and the time left."""

from __future__ import annotations

import shutil
import time
from typing import IO

from verifier.bench.store import Row

_CLEAR = "\r\x1b[K"
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


class Progress:
    """Tells what became of each instance. A stream that can no longer be written is left alone: it must not cost the results."""

    def __init__(self, stream: IO[str] | None, total: int, jobs: int, remaining: float):
        """`remaining`: seconds of all timeouts together, the upper limit of the time left; stream None: say nothing."""
        self._stream = stream
        self._live = stream is not None and stream.isatty()
        self._total, self._jobs, self._remaining = total, jobs, remaining
        self._done = self._solved = self._wrong = self._errors = 0
        self._spent = 0.0
        self._started = time.monotonic()

    def add(self, row: Row) -> None:
        self._done += 1
        self._solved += row.outcome.solved
        self._wrong += row.outcome.wrong
        self._errors += row.status == "error"
        self._spent += row.seconds
        self._remaining -= row.timeout
        self._write((_CLEAR if self._live else "") + line(row, self._done, self._total, self._live) + "\n")

    def tick(self, running: int) -> None:
        if self._live:
            self._write(_CLEAR + self.summary(running)[: shutil.get_terminal_size().columns - 1])

    def close(self) -> None:
        if self._live:
            self._write(_CLEAR)

    def summary(self, running: int) -> str:
        wrong = f"{self._wrong} wrong" if not (self._wrong and self._live) else f"{_RED}{self._wrong} wrong{_PLAIN}"
        counts = f"{self._done}/{self._total} done, {self._solved} solved, {wrong}, {self._errors} errors, {running} running"
        return f"{counts}; {span(time.monotonic() - self._started)} passed, {span(self.left())} left"

    def left(self) -> float:
        """Seconds: as long as the instances took so far on average, but no more than their timeouts."""
        most = max(0.0, self._remaining) / self._jobs
        return most if not self._done else min(most, self._spent / self._done * (self._total - self._done) / self._jobs)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._stream = None


def line(row: Row, done: int, total: int, colour: bool = False) -> str:
    note = ""
    if row.outcome.wrong and row.truth is not None:
        note = f"  WRONG: the stored verdict is {row.truth.verdict}"
        note = f"{_RED}{note}{_PLAIN}" if colour else note
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
