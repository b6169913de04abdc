"""Progress of a run: a table on stderr (on a terminal its last line is live), and the same as JSON lines."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import IO

from verifier.report.json_report import number
from verifier.report.text import count
from verifier.search.events import Event, Listener

_COLUMNS = (
    ("time", 8),
    ("iter", 8),
    ("nodes", 10),
    ("open", 8),
    ("depth", 7),
    ("unstable", 10),
    ("lower bound", 14),
    ("attack gap", 13),
    ("proved", 8),
    ("nodes/s", 10),
    ("memory", 9),
)
HEADER = " " + "".join(f"{name:>{width}}" for name, width in _COLUMNS)
_CLEAR = "\r\x1b[K"


class Table:
    """A listener that prints one line an event; on a terminal, batch lines overwrite each other."""

    def __init__(self, stream: IO[str]):
        self._stream = stream
        self._live = stream.isatty()
        self._previous: Event | None = None
        self._dangling = False

    def __call__(self, event: Event) -> None:
        if self._previous is None:
            self._stream.write(HEADER + "\n")
        text = line(event, self._previous)
        if self._live:
            text = _CLEAR + text[: shutil.get_terminal_size().columns - 1]
        self._dangling = self._live and event.kind == "B"
        self._stream.write(text if self._dangling else text + "\n")
        self._stream.flush()
        if self._previous is None or event.nodes:  # events of attacks and of the root do not count subproblems
            self._previous = event

    def close(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._dangling:
            self._stream.write("\n")
            self._stream.flush()
            self._dangling = False


class JsonLines:
    """A listener that writes one JSON object a line."""

    def __init__(self, stream: IO[str]):
        self._stream = stream

    def __call__(self, event: Event) -> None:
        record = {**asdict(event), "lower_bound": number(event.lower_bound), "attack_gap": number(event.attack_gap)}
        self._stream.write(json.dumps(record, allow_nan=False) + "\n")
        self._stream.flush()


def broadcast(listeners: list[Listener]) -> Listener | None:
    """One listener that passes events on; None where there is nobody to tell.

    A listener that can no longer write (a full disk, a closed pipe) is dropped: it must not cost the verdict.
    """
    if not listeners:
        return None
    listening = list(listeners)

    def tell(event: Event) -> None:
        for listener in tuple(listening):
            try:
                listener(event)
            except OSError:
                listening.remove(listener)

    return tell


def line(event: Event, previous: Event | None) -> str:
    """One line of the table; `nodes/s` is the rate since `previous`, the last event that counted some."""
    cells = (
        f"{event.seconds:.2f}s",
        count(event.iteration),
        count(event.nodes),
        count(event.open),
        count(event.depth),
        "-" if event.unstable is None else count(event.unstable),
        _bound(event.lower_bound),
        _bound(event.attack_gap),
        f"{_percent(event.proved):.1f}%",
        _rate(event, previous),
        "-" if event.memory_mb is None else f"{event.memory_mb / 1024:.1f} GB",
    )
    table = event.kind + "".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS))
    return f"{table}  {event.message}".rstrip()


def _bound(value: float | None) -> str:
    if value is None or value in (float("inf"), float("-inf")):
        return "-"
    return f"{value:.5f}" if 1e-4 <= abs(value) < 1e5 or value == 0 else f"{value:.4e}"


def _percent(share: float) -> float:
    """Rounded down, so that 100.0% means all of it."""
    return int(share * 1000) / 10


def _rate(event: Event, previous: Event | None) -> str:
    if previous is None or event.seconds <= previous.seconds or event.nodes <= previous.nodes:
        return "-"
    return count(round((event.nodes - previous.nodes) / (event.seconds - previous.seconds)))
