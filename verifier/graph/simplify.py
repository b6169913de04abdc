"""Smaller graphs with exactly the same real function: nothing here rounds.

`simplify` keeps the values that tensors of the file have, `condense` those of the outputs: what is rounded where differs from the
file then, so it is the first that is compared with onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from verifier.graph import exact, matrices
from verifier.graph.attainable import with_least_arguments
from verifier.graph.ir import Graph, Node
from verifier.graph.matrices import Matrix
from verifier.graph.mirrored import fold
from verifier.operators.affine import Conv, Linear, Reshape, Scale, Transpose
from verifier.operators.sparse import Sparse

_LARGEST = 4_000_000
"""Multiplications of a product that is tried: matrices of many entries hardly ever have an exact one, or one that is no slower."""
Rule = Callable[[Node, Node], Node | None]
"""A node and its only parent, read by nothing else -> the node that replaces both; its inputs are the parent's."""


def simplify(graph: Graph) -> Graph:
    """Biases into linear and convolutional nodes, shifts and reshapes merged, identities and dead nodes dropped, zeros of matrices too;
    what arguments of roots and logarithms are at least is noted."""
    return with_least_arguments(Graph(tuple(_sparse(node) for node in _merged(graph, _RULES).nodes)))


def condense(graph: Graph) -> Graph:
    """Neurons that are multiples of others dropped, and Linear nodes merged; `graph` itself where there are none of either."""
    folded = fold(graph)
    condensed = _merged(folded, (*_RULES, matrices_in_a_row))
    return graph if folded is graph and len(condensed.nodes) == len(graph.nodes) else with_least_arguments(condensed)


def _merged(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """Passes of `rules` until none applies."""
    while True:
        smaller = _merge(_without_identities(graph.alive()[0]), rules)
        if len(smaller.nodes) == len(graph.nodes):
            return smaller
        graph = smaller


def _sparse(node: Node) -> Node:
    """Matrices with few entries are kept as such; rules know of dense ones alone, so this comes last."""
    op = node.operator
    return replace(node, operator=Sparse.of(op.weight, op.bias)) if isinstance(op, Linear) and Sparse.pays(op.weight) else node


def _without_identities(graph: Graph) -> Graph:
    """The last node stays: the output has to be a node of its own."""
    same = {i: node.inputs[0] for i, node in enumerate(graph.nodes[:-1]) if _is_identity(node)}
    last = graph.nodes[-1]
    parent = last.inputs[0] if last.inputs else 0
    if _is_identity(last) and parent == graph.output - 1 and parent > 0 and graph.nodes[parent].shape == last.shape:
        same.pop(parent, None)
        return _rebuilt(graph, {i: n for i, n in enumerate(graph.nodes[:-1]) if i not in same}, same)
    return _rebuilt(graph, {i: n for i, n in enumerate(graph.nodes) if i not in same}, same)


def _is_identity(node: Node) -> bool:
    op = node.operator
    if isinstance(op, Reshape):
        return op.shape_in == op.shape_out
    if isinstance(op, Transpose):
        return op.permutation == tuple(range(len(op.permutation)))
    if isinstance(op, Scale):
        return (op.scale is None or bool(np.all(op.scale == 1.0))) and (op.shift is None or not np.any(op.shift)) and not op.roundings
    return False


def _merge(graph: Graph, rules: Sequence[Rule]) -> Graph:
    """One pass: every node is merged into its parent's place where a rule allows it; the rest waits for the next pass."""
    merged: dict[int, Node] = dict(enumerate(graph.nodes))
    used: set[int] = set()
    for i, node in enumerate(graph.nodes):
        if len(node.inputs) != 1 or node.inputs[0] in used or graph.consumers[node.inputs[0]] != (i,):
            continue
        parent = graph.nodes[node.inputs[0]]
        for rule in rules:
            result = rule(node, parent)
            if result is not None:
                merged[i] = replace(
                    result, inputs=parent.inputs, shape=node.shape, origin=(*parent.origin, *node.origin), tensor=node.tensor
                )
                del merged[node.inputs[0]]
                used.add(i)
                break
    return _rebuilt(graph, merged, {})


def _rebuilt(graph: Graph, kept: dict[int, Node], same: dict[int, int]) -> Graph:
    """The graph of the nodes `kept`; `same` maps dropped nodes to the earlier ones that equal them."""
    position = {old: new for new, old in enumerate(kept)}

    def target(i: int) -> int:
        while i in same:
            i = same[i]
        return position[i]

    nodes = [replace(n, inputs=tuple(target(p) for p in n.inputs)) for n in kept.values()]
    for i in same:
        at = target(i)
        nodes[at] = replace(nodes[at], tensor=nodes[at].tensor or graph.nodes[i].tensor)
    return Graph(tuple(nodes))


def _shift_only(node: Node) -> np.ndarray | None:
    op = node.operator
    return op.shift if isinstance(op, Scale) and op.scale is None and op.shift_magnitude is None else None


def linear_bias(node: Node, parent: Node) -> Node | None:
    """(x W + b) + c = x W + (b + c) for c along the last axis."""
    shift, op = _shift_only(node), parent.operator
    if shift is None or not isinstance(op, Linear) or shift.size not in (1, node.shape[-1]) or shift.shape[-1:] != (shift.size,):
        return None
    bias = np.broadcast_to(shift.reshape(-1), node.shape[-1:]).copy()
    total = bias if op.bias is None else exact.add(op.bias, bias)
    return None if total is None else replace(parent, operator=replace(op, bias=total))


def convolution_bias(node: Node, parent: Node) -> Node | None:
    """The same for a convolution and one constant a channel."""
    shift, op = _shift_only(node), parent.operator
    if shift is None or not isinstance(op, Conv):
        return None
    shape = (1,) * (4 - shift.ndim) + shift.shape
    if shape not in ((1, 1, 1, 1), (1, node.shape[1], 1, 1)):
        return None
    bias = np.broadcast_to(shift.reshape(-1), (node.shape[1],)).copy()
    total = bias if op.bias is None else exact.add(op.bias, bias)
    return None if total is None else replace(parent, operator=replace(op, bias=total))


def shifts(node: Node, parent: Node) -> Node | None:
    """Two shifts whose sum is exact."""
    second, first = _shift_only(node), _shift_only(parent)
    if second is None or first is None:
        return None
    total = exact.add(first, second)
    return None if total is None else replace(parent, operator=Scale(None, total))


def matrices_in_a_row(node: Node, parent: Node) -> Node | None:
    """(x W + b) V + c = x (W V) + (b V + c), where that is exact and no slower than either alone."""
    first, second = parent.operator, node.operator
    if not (isinstance(first, Matrix) and isinstance(second, Matrix)) or matrices.terms(first, second) > _LARGEST:
        return None
    from scipy.sparse import csc_array

    constants = (np.zeros(matrices.shape(op)[1]) if op.bias is None else op.bias for op in (first, second))
    weight, (b, c) = matrices.entries(second), constants
    product, moved = exact.product(matrices.entries(first), weight), exact.product(csc_array(b[None]), weight)
    if product is None or moved is None:
        return None
    merged, bias = matrices.node_operator(product, None), exact.add(moved.toarray()[0], c)
    if bias is None or matrices.time(merged) > min(matrices.time(first), matrices.time(second)):
        return None
    return replace(node, operator=replace(merged, bias=bias))


def reshapes(node: Node, parent: Node) -> Node | None:
    a, b = parent.operator, node.operator
    return replace(node, operator=Reshape(a.shape_in, b.shape_out)) if isinstance(a, Reshape) and isinstance(b, Reshape) else None


_RULES: tuple[Rule, ...] = (linear_bias, convolution_bias, shifts, reshapes)
