from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verifier.search.frontier import Frontier


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


def test_nothing_is_lost_or_repeated() -> None:
    """Random pushes and pops, empty blocks and bounds that are equal, infinite or NaN among them."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        made, seen = 0, []
        frontier: Frontier[Boxes] | None = None
        for _ in range(30):
            bound = rng.choice([0.0, -1.0, -np.inf, np.nan, rng.normal()], size=int(rng.integers(0, 9)))
            block = boxes(bound, made)
            made += len(bound)
            if frontier is None:
                frontier = Frontier(block)
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
