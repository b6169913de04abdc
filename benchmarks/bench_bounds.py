"""Passes of the evaluator: rows of a batch of subproblems, slopes improved, all layers of a batch of boxes, the root."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.common import EXACT, case
from verifier.arrays import Arrays, numpy_arrays
from verifier.bounds.ascent import Ascent, Schedule, initial_parameters, problem_of
from verifier.bounds.batch import Neurons, bound_boxes, make_heads
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.intermediate import root_bounds
from verifier.parallel import Workers

BATCH = 32
NAMES = ("dense_sample13_radius44", "convolutional_sample10_radius44")
PRECISIONS = {"float64": EXACT, "float32": numpy_arrays(single=True)}


def subproblems(name: str, arrays: Arrays) -> tuple[Any, Any, Any, Any]:
    """(case, rows, enclosures, starting parameters) of BATCH equal subproblems."""
    found = case(name)
    root = found.root.preactivations
    known = {p: Interval(*(arrays.asarray(np.repeat(np.asarray(side), BATCH, axis=0)) for side in b)) for p, b in root.items()}
    rows = found.query.targets.rows(found.problem.graph, arrays, np.zeros(BATCH, np.int64))
    return found, rows, known, initial_parameters(found.problem.graph.to(arrays), found.problem.graph.output, known)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_evaluate(benchmark: Any, name: str, precision: str) -> None:
    """One backward pass of BATCH subproblems; rigorous in float64."""
    arrays = PRECISIONS[precision]
    found, rows, known, parameters = subproblems(name, arrays)
    graph = found.problem.graph.to(arrays)
    low, high = (arrays.asarray(side[None]) for side in found.box)
    problem, weights = problem_of(graph, low, high, known, parameters), found.root.weights if precision == "float64" else None
    benchmark(evaluate, graph, rows, problem, weights)


@pytest.mark.parametrize("name", NAMES)
def test_ascent(benchmark: Any, name: str) -> None:
    """Twenty steps of the slope optimiser for BATCH subproblems, in float32."""
    arrays = PRECISIONS["float32"]
    found, rows, known, parameters = subproblems(name, arrays)
    low, high = (arrays.asarray(side[None]) for side in found.box)
    ascent = Ascent(found.problem.graph.to(arrays), rows, low, high, known, parameters, {}, Schedule(20))
    benchmark(ascent.run, lambda lower: lower > np.inf, lambda: False)


def test_boxes(benchmark: Any) -> None:
    """All layers of BATCH boxes re-bounded, as the input split does."""
    found = case("avoidance_away_cost")
    graph, neurons = found.problem.graph, Neurons(found.problem.graph)
    heads = make_heads(neurons, EXACT, found.root.weights)
    low, high = (np.repeat(side[None], BATCH, axis=0) for side in found.box)
    below, above = (
        np.repeat(np.concatenate([found.root.preactivations[p][side][0] for p in graph.preactivations])[None], BATCH, axis=0)
        for side in (0, 1)
    )
    rows = found.query.targets.rows(graph, EXACT, np.zeros(BATCH, np.int64))
    benchmark(bound_boxes, neurons, heads, EXACT, found.root.weights, rows, low, high, below, above)


@pytest.mark.parametrize("name", [*NAMES, "residual_sample10_radius24"])
def test_root(benchmark: Any, name: str) -> None:
    """Plain bounds of every layer over the whole box."""
    found = case(name)
    with Workers(1) as workers:
        benchmark(root_bounds, found.problem.graph, EXACT, *found.box, Schedule(0), lambda: False, PRECISIONS["float32"], workers)
