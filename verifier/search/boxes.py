"""Subproblems of the input-split search as a struct of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class Boxes:
    """B subproblems, all on the host in float64 (lists of indices in int64).

    lower, upper: input boxes (B, n); below, above: enclosures of all pre-activations, flat (B, total), valid in the box;
    disjunct (B,); bound: best lower bound known (B,); depth (B,); candidates: inputs to halve (B, K), -1 for none.
    """

    lower: np.ndarray
    upper: np.ndarray
    below: np.ndarray
    above: np.ndarray
    disjunct: np.ndarray
    bound: np.ndarray
    depth: np.ndarray
    candidates: np.ndarray

    def __len__(self) -> int:
        return len(self.depth)

    def select(self, index: np.ndarray | slice) -> Boxes:
        """Rows by index, mask or slice."""
        return Boxes(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def concatenate(parts: list[Boxes]) -> Boxes:
        return parts[0] if len(parts) == 1 else Boxes(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Boxes)))

    def nbytes(self) -> int:
        return sum(getattr(self, f.name).nbytes for f in fields(self))

