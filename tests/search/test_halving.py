"""What one step says of boxes holds at their points."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.resources import Resources
from verifier.search.boxes import Boxes
from verifier.search.halving import Halving
from verifier.search.query import Query


@pytest.mark.parametrize("seed", range(12))
def test_sharpened_planes_lie_below_the_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 8, 8, 2])
    lower, upper = graphs.random_box(rng, 3)
    rows, count = rng.normal(size=(2, 2)), 6
    targets = graphs.targets_of(rows, -1e3)
    parts = [graphs.inner_box(rng, lower, upper) for _ in range(count)]
    low, high = (np.stack(side) for side in zip(*parts))
    ctx = graphs.context(60.0, graphs.NoGate(), graphs.Workers(1))
    root = root_bounds(graph, Resources(graphs.EXACT, graphs.EXACT, ctx.workers, ctx.out_of_time), lower, upper, graphs.Schedule(0))
    below, above = (np.repeat(side[None], count, 0) for side in graphs.flat_enclosures(graph, root))
    zero = np.zeros(count, np.int64)
    boxes = Boxes.roots(low, high, below, above, zero)
    halving = Halving.of(Query(graph, targets, lower[None], upper[None]), graphs.EXACT, graphs.SINGLE, root.weights, ctx, 3, False)
    plain = halving.bound(boxes)
    found = halving._sharpened(plain)
    assert (found.bounds >= plain.bounds).all()
    for b in range(count):
        x = graphs.box_points(rng, low[b], high[b], 300)
        values = graph.evaluate(x) @ rows.T + targets.constant[0]
        tolerance = 1e-10 * (1e3 + np.abs(values).max())
        assert (found.bounds[b] <= values + tolerance).all()
        assert (x @ found.planes[b].T + found.offsets[b] <= values + tolerance).all()


def test_boxes_with_forms_keep_their_order() -> None:
    """Chunks are of boxes in which about as many inputs vary; halves are told apart by their places, so what comes back is in order."""
    rng = np.random.default_rng(3)
    graph, count = graphs.random_dense(rng, [3, 8, 8, 2]), 40
    low = rng.uniform(-1.0, 0.5, (count, 3))
    high = np.where(rng.random((count, 3)) < 0.5, low, low + 0.5)
    root = graphs.root(graph, graphs.EXACT, -np.ones(3), np.ones(3))
    below, above = (np.repeat(side[None], count, axis=0) for side in graphs.flat_enclosures(graph, root))
    zero, ctx = np.zeros(count, np.int64), graphs.context(10.0)
    boxes = Boxes.roots(low, high, below, above, zero)
    query = Query(graph, graphs.targets_of(rng.normal(size=(1, 2)), 1.0), -np.ones((1, 3)), np.ones((1, 3)))
    halving = Halving.of(query, graphs.EXACT, graphs.SINGLE, root.weights, ctx, 1, True)
    found = replace(halving, chunk=7).bound(boxes)
    np.testing.assert_array_equal(found.boxes.lower, low)
    np.testing.assert_array_equal(found.boxes.upper, high)
    for i in range(count):
        x = graphs.box_points(rng, low[i], high[i], 20)
        values = graph.evaluate(x) @ query.targets.outputs[0].T + query.targets.constant[0]
        assert (found.bounds[i] <= values + 1e-9).all() and found.bounds[i] > values.min() - 2.0


def test_numbers_that_overflow_lose_no_box() -> None:
    """Coefficients of a row are infinite, and the bounds of all halves are -inf; one input does not vary. Box 0 is violated at
    (0, 0.63e-50, 0)."""
    large, kinks = 1e100, (0.62, 0.63, 0.64, 0.79, 0.80, 0.81)
    first = np.zeros((3, 10))
    first[1:, 0], first[1:, 1] = large, -large
    first[:, 2], first[:, 3] = [0.0, large, -large], [0.0, -large, large]
    first[1, 4:] = large
    second = np.zeros((10, 3))
    second[:4, 0] = large
    second[4:7, 1] = second[7:, 2] = [large, -2 * large, large]
    third = np.array([[0.0, -1e150], [-1e150, 0.0], [-1e150, 0.0]])
    offsets = np.array([0.0] * 4 + [-c * 1e50 for c in kinks]), np.array([-2.5e150, -0.005e150, -0.02e150]), np.array([1e290, 1e290])
    graph = graphs.dense([first, second, third], list(offsets))
    lower, upper = np.array([[0.0, 0.5, -1.0], [0.0, -1.0, -1.0]]) * 1e-50, np.array([[0.0, 0.9, 1.0], [0.0, 1.0, 1.0]]) * 1e-50
    targets = replace(
        graphs.targets_of(np.eye(2)[:1]), outputs=np.eye(2)[:, None], constant=np.zeros((2, 1)), strict=np.zeros((2, 1), bool)
    )
    assert graph.evaluate(np.array([[0.0, 0.63e-50, 0.0]]))[0, 0] < 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        outcome = graphs.search_inputs(graph, targets, lower, upper, seconds=3.0)
    assert not outcome.proved
