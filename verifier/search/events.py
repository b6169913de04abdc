"""What a running verification tells its listeners: one record a line of the progress table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from verifier.verdict import TracePoint

Kind = Literal["R", "B", "A", "*"]
"""R: bounds of the root; B: a batch was bounded; A: the attack made progress; *: the query is decided."""


@dataclass(frozen=True)
class Event:
    """The state of the search at one moment.

    `nodes`: subproblems bounded so far; `open`: subproblems in the frontier; `depth`: splits of the deepest one;
    `unstable`: undecided neurons (None where it is not known); `lower_bound`: least bound over what is open, > 0 closes it;
    `attack_gap`: how far the best input found is from violating the property, <= 0 violates; `proved`: share of the tree's
    weight (sum of 2^-depth) that is closed, 0 to 1; `memory_mb`: peak of the process in 2^20 bytes.
    """

    kind: Kind
    seconds: float
    iteration: int = 0
    nodes: int = 0
    open: int = 0
    depth: int = 0
    unstable: int | None = None
    lower_bound: float | None = None
    attack_gap: float | None = None
    proved: float = 0.0
    memory_mb: float | None = None
    message: str = ""


Listener = Callable[[Event], None]


class Trace:
    """The course of a search in at most `most` points: where there are more, every second one is left out, and then again."""

    def __init__(self, most: int = 128):
        self._most = most
        self._step = 1
        self._seen = 0
        self._points: list[TracePoint] = []
        self._last: TracePoint | None = None

    def add(self, event: Event) -> None:
        """Events of the attack and the decision say nothing about what is open."""
        if event.kind not in ("R", "B"):
            return
        bound = event.lower_bound if event.lower_bound is not None and isfinite(event.lower_bound) else None
        self._last = TracePoint(event.seconds, bound, event.open, event.nodes)
        if self._seen % self._step == 0:
            self._points.append(self._last)
        self._seen += 1
        if len(self._points) >= self._most:
            self._points, self._step = self._points[::2], 2 * self._step

    def points(self) -> tuple[TracePoint, ...]:
        """In order of time, the first and the last included."""
        last = () if self._last is None or self._points[-1] is self._last else (self._last,)
        return (*self._points, *last)
