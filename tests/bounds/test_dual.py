"""Properties of the evaluator that hold without any rounding argument, and cases that once were wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.operators import affine, piecewise_linear

LOW, HIGH = -np.ones(2), np.ones(2)


def test_rows_on_parallel_branches() -> None:
    """Rows on two nodes that do not depend on each other: both count. (They were summed over one node's ancestors.)"""
    rng = np.random.default_rng(1)
    b = graphs.Builder(2)
    left, right = (b.relu(b.linear(0, rng.normal(size=(2, 3)), -0.3 * np.ones(3))) for _ in range(2))
    b.add(affine.Add((1, -1)), (left, right), (3,))
    graph = b.graph()
    rows = {left: np.eye(3), right: -np.eye(3)}
    dual = graphs.row_bounds(graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, LOW, HIGH), rows, LOW, HIGH)
    values = graphs.flat_values(graph, graphs.box_points(rng, LOW, HIGH, 2000))[-1]
    assert (dual.lower <= values.min(axis=0)).all()
    direct = graphs.row_bounds(graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, LOW, HIGH), {graph.output: np.eye(3)}, LOW, HIGH)
    np.testing.assert_allclose(dual.lower, direct.lower, rtol=1e-12)


def test_rows_on_inputs_below_a_constant_output() -> None:
    """The output does not depend on the input, the row does."""
    b = graphs.Builder(2)
    b.add(affine.Constant(np.array([1.5])), (), (1,))
    graph = graphs.Graph(tuple(b.nodes))
    rows = {1: np.array([[2.0], [0.0], [1.0]]), 0: np.array([[1.0, -1.0], [3.0, 0.0], [0.0, 0.0]])}
    dual = graphs.row_bounds(graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, LOW, HIGH), rows, LOW, HIGH)
    np.testing.assert_allclose(dual.lower, [1.0, -3.0, 1.5], rtol=1e-12)
    boxes = graphs.box_bounds(
        graph,
        graphs.EXACT,
        graphs.root(graph, graphs.EXACT, LOW, HIGH),
        graphs.targets_of(rows[1], inputs=rows[0]),
        np.tile(LOW, (4, 1)),
        np.tile(HIGH, (4, 1)),
    )
    np.testing.assert_allclose(boxes.lower, np.tile([1.0, -3.0, 1.5], (4, 1)), rtol=1e-12)


@pytest.mark.parametrize("device", graphs.DEVICES)
def test_padding_with_a_value_in_torch(device: str) -> None:
    b = graphs.Builder(2)
    b.relu(b.add(affine.Pad((1,), (1,), (2,), 0.5), (0,), (4,)))
    graph = b.graph()
    rows = {graph.output: np.eye(4)}
    arrays = graphs.torch64(device)
    found = graphs.row_bounds(graph, arrays, graphs.root(graph, arrays, LOW, HIGH), rows, LOW, HIGH)
    np.testing.assert_allclose(found.lower, [0.5, 0.0, 0.0, 0.5], atol=1e-12)


@pytest.mark.parametrize("operator", [*graphs.PIECEWISE, *graphs.SMOOTH], ids=lambda op: type(op).__name__)
def test_any_slope_is_sound(operator: piecewise_linear.PiecewiseLinear) -> None:
    """One neuron, all kinds of intervals, slopes inside and outside the useful range, both signs of the row."""
    rng = np.random.default_rng(3)
    graph = graphs.dense([np.eye(1), np.eye(1)], [np.zeros(1), np.zeros(1)], operator)
    for _ in range(60):
        low, high = np.sort(rng.normal(size=(2, 1)) * rng.choice([1e-6, 1.0, 30.0]), axis=0)
        bounds = graphs.root(graph, graphs.EXACT, low, high)
        slopes = rng.normal(size=(2, 40, 1)) * 2
        rows = np.where(np.arange(40)[:, None] % 2 == 0, 1.0, -1.0)
        dual = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, low, high, {2: (slopes[0], slopes[1])})
        values = graphs.flat_values(graph, np.linspace(low, high, 301))[-1]
        assert (dual.lower <= (values @ rows.T).min(axis=0) + 1e-12).all()
