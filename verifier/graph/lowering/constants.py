"""Constants, shapes and the integer arithmetic that exporters build shapes with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx

from verifier.graph.lowering.arithmetic import scaled
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.movement import expanded, joined, reshaped, taken
from verifier.graph.tensors import LARGEST, checked, type_name

_T = onnx.TensorProto
_REALS: dict[int, Any] = {_T.FLOAT: np.float32, _T.DOUBLE: np.float64, _T.FLOAT16: np.float16}
_INTEGERS: dict[int, Any] = {
    _T.INT64: np.int64, _T.INT32: np.int32, _T.INT16: np.int16, _T.INT8: np.int8,
    _T.UINT8: np.uint8, _T.UINT16: np.uint16, _T.UINT32: np.uint32,
}


@operator("Constant", 0)
def constant_(call: Call) -> Value:
    found: list[np.ndarray] = []
    if (tensor := call.tensor("value")) is not None:
        found.append(tensor)
    if call.opset >= 12:
        if call.has("value_float"):
            found.append(np.array(call.real("value_float", 0.0)))
        if (reals := call.reals("value_floats")) is not None:
            found.append(checked(np.array(reals, dtype=np.float64), call.builder.file, call.name))
        if call.has("value_int"):
            found.append(np.array(call.integer("value_int", 0), dtype=np.int64))
        if (integers := call.integers("value_ints")) is not None:
            found.append(np.array(integers, dtype=np.int64))
    if len(found) != 1:
        call.fail("exactly one value is expected", code="V111", hint="supported: value, value_float, value_floats, value_int, value_ints")
    return constant(found[0])


@operator("Shape", 1)
def shape(call: Call) -> Value:
    dims = np.array(call.input(0).shape, dtype=np.int64)
    if call.opset < 15:
        return constant(dims)
    start, end = call.integer("start", 0), call.integer("end", len(dims))
    return constant(dims[start:end])


@operator("Size", 1)
def size(call: Call) -> Value:
    return constant(np.array(int(np.prod(call.input(0).shape, dtype=np.int64)), dtype=np.int64))


@operator("ConstantOfShape", 1, since=9)
def constant_of_shape(call: Call) -> Value:
    dims = call.check_size(call.list_of_integers(0, "the shape"))
    value = call.tensor("value")
    if value is None:
        value = np.zeros(1)
    if value.size != 1:
        call.fail("the value must be one number", code="V114")
    return constant(np.full(dims, value.reshape(())[()]))


@operator("Range", 3, since=11)
def range_(call: Call) -> Value:
    start, limit, delta = (call.integer_data(i, what) for i, what in enumerate(("the start", "the limit", "the step")))
    if not start.size == limit.size == delta.size == 1 or not delta.item():
        call.fail("start, limit and step must be one number each, the step not zero", code="V114")
    numbers = range(start.item(), limit.item(), delta.item())
    if len(numbers) > LARGEST:
        call.fail("too many numbers", code="V114")
    return constant(np.array(numbers, dtype=np.int64))


@operator("Cast", 1)
def cast(call: Call) -> Value:
    """Between real types: the identity. Constants change type only where that is exact; a variable stays real."""
    x, to = call.input(0), call.integer("to", 0)
    if call.opset >= 19:
        call.flag("saturate", True)
    if call.opset >= 24:
        call.text("round_mode", "up")
    if x.data is None:
        if to not in (_T.FLOAT, _T.DOUBLE):
            call.fail(f"a cast of a value that depends on the input to {type_name(to)} is not supported", hint="supported: FLOAT, DOUBLE")
        return x
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


@operator("Equal", 2)
def equal(call: Call) -> Value:
    return constant(np.asarray(call.data(0, "an operand") == call.data(1, "an operand")))


@operator("Where", 3, since=9)
def where(call: Call) -> Value:
    """With a constant condition the elements of either choice are selected from both."""
    condition, a, b = call.data(0, "the condition"), call.input(1), call.input(2)
    if condition.dtype.kind != "b" or (a.data is not None and b.data is not None and a.data.dtype != b.data.dtype):
        call.fail("the condition must be boolean and both choices of one type", code="V114")
    shape = call.check_size(call.broadcast(condition.shape, a.shape, b.shape))
    if a.data is not None and b.data is not None:
        return constant(np.where(condition, a.data, b.data))
    chosen, size = np.broadcast_to(condition, shape).reshape(-1), math.prod(shape)
    both = joined(call, [reshaped(call, expanded(call, v, shape), (size,)) for v in (a, b)], 0)
    return reshaped(call, taken(call, both, 0, np.where(chosen, 0, size) + np.arange(size)), shape)


@operator("Trilu", 1, 2, since=14)
def trilu(call: Call) -> Value:
    """One triangle of matrices, zeros in the other."""
    x, upper = call.input(0), call.flag("upper", True)
    k = 0 if call.optional(1) is None else int(call.integer_data(1, "the diagonal").reshape(-1)[0])
    if x.rank < 2:
        call.fail(f"a value of shape {x.shape} is no matrix", code="V114")
    kept = np.triu(np.ones(x.shape[-2:]), k) if upper else np.tril(np.ones(x.shape[-2:]), k)
    if x.data is not None:
        return constant(np.where(kept > 0, x.data, np.zeros((), x.data.dtype)))
    return scaled(call, x, kept)
