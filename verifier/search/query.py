"""The question that a search answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from verifier.bounds.targets import Targets
from verifier.graph.agreement import points, same_signs
from verifier.graph.ir import Graph
from verifier.graph.order import without_ordered_end
from verifier.graph.squares import with_squares
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
        asked = query = Query.of(graph, disjuncts)
        if all(row.compares for d in disjuncts for row in d.rows):
            query = replace(query, graph=without_ordered_end(graph))
        used = np.flatnonzero(query.targets.outputs.any(axis=(0, 1)))
        smaller = with_outputs(query.graph, used) if len(used) else query.graph
        if smaller is not query.graph:
            query = replace(query, graph=smaller, targets=replace(query.targets, outputs=query.targets.outputs[:, :, used]))
        query = replace(query, graph=with_squares(query.graph, query.lower.min(axis=0), query.upper.max(axis=0)))
        if query.graph is not graph:
            x = points(query.lower[0], query.upper[0])
            same_signs(asked._rows(x), query._rows(x))
        return query

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """(N, K R): of all disjuncts at points x (N, n)."""
        outputs, inputs = self.targets.outputs, self.targets.inputs
        with np.errstate(all="ignore"):
            values = np.einsum("krm,nm->nkr", outputs, self.graph.evaluate(x)) + self.targets.constant
        return (values if inputs is None else values + np.einsum("krn,in->ikr", inputs, x)).reshape(len(x), -1)

    def boxes(self) -> list[np.ndarray]:
        """Disjuncts grouped by equal boxes."""
        groups: dict[bytes, list[int]] = {}
        for k in range(len(self.lower)):
            groups.setdefault(self.lower[k].tobytes() + self.upper[k].tobytes(), []).append(k)
        return [np.array(g) for g in groups.values()]
