"""Subproblems of the neuron-split search: histories of splits, from which their bounds are rebuilt.

Neurons are numbered flat over all pre-activations (`Neurons`); numbers from `total` on are the inputs, so that an input can
be halved by the same means where no neuron is left to split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from verifier.arrays import Array, Arrays, raised


@dataclass(frozen=True, eq=False)
class Splits:
    """B subproblems on the host. Split d of a subproblem says  value(neuron) >= point  (side 1) or <= point (side -1).

    neuron, side, point: (B, D), side 0 where unused. multiplier: (B, R, D), m of the evaluator for the split neuron.
    slopes: nonlinear node -> (B, R, k, 1 or 2) float16, lower (and upper) slopes of the neurons unstable at the root.
    disjunct, bound, depth: (B,). choice, choice_point, expected: (B,), what to split next, and the gain that is expected of it
    (as of `pseudo_costs`), NaN where nothing is.
    domain: (B,), number of the enclosures that the splits clamp (see Enclosures). gains: (B, 4, 2), what the last splits gained,
    the latest last: for this side and for the other one, where that was closed all that was needed; NaN before these enclosures.
    below, above: (B, T' + n), enclosures of its own, of neurons and inputs, that hold at counterexamples; (B, 0) where it has none.
    """

    neuron: np.ndarray
    side: np.ndarray
    point: np.ndarray
    multiplier: np.ndarray
    slopes: dict[int, np.ndarray]
    disjunct: np.ndarray
    bound: np.ndarray
    depth: np.ndarray
    choice: np.ndarray
    choice_point: np.ndarray
    expected: np.ndarray
    domain: np.ndarray
    gains: np.ndarray
    below: np.ndarray
    above: np.ndarray

    def __len__(self) -> int:
        return len(self.depth)

    def select(self, index: np.ndarray | slice) -> Splits:
        arrays: dict[str, Any] = {name: getattr(self, name)[index] for name in _ARRAYS}
        return Splits(**arrays, slopes={n: a[index] for n, a in self.slopes.items()})

    def widened(self, width: int) -> Splits:
        """The same with room for `width` splits."""
        extra = width - self.neuron.shape[1]
        if extra <= 0:
            return self
        pad = lambda a: np.concatenate([a, np.zeros((*a.shape[:-1], extra), a.dtype)], axis=-1)  # noqa: E731
        return replace(self, neuron=pad(self.neuron), side=pad(self.side), point=pad(self.point), multiplier=pad(self.multiplier))

    @classmethod
    def concatenate(cls, parts: Sequence[Splits]) -> Splits:
        if len(parts) == 1:
            return parts[0]
        width = max(p.neuron.shape[1] for p in parts)
        parts = [p.widened(width) for p in parts]
        arrays: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _ARRAYS}
        return Splits(**arrays, slopes={n: np.concatenate([p.slopes[n] for p in parts]) for n in parts[0].slopes})

    @property
    def repeated(self) -> np.ndarray:
        """(B, D) True where the neuron has been split before: its multiplier stands at its first split alone."""
        used = self.side != 0
        same = (self.neuron[:, :, None] == self.neuron[:, None, :]) & used[:, :, None] & used[:, None, :]
        return np.asarray(np.tril(same, -1).any(axis=2))

    def children(self) -> Splits:
        """Both halves of every subproblem at its choice: the first B at or above the point, the last B at or below."""
        used = int(self.depth.max()) + 1
        wide = self.widened(used)
        at = np.arange(len(self))
        neuron, point = wide.neuron.copy(), wide.point.copy()
        neuron[at, self.depth], point[at, self.depth] = self.choice, self.choice_point
        sides = []
        for sign in (1, -1):
            side = wide.side.copy()
            side[at, self.depth] = sign
            sides.append(replace(wide, neuron=neuron, point=point, side=side, depth=self.depth + 1))
        return Splits.concatenate(sides)

    def within(self, domain: np.ndarray) -> Splits:
        """The same subproblems with other enclosures (B,)."""
        return replace(self, domain=domain, gains=np.full_like(self.gains, np.nan))

    def after_split(self, gains: np.ndarray) -> Splits:
        """The same with the gains (B, 2) of the split that made them."""
        return replace(self, gains=np.concatenate([self.gains[:, 1:], gains[:, None]], axis=1))

    def clamp(self, below: Array, above: Array) -> tuple[Array, Array]:
        """Enclosures of neurons and inputs before the splits, (B, T), which are used up -> those of every subproblem, (B, T)."""
        return clamped(below, above, self.neuron, self.side, self.point)


def clamped(below: Array, above: Array, neuron: np.ndarray, side: np.ndarray, point: np.ndarray) -> tuple[Array, Array]:
    """Enclosures (B, T), which are used up, under the splits (B, D) of neurons at points; side 0 says nothing."""
    low = raised(below, neuron, np.where(side > 0, point, -np.inf))
    return low, -raised(-above, neuron, np.where(side < 0, -point, -np.inf))


class Enclosures:
    """Enclosures of neurons (T',) by number: 0 holds everywhere, the others in one subproblem and all that it is split into."""

    def __init__(self, below: np.ndarray, above: np.ndarray, inputs: int, arrays: Arrays, most: int = 40_000_000) -> None:
        """below, above (T' + inputs,): of neurons and inputs; those of the inputs never change. most: numbers that may be kept."""
        self._neurons = len(below) - inputs
        self._arrays = arrays
        self._box = arrays.asarray(below[self._neurons :]), arrays.asarray(above[self._neurons :])
        self._sides = arrays.asarray(np.stack([below, above])[:, None, : self._neurons])
        self._count = 1
        self._most = max(1, most // max(1, 2 * self._neurons))

    @property
    def room(self) -> int:
        """How many more may be kept."""
        return self._most - self._count

    def add(self, below: np.ndarray, above: np.ndarray) -> np.ndarray:
        """Numbers (B,) of new ones (B, T' + inputs)."""
        first, self._count = self._count, self._count + len(below)
        if self._count > self._sides.shape[1]:
            grown = self._arrays.zeros((2, 2 * self._count, self._neurons))
            grown[:, :first] = self._sides[:, :first]
            self._sides = grown
        for side, new in enumerate((below, above)):
            self._sides[side, first : self._count] = self._arrays.asarray(new[:, : self._neurons])
        return np.arange(first, self._count)

    def of(self, domain: np.ndarray) -> tuple[Array, Array]:
        """(B, T' + inputs) each, for numbers (B,)."""
        xp, index = self._arrays.xp, self._arrays.indices(domain)
        boxes = (xp.broadcast_to(box, (len(domain), len(box))) for box in self._box)
        below, above = (xp.concat([self._sides[side][index], box], axis=1) for side, box in enumerate(boxes))
        return below, above


_ARRAYS = tuple(f.name for f in fields(Splits) if f.name != "slopes")
