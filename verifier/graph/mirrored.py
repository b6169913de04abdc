"""Relu neurons that read multiples of one value, of either sign: one of them is enough.

Networks that pass a value on unchanged, or compute |z|, min or max, do so with pairs of neurons. For c > 0

    relu(c z) = c relu(z),        relu(-c z) = c relu(z) - c z,

so what a Linear node makes of all multiples of z is a multiple of relu(z) and one of z. A value that is only passed on has no
neuron left, |z| one instead of two, and nothing is relaxed that is linear.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from verifier.graph import exact, matrices
from verifier.graph.ir import Graph, Node
from verifier.graph.matrices import Matrix
from verifier.operators.affine import Add, Linear
from verifier.operators.base import Operator
from verifier.operators.piecewise_linear import Relu

if TYPE_CHECKING:
    from scipy.sparse import csc_array

_SMALLEST = 2.0**-300
"""Leading coefficients between this and its reciprocal can be taken out of a column."""


def fold(graph: Graph) -> Graph:
    """The same real function with fewer neurons; `graph` itself where none are multiples of another, or sums of weights would round."""
    nodes: list[Node] = []
    position: dict[int, int] = {}
    folded = False
    for i, node in enumerate(graph.nodes):
        layer = _layer(graph, i)
        if layer is None:
            nodes.append(replace(node, inputs=tuple(position[p] for p in node.inputs)))
        else:
            folded = True
            nodes += _replaced(graph, i, layer, position[graph.nodes[graph.nodes[node.inputs[0]].inputs[0]].inputs[0]], len(nodes))
        position[i] = len(nodes) - 1
    return Graph(tuple(nodes)).alive()[0] if folded else graph


class _Layer(NamedTuple):
    """relu(bent(x)) of_bent  +  straight(x) of_straight  +  bias, in place of  after(relu(before(x)))."""

    bent: Matrix
    of_bent: csc_array
    straight: Matrix
    of_straight: csc_array
    bias: np.ndarray | None


def _layer(graph: Graph, i: int) -> _Layer | None:
    """Of node i, a matrix that alone reads a Relu that alone reads another matrix, if some neurons are multiples of others."""
    after = graph.nodes[i].operator
    if not isinstance(after, Matrix):
        return None
    (n,) = graph.nodes[i].inputs
    if not isinstance(graph.nodes[n].operator, Relu) or graph.consumers[n] != (i,):
        return None
    (p,) = graph.nodes[n].inputs
    before = graph.nodes[p].operator
    return _shared(before, after) if isinstance(before, Matrix) and graph.consumers[p] == (n,) else None


def _shared(before: Matrix, after: Matrix) -> _Layer | None:
    first, factor = _multiples(before)
    size = len(first)
    if np.array_equal(first, np.arange(size)):
        return None
    from scipy.sparse import csc_array

    weight, mirrored = matrices.entries(after), np.flatnonzero(factor < 0)
    all_of = csc_array((np.abs(factor), (first, np.arange(size))), shape=(size, size))
    mirrored_of = csc_array((factor[mirrored], (first[mirrored], mirrored)), shape=(size, size))
    of_bent, of_straight = exact.product(all_of, weight), exact.product(mirrored_of, weight)
    if of_bent is None or of_straight is None:
        return None
    some_bent, some_straight = (np.unique(w.indices) for w in (of_bent, of_straight))
    straight = matrices.columns(before, some_straight)
    return _Layer(matrices.columns(before, some_bent), of_bent[some_bent], straight, of_straight[some_straight], after.bias)


def _multiples(operator: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """(k,), (k,): for every element the first one that it is a multiple of, and the factor: a power of two, or the negative of one."""
    size = matrices.shape(operator)[1]
    first, factor = np.arange(size), np.ones(size)
    some = _alike(operator.weight) if isinstance(operator, Linear) else first.copy()
    if not len(some):
        return first, factor
    found = matrices.columns(operator, some)
    weight, bias = matrices.entries(found), np.zeros(len(some)) if found.bias is None else found.bias
    start, end = weight.indptr[:-1], weight.indptr[1:]
    leading = np.append(weight.data, 0.0)[start]
    usable = (start < end) & (np.abs(leading) > _SMALLEST) & (np.abs(leading) < 1 / _SMALLEST)
    scale = np.where(usable, np.copysign(np.ldexp(1.0, np.frexp(leading)[1]), leading), 1.0)
    data, scaled_bias = weight.data / np.repeat(scale, end - start), bias / scale
    rounded = data * np.repeat(scale, end - start) != weight.data
    usable[np.repeat(np.arange(len(some)), end - start)[rounded]] = False
    seen: dict[tuple[bytes, bytes, float], int] = {}
    for j in np.flatnonzero(usable & (scaled_bias * scale == bias)):
        part = slice(start[j], end[j])
        other = seen.setdefault((weight.indices[part].tobytes(), data[part].tobytes(), float(scaled_bias[j])), int(j))
        first[some[j]], factor[some[j]] = some[other], scale[j] / scale[other]
    return first, factor


def _alike(weight: np.ndarray) -> np.ndarray:
    """Columns whose sum has the leading digits of another column's, or the opposite: rounding keeps powers of two and signs, so
    multiples of one another are among them."""
    digits = np.abs(np.frexp(weight.sum(axis=0))[0])
    _, which, count = np.unique(digits, return_inverse=True, return_counts=True)
    return np.flatnonzero(count[which] > 1)


def _replaced(graph: Graph, i: int, layer: _Layer, x: int, start: int) -> list[Node]:
    """Nodes from position `start` on in place of node i and the two before it; x: the position of what those read."""
    node, relu = graph.nodes[i], graph.nodes[graph.nodes[i].inputs[0]]
    before = graph.nodes[relu.inputs[0]]
    made: list[Node] = []
    ends: list[int] = []

    def append(operator: Operator, parent: int, size: int, origin: tuple[str, ...]) -> int:
        made.append(Node(operator, (parent,), (*node.shape[:-1], size), origin))
        return start + len(made) - 1

    bent, straight = layer.of_bent.shape[0], layer.of_straight.shape[0]
    if bent:
        at = append(relu.operator, append(layer.bent, x, bent, before.origin), bent, relu.origin)
        ends.append(append(matrices.node_operator(layer.of_bent, layer.bias), at, node.shape[-1], node.origin))
    if straight or not bent:
        at = append(layer.straight, x, straight, before.origin)
        ends.append(append(matrices.node_operator(layer.of_straight, None if bent else layer.bias), at, node.shape[-1], node.origin))
    if len(ends) > 1:
        made.append(Node(Add((1, 1)), tuple(ends), node.shape, node.origin))
    made[-1] = replace(made[-1], tensor=node.tensor)
    return made
