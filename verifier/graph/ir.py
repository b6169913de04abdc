"""The network as the bounds see it: a single-assignment graph of affine and nonlinear nodes.

A node's shape is the ONNX shape with every symbolic batch dimension made 1: the batch is an ordinary axis, so that ONNX
axis attributes need no translation. Arrays carry one more leading axis of independent points (or subproblems and rows).
The graph has one flat input `(n,)` and one flat output `(m,)`: several ONNX inputs are slices of the one, several outputs
are concatenated into the other, each flattened in C order. That is the numbering of X_i and Y_i in VNN-LIB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from verifier.arrays import Array, Arrays, namespace
from verifier.operators.affine import Conv, ConvTranspose, Linear, Reshape, Take
from verifier.operators.ball import NormBall
from verifier.operators.base import Affine, Input, Nonlinear, Operator
from verifier.operators.sparse import Sparse


@dataclass(frozen=True, eq=False)
class Node:
    """One value. `inputs` are positions of earlier nodes; `origin` names the ONNX nodes that it stems from, `tensor` an ONNX tensor
    with the same elements in C order, if there is one."""

    operator: Operator
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    origin: tuple[str, ...] = ()
    tensor: str = ""

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def multiplications(self) -> int:
        """Of one pass, forward or backward; copies and sums count as none."""
        if isinstance(self.operator, Linear):
            return self.size * int(self.operator.weight.shape[0])
        if isinstance(self.operator, Sparse):
            return self.size // max(1, self.shape[-1]) * self.operator.entries
        if isinstance(self.operator, ConvTranspose):
            return math.prod(self.operator.shape_in) * math.prod(self.operator.weight.shape[1:])
        return self.size * math.prod(self.operator.weight.shape[1:]) if isinstance(self.operator, Conv) else 0


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order; node 0 is the input, the last node the output, both flat.

    A nonlinear node has one parent, its pre-activation; a function of several values reads them joined.
    """

    nodes: tuple[Node, ...]
    _moved: dict[tuple[object, ...], Graph] = field(default_factory=dict, repr=False)

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        users: list[list[int]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for p in node.inputs:
                users[p].append(i)
        return tuple(map(tuple, users))

    @cached_property
    def nonlinear(self) -> tuple[int, ...]:
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node.operator, Nonlinear))

    @cached_property
    def preactivations(self) -> tuple[int, ...]:
        """Nodes that some nonlinear node reads: the ones that need bounds, in topological order."""
        return tuple(sorted({self.nodes[i].inputs[0] for i in self.nonlinear}))

    @cached_property
    def deep(self) -> frozenset[int]:
        """Pre-activations that intervals alone do not bound tightly: those above a nonlinear node or above sums of sums, whose terms
        have inputs in common; all where inputs lie in a ball."""
        sums: list[float] = []
        for node in self.nodes:
            own = 0.0 if isinstance(node.operator, Input) or (isinstance(node.operator, Affine) and not node.operator.sums) else 1.0
            below = max((sums[p] for p in node.inputs), default=0.0)
            sums.append(math.inf if isinstance(node.operator, Nonlinear) else below + own)
        return frozenset(p for p in self.preactivations if sums[p] > 1.0 or self.ball is not None)

    @property
    def ball(self) -> NormBall | None:
        """What the input lies in beside its box."""
        operator = self.nodes[0].operator
        return operator.ball if isinstance(operator, Input) else None

    def within(self, ball: NormBall | None) -> Graph:
        """The same network with its input in `ball`; None: in its box alone."""
        return self if ball is self.ball else Graph((replace(self.nodes[0], operator=Input(ball)), *self.nodes[1:]))

    @property
    def output(self) -> int:
        return len(self.nodes) - 1

    @property
    def input_size(self) -> int:
        return self.nodes[0].size

    @property
    def output_size(self) -> int:
        return self.nodes[-1].size

    def ancestors(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` depends on and itself, in topological order."""
        return self._ancestors[node]

    @cached_property
    def _ancestors(self) -> tuple[tuple[int, ...], ...]:
        sets: list[set[int]] = []
        for i, node in enumerate(self.nodes):
            sets.append({i}.union(*(sets[p] for p in node.inputs)))
        return tuple(tuple(sorted(s)) for s in sets)

    def part(self, node: int, elements: np.ndarray) -> tuple[Graph, dict[int, int]]:
        """(the graph that computes `elements` (k,) of `node`, position there of every node here that it depends on)."""
        flat = (self.nodes[node].size,)
        ends = Node(Reshape(self.nodes[node].shape, flat), (node,), flat), Node(Take(0, elements, flat), (node + 1,), (len(elements),))
        graph, position = Graph((*self.nodes[: node + 1], *ends)).alive()
        return graph, {n: at for n, at in position.items() if n <= node}

    def alive(self) -> tuple[Graph, dict[int, int]]:
        """(the graph without nodes that the output does not depend on, position there of every node that is left); the input stays."""
        position = {n: i for i, n in enumerate(sorted({0, *self.ancestors(self.output)}))}
        return Graph(tuple(replace(self.nodes[n], inputs=tuple(position[p] for p in self.nodes[n].inputs)) for n in position)), position

    def to(self, arrays: Arrays) -> Graph:
        """The same graph with its constants in `arrays`; kept, so that asking again costs nothing."""
        key = (arrays.dtype, str(arrays.device))
        if key not in self._moved:
            self._moved[key] = Graph(tuple(replace(n, operator=n.operator.to(arrays)) for n in self.nodes))
        return self._moved[key]

    def values(self, x: Array) -> list[Array]:
        """Value of every node at the points x (N, n): arrays (N, *shape)."""
        values: list[Array] = []
        for node in self.nodes:
            if isinstance(node.operator, Input):
                values.append(x)
            elif isinstance(node.operator, Affine):
                values.append(node.operator.forward(x.shape[0], *(values[p] for p in node.inputs)))
            elif isinstance(node.operator, Nonlinear):
                y = node.operator.function(values[node.inputs[0]])
                values.append(namespace(y).reshape(y, (x.shape[0], *node.shape)))
            else:
                raise TypeError(f"operator {node.operator!r} has no evaluation")
        return values

    def evaluate(self, x: Array) -> Array:
        """Outputs (N, m) at the points x (N, n)."""
        return self.values(x)[-1]
