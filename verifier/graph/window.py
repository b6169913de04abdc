"""The part of a graph that a region of a node depends on: through convolutions a few neurons see a small window of the input.

Rows of neurons that lie together are as long as that window then, not as the whole network; auto_LiRPA keeps patches for the same reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from verifier.arrays import Array
from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Add, Conv, ConvTranspose, Pad, Reshape, Scale, Take, Transpose
from verifier.operators.base import Elementwise, Operator

Region = tuple[tuple[int, int], ...]
"""First element and the one behind the last, on every axis of a node's shape."""


@dataclass(frozen=True, eq=False)
class Window:
    """graph: what `region` of a node depends on, the node last. origin: node of it -> (node of the whole graph, the elements (k,) there);
    of nodes that only crop, those of what they crop."""

    graph: Graph
    origin: dict[int, tuple[int, np.ndarray]]

    def position(self, elements: np.ndarray) -> np.ndarray:
        """Of elements of the node, all in the region."""
        return np.searchsorted(self.origin[self.graph.output][1], elements)


def whole(shape: Sequence[int]) -> Region:
    return tuple((0, n) for n in shape)


def around(shape: Sequence[int], elements: np.ndarray) -> Region:
    """The smallest region that holds `elements` (k,) of a node."""
    return tuple((int(i.min()), int(i.max()) + 1) for i in (np.unravel_index(elements, shape) if shape else ()))


def window(graph: Graph, node: int, region: Region) -> Window:
    """Nodes that have no parts, such as matrices, are kept whole with all that they read."""
    wanted, parts = {0: whole(graph.nodes[0].shape), node: region}, dict[int, _Part]()  # the input stays, whatever depends on it
    for n in range(node, -1, -1):
        if n in wanted:
            parts[n] = _part(graph, n, wanted[n])
            for p, read in zip(graph.nodes[n].inputs, parts[n].reads):
                wanted[p] = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(wanted.get(p, read), read))
    builder = _Builder(graph)
    for n in sorted(parts):
        inputs = [builder.cropped(p, parts[p].region, read) for p, read in zip(graph.nodes[n].inputs, parts[n].reads)]
        builder.append(n, parts[n].region, parts[n].operator, tuple(inputs))
    return Window(Graph(tuple(builder.nodes)), builder.origin)


def with_outputs(graph: Graph, elements: np.ndarray) -> Graph:
    """The graph of outputs `elements` (k,) alone where they are part of an image, which is a flat output's last shape before;
    `graph` itself where they depend on all of it."""
    end = graph.output
    while isinstance(graph.nodes[end].operator, Reshape):
        (end,) = graph.nodes[end].inputs
    shape = graph.nodes[end].shape
    region = around(shape, elements)
    if len(shape) != 4 or region == whole(shape):
        return graph
    found = window(graph, end, region)
    size, nodes = found.graph.nodes[-1].size, found.graph.nodes
    flat = Node(Reshape(nodes[-1].shape, (size,)), (len(nodes) - 1,), (size,), graph.nodes[-1].origin)
    taken = Node(Take(0, found.position(elements), (size,)), (len(nodes),), (len(elements),), graph.nodes[-1].origin)
    return Graph((*nodes, flat, taken))


@dataclass(frozen=True, eq=False)
class _Builder:
    """place: a node of the whole graph and a region -> position in `nodes`."""

    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    origin: dict[int, tuple[int, np.ndarray]] = field(default_factory=dict)
    place: dict[tuple[int, Region], int] = field(default_factory=dict)

    def append(self, n: int, region: Region, operator: Operator, inputs: tuple[int, ...]) -> int:
        at = self.place[n, region] = len(self.nodes)
        self.origin[at] = n, _elements(self.graph.nodes[n].shape, region)
        self.nodes.append(replace(self.graph.nodes[n], operator=operator, inputs=inputs, shape=_shape(region)))
        return at

    def cropped(self, n: int, there: Region, read: Region) -> int:
        """The place of region `read` of node n, of which region `there` is made."""
        if (n, read) in self.place:
            return self.place[n, read]
        before, after = tuple(a - c for (a, _), (c, _) in zip(there, read)), tuple(d - b for (_, b), (_, d) in zip(there, read))
        return self.append(n, read, Pad(before, after, _shape(there)), (self.place[n, there],))


@dataclass(frozen=True, eq=False)
class _Part:
    """operator: computes `region` of a node from the regions `reads` of its parents."""

    region: Region
    operator: Operator
    reads: tuple[Region, ...]


def _part(graph: Graph, n: int, region: Region) -> _Part:
    node = graph.nodes[n]
    op, shapes = node.operator, [graph.nodes[p].shape for p in node.inputs]
    if isinstance(op, Conv) and (part := _convolution(op, region)) is not None:
        return part
    if isinstance(op, ConvTranspose) and (part := _transposed(op, region)) is not None:
        return part
    if all(shape == node.shape for shape in shapes):
        if isinstance(op, Scale):
            return _Part(region, _scale(op, region), (region,))
        if isinstance(op, Add) or (isinstance(op, Elementwise) and not any(hasattr(getattr(op, f.name), "shape") for f in fields(op))):
            return _Part(region, op, tuple(region for _ in shapes))
    if isinstance(op, Take):
        indices = op.indices[slice(*region[op.axis])]
        first, last = int(indices.min()), int(indices.max()) + 1
        read = (*region[: op.axis], (first, last), *region[op.axis + 1 :])
        return _Part(region, Take(op.axis, indices - first, _shape(read)), (read,))
    if isinstance(op, Transpose):
        read = tuple(region[op.permutation.index(axis)] for axis in range(len(region)))
        return _Part(region, op, (read,))
    inside = _inside(op, region) if isinstance(op, Pad) else None
    if isinstance(op, Pad) and inside is not None:
        before = tuple(max(0, b - r) for b, (r, _) in zip(op.before, region))
        after = tuple(max(0, r - b - n) for b, n, (_, r) in zip(op.before, op.shape_in, region))
        return _Part(region, replace(op, before=before, after=after, shape_in=_shape(inside)), (inside,))
    return _Part(whole(node.shape), op, tuple(whole(s) for s in shapes))


def _convolution(op: Conv, region: Region) -> _Part | None:
    """All channels of part of the image; None where that sees nothing but padding."""
    region = ((0, op.shape_out[0]), (0, op.shape_out[1]), *region[2:])
    read, ends = [(0, op.shape_in[0]), (0, op.shape_in[1])], []
    for i in range(2):
        (start, stop), size = region[2 + i], op.shape_in[2 + i]
        first = start * op.stride[i] - op.padding[i]
        last = (stop - 1) * op.stride[i] - op.padding[i] + op.dilation[i] * (op.weight.shape[2 + i] - 1) + 1
        inside = max(first, 0), min(last, size)
        if inside[0] >= inside[1]:
            return None
        read.append(inside)
        ends.append((inside[0] - first, last - inside[1]))
    padding = ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    return _Part(region, replace(op, shape_in=_shape(read), shape_out=_shape(region), padding=padding), (tuple(read),))


def _transposed(op: ConvTranspose, region: Region) -> _Part | None:
    """Element i of the input reaches i stride - padding of the result and a kernel's width behind it."""
    region = ((0, op.shape_out[0]), (0, op.shape_out[1]), *region[2:])
    read, ends = [(0, op.shape_in[0]), (0, op.shape_in[1])], []
    for i in range(2):
        (start, stop), size, stride = region[2 + i], op.shape_in[2 + i], op.stride[i]
        width = op.dilation[i] * (op.weight.shape[2 + i] - 1)
        first, last = max(0, -((width - start - op.padding[i]) // stride)), min(size, (stop - 1 + op.padding[i]) // stride + 1)
        before = op.padding[i] + start - first * stride
        if first >= last or before < 0:
            return None
        read.append((first, last))
        ends.append((before, max(0, (last - 1 - first) * stride + width + 1 - (stop - start) - before)))
    padding = ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    return _Part(region, replace(op, shape_in=_shape(read), shape_out=_shape(region), padding=padding), (tuple(read),))


def _scale(op: Scale, region: Region) -> Scale:
    def part(constant: Array | None) -> Array | None:
        if constant is None:
            return None
        axes = zip(constant.shape, region[len(region) - constant.ndim :])
        return constant[tuple(slice(None) if n == 1 else slice(*r) for n, r in axes)]

    return replace(op, scale=part(op.scale), shift=part(op.shift), shift_magnitude=part(op.shift_magnitude))


def _inside(op: Pad, region: Region) -> Region | None:
    """What `region` reads; None where that is nothing."""
    found = tuple((max(0, a - b), min(n, c - b)) for b, n, (a, c) in zip(op.before, op.shape_in, region))
    return found if all(a < b for a, b in found) else None


def _shape(region: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(b - a for a, b in region)


def _elements(shape: Sequence[int], region: Region) -> np.ndarray:
    found = np.zeros((), np.int64)
    for size, limits in zip(shape, region):
        found = found[..., None] * size + np.arange(*limits)
    return found.reshape(-1)
