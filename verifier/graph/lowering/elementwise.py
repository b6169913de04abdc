"""Nonlinear elementwise operators."""

from __future__ import annotations

import numpy as np

from verifier.graph import exact
from verifier.graph.lowering.arithmetic import added, scaled, shifted
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.movement import expanded, joined, reshaped, taken
from verifier.operators import exponential, gated, periodic, piecewise_linear, smooth, steps
from verifier.operators.base import Elementwise
from verifier.operators.power import Power
from verifier.operators.square import Square

_MOST_EXPONENTS = 64
_LARGEST_EXPONENT = 64.0
"""Of Pow, and of the parameters of exponential units: functions within stay moderate."""


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


_PLAIN: dict[str, Elementwise] = {
    "Sin": periodic.Sin(),
    "Cos": periodic.Cos(),
    "Exp": exponential.Exp(),
    "Log": exponential.Log(),
    "Softplus": exponential.Softplus(),
    "Softsign": smooth.Softsign(),
    "Erf": smooth.Erf(),
    "Mish": gated.Mish(),
    "HardSwish": gated.HardSwish(),
}
for _name, _function in _PLAIN.items():
    operator(_name, 1)(lambda call, function=_function: _apply(call, function, False))  # type: ignore[misc]
for _name, _steps in {"Sign": steps.Sign(), "Floor": steps.Floor(), "Round": steps.Round()}.items():
    operator(_name, 1)(lambda call, function=_steps: _apply(call, function, True))  # type: ignore[misc]


@operator("Ceil", 1)
def ceil(call: Call) -> Value:
    """-floor(-x)."""
    x = call.input(0)
    if x.data is not None and x.data.dtype.kind == "f":
        return constant(np.ceil(x.data))
    negated = scaled(call, call.variable(x), np.array(-1.0))
    return scaled(call, call.emit(steps.Floor(), negated, shape=x.shape), np.array(-1.0))


@operator("Sqrt", 1)
def sqrt(call: Call) -> Value:
    x = call.input(0)
    if x.data is not None and x.data.dtype.kind == "f" and np.all(x.data >= 0):
        root = np.asarray(np.sqrt(x.data))
        square = exact.multiply(root, root)
        if square is not None and np.array_equal(square, x.data):
            return constant(root)
    return _apply(call, Power(0.5), False)


@operator("Reciprocal", 1)
def reciprocal(call: Call) -> Value:
    x = call.input(0)
    if x.data is not None and x.data.dtype.kind == "f":
        quotient = exact.divide(np.ones_like(x.data), x.data)
        if quotient is not None:
            return constant(quotient)
    return _apply(call, Power(-1.0), False)


@operator("Pow", 2)
def pow_(call: Call) -> Value:
    """x^c for constant exponents: elements with one exponent are taken together. b^x = exp(log(b) x) for constant positive b."""
    x, y = call.input(0), call.input(1)
    if x.data is not None and y.data is None:
        return _exponential(call, x.data, y)
    exponents = call.data(1, "the exponent")
    if exponents.dtype.kind == "b":
        call.fail("an exponent is a boolean", code="V114")
    shape = call.check_size(call.broadcast(x.shape, exponents.shape))
    if x.data is not None and x.data.dtype.kind == "i":
        call.fail("powers of integers are not supported", code="V109")
    x = expanded(call, call.variable(x), shape)
    flat = np.broadcast_to(exponents, shape).astype(np.float64).reshape(-1)
    found = np.unique(flat)
    if len(found) > _MOST_EXPONENTS or np.any(np.abs(found) > _LARGEST_EXPONENT):
        call.fail(f"more than {_MOST_EXPONENTS} exponents, or one beyond {_LARGEST_EXPONENT:g}, are not supported")
    if len(found) == 1:
        return _power(call, x, float(found[0]))
    rows, order = reshaped(call, x, (flat.size,)), np.argsort(flat, kind="stable")
    parts = [_power(call, taken(call, rows, 0, np.flatnonzero(flat == c)), float(c)) for c in found]
    return reshaped(call, taken(call, joined(call, parts, 0), 0, np.argsort(order)), shape)


def _exponential(call: Call, base: np.ndarray, x: Value) -> Value:
    """exp(log(base) x); a logarithm is off by less than 2 units of its last place."""
    if base.dtype.kind != "f" or not np.all((base > 0) & (np.abs(np.log(np.where(base > 0, base, 1.0))) < _LARGEST_EXPONENT)):
        call.fail("a base is not positive, too small or too large", hint="powers of constants are supported between exp(-64) and exp(64)")
    y = scaled(call, x, np.log(base), 4)
    return call.emit(exponential.Exp(), y, shape=y.shape)


def _power(call: Call, x: Value, exponent: float) -> Value:
    """x^exponent, x a node; 0^0 = 1 as everywhere."""
    if exponent == 0.0:
        return constant(np.ones(x.shape))
    if exponent == 1.0:
        return x
    return call.emit(Square() if exponent == 2.0 else Power(exponent), x, shape=x.shape)


@operator("Elu", 1)
def elu(call: Call) -> Value:
    return _apply(call, _exponential_unit(call, call.real("alpha", 1.0)), False)


@operator("Selu", 1)
def selu(call: Call) -> Value:
    alpha, gamma = call.real("alpha", 1.67326319217681884765625), call.real("gamma", 1.05070102214813232421875)
    return _apply(call, _exponential_unit(call, alpha, gamma), False)


@operator("Celu", 1, since=12)
def celu(call: Call) -> Value:
    alpha = call.real("alpha", 1.0)
    return _apply(call, _exponential_unit(call, alpha, 1.0, alpha), False)


def _exponential_unit(call: Call, alpha: float, scale: float = 1.0, width: float = 1.0) -> exponential.Elu:
    if not all(1 / _LARGEST_EXPONENT <= number <= _LARGEST_EXPONENT for number in (alpha, scale, width)):
        call.fail("alpha or gamma are not supported", hint=f"supported: {1 / _LARGEST_EXPONENT:g} to {_LARGEST_EXPONENT:g}")
    return exponential.Elu(alpha, scale, width)


@operator("HardSigmoid", 1)
def hard_sigmoid(call: Call) -> Value:
    """min(max(alpha x + beta, 0), 1)."""
    alpha, beta = call.real("alpha", 0.2), call.real("beta", 0.5)
    x = shifted(call, scaled(call, call.variable(call.input(0)), np.array(alpha)), np.array(beta))
    return call.emit(piecewise_linear.Clip(0.0, 1.0), x, shape=x.shape)


@operator("Gelu", 1, since=20)
def gelu(call: Call) -> Value:
    kind = call.text("approximate", "none")
    if kind not in ("none", "tanh"):
        call.fail(f"approximate = {kind!r} is not supported", hint="supported: none, tanh")
    return _apply(call, gated.Gelu() if kind == "none" else gated.GeluTanh(), False)


@operator("Swish", 1, since=24)
def swish(call: Call) -> Value:
    """x / (1 + exp(-alpha x)) = silu(alpha x) / alpha."""
    alpha = call.real("alpha", 1.0)
    if not 1 / _LARGEST_EXPONENT <= abs(alpha) <= _LARGEST_EXPONENT:
        call.fail(f"alpha = {alpha} is not supported")
    x = scaled(call, call.variable(call.input(0)), np.array(alpha))
    return scaled(call, call.emit(gated.Silu(), x, shape=x.shape), np.array(1.0 / alpha), 1)


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
