from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from verifier.search.frontier import Frontier, WorstFirst


@dataclass(frozen=True)
class Boxes:
    """Subproblems with a number of their own."""

    bound: np.ndarray
    number: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def select(self, index: np.ndarray | slice) -> Boxes:
        return Boxes(self.bound[index], self.number[index])

    @staticmethod
    def concatenate(parts: list[Boxes]) -> Boxes:
        return Boxes(np.concatenate([p.bound for p in parts]), np.concatenate([p.number for p in parts]))


def boxes(bound: np.ndarray, first: int) -> Boxes:
    return Boxes(bound, first + np.arange(len(bound)))


Kind = Callable[[Boxes], Frontier[Boxes] | WorstFirst[Boxes]]
KINDS = (Frontier, partial(WorstFirst, most=10**9), partial(WorstFirst, most=5))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_repeated(kind: Kind) -> None:
    """Random pushes and pops, empty blocks and bounds that are equal, infinite or NaN among them."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        made, seen = 0, []
        frontier: Frontier[Boxes] | WorstFirst[Boxes] | None = None
        for _ in range(30):
            bound = rng.choice([0.0, -1.0, -np.inf, np.nan, rng.normal()], size=int(rng.integers(0, 9)))
            block = boxes(bound, made)
            made += len(bound)
            if frontier is None:
                frontier = kind(block)
            else:
                frontier.push(block)
            if frontier.count and rng.random() < 0.6:
                most, before = int(rng.integers(1, 12)), frontier.count
                popped = frontier.pop(most)
                assert len(popped) == min(most, before) and frontier.count == before - len(popped)
                seen += popped.number.tolist()
        while frontier is not None and frontier.count:
            seen += frontier.pop(3).number.tolist()
        assert sorted(seen) == list(range(made))


def test_worst_bound() -> None:
    frontier = Frontier(boxes(np.array([-1.0, -3.0, 0.5]), 0))
    assert frontier.worst_bound() == -3.0
    assert frontier.pop(3).bound.min() == -3.0 and frontier.worst_bound() == np.inf


def test_the_worst_of_all_come_first() -> None:
    """With NaN as the worst of all; past the limit the last block comes first."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        blocks = [boxes(rng.choice([np.nan, -np.inf, 1.0, *rng.normal(size=4)], size=rng.integers(1, 7)), 10 * i) for i in range(6)]
        frontier = WorstFirst(blocks[0].select(slice(0, 0)), 10**9)
        for block in blocks:
            frontier.push(block)
        every = np.sort(np.nan_to_num(np.concatenate([b.bound for b in blocks]), nan=-np.inf, neginf=-np.inf))
        assert frontier.worst_bound() == every[0]
        while frontier.count:
            found = np.nan_to_num(frontier.pop(4).bound, nan=-np.inf, neginf=-np.inf)
            assert (np.sort(found) == every[: len(found)]).all()
            every = every[len(found) :]
            assert frontier.worst_bound() == (every[0] if len(every) else np.inf)
    full = WorstFirst(boxes(np.array([-5.0, -4.0, -3.0]), 0), 3)
    full.push(boxes(np.array([1.0]), 7))
    assert full.pop(1).number.tolist() == [7] and full.pop(1).number.tolist() == [0]
