"""Enclosures of the pre-activations, layer by layer: interval first, CROWN for the neurons still unstable, optimised
slopes for what is left (each row with its own), every result rigorous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from verifier.arrays import Array, Arrays, namespace, to_numpy
from verifier.bounds import interval
from verifier.bounds.ascent import Ascent, Parameters, Schedule, initial_parameters, problem_of
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.rigorous import ErrorWeights, error_weights
from verifier.errors import InternalError
from verifier.graph.ir import Graph
from verifier.operators.base import Elementwise
from verifier.parallel import Workers


@dataclass(frozen=True, eq=False)
class RootBounds:
    """Enclosures (1, size) of every pre-activation over one box, and the rounding bounds that hold inside it."""

    preactivations: Mapping[int, Interval]
    weights: ErrorWeights


def unstable(graph: Graph, p: int, bounds: Interval) -> Array:
    """(B, size) True where some nonlinear node that reads p is not affine over the bounds."""
    found = None
    for n in graph.consumers[p]:
        operator = graph.nodes[n].operator
        if isinstance(operator, Elementwise):
            loose = ~operator.linear(bounds.lower, bounds.upper)
            found = loose if found is None else found | loose
    if found is None:
        raise TypeError(f"node {p} is no pre-activation")
    return found


def root_bounds(
    graph: Graph,
    arrays: Arrays,
    lower: np.ndarray,
    upper: np.ndarray,
    schedule: Schedule,
    deadline: Callable[[], bool],
    proposals: Arrays,
    workers: Workers,
    start: RootBounds | None = None,
) -> RootBounds:
    """Bounds over the box lower, upper (n,). `arrays` is float64 (bounds are accepted there); `proposals` may be float32.

    start: bounds over the same box, to be improved; then plain CROWN rows are not asked for again.
    """
    moved = graph.to(arrays)
    low, high = arrays.asarray(lower[None]), arrays.asarray(upper[None])
    known: dict[int, Interval] = dict(start.preactivations) if start is not None else {}
    host: dict[int, tuple[np.ndarray, np.ndarray]] = {p: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for p, b in known.items()}
    weights = error_weights(graph, lower, upper, host)
    stages = (schedule,) if start is not None else (Schedule(0), schedule)
    values: dict[int, Interval] = {}
    for p in graph.preactivations:
        on_device = weights.to(arrays)
        values = interval.propagate(moved, low, high, known, on_device, p, values)
        known[p] = values[p]
        nonlinear_below = any(isinstance(graph.nodes[n].operator, Elementwise) for n in graph.ancestors(p))
        if nonlinear_below:
            known[p] = _tighten(graph, arrays, proposals, low, high, known, p, on_device, stages, deadline, workers)
        if bool(namespace(low).any(known[p].lower > known[p].upper)):
            # A box that holds a point has no empty enclosure: some bound is wrong, and nothing may be concluded from it.
            raise InternalError(f"the bounds of node {p} ({', '.join(graph.nodes[p].origin)}) contradict each other")
        values[p] = known[p]
        host[p] = (to_numpy(known[p].lower)[0], to_numpy(known[p].upper)[0])
        if nonlinear_below:
            weights = error_weights(graph, lower, upper, host)
    weights = error_weights(graph, lower, upper, host)
    return RootBounds(known, weights)


def _tighten(
    graph: Graph,
    arrays: Arrays,
    proposals: Arrays,
    low: Array,
    high: Array,
    known: Mapping[int, Interval],
    p: int,
    weights: ErrorWeights,
    stages: tuple[Schedule, ...],
    deadline: Callable[[], bool],
    workers: Workers,
) -> Interval:
    """Rows for the neurons of p that are unstable before each stage: plain CROWN, then optimised slopes."""
    bounds = known[p]
    start = initial_parameters(graph.to(arrays), p, known)
    for i, stage in enumerate(stages):
        todo = np.flatnonzero(to_numpy(unstable(graph, p, bounds))[0])
        if len(todo) == 0 or deadline() or (i > 0 and stage.iterations == 0):
            break
        width = sum(graph.nodes[n].size for n in graph.ancestors(p))
        most = int(arrays.budget / (8 * width * (12 if stage.iterations else 5)) / 2)
        chunk = max(1, min(most, -(-len(todo) // workers.cores)))
        work = partial(_bound_rows, graph, arrays, proposals, low, high, known, p, weights, start, stage, deadline)
        parts = [todo[first : first + chunk] for first in range(0, len(todo), chunk)]
        bounds = _merged(arrays, bounds, parts, workers.map(work, parts))
    return bounds


def _merged(arrays: Arrays, bounds: Interval, parts: list[np.ndarray], results: list[tuple[Array, Array] | None]) -> Interval:
    lower, upper = arrays.xp.asarray(bounds.lower, copy=True), arrays.xp.asarray(bounds.upper, copy=True)
    for part, result in zip(parts, results):
        if result is not None:
            index = arrays.indices(part)
            lower[0, index] = arrays.xp.maximum(lower[0, index], result[0])
            upper[0, index] = arrays.xp.minimum(upper[0, index], result[1])
    return Interval(lower, upper)


def _bound_rows(
    graph: Graph,
    arrays: Arrays,
    proposals: Arrays,
    low: Array,
    high: Array,
    known: Mapping[int, Interval],
    p: int,
    weights: ErrorWeights,
    start: Parameters,
    stage: Schedule,
    deadline: Callable[[], bool],
    part: np.ndarray,
) -> tuple[Array, Array] | None:
    """Rigorous (lower, upper), each (k,), of the neurons `part` of node p; None where the deadline has passed."""
    if deadline():
        return None
    moved, node, k = graph.to(arrays), graph.nodes[p], len(part)
    parameters = start
    below = {n: known[n] for n in graph.preactivations if n < p}
    if stage.iterations:
        fast = {n: Interval(proposals.asarray(b.lower), proposals.asarray(b.upper)) for n, b in below.items()}
        ascent = Ascent(
            graph.to(proposals),
            {p: _unit_rows(proposals, part, node.shape)},
            proposals.asarray(low),
            proposals.asarray(high),
            fast,
            start.map(proposals.asarray),
            {},
            stage,
        )
        # A neuron's row is of no more use once its sign is known.
        _, parameters = ascent.run(lambda lower: lower > 0, deadline)
        parameters = parameters.map(arrays.asarray)
    problem = problem_of(moved, low, high, below, parameters)
    result = evaluate(moved, {p: _unit_rows(arrays, part, node.shape)}, problem, weights).lower[0]
    return result[:k], -result[k:]


def _unit_rows(arrays: Arrays, part: np.ndarray, shape: tuple[int, ...]) -> Array:
    """(1, 2k, *shape): +e_j for every j of part, then -e_j."""
    k, size = len(part), int(np.prod(shape))
    rows = arrays.zeros((2 * k, size))
    index, at = arrays.indices(part), arrays.indices(np.arange(k))
    rows[at, index] = 1.0
    rows[at + k, index] = -1.0
    return arrays.xp.reshape(rows, (1, 2 * k, *shape))
