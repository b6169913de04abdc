"""Ends of networks that keep the order of values: what compares two outputs compares the values before such an end, too.

Softmax, its logarithm and increasing functions of every element are strictly increasing, so  y_i <= y_j  is  z_i <= z_j  of the values
z that they read. Bounds of the former are bad where the latter are fine, and where a float's softmax is 0 or 1 its gradient is none.
"""

from __future__ import annotations

import numpy as np

from verifier.graph import matrices
from verifier.graph.ir import Graph, Node
from verifier.graph.matrices import Matrix
from verifier.operators.affine import ReduceSum, Reshape, Scale
from verifier.operators.base import Operator
from verifier.operators.exponential import Exp, Log
from verifier.operators.power import Power
from verifier.operators.smooth import Sigmoid, Tanh

_INCREASING = Exp | Sigmoid | Tanh


def differences(n: int) -> np.ndarray:
    """The matrix (n, n (n - 1)) from x to  x_j - x_i  for all j other than i, i after i."""
    matrix = np.zeros((n, n, n - 1))
    for i in range(n):
        others = np.flatnonzero(np.arange(n) != i)
        matrix[others, i, np.arange(n - 1)] = 1.0
        matrix[i, i, :] = -1.0
    return matrix.reshape(n, n * (n - 1))


def without_ordered_end(graph: Graph) -> Graph:
    """The graph of values that are ordered as the outputs, in the same numbering; `graph` itself where its end says nothing of that."""
    end = graph.output
    while (before := _before(graph, end)) is not None:
        end = before
    if all(isinstance(graph.nodes[n].operator, Reshape) for n in range(end + 1, len(graph.nodes))):
        return graph
    node, flat = graph.nodes[end], (graph.output_size,)
    return Graph((*graph.nodes[: end + 1], Node(Reshape(node.shape, flat), (end,), flat, node.origin))).alive()[0]


def _before(graph: Graph, end: int) -> int | None:
    """An earlier node of as many values, in the same order."""
    operator = graph.nodes[end].operator
    if isinstance(operator, Reshape | _INCREASING):
        return graph.nodes[end].inputs[0]
    if isinstance(operator, Power) and operator.exponent == -1.0:
        return _softmax(graph, graph.nodes[end].inputs[0])
    if isinstance(operator, Scale) and _is(operator, -1.0, None):
        log = _after_reshapes(graph, graph.nodes[end].inputs[0])
        return _softmax(graph, graph.nodes[log].inputs[0]) if isinstance(graph.nodes[log].operator, Log) else None
    return None


def _softmax(graph: Graph, end: int) -> int | None:
    """What node `end` is  1 + sum over j other than i of exp(x_j - x_i)  of, for all its elements together."""
    at, n = end, graph.nodes[end].size

    def sums(operator: Operator) -> bool:  # of n - 1 differences that follow each other, as `differences` has them
        if not isinstance(operator, ReduceSum):
            return False
        shape = operator.shape_in
        return operator.axes == (len(shape) - 1,) and shape[-1] == n - 1 and operator.divisor == 1

    for step in (lambda o: isinstance(o, Scale) and _is(o, None, 1.0), sums, lambda o: isinstance(o, Exp)):
        at = _after_reshapes(graph, at)
        if not step(graph.nodes[at].operator):
            return None
        (at,) = graph.nodes[at].inputs
    at = _after_reshapes(graph, at)
    operator = graph.nodes[at].operator
    if not isinstance(operator, Matrix) or operator.bias is not None or matrices.shape(operator) != (n, n * (n - 1)):
        return None
    return graph.nodes[at].inputs[0] if np.array_equal(matrices.entries(operator).toarray(), differences(n)) else None


def _after_reshapes(graph: Graph, at: int) -> int:
    while isinstance(graph.nodes[at].operator, Reshape):
        (at,) = graph.nodes[at].inputs
    return at


def _is(operator: Scale, scale: float | None, shift: float | None) -> bool:
    """Multiplied by this and shifted by this throughout, without rounding."""
    parts = ((operator.scale, scale), (operator.shift, shift))
    return not operator.roundings and operator.shift_magnitude is None and all(_all_are(a, wanted) for a, wanted in parts)


def _all_are(constant: np.ndarray | None, wanted: float | None) -> bool:
    return constant is None if wanted is None else constant is not None and bool(np.all(constant == wanted))
