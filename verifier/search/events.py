"""What a running verification tells its listeners: one record a line of the progress table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
