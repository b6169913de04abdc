"""Enclosures of the pre-activations, layer by layer: interval first, CROWN for the neurons still unstable, optimised
slopes for what is left (each row with its own), every result rigorous."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import namespace, to_numpy, varying
from verifier.bounds import interval
from verifier.bounds.ascent import Schedule
from verifier.bounds.cost import row_cost
from verifier.bounds.dual import Interval
from verifier.bounds.forward import Forms, forms_pay
from verifier.bounds.resources import Resources
from verifier.bounds.rigorous import ErrorWeights, Magnitudes
from verifier.bounds.rows import Rows
from verifier.bounds.stability import unstable
from verifier.errors import InternalError
from verifier.graph.ir import Graph
from verifier.operators.base import Nonlinear
from verifier.parallel import Late

_FUTILE = 2
"""Pre-activations in a row where optimised slopes do nothing for the neurons they are tried on, after which no more are tried."""


class Undefined(Exception):
    """Over the whole box a function may be undefined, or too large for a float64; the message says where."""


Refine = Callable[[int, Mapping[int, Interval]], Interval]
"""(a pre-activation, enclosures (1, size) of it and of those before it) -> a narrower enclosure of it."""


@dataclass(frozen=True, eq=False)
class RootBounds:
    """Enclosures (1, size) of every pre-activation over one box, and the rounding bounds that hold inside it."""

    preactivations: Mapping[int, Interval]
    weights: ErrorWeights


def root_bounds(
    graph: Graph,
    resources: Resources,
    lower: np.ndarray,
    upper: np.ndarray,
    schedule: Schedule,
    start: RootBounds | None = None,
    refine: Refine | None = None,
    most: float = np.inf,
) -> RootBounds:
    """Bounds over the box lower, upper (n,).

    start: bounds over the same box, or one around it, to be improved; then `schedule` alone is run, without plain CROWN rows before.
    refine: has a say after the rows of every pre-activation. most: what the plain rows of one pre-activation may cost at most
    (`row_cost`); where they would cost more there are none. Past the deadline what was found by then is returned with the rest of
    `start`; raises Late where there is none.
    Raises Undefined where no enclosure is found on which a function has finite values.
    """
    arrays = resources.exact
    moved = graph.to(arrays)
    low, high = arrays.asarray(lower[None]), arrays.asarray(upper[None])
    known: dict[int, Interval] = dict(start.preactivations) if start is not None else {}
    host: dict[int, tuple[np.ndarray, np.ndarray]] = {p: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for p, b in known.items()}
    magnitudes = Magnitudes(graph, lower, upper)
    stages: tuple[Schedule, ...] = (schedule,) if start is not None else (Schedule(0), schedule)
    values: dict[int, Interval] = {}
    futile = 0
    forms = Forms(moved, low, high) if start is None and forms_pay(graph, int(np.sum(varying(lower, upper)))) else None
    for p in graph.preactivations:
        if resources.late():
            if start is None:
                raise Late
            return replace(start, preactivations=known)  # tighter enclosures leave rounding bounds valid
        resources.pause()
        magnitudes.extend(p, host)
        weights = magnitudes.weights(host).to(arrays)
        values = interval.propagate(moved, low, high, known, weights, p, values)
        known[p] = values[p] if forms is None else forms.extend(p, values, weights).within(values[p])
        if p in graph.deep:
            todo = int(namespace(low).sum(unstable(graph, p, known[p])))
            if 2 * todo * row_cost(graph, p) <= most:
                known[p], pays = Rows(graph, resources, low, high, dict(known), p, weights).tightened(stages)
                futile = futile if pays is None else 0 if pays else futile + 1
                if schedule.iterations and futile == _FUTILE:
                    stages = stages[:-1]
        if refine is not None:
            known[p] = refine(p, known)
        known[p] = _within_arguments(graph, p, known[p])
        if bool(namespace(low).any(known[p].lower > known[p].upper)):
            # A box that holds a point has no empty enclosure: some bound is wrong, and nothing may be concluded from it.
            raise InternalError(f"the bounds of node {p} ({', '.join(graph.nodes[p].origin)}) contradict each other")
        _check_defined(graph, p, known[p])
        values[p] = known[p]
        host[p] = (to_numpy(known[p].lower)[0], to_numpy(known[p].upper)[0])
    magnitudes.extend(graph.output, host)
    return RootBounds(known, magnitudes.weights(host))


def _within_arguments(graph: Graph, p: int, bounds: Interval) -> Interval:
    readers = (graph.nodes[n].operator for n in graph.consumers[p])
    least = max((operator.least_argument for operator in readers if isinstance(operator, Nonlinear)), default=-np.inf)
    return bounds if least == -np.inf else Interval(namespace(bounds.lower).clip(bounds.lower, least, np.inf), bounds.upper)


def _check_defined(graph: Graph, p: int, bounds: Interval) -> None:
    for n in graph.consumers[p]:
        operator = graph.nodes[n].operator
        defined = operator.defined(bounds.lower, bounds.upper) if isinstance(operator, Nonlinear) else None
        if defined is None or bool(namespace(bounds.lower).all(defined)):
            continue
        at = int(np.argmin(to_numpy(defined)[0]))
        low, high = (float(to_numpy(side)[0, at]) for side in bounds)
        raise Undefined(
            f"{type(operator).__name__} ({', '.join(graph.nodes[n].origin)}) may be undefined or too large: "
            f"all that is known of its argument {at} is that it lies in [{low:.6g}, {high:.6g}]"
        )


def output_bounds(
    graph: Graph, resources: Resources, lower: np.ndarray, upper: np.ndarray, root: RootBounds, schedule: Schedule
) -> tuple[np.ndarray, np.ndarray]:
    """Rigorous (lower, upper), each (m,), of the outputs over the box lower, upper (n,) of `root`: by intervals, then by rows whose
    slopes are optimised. Past the deadline, what was found by then."""
    arrays = resources.exact
    low, high = arrays.asarray(lower[None]), arrays.asarray(upper[None])
    weights, node = root.weights.to(arrays), graph.output
    known = dict(root.preactivations)
    bounds = interval.propagate(graph.to(arrays), low, high, known, weights, node)[node]
    rows = Rows(graph, resources, low, high, known, node, weights)
    every = np.arange(graph.nodes[node].size)
    bounds = rows.bounded(bounds, every, schedule, lambda values: values > np.inf)
    return to_numpy(bounds.lower)[0], to_numpy(bounds.upper)[0]
