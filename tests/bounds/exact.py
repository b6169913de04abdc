"""The network over the rationals: every float is a fraction, nothing is rounded. Shares no code with the operators.

Functions without rational values are the exception: theirs are right to 60 digits.
"""

from __future__ import annotations

import decimal
import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np

from verifier.graph.ir import Graph
from verifier.operators import affine, exponential, gated, periodic, piecewise_linear, smooth, steps
from verifier.operators.base import Input, Operator
from verifier.operators.power import Power
from verifier.operators.product import Product
from verifier.operators.square import Square


def fractions(values: np.ndarray) -> np.ndarray:
    """Object array of the exact values of finite floats."""
    values = np.asarray(values, dtype=float)
    out = np.empty(values.shape, dtype=object)
    out.reshape(-1)[:] = [Fraction(float(v)) for v in values.reshape(-1)]
    return out


def values(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    """Exact value of every node at one point x (n,) of floats or fractions, each an object array of the node's shape."""
    found: list[np.ndarray] = []
    for node in graph.nodes:
        if isinstance(node.operator, Input):
            found.append(x if x.dtype == object else fractions(x))
        else:
            found.append(_apply(node.operator, [found[p] for p in node.inputs]).reshape(node.shape))
    return found


def _apply(op: Operator, parents: list[np.ndarray]) -> np.ndarray:
    if isinstance(op, affine.Linear):
        y = parents[0].dot(fractions(op.weight))
        return y if op.bias is None else y + fractions(op.bias)
    if isinstance(op, affine.Scale):
        y = parents[0] if op.scale is None else parents[0] * fractions(op.scale)
        return y if op.shift is None else y + fractions(op.shift)
    if isinstance(op, affine.Add):
        return sum(p * s for s, p in zip(op.signs, parents))
    if isinstance(op, affine.Concat):
        return np.concatenate(parents, axis=op.axis)
    if isinstance(op, affine.Reshape):
        return parents[0].reshape(op.shape_out)
    if isinstance(op, affine.Take):
        return np.take(parents[0], op.indices, axis=op.axis)
    if isinstance(op, affine.ReduceSum):
        return parents[0].sum(axis=op.axes, keepdims=True) / Fraction(op.divisor)
    if isinstance(op, affine.Constant):
        return fractions(op.value)
    if isinstance(op, affine.Conv):
        return _convolved(op, parents[0])
    if isinstance(op, Product):
        x, y = np.split(parents[0], [int(np.prod(op.left))])
        return x.reshape(op.left) * y.reshape(op.right)
    return elementwise(op, parents[0])


def elementwise(op: Operator, p: np.ndarray) -> np.ndarray:
    """Values of an elementwise function at fractions, to many more digits than a float64 has where they are no fractions."""
    if isinstance(op, piecewise_linear.LeakyRelu):
        alpha = Fraction(op.alpha)
        rule = lambda v: v if v >= 0 else alpha * v  # noqa: E731
    elif isinstance(op, piecewise_linear.Abs):
        rule = abs
    elif isinstance(op, piecewise_linear.Clip):
        rule = lambda v: Fraction(op.low) if v < op.low else Fraction(op.high) if v > op.high else v  # noqa: E731
    elif isinstance(op, Square):
        rule = lambda v: v * v  # noqa: E731
    elif isinstance(op, smooth.Sigmoid | smooth.Tanh):
        rule = lambda v: _smooth(v, isinstance(op, smooth.Tanh))  # noqa: E731
    elif isinstance(op, steps.Sign):
        rule = lambda v: Fraction((v > 0) - (v < 0))  # noqa: E731
    elif isinstance(op, steps.Positive):
        rule = lambda v: Fraction(v > 0)  # noqa: E731
    elif isinstance(op, steps.Floor | steps.Round):
        rule = lambda v: Fraction(math.floor(v) if isinstance(op, steps.Floor) else round(v))  # noqa: E731
    else:
        rule = _many_digits(_transcendental(op))
    out = np.empty(p.shape, dtype=object)
    out.reshape(-1)[:] = [rule(v) for v in p.reshape(-1)]
    return out


def _transcendental(op: Operator) -> Callable[[mpmath.mpf], mpmath.mpf]:
    """With more digits than the result needs, as far as it cancels."""
    half = mpmath.mpf(1) / 2
    if isinstance(op, exponential.Elu):
        scale, alpha, width = (mpmath.mpf(v) for v in (op.scale, op.alpha, op.width))
        return lambda v: scale * (v if v > 0 else alpha * mpmath.expm1(v / width))
    if isinstance(op, Power):
        return lambda v: v ** (round(op.exponent) if op.exponent == round(op.exponent) else mpmath.mpf(op.exponent))
    if isinstance(op, gated.HardSwish):
        return lambda v: v * min(max(v / 6 + half, 0), 1)
    if isinstance(op, smooth.Softsign):
        return lambda v: v / (1 + abs(v))
    rules: dict[type, Callable[[mpmath.mpf], mpmath.mpf]] = {
        smooth.Erf: mpmath.erf,
        exponential.Exp: mpmath.exp,
        exponential.Log: mpmath.log,
        exponential.Softplus: lambda v: mpmath.log1p(mpmath.exp(v)) if v < 0 else v + mpmath.log1p(mpmath.exp(-v)),
        periodic.Sin: mpmath.sin,
        periodic.Cos: mpmath.cos,
        gated.Silu: lambda v: v / (1 + mpmath.exp(-v)),
        gated.Gelu: lambda v: half * v * mpmath.erfc(-v / mpmath.sqrt(2)),
        gated.GeluTanh: lambda v: v / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (v + mpmath.mpf("0.044715") * v**3))),
        gated.Mish: lambda v: v * mpmath.tanh(mpmath.log1p(mpmath.exp(v)) if v < 0 else v + mpmath.log1p(mpmath.exp(-v))),
    }
    return next(rule for kind, rule in rules.items() if isinstance(op, kind))


def _many_digits(function: Callable[[mpmath.mpf], mpmath.mpf]) -> Callable[[Fraction], Fraction]:
    def rule(v: Fraction) -> Fraction:
        with mpmath.workdps(120):
            sign, digits, exponent, _ = function(mpmath.mpf(v.numerator) / v.denominator)._mpf_
        return (-1) ** sign * int(digits) * Fraction(2) ** max(exponent, -5000)  # what is smaller only has to have a sign

    return rule


def _smooth(v: Fraction, tanh: bool) -> Fraction:
    if tanh and abs(v) < Fraction(1, 10**20):
        return v - v**3 / 3  # the next term is below 60 digits
    with decimal.localcontext(decimal.Context(prec=70)):
        e = (-abs(decimal.Decimal(v.numerator) / decimal.Decimal(v.denominator)) * (2 if tanh else 1)).exp()
        upper = Fraction((1 - e) / (1 + e)) if tanh else Fraction(1 / (1 + e))
        lower = -upper if tanh else Fraction(e / (1 + e))
    return upper if v >= 0 else lower


def _convolved(op: affine.Conv, x: np.ndarray) -> np.ndarray:
    out = np.empty(op.shape_out, dtype=object)
    w = fractions(op.weight)
    per_group, outputs = op.weight.shape[1], op.shape_out[1] // op.groups
    for b, o, i, j in itertools.product(*map(range, op.shape_out)):
        total = Fraction(0) if op.bias is None else Fraction(float(op.bias[o]))
        for c, ki, kj in itertools.product(*map(range, op.weight.shape[1:])):
            row = i * op.stride[0] + ki * op.dilation[0] - op.padding[0]
            column = j * op.stride[1] + kj * op.dilation[1] - op.padding[1]
            if 0 <= row < op.shape_in[2] and 0 <= column < op.shape_in[3]:
                total += w[o, c, ki, kj] * x[b, (o // outputs) * per_group + c, row, column]
        out[b, o, i, j] = total
    return out


def at_most(bound: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Elementwise: the float `bound` (not NaN) is no greater than the fraction `value`."""
    found = [
        b == -np.inf or (b != np.inf and Fraction(float(b)) <= v)
        for b, v in zip(np.asarray(bound).reshape(-1), np.asarray(value, dtype=object).reshape(-1))
    ]
    return np.array(found).reshape(np.shape(bound))
