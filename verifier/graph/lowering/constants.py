"""Constants, shapes and the integer arithmetic that exporters build shapes with."""

from __future__ import annotations

import numpy as np

from verifier.graph.lowering.arithmetic import scaled
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.tensors import LARGEST, checked


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
