"""The gradient of the bounds against finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.ascent import Ascent, Parameters, Schedule, initial_parameters, problem_of
from verifier.bounds.dual import evaluate, relaxed_point
from verifier.graph.ir import Graph
from verifier.operators import smooth
from verifier.operators.base import Lines, Nonlinear
from verifier.operators.square import Square


def bilinear() -> Graph:
    """Sums of products of values that depend on the same inputs, with a square and a sigmoid above and below."""
    rng = np.random.default_rng(1)
    b = graphs.Builder(3)
    x, y = (b.linear(0, rng.normal(size=(3, 4)), rng.normal(size=4)) for _ in range(2))
    z = b.product(b.apply(smooth.Sigmoid(), x), y)
    z = b.product(b.linear(z, rng.normal(size=(4, 3))), b.linear(y, rng.normal(size=(4, 1))))
    b.linear(b.apply(Square(), b.linear(z, rng.normal(size=(3, 3)))), rng.normal(size=(3, 2)))
    return b.graph()


@pytest.mark.parametrize("seed", range(6))
def test_gradient_in_every_parameter(seed: int) -> None:
    """At parameters inside their ranges, where the bound is smooth, in all nodes and on both sides."""
    rng = np.random.default_rng(seed)
    graph = bilinear()
    lower = rng.normal(size=3)
    upper = lower + rng.uniform(0.1, 0.8, 3)
    known = graphs.root(graph, graphs.EXACT, lower, upper).preactivations
    rows = {graph.output: rng.normal(size=(1, 2, 2))}
    slopes = {}
    for n, lines in initial_parameters(graph, graph.output, known).slopes.items():
        operator, interval = graph.nodes[n].operator, known[graph.nodes[n].inputs[0]]
        assert isinstance(operator, Nonlinear)
        least, greatest = operator.parameter_range(interval.lower[:, None], interval.upper[:, None])
        slopes[n] = Lines(*(least + (0.2 + 0.6 * rng.random((1, 2, s.shape[-1]))) * (greatest - least) for s in lines))

    def bound(parameters: Parameters) -> np.ndarray:
        return evaluate(graph, rows, problem_of(graph, lower[None], upper[None], known, parameters), None).lower[0]

    parameters = Parameters(slopes, {})
    problem = problem_of(graph, lower[None], upper[None], known, parameters)
    dual = evaluate(graph, rows, problem, None, keep=True)
    values = relaxed_point(graph, dual, rows, problem)
    for n, lines in slopes.items():
        operator, p = graph.nodes[n].operator, graph.nodes[n].inputs[0]
        assert isinstance(operator, Nonlinear)
        low, high = known[p].lower[:, None], known[p].upper[:, None]
        for side, q in (("lower", np.maximum(dual.q[n], 0.0)), ("upper", np.minimum(dual.q[n], 0.0))):
            if side == "upper" and operator.convex:
                continue
            gradient = q * operator.sensitivity(getattr(lines, side), low, high, values[p], side)
            for i in range(gradient.shape[-1]):
                h = 1e-6 * np.eye(gradient.shape[-1])[i]
                plus, minus = (
                    bound(replace(parameters, slopes={**slopes, n: lines._replace(**{side: getattr(lines, side) + d})})) for d in (h, -h)
                )
                np.testing.assert_allclose(gradient[0, :, i], (plus - minus) / 2e-6, rtol=1e-4, atol=1e-6 * (1 + np.abs(gradient).max()))


def test_ascent_improves_products() -> None:
    graph = bilinear()
    lower, upper = -np.ones(3), np.ones(3)
    bounds = graphs.root(graph, graphs.EXACT, lower, upper)
    rows = {graph.output: np.array([[1.0, 0.0], [0.0, -1.0]])}
    first, best = graphs.optimised_row_bounds(graph, graphs.EXACT, bounds, rows, lower, upper, 40)
    assert (best > first + 0.01 * np.abs(first)).all()


@pytest.mark.parametrize("seed", range(4))
def test_an_ascent_ends_where_it_gains_little(seed: int) -> None:
    """The more the last steps have to gain, the sooner; what was gained until then stays."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 8, 8, 8, 2])
    known = graphs.root(graph, graphs.EXACT, -np.ones(3), np.ones(3)).preactivations
    rows, start = {graph.output: rng.normal(size=(1, 4, 2))}, initial_parameters(graph, graph.output, known)
    steps, bounds = [], []
    for worth in (0.0, 0.05, 0.5, 2.0):
        looks: list[None] = []
        schedule = Schedule(40, worth=worth)
        ascent = Ascent(graph, rows, -np.ones((1, 3)), np.ones((1, 3)), known, start, {}, schedule)
        dual, _ = ascent.run(None, lambda looks=looks: looks.append(None) is not None)  # type: ignore[misc]
        steps.append(len(looks))
        bounds.append(float(dual.lower.mean()))
    assert steps[0] == 40 and steps == sorted(steps, reverse=True) and steps[1] > steps[-1]
    assert bounds == sorted(bounds, reverse=True)
