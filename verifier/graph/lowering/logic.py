"""Comparisons, Booleans and integers that depend on the input, as real numbers: true is 1, and whole numbers are whole.

Of reals x > y is the step function of x - y, which jumps; of whole numbers it is min(max(x - y, 0), 1), which does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from verifier.graph.lowering.arithmetic import added, as_reals, product, scaled, shifted
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.extremes import maximum
from verifier.graph.lowering.movement import expanded, joined, permuted, reshaped, taken
from verifier.graph.tensors import type_name
from verifier.operators import affine, piecewise_linear, steps

_T = onnx.TensorProto
_REALS: dict[int, Any] = {_T.FLOAT: np.float32, _T.DOUBLE: np.float64, _T.FLOAT16: np.float16}
_INTEGERS: dict[int, Any] = {
    _T.INT64: np.int64, _T.INT32: np.int32, _T.INT16: np.int16, _T.INT8: np.int8,
    _T.UINT8: np.uint8, _T.UINT16: np.uint16, _T.UINT32: np.uint32,
}
_LARGEST_WHOLE = 2.0**24
"""Below this reals may be cast to integers: up to there float32 has them all, and sums and products have room."""
_MOST_CLASSES = 160


def _positive(call: Call, x: Value, whole: bool) -> Value:
    """1 where x > 0, else 0."""
    return call.emit(piecewise_linear.Clip(0.0, 1.0) if whole else steps.Positive(), x, shape=x.shape)


def _not(call: Call, x: Value) -> Value:
    """1 - x."""
    return shifted(call, scaled(call, x, np.array(-1.0)), np.ones(1))


def _nonzero(call: Call, x: Value, whole: bool) -> Value:
    """1 where x is not 0, else 0."""
    if whole:
        return _positive(call, call.emit(piecewise_linear.Abs(), x, shape=x.shape), True)
    return added(call, _positive(call, x, False), _positive(call, scaled(call, x, np.array(-1.0)), False))


def _difference(call: Call, a: Value, b: Value) -> tuple[Value, bool]:
    """a - b of operands of one kind, and whether they are whole."""
    if a.kind != b.kind:
        call.fail("inputs of different element types", code="V114")
    return added(call, as_reals(a), as_reals(b), -1), a.kind != "f"


def _comparison(call: Call, numpy_rule: Any, sign: int, opposite: bool) -> Value:
    """sign * (a - b) > 0, or the opposite of that."""
    a, b = call.input(0), call.input(1)
    if a.data is not None and b.data is not None:
        return constant(np.asarray(numpy_rule(a.data, b.data)))
    difference, whole = _difference(call, a, b)
    found = _positive(call, difference if sign > 0 else scaled(call, difference, np.array(-1.0)), whole)
    return call.whole(_not(call, found) if opposite else found, "b", 1)


for _name, _since, _rule, _sign, _opposite in (
    ("Greater", 7, np.greater, 1, False),
    ("Less", 7, np.less, -1, False),
    ("GreaterOrEqual", 12, np.greater_equal, -1, True),
    ("LessOrEqual", 12, np.less_equal, 1, True),
):
    operator(_name, 2, since=_since, own=True)(
        lambda call, rule=_rule, sign=_sign, opposite=_opposite: _comparison(call, rule, sign, opposite)  # type: ignore[misc]
    )


@operator("Equal", 2, own=True)
def equal(call: Call) -> Value:
    a, b = call.input(0), call.input(1)
    if a.data is not None and b.data is not None:
        return constant(np.asarray(a.data == b.data))
    return call.whole(_not(call, _nonzero(call, *_difference(call, a, b))), "b", 1)


# -- Booleans --


def _booleans(call: Call) -> list[Value]:
    values = [call.input(i) for i in range(call.count)]
    if any(v.kind != "b" for v in values):
        call.fail("an operand is not Boolean", code="V114")
    return values


def _and(call: Call, a: Value, b: Value) -> Value:
    """relu(a + b - 1), with broadcasting."""
    total = shifted(call, added(call, as_reals(a), as_reals(b)), -np.ones(1))
    return call.emit(piecewise_linear.Relu(), total, shape=total.shape)


@operator("Not", 1, own=True)
def not_(call: Call) -> Value:
    (x,) = _booleans(call)
    return constant(~x.data) if x.data is not None else call.whole(_not(call, x), "b", 1)


@operator("And", 2, own=True)
def and_(call: Call) -> Value:
    a, b = _booleans(call)
    if a.data is not None and b.data is not None:
        return constant(np.asarray(a.data & b.data))
    return call.whole(_and(call, a, b), "b", 1)


@operator("Or", 2, own=True)
def or_(call: Call) -> Value:
    """min(a + b, 1)."""
    a, b = _booleans(call)
    if a.data is not None and b.data is not None:
        return constant(np.asarray(a.data | b.data))
    total = added(call, as_reals(a), as_reals(b))
    return call.whole(call.emit(piecewise_linear.Clip(-np.inf, 1.0), total, shape=total.shape), "b", 1)


@operator("Xor", 2, own=True)
def xor(call: Call) -> Value:
    """|a - b|."""
    a, b = _booleans(call)
    if a.data is not None and b.data is not None:
        return constant(np.asarray(a.data ^ b.data))
    difference = added(call, as_reals(a), as_reals(b), -1)
    return call.whole(call.emit(piecewise_linear.Abs(), difference, shape=difference.shape), "b", 1)


@operator("Where", 3, since=9, own=True)
def where(call: Call) -> Value:
    """With a constant condition the elements of either choice are selected from both; else c a + (1 - c) b, or b + c (a - b)."""
    condition, a, b = call.input(0), call.input(1), call.input(2)
    if condition.kind != "b" or a.kind != b.kind:
        call.fail("the condition must be boolean and both choices of one type", code="V114")
    shape = call.check_size(call.broadcast(condition.shape, a.shape, b.shape))
    if condition.data is not None and a.data is not None and b.data is not None:
        return constant(np.where(condition.data, a.data, b.data))
    kind, largest = a.kind, max(map(_largest, (a, b)))
    if condition.data is not None:
        chosen, size = np.broadcast_to(condition.data, shape).reshape(-1), int(np.prod(shape))
        both = joined(call, [reshaped(call, expanded(call, v, shape), (size,)) for v in (a, b)], 0)
        y = reshaped(call, taken(call, both, 0, np.where(chosen, 0, size) + np.arange(size)), shape)
    elif a.data is not None and b.data is not None:
        y = _chosen(call, expanded(call, condition, shape), as_reals(a).data, as_reals(b).data)
    else:
        a, b = as_reals(a), as_reals(b)
        y = expanded(call, product(call, condition, added(call, a, b, -1)), shape)
        y = added(call, y, b)
    return y if kind == "f" else call.whole(y, kind, largest)


def _chosen(call: Call, condition: Value, a: Any, b: Any) -> Value:
    """Constants a where the condition is 1, b where it is 0."""
    return added(call, scaled(call, condition, a), scaled(call, _not(call, condition), b))


def _largest(value: Value) -> float:
    return value.largest if value.data is None else float(np.max(np.abs(value.data.astype(np.float64)), initial=0.0))


# -- casts --


@operator("Cast", 1, own=True)
def cast(call: Call) -> Value:
    """Between real types: the identity. Constants change type only where that is exact; a variable becomes whole by truncation."""
    x, to = call.input(0), call.integer("to", 0)
    if call.opset >= 19:
        call.flag("saturate", True)
    if call.opset >= 24:
        call.text("round_mode", "up")
    if x.data is None:
        return _cast_variable(call, x, to)
    if to in _REALS:
        with np.errstate(over="ignore"):
            result = x.data.astype(_REALS[to]).astype(np.float64)
        same = np.array_equal(result, x.data) and (x.data.dtype.kind != "i" or np.all(np.abs(x.data) <= 1 << 53))
    elif to in _INTEGERS:
        limits = np.iinfo(_INTEGERS[to])
        whole = np.trunc(x.data) if x.data.dtype.kind == "f" else x.data
        same = bool(np.all((whole >= limits.min) & (whole <= limits.max) & (np.abs(whole) <= 1 << 53)))
        result = whole.astype(np.int64) if same else whole
    elif to == _T.BOOL:
        result, same = x.data != 0, True
    else:
        call.fail(f"a cast to {type_name(to)} is not supported")
    if not same:
        call.fail(f"a constant cannot be cast to {type_name(to)} exactly", code="V113")
    return constant(result)


def _cast_variable(call: Call, x: Value, to: int) -> Value:
    """To integers: floor(max(x, 0)) - floor(max(-x, 0)); floats that no integer can hold are refused when bounds meet them."""
    if to in (_T.FLOAT, _T.DOUBLE):
        return Value(x.shape, x.node)
    if to == _T.BOOL:
        return call.whole(x if x.kind == "b" else _nonzero(call, x, x.kind == "i"), "b", 1)
    if to not in (_T.INT32, _T.INT64):
        call.fail(f"a cast of a value that depends on the input to {type_name(to)} is not supported",
                  hint="supported: FLOAT, DOUBLE, INT32, INT64, BOOL")
    if x.kind != "f":
        return call.whole(x, "i", x.largest)
    parts = [call.emit(piecewise_linear.Relu(), part, shape=x.shape) for part in (x, scaled(call, x, np.array(-1.0)))]
    below, above = (call.emit(steps.Floor(_LARGEST_WHOLE), part, shape=x.shape) for part in parts)
    return call.whole(added(call, below, above, -1), "i", _LARGEST_WHOLE)


# -- indices --


@operator("ArgMax", 1, own=True)
def arg_max(call: Call) -> Value:
    return _arg_extreme(call, 1)


@operator("ArgMin", 1, own=True)
def arg_min(call: Call) -> Value:
    return _arg_extreme(call, -1)


def _arg_extreme(call: Call, sign: int) -> Value:
    """The place of the greatest of n values: the number of k above 0 for which the greatest of those from k on beats the one before.

    Of two that are equal the first wins, or the last with select_last_index.
    """
    x = as_reals(call.variable(call.input(0)))
    whole = call.input(0).kind != "f"
    axis = call.axis(call.integer("axis", 0), x.rank)
    keep, last = call.flag("keepdims", True), call.opset >= 12 and call.flag("select_last_index", False)
    n, kept = x.shape[axis], tuple(1 if i == axis else size for i, size in enumerate(x.shape))
    shape = kept if keep else tuple(size for i, size in enumerate(x.shape) if i != axis)
    if n > _MOST_CLASSES:
        call.fail(f"{n} values to compare are not supported", hint=f"at most {_MOST_CLASSES}")
    if n == 1:
        return constant(np.zeros(shape, dtype=np.int64))
    rows = permuted(call, x if sign > 0 else scaled(call, x, np.array(-1.0)), [*(i for i in range(x.rank) if i != axis), axis])
    rows = reshaped(call, rows, (int(np.prod(rows.shape[:-1])), n))
    before = _running_maximum(call, taken(call, rows, 1, np.arange(n - 1)))
    after = _running_maximum(call, taken(call, rows, 1, np.arange(n - 1, 0, -1)))
    after = taken(call, after, 1, np.arange(n - 2, -1, -1))
    if last:
        later = _not(call, _positive(call, added(call, before, after, -1), whole))
    else:
        later = _positive(call, added(call, after, before, -1), whole)
    place = call.emit(affine.ReduceSum((1,), later.shape), later, shape=(later.shape[0], 1))
    return call.whole(reshaped(call, place, shape), "i", n - 1)


def _running_maximum(call: Call, x: Value) -> Value:
    """(size, n): the greatest of the first k + 1 values, by doubling (Hillis and Steele 1986)."""
    n, distance = x.shape[1], 1
    while distance < n:
        start, rest, shifted_back = (taken(call, x, 1, np.arange(*ends)) for ends in ((distance,), (distance, n), (n - distance,)))
        x = joined(call, [start, maximum(call, rest, shifted_back)], 1)
        distance *= 2
    return x


@operator("OneHot", 3, since=9, own=True)
def one_hot(call: Call) -> Value:
    """values[1] at the index along a new axis, values[0] elsewhere; negative indices count from the end."""
    indices, depth, values = call.input(0), call.data(1, "the depth"), call.input(2)
    if values.shape != (2,) or values.kind == "b" or depth.size != 1 or depth.reshape(())[()] < 1:
        call.fail("the depth is one number above 0, values are two numbers", code="V114")
    axis, n = call.axis(call.integer("axis", -1), indices.rank + 1), int(depth.reshape(()))
    if indices.data is not None:
        hit = np.isin(indices.data[..., None] - np.arange(n), (0, -n))
        y = reshaped(call, taken(call, values, 0, hit.astype(np.int64).reshape(-1)), hit.shape)
    else:
        y = _one_hot_variable(call, indices, n, call.data(2, "the values").astype(np.float64))
    y = permuted(call, y, [*range(axis), indices.rank, *range(axis, indices.rank)])
    return y if values.kind == "f" else call.whole(y, values.kind, _largest(values))


def _one_hot_variable(call: Call, indices: Value, n: int, values: np.ndarray) -> Value:
    """(*shape, n): 1 where |index - k| is 0, for k and for k - n."""
    if indices.kind != "i":
        call.fail("the indices are not integers", code="V114")
    wide = expanded(call, reshaped(call, indices, (*indices.shape, 1)), (*indices.shape, n))
    places = np.arange(n, dtype=np.float64)
    first, second = (_not(call, _nonzero(call, shifted(call, wide, offset), True)) for offset in (-places, n - places))
    return _chosen(call, added(call, first, second), values[1:], values[:1])
