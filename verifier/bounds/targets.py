"""The rows of all disjuncts as padded arrays, so that subproblems of different disjuncts share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verifier.arrays import Array, Arrays
from verifier.bounds.rigorous import U
from verifier.graph.ir import Graph

if TYPE_CHECKING:
    from verifier.property.disjuncts import Disjunct


@dataclass(frozen=True, eq=False)
class Targets:
    """K disjuncts of at most R rows each; row r of disjunct k is  outputs[k, r] . y + inputs[k, r] . x + constant[k, r].

    A point is a counterexample of k where all its rows are <= 0 (< 0 where strict). Shorter disjuncts repeat their first row.
    inputs is None where no row mentions an input.
    """

    outputs: np.ndarray
    inputs: np.ndarray | None
    constant: np.ndarray
    strict: np.ndarray

    @staticmethod
    def of(disjuncts: Sequence[Disjunct]) -> Targets:
        parts = [d.coefficients() for d in disjuncts]
        longest = max(len(p[2]) for p in parts)
        pick = [np.arange(longest) % len(p[2]) * (np.arange(longest) < len(p[2])) for p in parts]
        outputs, inputs, constant, strict = (np.stack([p[i][order] for p, order in zip(parts, pick)]) for i in range(4))
        return Targets(outputs, inputs if inputs.any() else None, constant, strict)

    def rows(self, graph: Graph, arrays: Arrays, which: np.ndarray) -> dict[int, Array]:
        """node -> (B, R, *shape) for the evaluator."""
        rows = {graph.output: arrays.asarray(self.outputs[which])}
        if self.inputs is not None:
            rows[0] = arrays.asarray(self.inputs[which])
        return rows

    def add_constant(self, lower: np.ndarray, which: np.ndarray) -> np.ndarray:
        """lower (B, R) plus the rows' constants, rounded down."""
        d = self.constant[which]
        return lower + d - 4 * U * (np.abs(lower) + np.abs(d))

    def refuted(self, bounds: np.ndarray, which: np.ndarray) -> np.ndarray:
        """(B,) True where some row's lower bound (B, R, constant included) excludes every counterexample. NaN refutes nothing."""
        return ((bounds > 0) | (self.strict[which] & (bounds >= 0))).any(axis=1)

    def margins(self, x: np.ndarray, y: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Largest row value at the points x (N, n), y (N, m) for disjuncts which (N,): a counterexample has <= 0."""
        values = np.einsum("brm,bm->br", self.outputs[which], y) + self.constant[which]
        if self.inputs is not None:
            values = values + np.einsum("brn,bn->br", self.inputs[which], x)
        return values.max(axis=1)
