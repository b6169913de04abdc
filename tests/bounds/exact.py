"""The network over the rationals: every float is a fraction, nothing is rounded. Shares no code with the operators.

Sigmoid and Tanh are the exception: their values are right to 60 digits.
"""

from __future__ import annotations

import decimal
import itertools
from fractions import Fraction

import numpy as np

from verifier.graph.ir import Graph
from verifier.operators import affine, piecewise_linear, smooth
from verifier.operators.base import Input, Operator
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
    return _elementwise(op, parents[0])


def _elementwise(op: Operator, p: np.ndarray) -> np.ndarray:
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
    else:
        raise TypeError(f"no exact rule for {op!r}")
    out = np.empty(p.shape, dtype=object)
    out.reshape(-1)[:] = [rule(v) for v in p.reshape(-1)]
    return out


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
