"""Subproblems of the neuron-split search: histories of splits, from which their bounds are rebuilt.

Neurons are numbered flat over all pre-activations (`Neurons`); numbers from `total` on are the inputs, so that an input can
be halved by the same means where no neuron is left to split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Splits:
    """B subproblems on the host. Split d of a subproblem says  value(neuron) >= point  (side 1) or <= point (side -1).

    neuron, side, point: (B, D), side 0 where unused. multiplier: (B, R, D), m of the evaluator for the split neuron.
    slopes: nonlinear node -> (B, R, k, 1 or 2) float16, lower (and upper) slopes of the neurons unstable at the root.
    disjunct, bound, depth: (B,). choice, choice_point: (B,), what to split next.
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

    def clamp(self, below: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Root enclosures (T,) of neurons and inputs -> those of every subproblem (B, T)."""
        count = len(self)
        low, high = np.repeat(below[None], count, axis=0), np.repeat(above[None], count, axis=0)
        at = np.broadcast_to(np.arange(count)[:, None], self.neuron.shape)
        up, down = self.side > 0, self.side < 0
        np.maximum.at(low, (at[up], self.neuron[up]), self.point[up])
        np.minimum.at(high, (at[down], self.neuron[down]), self.point[down])
        return low, high


_ARRAYS = tuple(f.name for f in fields(Splits) if f.name != "slopes")
