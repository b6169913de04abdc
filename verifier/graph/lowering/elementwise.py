"""Nonlinear elementwise operators."""

from __future__ import annotations

import numpy as np

from verifier.graph.lowering.arithmetic import added, scaled
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.operators import piecewise_linear, smooth
from verifier.operators.base import Elementwise


def _apply(call: Call, function: Elementwise, folds: bool) -> Value:
    """`folds`: the function does not round."""
    x = call.input(0)
    if x.data is not None and folds and x.data.dtype.kind == "f":
        return constant(np.asarray(function.function(x.data)))
    x = call.variable(x)
    return call.emit(function, x, shape=x.shape)


@operator("Relu", 1)
def relu(call: Call) -> Value:
    return _apply(call, piecewise_linear.Relu(), True)


@operator("LeakyRelu", 1)
def leaky_relu(call: Call) -> Value:
    alpha = call.real("alpha", 0.01)
    if not 0.0 <= alpha <= 1.0:
        call.fail(f"alpha = {alpha} is not supported", hint="supported: 0 <= alpha <= 1")
    if alpha == 1.0:
        return call.input(0)
    return _apply(call, piecewise_linear.LeakyRelu(alpha) if alpha else piecewise_linear.Relu(), alpha == 0.0)


@operator("PRelu", 2)
def prelu(call: Call) -> Value:
    """relu(x) + c (x - relu(x)), any constant c."""
    x, slope = call.variable(call.input(0)), call.data(1, "the slope")
    if call.broadcast(x.shape, slope.shape) != x.shape:
        call.fail(f"a slope of shape {slope.shape} does not broadcast to {x.shape}", code="V114")
    positive = call.emit(piecewise_linear.Relu(), x, shape=x.shape)
    return added(call, positive, scaled(call, added(call, x, positive, -1), slope))


@operator("Abs", 1)
def abs_(call: Call) -> Value:
    return _apply(call, piecewise_linear.Abs(), True)


@operator("Sigmoid", 1)
def sigmoid(call: Call) -> Value:
    return _apply(call, smooth.Sigmoid(), False)


@operator("Tanh", 1)
def tanh(call: Call) -> Value:
    return _apply(call, smooth.Tanh(), False)


@operator("Clip", 1, 3)
def clip(call: Call) -> Value:
    """Bounds are attributes before opset 11, then optional inputs. One that is absent is none (the standard has the end of the type's
    range, which no number of the type exceeds); one that is given is a bound, however large."""
    if call.opset < 11:
        if call.count > 1:
            call.fail("bounds as inputs exist from opset 11 on", code="V114")
        low, high = (call.real(name, 0.0) if call.has(name) else none for name, none in (("min", -np.inf), ("max", np.inf)))
    else:
        low, high = _bound(call, 1, -np.inf), _bound(call, 2, np.inf)
    if low > high:
        call.fail(f"min = {low} is greater than max = {high}")
    if low == -np.inf and high == np.inf:
        return call.input(0)
    return _apply(call, piecewise_linear.Clip(low, high), True)


def _bound(call: Call, position: int, default: float) -> float:
    if call.optional(position) is None:
        return default
    data = call.data(position, "a bound")
    if data.size != 1 or data.dtype.kind != "f":
        call.fail("a bound must be one real number", code="V114")
    return float(data.reshape(()))
