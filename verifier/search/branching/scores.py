"""Which neuron to split next: by how much the lines of its relaxation can move the bound (in the spirit of BaBSR, Bunel et
al. 2020, with the gap of any relaxation instead of the Relu's intercept).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from verifier.arrays import Array, Arrays, largest, namespace, to_numpy
from verifier.bounds.batch import Neurons
from verifier.bounds.dual import Dual
from verifier.operators.base import Nonlinear

NOTHING = 1e-9
"""Less than what a row lacks where it may be rounding alone."""


class Candidates(NamedTuple):
    """Neurons (or inputs, from T on) that may be split, -1 where there are no more, the points, and the scores, (B, K) each."""

    neuron: np.ndarray
    point: np.ndarray
    score: np.ndarray


def candidates(
    neurons: Neurons, arrays: Arrays, dual: Dual, bounds: np.ndarray, low: Array, high: Array, factors: np.ndarray, most: int
) -> Candidates:
    """Best first, by scores times factors (T,), for subproblems with enclosures low, high (B, T + n) in `arrays`, where the graph of
    `neurons` is, too. Where no neuron can be split, the first is the input with the largest plane coefficient times width.
    """
    most = max(1, min(most, neurons.total))
    neuron, point = np.full((len(bounds), most), -1), np.zeros((len(bounds), most))
    scores = np.zeros((len(bounds), most))
    if neurons.total:
        xp, score = arrays.xp, _over_rows(neurons, arrays, dual, bounds, low, high)
        best = largest(score * arrays.asarray(factors), most)
        scores = to_numpy(xp.take_along_axis(score, best, axis=1))
        found = scores > 0
        neuron = np.where(found, to_numpy(best), -1)
        point = np.where(found, to_numpy(xp.take_along_axis(split_points(neurons, low, high), best, axis=1)), 0.0)
    rest = np.flatnonzero(neuron[:, 0] < 0)
    if len(rest):
        plane = to_numpy(dual.coefficients[arrays.indices(rest), arrays.indices(bounds[rest].argmax(axis=1))])
        lower, upper = (to_numpy(side[arrays.indices(rest), neurons.total :]) for side in (low, high))
        dimension, point[rest, 0] = _widest_input(np.abs(plane), lower, upper)
        neuron[rest, 0] = np.where(dimension < 0, -1, neurons.total + dimension)
    return Candidates(neuron, point, scores)


def row_weights(bounds: np.ndarray) -> np.ndarray:
    """(B, R): what each of the rows, which have to be positive together or one of them, counts for: the less the more it lacks. One for the
    best; that one alone may have nothing left to split."""
    lack = np.clip(np.where(bounds == bounds, -bounds, np.inf), NOTHING, 1e300)  # a bound may be infinite, or no number
    return np.asarray(lack.min(axis=1, keepdims=True) / lack)


def _over_rows(neurons: Neurons, arrays: Arrays, dual: Dual, bounds: np.ndarray, low: Array, high: Array) -> Array:
    """(B, T): what a split is worth to all rows (B, R) together, in units of the best one."""
    weights = row_weights(bounds)
    found = arrays.zeros((len(bounds), neurons.total))
    for r in np.flatnonzero(weights.max(axis=0) > 0):
        scores = neuron_scores(neurons, {n: q[:, int(r)] for n, q in dual.q.items()}, low, high)
        found = found + arrays.asarray(weights[:, r])[:, None] * scores
    return found


def _widest_input(plane: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(input, its middle), (B,) each, by the sizes of coefficients (B, n) in boxes (B, n); -1 where none can be halved."""
    middle = 0.5 * lower + 0.5 * upper
    wide = (middle > lower) & (middle < upper)
    worth = np.where(wide, (plane + 1e-9 * (1e-30 + plane.max(axis=1, keepdims=True))) * (upper - lower), 0.0)
    worth = np.where(worth.max(axis=1, keepdims=True) > 0, worth, np.where(wide, upper - lower, 0.0))
    at, dimension = np.arange(len(plane)), worth.argmax(axis=1)
    return np.where(worth[at, dimension] > 0, dimension, -1), middle[at, dimension]


def split_points(neurons: Neurons, low: Array, high: Array) -> Array:
    """(B, T): the branching point of every neuron. Of several functions that read it, the one bent nearest the middle decides."""
    xp = namespace(low)
    middle = 0.5 * low[:, : neurons.total] + 0.5 * high[:, : neurons.total]
    points, distance = xp.asarray(middle, copy=True), xp.full_like(middle, xp.inf)
    for operator, s in neurons.functions:
        below, above = low[:, s], high[:, s]
        point = operator.split_point(below, above)
        gap = xp.where(operator.settled(below, above) | (point == middle[:, s]), xp.inf, xp.abs(point - middle[:, s]))
        points[:, s] = xp.where(gap < distance[:, s], point, points[:, s])
        distance[:, s] = xp.minimum(distance[:, s], gap)
    return points


def neuron_scores(neurons: Neurons, rows_q: Mapping[int, Array], low: Array, high: Array) -> Array:
    """(B, T) >= 0, zero for neurons that cannot be split: what a split is worth to one row. rows_q: nonlinear node -> (B, size), see
    Dual."""
    xp, graph = namespace(low), neurons.graph
    score = xp.zeros_like(low[:, : neurons.total])
    for n in graph.nonlinear:
        operator, s = graph.nodes[n].operator, neurons.slices[graph.nodes[n].inputs[0]]
        if isinstance(operator, Nonlinear) and n in rows_q:
            worth = operator.split_worth(xp.astype(rows_q[n], score.dtype), low[:, s], high[:, s])
            score[:, s] = xp.maximum(score[:, s], xp.where(operator.divisible(low[:, s], high[:, s]), worth, 0.0))
    return score
