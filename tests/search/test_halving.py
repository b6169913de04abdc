"""What one step says of boxes holds at their points."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.intermediate import root_bounds
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
    root = root_bounds(graph, graphs.EXACT, lower, upper, graphs.Schedule(0), ctx.out_of_time, graphs.EXACT, ctx.workers)
    below, above = (np.repeat(side[None], count, 0) for side in graphs.flat_enclosures(graph, root))
    zero = np.zeros(count, np.int64)
    boxes = Boxes(low, high, below, above, zero, np.full(count, -np.inf), zero, np.zeros((count, 0), np.int64), np.zeros((count, 0, 4)))
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
