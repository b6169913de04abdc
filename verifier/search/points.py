"""Inputs that may be counterexamples: of the search to the attack and the replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Points(NamedTuple):
    """Inputs x (k, n) of disjuncts which (k,), with their margins (k,): a counterexample has <= 0."""

    x: np.ndarray
    which: np.ndarray
    margins: np.ndarray

    def best(self, count: int) -> Points:
        order = np.argsort(self.margins, kind="stable")[:count]
        return Points(*(a[order] for a in self))

    @staticmethod
    def none(inputs: int) -> Points:
        return Points(np.zeros((0, inputs)), np.zeros(0, np.int64), np.zeros(0))

    @staticmethod
    def joined(parts: Sequence[Points]) -> Points:
        """At least one part."""
        return Points(*(np.concatenate(arrays) for arrays in zip(*parts)))
