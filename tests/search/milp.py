"""Least value of a query over a small Relu network by mixed-integer programming (HiGHS), and by enumeration of the patterns.

Independent of the bounds: the network is turned into linear expressions of its inputs and Relu outputs; the big-M constants
come from interval arithmetic of those expressions, widened.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Input
from verifier.operators.piecewise_linear import Relu


class Encoding(NamedTuple):
    """Expressions over the variables (inputs, then Relu outputs), last column the constant. pre: (k, v + 1) expressions of the
    pre-activations of the Relu variables, of earlier variables only; output (m, v + 1); low, high: (k,) their range."""

    inputs: int
    pre: np.ndarray
    output: np.ndarray
    low: np.ndarray
    high: np.ndarray


def encode(graph: Graph, lower: np.ndarray, upper: np.ndarray) -> Encoding:
    relus = sum(n.size for n in graph.nodes if isinstance(n.operator, Relu))
    total, inputs = graph.input_size + relus, graph.input_size
    expressions: list[np.ndarray] = []
    pre: list[np.ndarray] = []
    low_v, high_v = list(lower), list(upper)
    for node in graph.nodes:
        if isinstance(node.operator, Input):
            value = np.eye(inputs, total + 1)
        elif isinstance(node.operator, Affine):
            value = _affine(node.operator, [(expressions[p], graph.nodes[p].shape) for p in node.inputs], total + 1)
        elif isinstance(node.operator, Relu):
            below = expressions[node.inputs[0]]
            value = np.zeros((node.size, total + 1))
            value[np.arange(node.size), inputs + len(pre) + np.arange(node.size)] = 1.0
            known = len(low_v)
            lo, hi = (np.array(v) for v in (low_v, high_v))
            low = np.minimum(below[:, :known] * lo, below[:, :known] * hi).sum(axis=1) + below[:, -1]
            high = np.maximum(below[:, :known] * lo, below[:, :known] * hi).sum(axis=1) + below[:, -1]
            pre += list(below)
            low_v += list(np.zeros(node.size))
            high_v += list(np.maximum(high, 0.0) + 1e-3)
        else:
            raise TypeError(f"{node.operator!r} is not encoded")
        expressions.append(value)
    stacked = np.array(pre).reshape(len(pre), total + 1)
    lo, hi = np.array([*low_v, 1.0]), np.array([*high_v, 1.0])
    low, high = np.minimum(stacked * lo, stacked * hi).sum(axis=1), np.maximum(stacked * lo, stacked * hi).sum(axis=1)
    return Encoding(inputs, stacked, expressions[-1], low - 1e-3, high + 1e-3)


def _affine(op: Affine, parents: list[tuple[np.ndarray, tuple[int, ...]]], columns: int) -> np.ndarray:
    """Every column through the operator; constants enter the last column alone."""
    points = [np.moveaxis(e, 1, 0).reshape(columns, *shape) for e, shape in parents]
    zeros = [np.zeros_like(p) for p in points]
    with_offset, offset = op.forward(columns, *points).reshape(columns, -1), op.forward(columns, *zeros).reshape(columns, -1)
    value = with_offset - offset
    value[-1] += offset[-1]
    return np.ascontiguousarray(value.T)


def least(graph: Graph, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, constant: np.ndarray) -> tuple[float, np.ndarray]:
    """(min over the box of the largest row  rows . y + constant, a minimiser x); rows (R, m)."""
    e = encode(graph, lower, upper)
    k, v = len(e.pre), e.inputs + len(e.pre)
    # Variables: inputs, Relu outputs y, binaries z, t.
    parts: list[tuple[np.ndarray, float, float]] = []
    for i in range(k):
        y, z = np.zeros(v + k + 1), v + i
        base = np.concatenate([e.pre[i, :v], np.zeros(k + 1)])
        y[e.inputs + i] = 1.0
        parts.append((y - base, e.pre[i, -1], np.inf))  # y >= p
        upper_line = y - base
        upper_line[z] = -e.low[i]  # y <= p - low (1 - z)
        parts.append((upper_line, -np.inf, e.pre[i, -1] - e.low[i]))
        off = y.copy()
        off[z] = -max(e.high[i], 0.0)  # y <= high z
        parts.append((off, -np.inf, 0.0))
    objective = rows @ e.output
    for r in range(len(rows)):
        line = np.concatenate([-objective[r, :v], np.zeros(k), [1.0]])
        parts.append((line, objective[r, -1] + constant[r], np.inf))  # t >= row
    matrix = np.array([p[0] for p in parts])
    bounds = Bounds(
        np.concatenate([lower, np.zeros(2 * k), [-np.inf]]), np.concatenate([upper, np.maximum(e.high, 0.0), np.ones(k), [np.inf]])
    )
    cost = np.zeros(v + k + 1)
    cost[-1] = 1.0
    integrality = np.concatenate([np.zeros(v), np.ones(k), [0]])
    found = milp(
        cost,
        constraints=LinearConstraint(matrix, [p[1] for p in parts], [p[2] for p in parts]),
        bounds=bounds,
        integrality=integrality,
        options={"mip_rel_gap": 0.0},
    )
    if not found.success:
        raise RuntimeError(found.message)
    return float(found.fun), np.clip(found.x[: e.inputs], lower, upper)


def least_by_enumeration(graph: Graph, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, constant: np.ndarray) -> float:
    """The same by one linear program for every pattern of active neurons."""
    e = encode(graph, lower, upper)
    k = len(e.pre)
    best = np.inf
    for pattern in itertools.product((False, True), repeat=k):
        solved: list[np.ndarray] = []  # Relu outputs as (inputs + 1,) expressions of the inputs
        signs, sides = [], []

        def flat(line: np.ndarray) -> np.ndarray:
            out = np.concatenate([line[: e.inputs], line[-1:]])
            return out + sum((line[e.inputs + j] * s for j, s in enumerate(solved)), np.zeros(e.inputs + 1))  # noqa: B023

        for i, active in enumerate(pattern):
            p = flat(e.pre[i])
            signs.append(-p[:-1] if active else p[:-1])
            sides.append(p[-1] if active else -p[-1])
            solved.append(p if active else np.zeros(e.inputs + 1))
        outputs = np.array([flat(line) for line in rows @ e.output])
        a = np.concatenate(
            [
                np.concatenate([np.array(signs).reshape(k, -1), np.zeros((k, 1))], axis=1),
                np.concatenate([outputs[:, :-1], -np.ones((len(rows), 1))], axis=1),
            ]
        )
        b = np.concatenate([sides, -outputs[:, -1] - constant])
        found = linprog(np.concatenate([np.zeros(e.inputs), [1.0]]), A_ub=a, b_ub=b, bounds=[*zip(lower, upper), (None, None)])
        if found.status == 0:
            best = min(best, float(found.fun))
    return best
