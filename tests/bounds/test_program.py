"""The linear program against the evaluator, which its duals have to bring to the same value, and the exact one against an oracle."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.search import milp
from verifier.arrays import numpy_arrays, to_numpy
from verifier.bounds.ascent import Schedule, problem_of
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.program import Program, Subproblem
from verifier.graph.ir import Graph
from verifier.operators.base import Elementwise
from verifier.operators.piecewise_linear import Clip, Relu
from verifier.parallel import Workers

EXACT = numpy_arrays()


def subproblem(rng: np.random.Generator, graph: Graph, rows: int = 1) -> Subproblem:
    lower, upper = graphs.random_box(rng, graph.input_size)
    root = root_bounds(graph, EXACT, lower, upper, Schedule(0), lambda: False, EXACT, Workers(1))
    known = {p: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for p, b in root.preactivations.items()}
    outputs, inputs = rng.normal(size=(rows, graph.output_size)), rng.normal(size=(rows, graph.input_size))
    return Subproblem(lower, upper, known, outputs, inputs * (rng.random() < 0.5), rng.normal(size=rows))


def largest_row(graph: Graph, s: Subproblem, x: np.ndarray) -> np.ndarray:
    return np.max(graph.evaluate(x) @ s.rows.T + x @ s.inputs.T + s.constant, axis=1)


@pytest.mark.parametrize("seed", range(60))
def test_the_duals_lead_the_evaluator_to_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng, 7, graphs.PIECEWISE[:3] if seed % 2 else graphs.PIECEWISE + graphs.SMOOTH)
    program = Program.of(graph)
    if program is None:
        pytest.skip("a function of several values")
    s = subproblem(rng, graph)
    found = program.relaxed(s, 10.0)
    assert found is not None and found.parameters is not None
    values = largest_row(graph, s, graphs.box_points(rng, s.lower, s.upper))
    scale = 1.0 + np.abs(values).max()
    assert found.lower <= values.min() + 1e-6 * scale
    known = {p: Interval(low[None], high[None]) for p, (low, high) in s.preactivations.items()}
    problem = problem_of(graph, s.lower[None], s.upper[None], known, found.parameters)
    rows = {graph.output: s.rows[None].reshape(1, 1, *graph.nodes[-1].shape), 0: s.inputs[None]}
    bound = float(evaluate(graph, rows, problem, None).lower[0, 0] + s.constant[0])
    assert bound >= found.lower - 1e-5 * scale
    if all(node.operator.convex for node in graph.nodes if isinstance(node.operator, Elementwise)):
        assert bound <= found.lower + 1e-5 * scale  # a line between two others may be better where the function is not convex


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("seed", range(10))
def test_the_least_point_is_the_oracles(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 6, 6, 2])
    s = subproblem(rng, graph, rows)
    s = Subproblem(s.lower, s.upper, s.preactivations, s.rows, 0.0 * s.inputs, s.constant)
    program = Program.of(graph)
    assert program is not None
    x = program.least(s, 10.0)
    assert x is not None and ((s.lower <= x) & (x <= s.upper)).all()
    expected, _ = milp.least(graph, s.lower, s.upper, s.rows, s.constant)
    assert largest_row(graph, s, x[None])[0] == pytest.approx(expected, abs=1e-6 * (1.0 + abs(expected)))


@pytest.mark.parametrize("operator", graphs.PIECEWISE, ids=str)
def test_every_piecewise_linear_function_is_exact(operator: Elementwise) -> None:
    rng = np.random.default_rng(7)
    graph = graphs.random_dense(rng, [2, 4, 3, 1], operator)
    s = subproblem(rng, graph)
    program = Program.of(graph)
    assert program is not None
    x = program.least(s, 10.0)
    if x is None:  # both kinks of a Clip inside one enclosure
        assert isinstance(operator, Clip)
        return
    values = largest_row(graph, s, graphs.box_points(rng, s.lower, s.upper, 5000))
    assert largest_row(graph, s, x[None])[0] <= values.min() + 1e-6


def test_an_empty_subproblem_is_said_to_be_empty() -> None:
    graph = graphs.dense([np.eye(1), np.eye(1)], [np.zeros(1), np.zeros(1)])
    known = {1: (np.array([1.0]), np.array([2.0]))}  # of a value in [-1, 0]
    s = Subproblem(np.array([-1.0]), np.array([0.0]), known, np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1))
    program = Program.of(graph)
    assert program is not None
    found = program.relaxed(s, 10.0)
    assert found is not None and found.lower == np.inf and found.parameters is None
    assert program.least(s, 10.0) is None


def test_functions_of_several_values_have_no_program() -> None:
    b = graphs.Builder(2)
    b.product(b.relu(0), 0)
    assert isinstance(b.nodes[1].operator, Relu)
    assert Program.of(b.graph()) is None
