"""Rows on windows of an image are those of the whole graph."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.graph.test_window import conv, image
from verifier.bounds import rows
from verifier.operators.piecewise_linear import Relu


@pytest.mark.parametrize("iterations", [0, 5])
@pytest.mark.parametrize("seed", range(4))
def test_windows_change_no_bound(seed: int, iterations: int) -> None:
    rng = np.random.default_rng(seed)
    layers = [conv(rng, 3, 3, padding=(1, 1, 1, 1)), Relu(), conv(rng, 3, 3, stride=1 + seed % 2, padding=(1, 1, 1, 1)), Relu()]
    graph = image(rng, *layers, conv(rng, 2, 3), Relu(), conv(rng, 1, 1))
    centre = rng.normal(size=graph.input_size)
    box = centre - 0.05, centre + 0.05
    found, sizes = [], []
    around = rows.Rows._around

    def noted(self: rows.Rows, part: np.ndarray) -> tuple[rows.Rows, np.ndarray]:
        here, there = around(self, part)
        sizes.append(sum(n.size for n in here.graph.nodes[1:]) / sum(self.graph.nodes[n].size for n in self.graph.ancestors(self.node)[1:]))
        return here, there

    for worth in (0.0, 1.0):
        with patch.object(rows, "_WORTH", worth), patch.object(rows, "_OVERHEAD", 0.0), patch.object(rows.Rows, "_around", noted):
            root = graphs.root(graph, graphs.EXACT, *box, iterations)
        found.append(graphs.flat_enclosures(graph, root))
    assert min(sizes) < 0.3
    for whole, windows in zip(*found):
        np.testing.assert_allclose(windows, whole, rtol=0, atol=1e-9 if iterations == 0 else 1e-3)
    values = graphs.flat_values(graph, graphs.box_points(rng, *box))
    flat = np.concatenate([values[p] for p in graph.preactivations], axis=1)
    assert (flat >= found[1][0] - 1e-12).all() and (flat <= found[1][1] + 1e-12).all()
