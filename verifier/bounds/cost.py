"""Time that passes through a graph take, from counts known before."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from verifier.graph.ir import Graph
from verifier.operators.affine import Conv, ConvTranspose
from verifier.operators.base import Nonlinear
from verifier.operators.sparse import Sparse

_COST: Mapping[type, float] = MappingProxyType({Conv: 12.0, ConvTranspose: 12.0, Sparse: 64.0})
"""Time of a multiplication in an unfolded convolution, or of a gathered entry, against one in a dense product, measured on a CPU."""
ELEMENT = 600.0
"""Time spent on an element of a nonlinear node in an iteration against two multiplications in dense products (one back,
one forth), measured on a CPU."""

_SPEED = 1e11
"""Time of rows, as `row_cost`, that a core does in a second."""


def row_cost(graph: Graph, node: int | None = None) -> float:
    """Time of one row through the graph, or through what is below `node`, in multiplications of a dense product."""
    below = range(len(graph.nodes)) if node is None else graph.ancestors(node)
    cost = 0.0
    for n in below:
        operator = graph.nodes[n].operator
        cost += graph.nodes[n].multiplications * _COST.get(type(operator), 1.0)
        cost += ELEMENT * graph.nodes[n].size * isinstance(operator, Nonlinear)
    return cost


def rows_seconds(graph: Graph, loose: Mapping[int, int], cores: int) -> float:
    """About how long two rows for every unstable neuron take. loose: pre-activation -> how many are unstable."""
    return sum(2 * count * row_cost(graph, p) for p, count in loose.items()) / (_SPEED * cores)
