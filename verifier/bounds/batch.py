"""Bounds of a batch of boxes: every layer re-bounded for the neurons that are unstable in some box of the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from verifier.arrays import Array, Arrays, to_numpy
from verifier.bounds import interval
from verifier.bounds.ascent import Ascent, Schedule, initial_parameters, problem_of
from verifier.bounds.dependence import dependence
from verifier.bounds.dual import Dual, Interval, Problem, Relaxation, evaluate, relax
from verifier.bounds.forward import Forms
from verifier.bounds.rigorous import ErrorWeights
from verifier.bounds.stability import unstable
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Nonlinear
from verifier.operators.sparse import Sparse


@dataclass(frozen=True, eq=False)
class Neurons:
    """Flat numbering of all pre-activation neurons of a graph, node after node."""

    graph: Graph

    @cached_property
    def slices(self) -> dict[int, slice]:
        found, start = {}, 0
        for p in self.graph.preactivations:
            found[p] = slice(start, start + self.graph.nodes[p].size)
            start += self.graph.nodes[p].size
        return found

    @cached_property
    def functions(self) -> tuple[tuple[Nonlinear, slice], ...]:
        """Every nonlinear node's function with the flat numbers of the neurons that it reads."""
        return tuple(
            (operator, self.slices[self.graph.nodes[n].inputs[0]])
            for n in self.graph.nonlinear
            if isinstance(operator := self.graph.nodes[n].operator, Nonlinear)
        )

    @property
    def total(self) -> int:
        return sum(self.graph.nodes[p].size for p in self.graph.preactivations)

    def split(self, below: Array, above: Array) -> dict[int, Interval]:
        """Flat (B, total) enclosures -> one Interval a pre-activation."""
        return {p: Interval(below[:, s], above[:, s]) for p, s in self.slices.items()}

    @cached_property
    def selective(self) -> bool:
        """Some neurons read few others: there may be ones that what is asked does not depend on."""
        return any(isinstance(node.operator, Sparse) for node in self.graph.nodes)


_LARGEST_HEAD = 4_000_000
"""Numbers of one matrix of a head."""


@dataclass(frozen=True, eq=False)
class Head:
    """The affine part right below a pre-activation, as matrices: unit rows need no product to get through it.

    matrices: nonlinear (or input) node -> (size, size of that node); constant (size,); error (size,), rounding of the rest.
    Where the matrices would be too large, or the node is a constant, there are none, and the rows are unit rows at the node itself.
    """

    node: int
    shape: tuple[int, ...]
    matrices: Mapping[int, Array]
    constant: Array
    error: Array

    @staticmethod
    def of(graph: Graph, p: int, arrays: Arrays, weights: ErrorWeights) -> Head:
        """graph and weights in `arrays`."""
        xp, size = arrays.xp, graph.nodes[p].size
        below = [graph.nodes[n] for n in graph.ancestors(p)]
        if size * max(node.size for node in below) > _LARGEST_HEAD or all(isinstance(node.operator, Affine) for node in below):
            return Head(p, graph.nodes[p].shape, {}, arrays.zeros((size,)), arrays.zeros((size,)))
        unit = arrays.asarray(np.eye(size))
        coefficients = {p: xp.reshape(unit, (size, *graph.nodes[p].shape))}
        matrices: dict[int, Array] = {}
        constant, error = arrays.zeros((size,)), arrays.zeros((size,))
        for n in reversed(graph.ancestors(p)):
            if n not in coefficients:
                continue
            node, lam = graph.nodes[n], coefficients.pop(n)
            flat = xp.reshape(lam, (size, node.size))
            if not isinstance(node.operator, Affine):
                matrices[n] = flat
                continue
            if node.operator.offset is not None:
                constant = constant + flat @ xp.reshape(xp.broadcast_to(node.operator.offset, node.shape), (node.size,))
            # The node's own weight may live in its consumer's; `multiplier` holds it in either case.
            weight = weights.node[n] if n in weights.node else weights.multiplier[n]
            error = error + xp.abs(flat) @ weight
            for q, part in zip(node.inputs, node.operator.transpose(lam)):
                coefficients[q] = coefficients[q] + part if q in coefficients else part
        return Head(p, graph.nodes[p].shape, matrices, constant, error * (1.0 + 1e-9))

    def rows(self, xp: Any, index: Array) -> tuple[dict[int, Array], Array, Array]:
        """Rows +e_j then -e_j for j in index (B, K): node -> (B, 2K, size); their constants and rounding, (B, 2K)."""
        rows = {}
        for n, matrix in self.matrices.items():
            some = matrix[index]
            rows[n] = xp.concat([some, -some], axis=1)
        if not rows:
            unit = xp.astype(index[:, :, None] == xp.arange(self.constant.shape[0], device=self.constant.device), self.constant.dtype)
            both = xp.concat([unit, -unit], axis=1)
            rows[self.node] = xp.reshape(both, (*both.shape[:2], *self.shape))
        constant, error = self.constant[index], self.error[index]
        return rows, xp.concat([constant, -constant], axis=1), xp.concat([error, error], axis=1)


class BoxBounds(NamedTuple):
    """lower (B, R) of the rows without their constants; planes coefficients (B, R, n), offset (B, R); enclosures of the
    pre-activations, flat (B, total); infeasible (B,): some enclosure is empty; q of the rows (see Dual); spared: some neuron got no
    row although it needed one. All rigorous in float64."""

    lower: np.ndarray
    coefficients: np.ndarray
    offset: np.ndarray
    below: np.ndarray
    above: np.ndarray
    infeasible: np.ndarray
    q: dict[int, np.ndarray]
    spared: bool


def make_heads(neurons: Neurons, arrays: Arrays, weights: ErrorWeights) -> dict[int, Head]:
    """Heads of all pre-activations."""
    graph = neurons.graph.to(arrays)
    return {p: Head.of(graph, p, arrays, weights) for p in graph.preactivations}


def bound_boxes(
    neurons: Neurons,
    heads: Mapping[int, Head],
    arrays: Arrays,
    weights: ErrorWeights,
    rows: Mapping[int, Array],
    lower: np.ndarray,
    upper: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
    most: Mapping[int, int] | None = None,
    widest: int | None = None,
) -> BoxBounds:
    """Bounds of rows (node -> (B, R, *shape)) over boxes (B, n), given enclosures inherited from larger boxes.

    `arrays` must be float64: the results are accepted as they are. most: neurons of every pre-activation that get rows of their own
    at most, after forward affine forms of all; None: rows for all that need them, and no forms. widest: so many of a pre-activation
    at most, whatever `most` says.
    """
    graph = neurons.graph.to(arrays)
    low, high = arrays.asarray(lower), arrays.asarray(upper)
    known = neurons.split(arrays.asarray(below), arrays.asarray(above))
    infeasible = arrays.xp.any(low > high, axis=1)
    values: dict[int, Interval] = {}
    relaxations: dict[int, Relaxation] = {}
    forms = None if most is None else Forms(graph, low, high)
    spared = False
    used = dependence(graph, rows, low, high, known) if neurons.selective else {}
    for p in graph.preactivations:
        values = interval.propagate(graph, low, high, known, weights, p, values)
        bounds = values[p] if forms is None else forms.extend(p, values, weights).within(values[p])
        limit = graph.nodes[p].size if most is None else most[p]
        limit = limit if widest is None else min(limit, widest)
        if p in neurons.graph.deep and limit:
            bounds, left = _tighten(heads, graph, arrays, weights, low, high, values, relaxations, p, bounds, limit, used.get(p))
            spared = spared or left
        crossed = bounds.lower > bounds.upper
        infeasible = infeasible | arrays.xp.any(crossed, axis=1)
        # An empty enclosure closes its box; the others of the batch go on, so the numbers there only have to be finite.
        bounds = Interval(bounds.lower, arrays.xp.where(crossed, bounds.lower, bounds.upper))
        values[p] = known[p] = bounds
        for n in graph.consumers[p]:
            operator = graph.nodes[n].operator
            if isinstance(operator, Nonlinear):
                relaxations[n] = relax(operator, bounds)
    dual = evaluate(graph, rows, Problem(low, high, known, relaxations, {}), weights, keep=True)
    flat_below, flat_above = (
        arrays.xp.concat([values[p][side] for p in graph.preactivations], axis=1) if graph.preactivations else low[:, :0] for side in (0, 1)
    )
    return BoxBounds(
        to_numpy(dual.lower),
        to_numpy(dual.coefficients),
        to_numpy(dual.offset),
        to_numpy(flat_below),
        to_numpy(flat_above),
        to_numpy(infeasible),
        {n: to_numpy(q) for n, q in dual.q.items()},
        spared,
    )


def optimised_rows(
    neurons: Neurons,
    arrays: Arrays,
    proposals: Arrays,
    weights: ErrorWeights,
    rows: Mapping[int, Array],
    lower: np.ndarray,
    upper: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
    schedule: Schedule,
) -> Dual:
    """Bounds of rows (node -> (B, R, *shape), in `arrays`) over boxes (B, n) whose enclosures are known, with slopes that were improved
    in `proposals`. `arrays` must be float64: the results are accepted as they are."""
    graph, fast = neurons.graph.to(arrays), neurons.graph.to(proposals)
    known, near = neurons.split(arrays.asarray(below), arrays.asarray(above)), neurons.split(*map(proposals.asarray, (below, above)))
    start = initial_parameters(fast, graph.output, near)
    aims = {n: proposals.asarray(row) for n, row in rows.items()}
    ascent = Ascent(fast, aims, proposals.asarray(lower), proposals.asarray(upper), near, start, {}, schedule)
    _, parameters = ascent.run(lambda lower: lower > proposals.xp.inf, lambda: False)
    problem = problem_of(graph, arrays.asarray(lower), arrays.asarray(upper), known, parameters.map(arrays.asarray))
    return evaluate(graph, rows, problem, weights, keep=True)


def _tighten(
    heads: Mapping[int, Head],
    graph: Graph,
    arrays: Arrays,
    weights: ErrorWeights,
    low: Array,
    high: Array,
    values: Mapping[int, Interval],
    relaxations: Mapping[int, Relaxation],
    p: int,
    bounds: Interval,
    limit: int,
    used: Array | None,
) -> tuple[Interval, bool]:
    """CROWN rows for the neurons of p unstable or split in each box, and of those `used` (B, size); padded to the longest list of the
    batch; of more than `limit`, for the widest. And whether there are more."""
    xp = arrays.xp
    loose = unstable(graph, p, bounds) | _pinned(graph, p, bounds)
    loose = loose if used is None else loose & used
    most = int(xp.max(xp.sum(xp.astype(loose, xp.int64), axis=1)))
    if most == 0:
        return bounds, False
    order = xp.where(loose, 0.0, 1.0) if most <= limit else xp.where(loose, bounds.lower - bounds.upper, 1.0)
    index = xp.argsort(order, axis=1, stable=True)[:, : min(most, limit)]
    count = index.shape[1]
    rows, constant, error = heads[p].rows(xp, index)
    result = evaluate(graph, rows, Problem(low, high, values, relaxations, {}), weights).lower
    result = result + constant - (xp.abs(result) + xp.abs(constant)) * 2.0**-51 - error
    at = arrays.indices(np.arange(low.shape[0]))[:, None]
    lower, upper = xp.asarray(bounds.lower, copy=True), xp.asarray(bounds.upper, copy=True)
    lower[at, index] = xp.maximum(lower[at, index], result[:, :count])
    upper[at, index] = xp.minimum(upper[at, index], -result[:, count:])
    return Interval(lower, upper), most > limit


def _pinned(graph: Graph, p: int, bounds: Interval) -> Array:
    """Neurons held at a kink by a split: bounding them again shows where the split's side has become empty."""
    found = bounds.lower != bounds.lower
    for n in graph.consumers[p]:
        operator = graph.nodes[n].operator
        for kink in operator.kinks if isinstance(operator, Nonlinear) else ():
            found = found | (bounds.lower == kink) | (bounds.upper == kink)
    return found


def neuron_planes(
    neurons: Neurons,
    heads: Mapping[int, Head],
    arrays: Arrays,
    weights: ErrorWeights,
    lower: np.ndarray,
    upper: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
    neuron: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Planes a (B, 2, n), c (B, 2) of one neuron (B,) of each box:  a_0 . x + c_0 <= z <= -(a_1 . x + c_1)  on the box.

    below, above: enclosures that hold in the box, flat (B, total), as `bound_boxes` returned them.
    """
    graph, xp = neurons.graph.to(arrays), arrays.xp
    planes, offsets = np.zeros((len(neuron), 2, lower.shape[1])), np.zeros((len(neuron), 2))
    for p, s in neurons.slices.items():
        mine = np.flatnonzero((neuron >= s.start) & (neuron < s.stop))
        if not len(mine):
            continue
        known = neurons.split(arrays.asarray(below[mine]), arrays.asarray(above[mine]))
        relaxations = {
            n: relax(operator, known[graph.nodes[n].inputs[0]])
            for n in graph.ancestors(p)
            if isinstance(operator := graph.nodes[n].operator, Nonlinear)
        }
        rows, constant, error = heads[p].rows(xp, arrays.indices(neuron[mine, None] - s.start))
        dual = evaluate(graph, rows, Problem(arrays.asarray(lower[mine]), arrays.asarray(upper[mine]), known, relaxations, {}), weights)
        planes[mine] = to_numpy(dual.coefficients)
        offsets[mine] = to_numpy(dual.offset + constant - (xp.abs(dual.offset) + xp.abs(constant)) * 2.0**-51 - error)
    return planes, offsets
