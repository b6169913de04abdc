"""What a bound leaves for neurons holds at every point where no row is positive, compared in rationals, and says something."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests import graphs
from tests.bounds import exact
from verifier.arrays import to_numpy
from verifier.bounds import slack
from verifier.bounds.ascent import Parameters, problem_of
from verifier.bounds.dual import Interval, evaluate
from verifier.operators import piecewise_linear
from verifier.operators.base import Elementwise, Lines

RELU, LEAKY = piecewise_linear.Relu(), piecewise_linear.LeakyRelu(0.0625)


@pytest.mark.parametrize("operator", [RELU, LEAKY], ids=["relu", "leaky"])
def test_near_is_where_the_function_is_near_its_line(operator: piecewise_linear.LeakyRelu) -> None:
    """At the ends the function is at least so far away, and by a relative 2^-47 inside of them it is not."""
    rng = np.random.default_rng(0)
    for slope in (operator.alpha, 1.0, 0.5, *operator.alpha + (1 - operator.alpha) * rng.random(200)):
        gap = float(rng.random() * 10.0 ** rng.integers(-300, 100))
        with np.errstate(all="ignore"):
            low, high = (float(end) for end in operator.near(np.array(slope), np.array(gap)))
        rise = lambda p: (p if p > 0 else Fraction(operator.alpha) * p) - Fraction(float(slope)) * p  # noqa: E731, B023
        for end, side in ((low, -1), (high, 1)):
            if np.isinf(end):
                steep = Fraction(1) - Fraction(float(slope)) if side > 0 else Fraction(float(slope)) - Fraction(operator.alpha)
                assert steep == 0 or Fraction(gap) / steep > Fraction(1e300)
            else:
                assert rise(Fraction(end)) >= Fraction(gap)
                assert rise(Fraction(end) * (1 - Fraction(1, 2**47))) < Fraction(gap) or gap < 1e-290


def checked(seed: int, operator: Elementwise) -> tuple[int, int]:
    """(points, neurons whose enclosures became narrower): random slopes and multipliers of a network with one hidden layer, two rows."""
    rng = np.random.default_rng(seed)
    sizes = [2, 6, 2]
    graph, lower, upper = graphs.random_dense(rng, sizes, operator), -np.ones(2), np.ones(2)
    root = graphs.root(graph, graphs.EXACT, lower, upper)
    nonlinear = {n: graph.nodes[n].size for n in graph.nonlinear}
    lines = {n: Lines(rng.random((1, 2, size)), np.zeros((1, 2, size))) for n, size in nonlinear.items()}
    pre = {p: 0.1 * rng.normal(size=(1, 2, 6)) * (rng.random((1, 2, 6)) < 0.3) for p in graph.preactivations}
    problem = problem_of(graph, lower[None], upper[None], root.preactivations, Parameters(lines, pre))
    rows = {graph.output: rng.normal(size=(1, 2, 2))}
    dual = evaluate(graph, rows, problem, root.weights, keep=True)
    # Constants with which few points have no positive row.
    x = graphs.box_points(rng, lower, upper, 300)
    near = graph.evaluate(x) @ rows[graph.output][0].T
    constant = -np.quantile(near, 0.03, axis=0)
    near = near + constant
    bounds = np.nextafter(to_numpy(dual.lower) + constant, -np.inf)
    found = slack.enclosures(graph, dual, bounds, problem)
    tested = 0
    for point in x[np.argsort(near.max(axis=1))[:12]]:
        values = exact.values(graph, point)
        outputs = values[graph.output].reshape(-1)
        for r in range(2):  # each row says something by itself
            total = sum((Fraction(float(w)) * v for w, v in zip(rows[graph.output][0, r], outputs)), Fraction(float(constant[r])))
            if total > 0:
                break
        else:
            tested += 1
            for p, (low, high) in found.items():
                for value, a, b in zip(values[p].reshape(-1), low[0], high[0]):
                    assert not Fraction(float(a)) > value if np.isfinite(a) else a < 0, f"seed {seed}"
                    assert not Fraction(float(b)) < value if np.isfinite(b) else b > 0, f"seed {seed}"
    known: dict[int, Interval] = dict(root.preactivations)
    narrower = sum(int(((low > known[p].lower) | (high < known[p].upper)).sum()) for p, (low, high) in found.items())
    return tested, narrower


@pytest.mark.parametrize("operator", [RELU, LEAKY, *graphs.SMOOTH[:1]], ids=lambda op: type(op).__name__)
def test_enclosures_hold_where_no_row_is_positive(operator: Elementwise) -> None:
    tested, narrower = map(sum, zip(*(checked(seed, operator) for seed in range(120))))
    assert tested > 60 and narrower > (100 if operator in (RELU, LEAKY) else 10), (tested, narrower)


def test_bounds_that_are_no_numbers_say_nothing() -> None:
    graph = graphs.dense([np.ones((1, 1)), np.ones((1, 1))], [np.zeros(1), np.zeros(1)])
    root = graphs.root(graph, graphs.EXACT, -np.ones(1), np.ones(1))
    lines = {2: Lines(np.full((1, 1, 1), 0.5), np.full((1, 1, 1), 0.5))}
    problem = problem_of(graph, -np.ones((1, 1)), np.ones((1, 1)), root.preactivations, Parameters(lines, {}))
    dual = evaluate(graph, {3: np.ones((1, 1, 1))}, problem, root.weights, keep=True)
    for bound in (np.nan, -np.inf, 1.0):
        low, high = slack.enclosures(graph, dual, np.array([[bound]]), problem)[1]
        assert (low == -np.inf).all() and (high == np.inf).all()
    low, high = slack.enclosures(graph, dual, np.array([[-0.25]]), problem)[1]
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [-0.5, 0.5], rtol=1e-12)
