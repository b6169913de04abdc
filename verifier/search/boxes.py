"""Subproblems of the input-split search as a struct of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Boxes:
    """B subproblems, all on the host in float64 (lists of indices in int64).

    lower, upper: input boxes (B, n); below, above: enclosures of all pre-activations, flat (B, total), valid in the box;
    disjunct (B,); bound, before (B,): best lower bounds known of the box and of the one that it is a half of; depth (B,); candidates
    (B, K): what to split, -1 for none, inputs by their number, neurons by n + their flat number. cuts (B, P, n + 1): planes (a, c) with
    a . x + c <= 0 for every counterexample of the subproblem, from the neurons split so far; zeros where unused.
    """

    lower: np.ndarray
    upper: np.ndarray
    below: np.ndarray
    above: np.ndarray
    disjunct: np.ndarray
    bound: np.ndarray
    before: np.ndarray
    depth: np.ndarray
    candidates: np.ndarray
    cuts: np.ndarray

    @classmethod
    def roots(cls, lower: np.ndarray, upper: np.ndarray, below: np.ndarray, above: np.ndarray, disjunct: np.ndarray) -> Boxes:
        """Boxes that nothing is known of but what is given."""
        count, n = lower.shape
        unknown, none = np.full(count, -np.inf), np.zeros((count, 0), np.int64)
        return cls(lower, upper, below, above, disjunct, unknown, unknown, np.zeros(count, np.int64), none, np.zeros((count, 0, n + 1)))

    def __len__(self) -> int:
        return len(self.depth)

    def select(self, index: np.ndarray | slice) -> Boxes:
        """Rows by index, mask or slice."""
        arrays: dict[str, Any] = {f.name: getattr(self, f.name)[index] for f in fields(self)}
        return Boxes(**arrays)

    @classmethod
    def concatenate(cls, parts: Sequence[Boxes]) -> Boxes:
        if len(parts) == 1:
            return parts[0]
        most = max(p.cuts.shape[1] for p in parts)
        cuts = [np.pad(p.cuts, ((0, 0), (0, most - p.cuts.shape[1]), (0, 0))) for p in parts]
        others: dict[str, Any] = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Boxes) if f.name != "cuts"}
        return Boxes(**others, cuts=np.concatenate(cuts))
