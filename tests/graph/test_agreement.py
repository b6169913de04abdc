"""Rewritten graphs that differ are noticed, those that round differently are not."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.errors import InternalError
from verifier.graph.agreement import points, same_signs, same_values


def test_points_lie_in_the_box_as_far_as_it_is_finite() -> None:
    lower, upper = np.array([-1.0, -np.inf, 5.0, -np.inf, 2e6]), np.array([1.0, 0.0, 5.0, np.inf, np.inf])
    x = points(lower, upper)
    assert np.isfinite(x).all() and (x >= lower).all() and (x <= upper).all()


def test_values() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(3, 5)), rng.normal(size=(5, 2))]
    graph = graphs.dense(weights, [np.zeros(5), np.zeros(2)])
    box = -np.ones(3), np.ones(3)
    same_values(graph, graphs.dense([w * (1 + 1e-13) for w in weights], [np.zeros(5), np.zeros(2)]), *box)
    with pytest.raises(InternalError, match="does not say the same"):
        same_values(graph, graphs.dense([weights[0], -weights[1]], [np.zeros(5), np.zeros(2)]), *box)


def test_signs() -> None:
    before = np.array([[1.0, -2.0, 0.0, np.inf], [3.0, -1.0, 1e-12, np.nan]])
    same_signs(before, before * [0.1, 5.0, -1.0, -1.0])
    same_signs(before, before * [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, 1.0]])  # one of four: a value moved over a jump
    with pytest.raises(InternalError):
        same_signs(before, -before)
    same_signs(np.zeros((0, 2)), np.zeros((0, 2)))
