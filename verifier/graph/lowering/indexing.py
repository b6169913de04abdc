"""Elements that constant indices gather, or replace: whatever the indices do to the positions of elements is done to the elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verifier.graph.lowering.context import Call, Value, of_first, operator
from verifier.graph.lowering.movement import joined, reshaped, taken


def _moved(call: Call, parts: Sequence[Value], positions: np.ndarray) -> Value:
    """The elements at `positions` of all parts, flattened and joined."""
    flat = joined(call, [reshaped(call, part, (math.prod(part.shape),)) for part in parts], 0)
    return reshaped(call, taken(call, flat, 0, positions.reshape(-1)), positions.shape)


def _positions(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)


def _wrapped(call: Call, indices: np.ndarray, size: int) -> np.ndarray:
    """Negative indices count from the end."""
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        call.fail(f"an index lies outside a length of {size}", code="V114")
    return indices % max(size, 1)


def _along(call: Call, x: Value, indices: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where elements lie whose index along `axis` is given, the others being those of the index itself."""
    axis = call.axis(call.integer("axis", 0), x.rank)
    if indices.ndim != x.rank or any(n > size for i, (n, size) in enumerate(zip(indices.shape, x.shape)) if i != axis):
        call.fail(f"indices of shape {indices.shape} do not fit a value of shape {x.shape}", code="V114")
    grid = np.indices(indices.shape)
    grid[axis] = _wrapped(call, indices, x.shape[axis])
    return tuple(grid[i] for i in range(x.rank))


def _tuples(call: Call, indices: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The last axis of `indices` (..., k) as k arrays of indices into the first axes of `shape`."""
    count = indices.shape[-1] if indices.ndim else 0
    if not 1 <= count <= len(shape):
        call.fail(f"indices of shape {indices.shape} do not fit a value of shape {shape}", code="V114")
    return tuple(_wrapped(call, indices[..., i], shape[i]) for i in range(count))


@operator("GatherElements", 2, since=11, whole=of_first)
def gather_elements(call: Call) -> Value:
    x = call.input(0)
    return _moved(call, [x], _positions(x.shape)[_along(call, x, call.integer_data(1, "the indices"))])


@operator("GatherND", 2, since=11, whole=of_first)
def gather_nd(call: Call) -> Value:
    x, indices = call.input(0), call.integer_data(1, "the indices")
    batch = call.integer("batch_dims", 0) if call.opset >= 12 else 0
    if not 0 <= batch < min(x.rank, indices.ndim) or indices.shape[:batch] != x.shape[:batch]:
        call.fail(f"batch_dims = {batch} does not fit shapes {x.shape} and {indices.shape}", code="V114")
    rest = x.shape[batch:]
    count = math.prod(x.shape[:batch])
    parts = zip(_positions(x.shape).reshape(count, *rest), indices.reshape(count, *indices.shape[batch:]))
    found = np.stack([positions[_tuples(call, index, rest)] for positions, index in parts])
    return _moved(call, [x], found.reshape(*x.shape[:batch], *found.shape[1:]))


@operator("ScatterElements", 3, since=11)
def scatter_elements(call: Call) -> Value:
    x = call.input(0)
    return _replaced(call, x, _along(call, x, call.integer_data(1, "the indices")))


@operator("ScatterND", 3, since=11)
def scatter_nd(call: Call) -> Value:
    x = call.input(0)
    return _replaced(call, x, _tuples(call, call.integer_data(1, "the indices"), x.shape))


def _replaced(call: Call, x: Value, where: tuple[np.ndarray, ...]) -> Value:
    """x with the updates there; of several for one element the result would depend on their order."""
    updates, positions = call.input(2), _positions(x.shape)
    if call.text("reduction", "none") != "none":
        call.fail("a reduction is not supported", hint="supported: none")
    target = positions[where]
    if target.shape != updates.shape or x.kind != updates.kind:
        call.fail(f"updates of shape {updates.shape} do not fit their places, of shape {target.shape}", code="V114")
    if len(np.unique(target)) < target.size:
        call.fail("two updates are for the same element")
    positions[where] = positions.size + _positions(updates.shape)
    return _moved(call, [x, updates], positions)
