"""Sums and products. Float constants are folded only where the float64 result is exact, and stay in the graph otherwise."""

from __future__ import annotations

import math

import numpy as np

from verifier.graph import exact
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.movement import expanded, joined, reshaped
from verifier.operators import affine
from verifier.operators.gated import Silu
from verifier.operators.power import Power
from verifier.operators.product import Product
from verifier.operators.smooth import Sigmoid
from verifier.operators.square import Square

_MOST_PRODUCTS = 1 << 22
"""Products of one node, each a number in every row of bounds: 32 MB a row."""
_SAFE = 2.0**900
"""Computed coefficients must lie within 1 / _SAFE and _SAFE, so that their roundings are relative ones."""


def added(call: Call, a: Value, b: Value, sign: int = 1) -> Value:
    """a + sign * b with broadcasting."""
    a, b = same_kind(call, a, b)
    shape = call.check_size(call.broadcast(a.shape, b.shape))
    if a.data is not None and b.data is not None:
        folded = exact.add(a.data, b.data if sign > 0 else -b.data)
        if folded is not None:
            return constant(folded)
        a = call.variable(a)
    if b.data is not None:
        return shifted(call, expanded(call, a, shape), b.data if sign > 0 else -b.data)
    if a.data is not None:
        b = expanded(call, b, shape)
        if sign > 0:
            return shifted(call, b, a.data)
        return call.emit(affine.Scale(np.full((1,) * len(shape), -1.0), aligned(a.data, len(shape))), b, shape=shape)
    return call.emit(affine.Add((1, sign)), expanded(call, a, shape), expanded(call, b, shape), shape=shape)


def multiplied(call: Call, a: Value, b: Value) -> Value:
    """a * b with broadcasting."""
    a, b = same_kind(call, a, b)
    if a.data is not None and b.data is not None:
        folded = exact.multiply(a.data, b.data)
        if folded is not None:
            return constant(folded)
        a = call.variable(a)
    if a.data is not None:
        a, b = b, a
    if b.data is None:
        return product(call, a, b)
    return scaled(call, a, b.data)


def product(call: Call, a: Value, b: Value) -> Value:
    """a * b of two nodes with broadcasting; the factors are read joined, each element once."""
    shape = call.check_size(call.broadcast(a.shape, b.shape))
    if math.prod(shape) > _MOST_PRODUCTS:
        call.fail(f"{math.prod(shape)} products of two values that depend on the input are not supported", hint=f"at most {_MOST_PRODUCTS}")
    if a.node == b.node:
        return call.emit(Square(), a, shape=shape)
    for x, gate in ((a, b), (b, a)):
        if isinstance((node := call.builder.nodes[gate.node]).operator, Sigmoid) and node.inputs == (x.node,):
            return call.emit(Silu(), x, shape=shape)
    left, right = ((1,) * (len(shape) - v.rank) + v.shape for v in (a, b))
    factors = joined(call, [reshaped(call, v, (math.prod(v.shape),)) for v in (a, b)], 0)
    return call.emit(Product(left, right, shape), factors, shape=shape)


def scaled(call: Call, x: Value, factor: np.ndarray, roundings: int = 0) -> Value:
    """x * factor, x a node; `roundings`: relative roundings in the factor."""
    shape = call.check_size(call.broadcast(x.shape, factor.shape))
    x = expanded(call, x, shape)
    if np.all(factor == 1.0):
        return x
    return call.emit(affine.Scale(aligned(factor, len(shape)), roundings=roundings), x, shape=shape)


def aligned(data: np.ndarray, rank: int) -> np.ndarray:
    return data.reshape((1,) * (rank - data.ndim) + data.shape)


def shifted(call: Call, x: Value, shift: np.ndarray) -> Value:
    """x + shift, which broadcasts to the shape of x, a node."""
    if not np.any(shift):
        return x
    return call.emit(affine.Scale(None, aligned(shift, len(x.shape))), x, shape=x.shape)


def _moderate(values: np.ndarray) -> bool:
    magnitude = np.abs(values)
    return bool(np.all((values == 0) | ((magnitude < _SAFE) & (magnitude > 1 / _SAFE))))


def same_kind(call: Call, a: Value, b: Value) -> tuple[Value, Value]:
    """a and b, V114 unless both are real, or both integers; integers as real numbers, unless both are constants."""
    if a.kind != b.kind or a.kind == "b":
        call.fail("inputs of different element types, or booleans", code="V114")
    if a.data is not None and b.data is not None:
        return a, b
    return as_reals(a), as_reals(b)


def as_reals(value: Value) -> Value:
    """The same numbers, whatever their kind was."""
    return Value(value.shape, value.node) if value.data is None else constant(value.data.astype(np.float64))


@operator("Add", 2, whole=sum)
def add(call: Call) -> Value:
    return added(call, call.input(0), call.input(1))


@operator("Sub", 2, whole=sum)
def sub(call: Call) -> Value:
    return added(call, call.input(0), call.input(1), -1)


@operator("Sum", 1, 1 << 20, whole=sum)
def sum_(call: Call) -> Value:
    return _total(call)


def _total(call: Call) -> Value:
    total = call.input(0)
    for i in range(1, call.count):
        total = added(call, total, call.input(i))
    return total


@operator("Mean", 1, 1 << 20)
def mean(call: Call) -> Value:
    """The sum times 1 / n, which is rounded unless n is a power of two."""
    total, count = call.variable(_total(call)), call.count
    return scaled(call, total, np.array(1.0 / count), 0 if count & (count - 1) == 0 else 1)


@operator("Neg", 1, whole=max)
def neg(call: Call) -> Value:
    x = call.input(0)
    if x.data is not None:
        return constant(-x.data)
    return scaled(call, x, np.array(-1.0))


@operator("Mul", 2, whole=math.prod)
def mul(call: Call) -> Value:
    return multiplied(call, call.input(0), call.input(1))


@operator("Div", 2)
def div(call: Call) -> Value:
    """x / c = x * (1 / c): one rounding in the reciprocal unless every c is a power of two. x / y = x * (1 / y) as a product."""
    a, b = same_kind(call, call.input(0), call.input(1))
    if b.data is None:
        return multiplied(call, a, call.emit(Power(-1.0), b, shape=b.shape))
    divisor = b.data
    if np.any(divisor == 0):
        call.fail("division by zero")
    if a.data is not None:
        folded = exact.divide(a.data, divisor)
        if folded is not None:
            return constant(folded)
        a = call.variable(a)
    if not np.all((np.abs(divisor) < _SAFE) & (np.abs(divisor) > 1 / _SAFE)):
        call.fail("a divisor is too large or too small")
    powers = np.all(np.abs(np.frexp(divisor)[0]) == 0.5)
    return scaled(call, a, 1.0 / divisor, 0 if powers else 1)


@operator("BatchNormalization", 5)
def batch_normalization(call: Call) -> Value:
    """y = s x + t with s = scale / sqrt(var + eps) and t = bias - mean s, in inference.

    Rounding, with u = 2^-53: fl(var + eps) = (var + eps)(1 + d1), whose root has (1 + d1)^(1/2) (1 + d2), whose quotient has one
    more (1 + d3): the stored s is the true one up to fewer than 3 roundings. fl(mean s) has 4, and the sum t one more:
    |t - t*| <= g_5 (|bias| + |mean s|). `roundings` = 5 and that magnitude (raised by 2^-50 for its own rounding) cover both.
    """
    x = call.input(0)
    epsilon = call.real("epsilon", 1e-5)
    call.real("momentum", 0.9)
    if call.opset >= 14 and call.flag("training_mode", False):
        call.fail("training_mode = 1; only inference is supported")
    if call.opset < 9 and not call.flag("spatial", True):
        call.fail("spatial = 0 is not supported", hint="supported: 1")
    if any(call.outputs[1:]):
        call.fail("more than one output means training; only inference is supported")
    if x.rank < 2:
        call.fail(f"an input of shape {x.shape} has no channels", code="V114")
    shape = (1, x.shape[1], *(1,) * (x.rank - 2))
    parameters = [call.data(i, what) for i, what in enumerate(("", "scale", "the bias", "the mean", "the variance")) if i]
    if any(p.shape != (x.shape[1],) or p.dtype.kind != "f" for p in parameters):
        call.fail(f"parameters do not have {x.shape[1]} elements", code="V114")
    scale, bias, mean, variance = (p.reshape(shape) for p in parameters)
    if not np.all((variance >= 0) & (variance + epsilon > 1 / _SAFE)):
        call.fail("a variance is negative, or zero together with epsilon")
    factor = scale / np.sqrt(variance + epsilon)
    product = mean * factor
    lost = ((factor == 0) & (scale != 0)) | ((product == 0) & (mean != 0) & (factor != 0))
    if not _moderate(factor) or not _moderate(product) or np.any(lost):
        call.fail("the parameters are too large or too small")
    magnitude = (np.abs(bias) + np.abs(product)) * (1 + 2.0**-50)
    return call.emit(affine.Scale(factor, bias - product, magnitude, roundings=5), call.variable(x), shape=x.shape)
