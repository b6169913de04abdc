"""Softmax and its logarithm, and normalisations by the mean and the variance of the values themselves.

1 / sum_j exp(x_j - x_i) is one reciprocal of a sum that is at least 1. Against exp(x_i) / sum_j exp(x_j), a product, its bounds stay
between 0 and 1 and know what numerator and denominator have in common (Wei et al. 2023, Convex bounds on the softmax function, section 3).
"""

from __future__ import annotations

import math

import numpy as np

from verifier.graph.lowering.arithmetic import added, multiplied, product, scaled, shifted
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.convolution import averaged, reduction_axes
from verifier.graph.lowering.movement import joined, permuted, reshaped, taken
from verifier.graph.order import differences
from verifier.operators import affine, exponential, piecewise_linear, smooth
from verifier.operators.power import Power
from verifier.operators.square import Square

_MOST_CLASSES = 160
"""The matrix of differences has the third power of it."""


def _rows(call: Call) -> tuple[Value, tuple[int, ...], list[int]]:
    """(the input with the normalised part as its last axis, the shape before that, the order that its axes were brought in)."""
    x = call.variable(call.input(0))
    if call.opset >= 13:
        axis = call.axis(call.integer("axis", -1), x.rank)
        order = [*(i for i in range(x.rank) if i != axis), axis]
        rows = permuted(call, x, order)
        return rows, rows.shape, order
    axis = call.integer("axis", 1)
    axis = x.rank if axis == x.rank else call.axis(axis, x.rank)
    return reshaped(call, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))), x.shape, list(range(x.rank))


def _restored(call: Call, y: Value, shape: tuple[int, ...], order: list[int]) -> Value:
    return permuted(call, reshaped(call, y, shape), [int(i) for i in np.argsort(order)])


def _others(call: Call, rows: Value) -> Value:
    """sum over j != i of exp(x_j - x_i), of the shape of `rows`; the last axis has n >= 2 elements."""
    n = rows.shape[-1]
    if n > _MOST_CLASSES:
        call.fail(f"{n} values to normalise together are not supported", hint=f"at most {_MOST_CLASSES}")
    exps = call.emit(exponential.Exp(), _differences(call, rows), shape=(*rows.shape, n - 1))
    return reshaped(call, call.emit(affine.ReduceSum((rows.rank,), exps.shape), exps, shape=(*rows.shape, 1)), rows.shape)


def _differences(call: Call, rows: Value) -> Value:
    """x_j - x_i for j != i: (..., n) -> (..., n, n - 1)."""
    n, size = rows.shape[-1], math.prod(rows.shape[:-1])
    found = call.emit(affine.Linear(differences(n)), reshaped(call, rows, (size, n)), shape=(size, n * (n - 1)))
    return reshaped(call, found, (*rows.shape, n - 1))


@operator("Softmax", 1)
def softmax(call: Call) -> Value:
    rows, shape, order = _rows(call)
    n = rows.shape[-1]
    if n == 1:
        return constant(np.ones(call.input(0).shape))
    if n == 2:  # 1 - s and s = 1 / (1 + exp(x_0 - x_1)), whose sum is 1 for the bounds too
        size = math.prod(rows.shape[:-1])
        y = call.emit(affine.Linear(np.array([[-1.0], [1.0]])), reshaped(call, rows, (size, 2)), shape=(size, 1))
        y = call.emit(smooth.Sigmoid(), y, shape=(size, 1))
        y = joined(call, [shifted(call, scaled(call, y, np.array(-1.0)), np.ones(1)), y], 1)
        y = reshaped(call, y, rows.shape)
    else:
        y = call.emit(Power(-1.0, 1.0), shifted(call, _others(call, rows), np.ones(1)), shape=rows.shape)
    y = _restored(call, y, shape, order)
    if order == sorted(order) and shape[-1] == n:
        call.builder.shares.add(y.node)
    return y


@operator("LogSoftmax", 1)
def log_softmax(call: Call) -> Value:
    """-log(1 + sum over j != i of exp(x_j - x_i))."""
    rows, shape, order = _rows(call)
    n = rows.shape[-1]
    if n == 1:
        return constant(np.zeros(call.input(0).shape))
    if n == 2:
        y = call.emit(exponential.Softplus(), reshaped(call, _differences(call, rows), rows.shape), shape=rows.shape)
    else:
        y = call.emit(exponential.Log(1.0), shifted(call, _others(call, rows), np.ones(1)), shape=rows.shape)
    return _restored(call, scaled(call, y, np.array(-1.0)), shape, order)


def _normalised(call: Call, x: Value, axes: tuple[int, ...], epsilon: float) -> tuple[Value, Value, Value]:
    """(x - mean) / sqrt(variance + epsilon) over `axes`, the mean, and the reciprocal of the root."""
    count = math.prod(x.shape[a] for a in axes)
    mean = averaged(call, x, axes, count)
    centred = added(call, x, mean, -1)
    variance = averaged(call, call.emit(Square(), centred, shape=x.shape), axes, count)
    spread = shifted(call, variance, np.array([epsilon]))
    inverse = call.emit(Power(-0.5, epsilon), spread, shape=spread.shape)
    return product(call, centred, inverse), mean, inverse


def _epsilon(call: Call) -> float:
    epsilon = call.real("epsilon", 1e-5)
    if epsilon <= 0:
        call.fail(f"epsilon = {epsilon} is not supported", hint="supported: more than 0")
    return epsilon


@operator("LayerNormalization", 2, 3, since=17)
def layer_normalization(call: Call) -> list[Value]:
    x = call.variable(call.input(0))
    first = call.axis(call.integer("axis", -1), x.rank)
    call.integer("stash_type", 1)
    y, mean, inverse = _normalised(call, x, tuple(range(first, x.rank)), _epsilon(call))
    y = multiplied(call, y, call.input(1))
    return [y if call.optional(2) is None else added(call, y, call.input(2)), mean, inverse]


@operator("InstanceNormalization", 3)
def instance_normalization(call: Call) -> Value:
    x = call.variable(call.input(0))
    if x.rank < 3:
        call.fail(f"an input of shape {x.shape} has no spatial dimensions", code="V114")
    scale, bias = (call.data(i, what) for i, what in ((1, "the scale"), (2, "the bias")))
    if scale.shape != (x.shape[1],) or bias.shape != scale.shape:
        call.fail(f"parameters do not have {x.shape[1]} elements", code="V114")
    column = (x.shape[1], *(1,) * (x.rank - 2))
    y = scaled(call, _normalised(call, x, tuple(range(2, x.rank)), _epsilon(call))[0], scale.reshape(column))
    return shifted(call, y, bias.reshape((1, *column)))


def _norm(call: Call, squared: bool) -> Value:
    """Sum of |x| or of x^2 over axes."""
    x = call.variable(call.input(0))
    axes, keep = reduction_axes(call, x, 18)
    y = call.emit(Square() if squared else piecewise_linear.Abs(), x, shape=x.shape)
    y = averaged(call, y, axes, 1)
    return y if keep else reshaped(call, y, [n for i, n in enumerate(x.shape) if i not in axes])


@operator("ReduceL1", 1, 2)
def reduce_l1(call: Call) -> Value:
    return _norm(call, False)


@operator("ReduceSumSquare", 1, 2)
def reduce_sum_square(call: Call) -> Value:
    return _norm(call, True)


@operator("ReduceLogSumExp", 1, 2)
def reduce_log_sum_exp(call: Call) -> Value:
    """x_0 + log(1 + sum over j != 0 of exp(x_j - x_0))."""
    x = call.variable(call.input(0))
    axes, keep = reduction_axes(call, x, 18)
    if not axes:
        return x
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    shape = kept if keep else tuple(n for i, n in enumerate(x.shape) if i not in axes)
    order = [*(i for i in range(x.rank) if i not in axes), *axes]
    count = math.prod(x.shape[a] for a in axes)
    rows = reshaped(call, permuted(call, x, order), (math.prod(x.shape) // count, count))
    first = taken(call, rows, 1, np.arange(1))
    if count == 1:
        return reshaped(call, first, shape)
    exps = added(call, taken(call, rows, 1, np.arange(1, count)), first, -1)
    exps = call.emit(exponential.Exp(), exps, shape=exps.shape)
    total = shifted(call, call.emit(affine.ReduceSum((1,), exps.shape), exps, shape=first.shape), np.ones(1))
    return reshaped(call, added(call, first, call.emit(exponential.Log(1.0), total, shape=total.shape)), shape)


@operator("ReduceLogSum", 1, 2)
def reduce_log_sum(call: Call) -> Value:
    x = call.variable(call.input(0))
    axes, keep = reduction_axes(call, x, 18)
    total = averaged(call, x, axes, 1) if axes else x
    total = total if keep else reshaped(call, total, [n for i, n in enumerate(x.shape) if i not in axes])
    return call.emit(exponential.Log(), total, shape=total.shape)


@operator("ReduceL2", 1, 2)
def reduce_l2(call: Call) -> Value:
    y = _norm(call, True)
    return call.emit(Power(0.5, 0.0), y, shape=y.shape)
