"""The question that a search answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.graph.order import without_ordered_end
from verifier.graph.window import with_outputs

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
    def narrowed(graph: Graph, disjuncts: Sequence[Disjunct]) -> Query:
        """The same of less of the network: without a softmax or the like at its end where only the order of outputs matters, and of an
        image without what none of the outputs that rows mention depends on."""
        if all(row.compares for d in disjuncts for row in d.rows):
            graph = without_ordered_end(graph)
        query = Query.of(graph, disjuncts)
        used = np.flatnonzero(query.targets.outputs.any(axis=(0, 1)))
        if not len(used) or (smaller := with_outputs(graph, used)) is graph:
            return query
        return replace(query, graph=smaller, targets=replace(query.targets, outputs=query.targets.outputs[:, :, used]))

    def boxes(self) -> list[np.ndarray]:
        """Disjuncts grouped by equal boxes."""
        groups: dict[bytes, list[int]] = {}
        for k in range(len(self.lower)):
            groups.setdefault(self.lower[k].tobytes() + self.upper[k].tobytes(), []).append(k)
        return [np.array(g) for g in groups.values()]
