"""What splits of each neuron have gained so far, against what was expected of them (pseudo-costs; Achterberg, Koch & Martin 2005,
"Branching rules revisited").

A score knows the relaxation of one neuron and nothing of what its split does to the others; a look-ahead knows that, but not how
much of it better slopes would have gained without the split. How far either is off depends more on the neuron than on the
subproblem, so every look-ahead and every split tells something for all subproblems to come.

Gains are logarithms of the geometric mean of both sides', each at most what is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_PRIOR = 2.0
"""Observations that the mean of all neurons counts for."""
_LEAST = 1e-3
"""Part of the gap that a side gains at least, for logarithms."""


class Learned(NamedTuple):
    """Sums (T,) of log(gain / what was expected) by neuron, and numbers (T,) of observations."""

    total: np.ndarray
    seen: np.ndarray

    @staticmethod
    def none(neurons: int) -> Learned:
        return Learned(np.zeros(neurons), np.zeros(neurons))

    @staticmethod
    def of(neurons: int, neuron: np.ndarray, ratio: np.ndarray) -> Learned:
        """neuron, ratio: of one shape; numbers from `neurons` on, negative ones, and ratios that are not finite say nothing."""
        usable = (neuron >= 0) & (neuron < neurons) & np.isfinite(ratio)
        at = neuron[usable]
        return Learned(np.bincount(at, ratio[usable], neurons), np.bincount(at, minlength=neurons).astype(float))

    def and_also(self, parts: Sequence[Learned]) -> Learned:
        return Learned(*(old + sum(new) for old, new in zip(self, zip(*parts))))

    def without(self, other: Learned) -> Learned:
        return Learned(*(a - b for a, b in zip(self, other)))

    def logarithms(self) -> np.ndarray:
        """(T,): of what expectations are to be multiplied with; 0 on average, and where nothing is known."""
        mean = self.total.sum() / max(1.0, self.seen.sum())
        return np.asarray((self.total + _PRIOR * mean) / (self.seen + _PRIOR) - mean)


def gain(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Logarithm of what bounds gain; what is refuted gains all that was needed."""
    needed = np.maximum(-before, 1e-12)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.log(np.clip((after - before) / needed, 0.0, 1.0) + _LEAST) + np.log(needed))


class PseudoCosts:
    """Of the neurons (T,) of one tree: of look-aheads against scores, and of splits against look-aheads."""

    def __init__(self, neurons: int) -> None:
        self._neurons = neurons
        self._scores = self._splits = Learned.none(neurons)

    @property
    def of_scores(self) -> np.ndarray:
        """(T,) > 0, what scores are to be multiplied with."""
        return np.exp(self._scores.logarithms())

    @property
    def of_splits(self) -> np.ndarray:
        """(T,), what is to be added to the gains of look-aheads."""
        return self._splits.logarithms()

    def looked_ahead(self, parts: Sequence[Learned]) -> None:
        """What the parts of a batch have learned of scores."""
        self._scores = self._scores.and_also(parts)

    def split(self, neuron: np.ndarray, expected: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Subproblems (B,) made by splits of neurons, whose parents' bounds were `before`."""
        learned = Learned.of(self._neurons, neuron, gain(before, after) - expected)
        self._splits = self._splits.and_also([learned])

    def copy(self) -> PseudoCosts:
        """One that learns on its own."""
        found = PseudoCosts(self._neurons)
        found._scores, found._splits = self._scores, self._splits
        return found

    def since(self, before: PseudoCosts) -> PseudoCosts:
        """What a copy of `before` has learned."""
        found = PseudoCosts(self._neurons)
        found._scores, found._splits = self._scores.without(before._scores), self._splits.without(before._splits)
        return found

    def add(self, others: Sequence[PseudoCosts]) -> None:
        """What was learned elsewhere."""
        self._scores = self._scores.and_also([other._scores for other in others])
        self._splits = self._splits.and_also([other._splits for other in others])
