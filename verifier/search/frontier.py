"""Open subproblems in blocks: a stack, or the worst first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
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
            self._blocks.append(_sorted(subproblems))
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

    def __iter__(self) -> Iterator[T]:
        """The blocks, to be looked at."""
        return iter(self._blocks)

    def worst_bound(self) -> float:
        return min(map(_worst, self._blocks), default=np.inf)


class WorstFirst(Generic[T]):
    """The worst subproblems of all come first, so that the worst bound improves all the time; with more than `most` subproblems the
    last block does, which keeps memory near that."""

    def __init__(self, start: T, most: int) -> None:
        self._blocks: list[tuple[float, int, T]] = []
        """A heap of (worst bound, number, block); numbers rise."""
        self._join = type(start).concatenate
        self._most = most
        self._pushed = 0
        self.count = 0
        self.push(start)

    def push(self, subproblems: T) -> None:
        if len(subproblems):
            self._add(_sorted(subproblems))

    def _add(self, block: T) -> None:
        self._pushed += 1
        self.count += len(block)
        heapq.heappush(self._blocks, (_worst(block), self._pushed, block))

    def pop(self, most: int) -> T:
        """At most `most` subproblems; at least one must be open."""
        taken: list[T] = []
        room = most
        while room and self._blocks:
            deep = self.count > self._most
            block = self._last() if deep else heapq.heappop(self._blocks)[2]
            self.count -= len(block)
            limit = self._blocks[0][0] if self._blocks and not deep else np.inf
            worse = len(block) if limit == np.inf else int(np.sum(~(block.bound > limit)))
            part = min(room, max(1, worse))
            if part < len(block):
                self._add(block.select(slice(None, len(block) - part)))
                block = block.select(slice(len(block) - part, None))
            room -= part
            taken.append(block)
        return self._join(taken)

    def _last(self) -> T:
        at = max(range(len(self._blocks)), key=lambda i: self._blocks[i][1])
        block = self._blocks.pop(at)[2]
        heapq.heapify(self._blocks)
        return block

    def __iter__(self) -> Iterator[T]:
        """The blocks, to be looked at."""
        return (block for _, _, block in self._blocks)

    def worst_bound(self) -> float:
        return self._blocks[0][0] if self._blocks else np.inf


def _sorted(block: T) -> T:
    """The worst last, those whose bound is NaN at the very end."""
    return block.select(np.argsort(-block.bound, kind="stable"))


def _worst(block: Subproblems) -> float:
    """Least bound of a sorted block; NaN says nothing, which is -inf."""
    worst = float(block.bound[-1])
    return -np.inf if np.isnan(worst) else worst
