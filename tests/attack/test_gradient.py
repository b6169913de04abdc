from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.search import milp
from verifier.attack.gradient import Steps, descend, starting_points
from verifier.operators.steps import Sign


def test_starting_points_are_near_the_box() -> None:
    rng = np.random.default_rng(0)
    lower, upper = rng.normal(size=4), rng.normal(size=4) + 5
    x = starting_points(lower, upper, 50, rng)
    assert x.shape == (50, 4)
    assert (x >= lower).all() and (x <= upper * (1 + 1e-15) + 1e-15).all()


@pytest.mark.parametrize("single", [False, True])
def test_margins_are_those_of_the_points(single: bool) -> None:
    """In random graphs: points stay in the box, best first, and no point is worse than its start."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        graph = graphs.random_graph(rng)
        lower, upper = graphs.random_box(rng, graph.input_size)
        targets = graphs.targets_of(
            rng.normal(size=(2, graph.output_size)), rng.normal(size=2) + 3.0, inputs=rng.normal(size=(2, graph.input_size))
        )
        x = np.clip(starting_points(lower, upper, 12, rng), lower, upper)
        which = np.zeros(12, np.int64)
        arrays = graphs.SINGLE if single else graphs.EXACT
        found = descend(graph, arrays, targets, x, which, lower, upper, Steps(15), lambda: False)
        slack = 1e-6 * (1 + np.abs(lower) + np.abs(upper)) if single else 1e-15 * (1 + np.abs(upper))
        assert (found.x >= lower - slack).all() and (found.x <= upper + slack).all()
        assert (np.diff(found.margin) >= 0).all()
        if not single:
            np.testing.assert_allclose(found.margin, targets.margins(found.x, graph.evaluate(found.x), which), rtol=1e-9, atol=1e-9)
            assert found.margin[0] <= targets.margins(x, graph.evaluate(x), which).min() + 1e-9


def test_it_finds_the_minimum_of_small_networks() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        graph = graphs.random_dense(rng, [2, 4, 4, 1])
        lower, upper = -np.ones(2), np.ones(2)
        rows = np.ones((1, 1))
        least, _ = milp.least(graph, lower, upper, rows, np.zeros(1))
        found = descend(
            graph,
            graphs.EXACT,
            graphs.targets_of(rows, 100.0),
            starting_points(lower, upper, 32, rng),
            np.zeros(32, np.int64),
            lower,
            upper,
            Steps(60),
            lambda: False,
        )
        assert least - 1e-5 <= found.margin[0] - 100.0 <= least + 0.05


def test_a_deadline_ends_it_at_once() -> None:
    graph = graphs.random_dense(np.random.default_rng(0), [2, 3, 1])
    found = descend(
        graph,
        graphs.EXACT,
        graphs.targets_of(np.ones((1, 1)), 9.0),
        np.zeros((3, 2)),
        np.zeros(3, np.int64),
        -np.ones(2),
        np.ones(2),
        Steps(10**9),
        lambda: True,
    )
    assert len(found.x) == 3


def test_the_size_of_what_jumps_does_not_matter() -> None:
    """Binarised layers whose weights differ by a factor of 1,024, exactly: the same descents to a bit."""
    found = []
    for scale in (1.0, 1024.0):
        rng = np.random.default_rng(5)
        weights = [rng.normal(size=size) for size in ((6, 12), (12, 8), (8, 1))]
        biases = [rng.normal(size=size) for size in (12, 8, 1)]
        graph = graphs.dense([scale * w for w in weights[:2]] + weights[2:], [scale * b for b in biases[:2]] + biases[2:], Sign())
        lower, upper = -np.ones(6), np.ones(6)
        x = starting_points(lower, upper, 16, np.random.default_rng(1))
        row = graphs.targets_of(np.ones((1, 1)), 100.0)
        found.append(descend(graph, graphs.EXACT, row, x, np.zeros(16, np.int64), lower, upper, Steps(30), lambda: False))
    np.testing.assert_array_equal(found[0].x, found[1].x)
    np.testing.assert_array_equal(found[0].margin, found[1].margin)
