"""Which neurons a narrower enclosure would help."""

from __future__ import annotations

from verifier.arrays import Array
from verifier.bounds.dual import Interval
from verifier.graph.ir import Graph
from verifier.operators.base import Nonlinear


def unstable(graph: Graph, p: int, bounds: Interval) -> Array:
    """(B, size) True where some nonlinear node that reads p could be relaxed more tightly with a narrower enclosure."""
    found = None
    for n in graph.consumers[p]:
        operator = graph.nodes[n].operator
        if isinstance(operator, Nonlinear):
            loose = ~operator.settled(bounds.lower, bounds.upper)
            found = loose if found is None else found | loose
    if found is None:
        raise TypeError(f"node {p} is no pre-activation")
    return found
