from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.batch import Neurons
from verifier.operators import piecewise_linear, smooth
from verifier.operators.base import Elementwise
from verifier.search.branching.scores import row_weights, split_points

RELU, SIGMOID = piecewise_linear.Relu(), smooth.Sigmoid()


@pytest.mark.parametrize(
    ("functions", "low", "high", "point"),
    [
        ((RELU, SIGMOID), -1.0, 3.0, 0.0),  # a kink before the middle of a smooth function: it leaves two linear pieces
        ((RELU, piecewise_linear.Clip(0.75, 4.0)), -1.0, 3.0, 0.75),  # the kink nearest the middle
        ((RELU, piecewise_linear.Clip(-0.5, 2.5)), -1.0, 3.0, 0.0),
        ((RELU, SIGMOID), 1.0, 3.0, 2.0),  # the Relu is linear here
        ((SIGMOID,), -1.0, 3.0, 1.0),
        ((RELU,), -1.0, 3.0, 0.0),
    ],
)
def test_one_point_for_all_functions_of_a_neuron(functions: tuple[Elementwise, ...], low: float, high: float, point: float) -> None:
    """In whatever order they come."""
    for order in (functions, functions[::-1]):
        b = graphs.Builder(1)
        pre = b.linear(0, [[1.0]])
        b.concat(*(b.apply(function, pre) for function in order))
        assert split_points(Neurons(b.graph()), np.array([[low]]), np.array([[high]])).tolist() == [[point]]


def test_rows_count_the_less_the_more_they_lack() -> None:
    bounds = np.array([[-0.5, -2.0], [-4.0, -1.0], [0.0, -1.0], [-np.inf, -1.0], [np.nan, -1.0], [-np.inf, -np.inf], [-3.0, -3.0]])
    weights = row_weights(bounds)
    assert weights[4, 0] < 1e-200
    np.testing.assert_allclose(weights[[0, 1, 6]], [[1.0, 0.25], [0.25, 1.0], [1.0, 1.0]])
    assert weights[2, 0] == 1.0 and 0 < weights[2, 1] < 1e-8
    assert np.isfinite(weights).all() and (weights.max(axis=1) == 1.0).all()
