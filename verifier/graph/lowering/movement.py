"""Operators that move, repeat or drop elements: exact on constants and on variables alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verifier.graph.lowering.context import Call, Shape, Value, constant, of_first, operator
from verifier.operators import affine


def reshaped(call: Call, x: Value, shape: Sequence[int]) -> Value:
    shape = call.check_size(shape)
    if math.prod(shape) != math.prod(x.shape):
        call.fail(f"shape {x.shape} cannot become {shape}", code="V114")
    if x.data is not None:
        return constant(x.data.reshape(shape))
    return x if shape == x.shape else call.emit(affine.Reshape(x.shape, shape), x, shape=shape)


def permuted(call: Call, x: Value, permutation: Sequence[int]) -> Value:
    shape = tuple(x.shape[p] for p in permutation)
    if x.data is not None:
        return constant(np.ascontiguousarray(x.data.transpose(permutation)))
    long = [p for p in permutation if x.shape[p] > 1]
    if long == sorted(long):
        return reshaped(call, x, shape)
    return call.emit(affine.Transpose(tuple(permutation)), x, shape=shape)


def expanded(call: Call, x: Value, shape: Shape) -> Value:
    call.check_size(shape)
    if x.data is not None:
        return constant(np.broadcast_to(x.data, shape).copy())
    if math.prod(shape) == math.prod(x.shape):
        return reshaped(call, x, shape)
    return call.emit(affine.Expand(x.shape, shape), x, shape=shape)


def taken(call: Call, x: Value, axis: int, indices: np.ndarray) -> Value:
    """Slices of `axis` at one-dimensional indices >= 0."""
    shape = call.check_size((*x.shape[:axis], len(indices), *x.shape[axis + 1 :]))
    if x.data is not None:
        return constant(np.take(x.data, indices, axis=axis))
    if len(indices) == x.shape[axis] and np.array_equal(indices, np.arange(x.shape[axis])):
        return x
    return call.emit(affine.Take(axis, np.ascontiguousarray(indices, dtype=np.int64), x.shape), x, shape=shape)


def joined(call: Call, parts: Sequence[Value], axis: int) -> Value:
    if all(p.data is not None for p in parts):
        if len({p.data.dtype for p in parts if p.data is not None}) > 1:
            call.fail("inputs of different element types", code="V114")
        return constant(np.concatenate([p.data for p in parts if p.data is not None], axis=axis))
    shapes = {(*p.shape[:axis], *p.shape[axis + 1 :]) for p in parts}
    if len(shapes) > 1:
        call.fail(f"shapes {', '.join(str(p.shape) for p in parts)} differ off axis {axis}", code="V114")
    parts = [call.variable(p) for p in parts if p.shape[axis] > 0]
    if len(parts) == 1:
        return parts[0]
    sizes = tuple(p.shape[axis] for p in parts)
    first = parts[0].shape
    return call.emit(affine.Concat(axis, sizes), *parts, shape=(*first[:axis], sum(sizes), *first[axis + 1 :]))


@operator("Identity", 1, whole=of_first)
def identity(call: Call) -> Value:
    return call.input(0)


@operator("Dropout", 1, 3)
def dropout(call: Call) -> Value:
    """Inference: the identity. A mask that something reads is refused where it is read."""
    if call.opset >= 12:
        call.integer("seed", 0)
        if call.optional(1) is not None:
            call.data(1, "the ratio")
        if call.optional(2) is not None and call.data(2, "training_mode").any():
            call.fail("training_mode is true; only inference is supported")
    else:
        call.real("ratio", 0.5)
        if call.count > 1:
            call.fail("more than one input", code="V114")
    return call.input(0)


@operator("Flatten", 1, whole=of_first)
def flatten(call: Call) -> Value:
    x = call.input(0)
    axis = call.integer("axis", 1)
    if not (-x.rank if call.opset >= 11 else 0) <= axis <= x.rank:
        call.fail(f"axis {axis} is outside a value of {x.rank} dimensions", code="V114")
    axis = axis + x.rank if axis < 0 else axis
    return reshaped(call, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


@operator("Reshape", 2, whole=of_first)
def reshape(call: Call) -> Value:
    x = call.input(0)
    wanted = call.list_of_integers(1, "the new shape")
    allow_zero = call.opset >= 14 and call.flag("allowzero", False)
    if not allow_zero:
        if any(n == 0 and i >= x.rank for i, n in enumerate(wanted)):
            call.fail(f"shape {wanted} copies a dimension that {x.shape} does not have", code="V114")
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if any(n < -1 for n in wanted) or wanted.count(-1) > 1 or (allow_zero and 0 in wanted and -1 in wanted):
        call.fail(f"shape {wanted} is not valid", code="V114")
    if -1 in wanted:
        known = -math.prod(wanted)
        if known == 0 or math.prod(x.shape) % known:
            call.fail(f"shape {x.shape} cannot become {wanted}", code="V114")
        wanted[wanted.index(-1)] = math.prod(x.shape) // known
    return reshaped(call, x, wanted)


@operator("Transpose", 1, whole=of_first)
def transpose(call: Call) -> Value:
    x = call.input(0)
    permutation = call.integers("perm")
    permutation = list(range(x.rank))[::-1] if permutation is None else permutation
    if sorted(permutation) != list(range(x.rank)):
        call.fail(f"perm {permutation} is no permutation of {x.rank} axes", code="V114")
    return permuted(call, x, permutation)


def _axes(call: Call, since: int) -> list[int] | None:
    """`axes`: an attribute before opset `since`, an optional input from it on."""
    if call.opset < since:
        if call.count > 1:
            call.fail(f"axes as an input exist from opset {since} on", code="V114")
        return call.integers("axes")
    return None if call.optional(1) is None else call.list_of_integers(1, "axes")


@operator("Squeeze", 1, 2, whole=of_first)
def squeeze(call: Call) -> Value:
    x = call.input(0)
    axes = _axes(call, 13)
    found = tuple(i for i, n in enumerate(x.shape) if n == 1) if axes is None else call.axes(axes, x.rank)
    if any(x.shape[a] != 1 for a in found):
        call.fail(f"axes {list(found)} of shape {x.shape} are not all of length 1", code="V114")
    return reshaped(call, x, [n for i, n in enumerate(x.shape) if i not in found])


@operator("Unsqueeze", 1, 2, whole=of_first)
def unsqueeze(call: Call) -> Value:
    x = call.input(0)
    axes = _axes(call, 13)
    if axes is None:
        call.fail("axes are missing", code="V114")
    found = call.axes(axes, x.rank + len(axes))
    rest = iter(x.shape)
    return reshaped(call, x, [1 if i in found else next(rest) for i in range(x.rank + len(axes))])


@operator("Expand", 2, since=8, whole=of_first)
def expand(call: Call) -> Value:
    x = call.input(0)
    return expanded(call, x, call.broadcast(x.shape, tuple(call.list_of_integers(1, "the shape"))))


@operator("Tile", 2, whole=of_first)
def tile(call: Call) -> Value:
    x, repeats = call.input(0), call.list_of_integers(1, "the repeats")
    if len(repeats) != x.rank or min(repeats, default=1) < 0:
        call.fail(f"repeats {repeats} do not fit a value of {x.rank} dimensions", code="V114")
    call.check_size([n * r for n, r in zip(x.shape, repeats)])
    for axis, count in enumerate(repeats):
        x = taken(call, x, axis, np.tile(np.arange(x.shape[axis]), count))
    return x


@operator("Concat", 1, 1 << 20, whole=max)
def concat(call: Call) -> Value:
    parts = [call.input(i) for i in range(call.count)]
    if not call.has("axis"):
        call.fail("axis is missing", code="V114")
    if len({p.rank for p in parts}) > 1:
        call.fail("inputs of different rank", code="V114")
    return joined(call, parts, call.axis(call.integer("axis", 0), parts[0].rank))


@operator("Slice", 1, 5, whole=of_first)
def slice_(call: Call) -> Value:
    x = call.input(0)
    if call.opset < 10:
        if call.count > 1:
            call.fail("starts as an input exist from opset 10 on", code="V114")
        starts, ends, axes, steps = call.integers("starts"), call.integers("ends"), call.integers("axes"), None
    else:
        starts, ends = call.list_of_integers(1, "starts"), call.list_of_integers(2, "ends")
        axes = None if call.optional(3) is None else call.list_of_integers(3, "axes")
        steps = None if call.optional(4) is None else call.list_of_integers(4, "steps")
    if starts is None or ends is None:
        call.fail("starts or ends are missing", code="V114")
    steps = [1] * len(starts) if steps is None else steps
    found = call.axes(range(len(starts)) if axes is None else axes, x.rank)
    if not len(starts) == len(ends) == len(found) == len(steps) or 0 in steps:
        call.fail("starts, ends, axes and steps do not fit together", code="V114")
    for axis, start, end, step in zip(found, starts, ends, steps):
        x = taken(call, x, axis, np.arange(x.shape[axis])[start:end:step])
    return x


@operator("Split", 1, 2, whole=of_first)
def split(call: Call) -> list[Value]:
    x = call.input(0)
    axis = call.axis(call.integer("axis", 0), x.rank)
    count, size = len(call.outputs), x.shape[axis]
    if call.opset < 13:
        sizes = call.integers("split")
    else:
        sizes = None if call.optional(1) is None else call.list_of_integers(1, "split")
    if call.opset >= 18 and call.has("num_outputs"):
        if sizes is not None or call.integer("num_outputs", 0) != count:
            call.fail("num_outputs contradicts the outputs or the split input", code="V114")
        chunk = -(-size // count)
        sizes = [chunk] * (count - 1) + [size - chunk * (count - 1)]
    elif sizes is None:
        if size % count:
            call.fail(f"length {size} does not split into {count} equal parts", code="V114")
        sizes = [size // count] * count
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 0:
        call.fail(f"split {sizes} does not fit a length of {size} and {count} outputs", code="V114")
    starts = np.cumsum([0, *sizes])
    return [taken(call, x, axis, np.arange(a, a + n)) if x.data is not None or n else call.fail("an empty part", code="V114")
            for a, n in zip(starts, sizes)]


@operator("Gather", 2, whole=of_first)
def gather(call: Call) -> Value:
    x = call.input(0)
    axis = call.axis(call.integer("axis", 0), x.rank)
    indices, size = call.integer_data(1, "the indices"), x.shape[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        call.fail(f"an index lies outside a length of {size}", code="V114")
    if x.data is None and not indices.size:
        call.fail("no indices", code="V114")
    part = taken(call, x, axis, indices.reshape(-1) % max(size, 1))
    return reshaped(call, part, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


@operator("Pad", 1, 4)
def pad(call: Call) -> Value:
    x = call.input(0)
    mode = call.text("mode", "constant")
    amounts, value, axes = _pad_arguments(call, x)
    if len(amounts) != 2 * len(axes):
        call.fail(f"{len(amounts)} pads for {len(axes)} axes", code="V114")
    before, after = [0] * x.rank, [0] * x.rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = amounts[i], amounts[len(axes) + i]
    shape = call.check_size([b + n + a for b, n, a in zip(before, x.shape, after)])
    if any(max(0, -b) + max(0, -a) >= n for b, n, a in zip(before, x.shape, after) if b < 0 or a < 0):
        call.fail(f"pads {amounts} remove an axis of {x.shape}", code="V114")
    if mode == "constant":
        return _pad_constant(call, x, before, after, shape, value)
    if mode not in ("edge", "reflect") and not (mode == "wrap" and call.opset >= 19):
        call.fail(f"mode {mode!r} is not supported", hint="supported: constant, edge, reflect, and wrap from opset 19 on")
    for axis, (b, a) in enumerate(zip(before, after)):
        if b or a:
            inside = np.arange(x.shape[axis])[max(0, -b) : x.shape[axis] - max(0, -a)]
            if mode == "reflect" and max(b, a) >= len(inside):
                call.fail(f"pads {amounts} reflect more than there is", code="V114")
            x = taken(call, x, axis, np.pad(inside, (max(b, 0), max(a, 0)), mode=mode))  # type: ignore[call-overload]
    return x


def _pad_arguments(call: Call, x: Value) -> tuple[list[int], float, tuple[int, ...]]:
    every = tuple(range(x.rank))
    if call.opset < 11:
        pads = call.integers("pads")
        if pads is None or call.count > 1:
            call.fail("before opset 11 pads are an attribute", code="V114")
        return pads, call.real("value", 0.0), every
    value = 0.0
    if call.optional(2) is not None:
        data = call.data(2, "the pad value")
        if data.size != 1:
            call.fail("the pad value must be one number", code="V114")
        value = data.reshape(()).item()
    if call.optional(3) is not None:
        if call.opset < 18:
            call.fail("axes exist from opset 18 on", code="V114")
        every = call.axes(call.list_of_integers(3, "axes"), x.rank)
    return call.list_of_integers(1, "pads"), value, every


def _pad_constant(call: Call, x: Value, before: list[int], after: list[int], shape: Shape, value: float) -> Value:
    if not any(before) and not any(after):
        return x
    if x.data is None:
        return call.emit(affine.Pad(tuple(before), tuple(after), x.shape, float(value)), x, shape=shape)
    inside = x.data[tuple(slice(max(0, -b), n - max(0, -a)) for b, n, a in zip(before, x.shape, after))]
    widths = [(max(0, b), max(0, a)) for b, a in zip(before, after)]
    return constant(np.pad(inside, widths, constant_values=value))
