"""The question that a search answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.graph.order import without_ordered_end

if TYPE_CHECKING:
    from verifier.property.disjuncts import Disjunct


@dataclass(frozen=True, eq=False)
class Query:
    """The disjuncts to decide: each has rows and a non-empty box. lower, upper (K, n)."""

    graph: Graph
    targets: Targets
    lower: np.ndarray
    upper: np.ndarray

    @staticmethod
    def of(graph: Graph, disjuncts: Sequence[Disjunct]) -> Query:
        return Query(graph, Targets.of(disjuncts), np.stack([d.lower for d in disjuncts]), np.stack([d.upper for d in disjuncts]))

    @staticmethod
    def of_order(graph: Graph, disjuncts: Sequence[Disjunct]) -> Query:
        """The same, asked of the values before a softmax or the like where only the order of outputs matters."""
        compare = all(row.compares for d in disjuncts for row in d.rows)
        return Query.of(without_ordered_end(graph) if compare else graph, disjuncts)

    def boxes(self) -> list[np.ndarray]:
        """Disjuncts grouped by equal boxes."""
        groups: dict[bytes, list[int]] = {}
        for k in range(len(self.lower)):
            groups.setdefault(self.lower[k].tobytes() + self.upper[k].tobytes(), []).append(k)
        return [np.array(g) for g in groups.values()]
