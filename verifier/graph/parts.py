"""The part of an operator that computes a region of its node, and what that reads of the node's parents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from verifier.arrays import Array
from verifier.graph.ir import Node
from verifier.operators.affine import Add, Concat, Conv, ConvTranspose, Expand, Linear, Pad, ReduceSum, Reshape, Scale, Take, Transpose
from verifier.operators.base import Elementwise, Operator
from verifier.operators.sparse import Sparse

Shape = tuple[int, ...]
Region = tuple[np.ndarray, ...]
"""Indices on every axis of a node's shape, in order: their product is the region."""

_HOLES = 2
"""Times as many indices as needed that an axis may have to be without holes: what is cropped to an interval is copied at once."""


class Step(NamedTuple):
    """A node of a window: its operator, the elements (k,) of the whole graph's node that it holds, its shape."""

    operator: Operator
    elements: np.ndarray
    shape: Shape


@dataclass(frozen=True, eq=False)
class Part:
    """steps: compute `region` of a node from the regions `reads` of its parents, one after the other."""

    region: Region
    steps: tuple[Step, ...]
    reads: tuple[Region, ...]


def whole(shape: Sequence[int]) -> Region:
    return tuple(np.arange(n) for n in shape)


def around(shape: Sequence[int], elements: np.ndarray) -> Region:
    """A small region that holds `elements` (k,) of a node; with what lies between, where that is not much more."""
    return tuple(_filled(np.unique(i)) for i in (np.unravel_index(elements, shape) if shape else ()))


def elements_of(shape: Sequence[int], region: Region) -> np.ndarray:
    """(k,), in order."""
    found = np.zeros((), np.int64)
    for size, indices in zip(shape, region):
        found = found[..., None] * size + indices
    return found.reshape(-1)


def shape_of(region: Region) -> Shape:
    return tuple(len(indices) for indices in region)


def is_whole(shape: Sequence[int], region: Region) -> bool:
    return shape_of(region) == tuple(shape)


def joined(one: Region, other: Region) -> Region:
    """The smallest region that holds both."""
    return tuple(map(_union, one, other))


def cropped(shape: Sequence[int], there: Region, read: Region) -> list[Step]:
    """From region `there` of a node to the region `read` of it, all of which it holds."""
    places = [np.searchsorted(axis, some) for axis, some in zip(there, read)]
    before = tuple(-int(place[0]) for place in places)
    after = tuple(int(place[-1]) + 1 - len(axis) for place, axis in zip(places, there))
    now = tuple(axis[place[0] : place[-1] + 1] for place, axis in zip(places, there))
    steps = [Step(Pad(before, after, shape_of(there)), elements_of(shape, now), shape_of(now))] if any(before + after) else []
    for i, place in enumerate(places):
        if len(place) < len(now[i]):
            operator = Take(i, place - place[0], shape_of(now))
            now = (*now[:i], read[i], *now[i + 1 :])
            steps.append(Step(operator, elements_of(shape, now), shape_of(now)))
    return steps


def part(node: Node, parents: Sequence[Shape], region: Region) -> Part:
    """Of `region` of a node, or of a larger one; nodes that have no parts, such as functions of several values, are kept whole with all
    that they read. parents: their shapes."""
    operator = node.operator
    rule = _pointwise if isinstance(operator, Elementwise) else _RULES.get(type(operator))
    found = None if rule is None else rule(operator, node.shape, parents, region)
    return found or _one(operator, node.shape, whole(node.shape), *map(whole, parents))


def _one(operator: Operator, shape: Shape, region: Region, *reads: Region) -> Part:
    return Part(region, (Step(operator, elements_of(shape, region), shape_of(region)),), reads)


def _pointwise(op: Operator, shape: Shape, parents: Sequence[Shape], region: Region) -> Part | None:
    """Every element from those at the same place. None where it has constants of its own, or is broadcast."""
    constants = isinstance(op, Elementwise) and any(hasattr(getattr(op, f.name), "shape") for f in fields(op))
    return None if constants or any(p != shape for p in parents) else _one(op, shape, region, *(region for _ in parents))


def _scale(op: Scale, shape: Shape, parents: Sequence[Shape], region: Region) -> Part | None:
    def part_of(constant: Array | None) -> Array | None:
        if constant is None:
            return None
        axes = zip(constant.shape, region[len(region) - constant.ndim :])
        return constant[np.ix_(*(np.zeros(1, np.int64) if n == 1 else indices for n, indices in axes))]

    if parents[0] != shape:
        return None
    scale, shift, magnitude = part_of(op.scale), part_of(op.shift), part_of(op.shift_magnitude)
    return _one(replace(op, scale=scale, shift=shift, shift_magnitude=magnitude), shape, region, region)


def _matrix(op: Linear | Sparse, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    """All of the last axis."""
    *others, _ = region
    return _one(op, shape, (*others, np.arange(shape[-1])), (*others, np.arange(parents[0][-1])))


def _convolution(op: Conv, shape: Shape, parents: Sequence[Shape], region: Region) -> Part | None:
    """All channels of a rectangle of the image; None where that sees nothing but padding."""
    region = (*whole(shape[:2]), *map(_interval, region[2:]))
    read, ends = [*whole(op.shape_in[:2])], []
    for i in range(2):
        start, stop, size = int(region[2 + i][0]), int(region[2 + i][-1]) + 1, op.shape_in[2 + i]
        first = start * op.stride[i] - op.padding[i]
        last = (stop - 1) * op.stride[i] - op.padding[i] + op.dilation[i] * (op.weight.shape[2 + i] - 1) + 1
        inside = max(first, 0), min(last, size)
        if inside[0] >= inside[1]:
            return None
        read.append(np.arange(*inside))
        ends.append((inside[0] - first, last - inside[1]))
    padding = ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    return _one(replace(op, shape_in=shape_of(tuple(read)), shape_out=shape_of(region), padding=padding), shape, region, tuple(read))


def _transposed_convolution(op: ConvTranspose, shape: Shape, parents: Sequence[Shape], region: Region) -> Part | None:
    """Element i of the input reaches i stride - padding of the result and a kernel's width behind it."""
    region = (*whole(shape[:2]), *map(_interval, region[2:]))
    read, ends = [*whole(op.shape_in[:2])], []
    for i in range(2):
        start, stop = int(region[2 + i][0]), int(region[2 + i][-1]) + 1
        size, stride = op.shape_in[2 + i], op.stride[i]
        width = op.dilation[i] * (op.weight.shape[2 + i] - 1)
        first, last = max(0, -((width - start - op.padding[i]) // stride)), min(size, (stop - 1 + op.padding[i]) // stride + 1)
        before = op.padding[i] + start - first * stride
        if first >= last or before < 0:
            return None
        read.append(np.arange(first, last))
        ends.append((before, max(0, (last - 1 - first) * stride + width + 1 - (stop - start) - before)))
    padding = ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    return _one(replace(op, shape_in=shape_of(tuple(read)), shape_out=shape_of(region), padding=padding), shape, region, tuple(read))


def _take(op: Take, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    indices = op.indices[region[op.axis]]
    needed = _filled(np.unique(indices))
    read = (*region[: op.axis], needed, *region[op.axis + 1 :])
    return _one(Take(op.axis, np.searchsorted(needed, indices), shape_of(read)), shape, region, read)


def _transpose(op: Transpose, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    return _one(op, shape, region, tuple(region[op.permutation.index(axis)] for axis in range(len(region))))


def _reshape(op: Reshape, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    """What is read has the same elements, and others that lie between them on the axes that it has there."""
    if is_whole(shape, region):
        return _one(op, shape, region, whole(op.shape_in))
    elements = elements_of(shape, region)
    read = around(op.shape_in, elements)
    there, after = elements_of(op.shape_in, read), shape_of(region)
    if len(there) == len(elements):
        return _one(Reshape(shape_of(read), after), shape, region, read)
    flat, some = (len(there),), (len(elements),)
    steps = (
        Step(Reshape(shape_of(read), flat), there, flat),
        Step(Take(0, np.searchsorted(there, elements), flat), elements, some),
        Step(Reshape(some, after), elements, after),
    )
    return Part(region, steps, (read,))


def _concat(op: Concat, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    """All of the axis along which parts are joined."""
    sides = region[: op.axis], region[op.axis + 1 :]
    region = (*sides[0], np.arange(shape[op.axis]), *sides[1])
    return _one(op, shape, region, *((*sides[0], np.arange(size), *sides[1]) for size in op.sizes))


def _expand(op: Expand, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    aligned = region[len(region) - len(op.shape_in) :]
    read = tuple(np.arange(1) if n == 1 else indices for n, indices in zip(op.shape_in, aligned))
    return _one(Expand(shape_of(read), shape_of(region)), shape, region, read)


def _sum(op: ReduceSum, shape: Shape, parents: Sequence[Shape], region: Region) -> Part:
    read = tuple(np.arange(n) if axis in op.axes else indices for axis, (n, indices) in enumerate(zip(op.shape_in, region)))
    return _one(replace(op, shape_in=shape_of(read)), shape, region, read)


def _pad(op: Pad, shape: Shape, parents: Sequence[Shape], region: Region) -> Part | None:
    """Without holes; None where it reads nothing."""
    region = tuple(map(_interval, region))
    limits = [(int(indices[0]), int(indices[-1]) + 1) for indices in region]
    inside = [(max(0, a - b), min(n, c - b)) for b, n, (a, c) in zip(op.before, op.shape_in, limits)]
    if any(first >= last for first, last in inside):
        return None
    before = tuple(max(0, b - a) for b, (a, _) in zip(op.before, limits))
    after = tuple(max(0, c - b - n) for b, n, (_, c) in zip(op.before, op.shape_in, limits))
    read = tuple(np.arange(*ends) for ends in inside)
    return _one(replace(op, before=before, after=after, shape_in=shape_of(read)), shape, region, read)


def _union(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    for one, other in ((a, b), (b, a)):
        if one[0] <= other[0] and other[-1] <= one[-1] and len(one) == one[-1] - one[0] + 1:  # an interval that holds the other one
            return one
    return np.union1d(a, b)


def _interval(indices: np.ndarray) -> np.ndarray:
    return np.arange(indices[0], indices[-1] + 1)


def _filled(indices: np.ndarray) -> np.ndarray:
    interval = _interval(indices)
    return interval if len(interval) <= _HOLES * len(indices) else indices


_Rule = Callable[[Any, Shape, Sequence[Shape], Region], Part | None]
"""(operator, shape of its node, those of the parents, region) -> its part; None where it has none."""
_RULES: Mapping[type[Operator], _Rule] = MappingProxyType(
    {
        Add: _pointwise,
        Concat: _concat,
        Conv: _convolution,
        ConvTranspose: _transposed_convolution,
        Expand: _expand,
        Linear: _matrix,
        Pad: _pad,
        ReduceSum: _sum,
        Reshape: _reshape,
        Scale: _scale,
        Sparse: _matrix,
        Take: _take,
        Transpose: _transpose,
    }
)
