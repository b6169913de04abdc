"""Open subproblems: a stack of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, Self, TypeVar

import numpy as np


class Subproblems(Protocol):
    """A struct of arrays: one row a subproblem, `bound` (B,) its best known lower bound."""

    @property
    def bound(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def select(self, index: np.ndarray | slice) -> Self: ...

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self: ...


T = TypeVar("T", bound=Subproblems)


class Frontier(Generic[T]):
    """Depth first in blocks: memory stays near depth * batch, and a block's worst subproblems come first."""

    def __init__(self, start: T) -> None:
        self._blocks: list[T] = []
        self._join = type(start).concatenate
        self.count = 0
        self.push(start)

    def push(self, subproblems: T) -> None:
        if len(subproblems):
            self._blocks.append(subproblems.select(np.argsort(-subproblems.bound, kind="stable")))
            self.count += len(subproblems)

    def pop(self, most: int) -> T:
        """At most `most` subproblems from the top; at least one must be open."""
        taken: list[T] = []
        room = most
        while room and self._blocks:
            block = self._blocks.pop()
            if len(block) > room:
                self._blocks.append(block.select(slice(None, len(block) - room)))
                block = block.select(slice(len(block) - room, None))
            room -= len(block)
            taken.append(block)
        self.count -= most - room
        return self._join(taken)

    def worst_bound(self) -> float:
        return min((float(b.bound.min()) for b in self._blocks), default=np.inf)
