"""Which neuron to split next: by how much the lines of its relaxation can move the bound (in the spirit of BaBSR, Bunel et
al. 2020, with the gap of any relaxation instead of the Relu's intercept).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verifier.arrays import to_numpy
from verifier.bounds.batch import Neurons
from verifier.bounds.dual import Dual
from verifier.graph.ir import Graph
from verifier.operators.base import Nonlinear


def candidates(
    graph: Graph, neurons: Neurons, dual: Dual, bounds: np.ndarray, low: np.ndarray, high: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """(neuron, point), (B, most) each, best score first, for subproblems with enclosures low, high (B, T + n); -1 where
    fewer can be split. Where no neuron can, the first is the input with the largest plane coefficient times width.
    """
    most = max(1, min(most, neurons.total))
    neuron, point = np.full((len(low), most), -1), np.zeros((len(low), most))
    if neurons.total:
        score = neuron_scores(graph, neurons, {n: to_numpy(q) for n, q in dual.q.items()}, bounds, low, high)
        best = np.argpartition(-score, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(score, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        found = np.take_along_axis(score, best, axis=1) > 0
        neuron = np.where(found, best, -1)
        point = np.where(found, np.take_along_axis(split_points(neurons, low, high), best, axis=1), 0.0)
    rest = np.flatnonzero(neuron[:, 0] < 0)
    if len(rest):
        neuron[rest, 0], point[rest, 0] = _widest_input(neurons, dual, bounds, low, high, rest)
    return neuron, point


def _widest_input(
    neurons: Neurons, dual: Dual, bounds: np.ndarray, low: np.ndarray, high: np.ndarray, rest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    row = bounds[rest].argmax(axis=1)
    plane = np.abs(to_numpy(dual.coefficients)[rest, row])
    lower, upper = low[rest, neurons.total :], high[rest, neurons.total :]
    middle = 0.5 * lower + 0.5 * upper
    wide = (middle > lower) & (middle < upper)
    worth = np.where(wide, (plane + 1e-9 * (1e-30 + plane.max(axis=1, keepdims=True))) * (upper - lower), 0.0)
    worth = np.where(worth.max(axis=1, keepdims=True) > 0, worth, np.where(wide, upper - lower, 0.0))
    at, dimension = np.arange(len(rest)), worth.argmax(axis=1)
    return np.where(worth[at, dimension] > 0, neurons.total + dimension, -1), middle[at, dimension]


def split_points(neurons: Neurons, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(B, T): the branching point of every neuron. Of several functions that read it, the one bent nearest the middle decides."""
    middle = 0.5 * low[:, : neurons.total] + 0.5 * high[:, : neurons.total]
    points, distance = middle.copy(), np.full(middle.shape, np.inf)
    for operator, s in neurons.functions:
        below, above = low[:, s], high[:, s]
        point = operator.split_point(below, above)
        gap = np.where(operator.settled(below, above) | (point == middle[:, s]), np.inf, np.abs(point - middle[:, s]))
        points[:, s] = np.where(gap < distance[:, s], point, points[:, s])
        distance[:, s] = np.minimum(distance[:, s], gap)
    return points


def neuron_scores(
    graph: Graph, neurons: Neurons, rows_q: Mapping[int, np.ndarray], bounds: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """(B, T) >= 0, zero for neurons that cannot be split: what a split is worth to the row with the best bound.
    rows_q: nonlinear node -> (B, R, size), see Dual."""
    score = np.zeros((len(low), neurons.total))
    row = bounds.argmax(axis=1)
    at = np.arange(len(low))
    for n in graph.nonlinear:
        operator, s = graph.nodes[n].operator, neurons.slices[graph.nodes[n].inputs[0]]
        if not isinstance(operator, Nonlinear) or n not in rows_q:
            continue
        q = rows_q[n][at, row].astype(np.float64)
        score[:, s] = np.maximum(score[:, s], operator.split_worth(q, low[:, s], high[:, s]))
    return score
