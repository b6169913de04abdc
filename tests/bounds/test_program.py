"""The linear program against the evaluator, which its duals have to bring to the same value."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import numpy_arrays, to_numpy
from verifier.bounds.ascent import Schedule, problem_of
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.program import Program, Relaxed, Subproblem
from verifier.bounds.resources import Resources
from verifier.graph.ir import Graph
from verifier.operators.base import Elementwise
from verifier.operators.piecewise_linear import Relu
from verifier.parallel import Workers

EXACT = numpy_arrays()
ROOT = Path(__file__).resolve().parents[2]


def subproblem(rng: np.random.Generator, graph: Graph, rows: int = 1) -> Subproblem:
    lower, upper = graphs.random_box(rng, graph.input_size)
    root = root_bounds(graph, Resources(EXACT, EXACT, Workers(1)), lower, upper, Schedule(0))
    known = {p: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for p, b in root.preactivations.items()}
    outputs, inputs = rng.normal(size=(rows, graph.output_size)), rng.normal(size=(rows, graph.input_size))
    return Subproblem(lower, upper, known, outputs, inputs * (rng.random() < 0.5), rng.normal(size=rows))


def largest_row(graph: Graph, s: Subproblem, x: np.ndarray) -> np.ndarray:
    return np.max(graph.evaluate(x) @ s.rows.T + x @ s.inputs.T + s.constant, axis=1)


def evaluated(graph: Graph, s: Subproblem, found: Relaxed) -> float:
    """The evaluator's bound of the one row with the dual variables of the program."""
    known = {p: Interval(low[None], high[None]) for p, (low, high) in s.preactivations.items()}
    problem = problem_of(graph, s.lower[None], s.upper[None], known, found.parameters)
    rows = {graph.output: s.rows[None].reshape(1, 1, *graph.nodes[-1].shape), 0: s.inputs[None]}
    return float(evaluate(graph, rows, problem, None).lower[0, 0] + s.constant[0])


@pytest.mark.parametrize("seed", range(60))
def test_the_duals_lead_the_evaluator_to_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng, 7, graphs.PIECEWISE[:3] if seed % 2 else graphs.PIECEWISE + graphs.SMOOTH)
    program = Program.of(graph)
    if program is None:
        pytest.skip("a function of several values")
    s = subproblem(rng, graph)
    found = program.relaxed(s, 10.0)
    assert found is not None and np.isfinite(found.lower)
    values = largest_row(graph, s, graphs.box_points(rng, s.lower, s.upper))
    scale = 1.0 + np.abs(values).max()
    assert found.lower <= values.min() + 1e-6 * scale
    bound = evaluated(graph, s, found)
    assert bound >= found.lower - 1e-5 * scale
    if all(node.operator.convex for node in graph.nodes if isinstance(node.operator, Elementwise)):
        assert bound <= found.lower + 1e-5 * scale  # a line between two others may be better where the function is not convex


@pytest.mark.parametrize("seed", range(20))
def test_an_empty_subproblem_is_refuted_by_its_duals(seed: int) -> None:
    """Enclosures of the last layer that no point of the box can meet."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 6, 6, 2], graphs.PIECEWISE[seed % 3])
    s = subproblem(rng, graph)
    p = graph.preactivations[-1]
    low, high = s.preactivations[p]
    s = replace(s, preactivations={**s.preactivations, p: (high + 0.1 * (high - low) + 0.1, high + 1.0 + high - low)})
    program = Program.of(graph)
    assert program is not None
    found = program.relaxed(s, 10.0)
    assert found is not None and found.lower == np.inf
    assert evaluated(graph, s, found) > 1.0


def test_functions_of_several_values_have_no_program() -> None:
    b = graphs.Builder(2)
    b.product(b.relu(0), 0)
    assert isinstance(b.nodes[1].operator, Relu)
    assert Program.of(b.graph()) is None


def test_the_solver_writes_nothing() -> None:
    """In a process of its own, as it may greet once: the standard output is the verdict's."""
    code = "from tests.bounds import test_program as t; t.test_the_duals_lead_the_evaluator_to_the_optimum(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
