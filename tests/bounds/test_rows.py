"""Rows on windows of an image are those of the whole graph."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.graph.test_window import conv, image
from verifier.bounds import intermediate, rows, tiles
from verifier.bounds.stability import unstable
from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Linear, Reshape, Transpose
from verifier.operators.piecewise_linear import Relu


@pytest.mark.parametrize("rearranged", [False, True])
@pytest.mark.parametrize("iterations", [0, 5])
@pytest.mark.parametrize("seed", range(4))
def test_windows_change_no_bound(seed: int, iterations: int, rearranged: bool) -> None:
    """rearranged: classes of the pixels, column after column, are what is asked for, as when an image is segmented."""
    rng = np.random.default_rng(seed)
    layers = [conv(rng, 3, 3, padding=(1, 1, 1, 1)), Relu(), conv(rng, 3, 3, stride=1 + seed % 2, padding=(1, 1, 1, 1)), Relu()]
    graph = image(rng, *layers, conv(rng, 2, 3), *([] if rearranged else [Relu(), conv(rng, 1, 1)]))
    if rearranged:
        (_, channels, height, width), at, count = graph.nodes[-1].shape, graph.output, int(np.prod(graph.nodes[-1].shape[2:]))
        swapped = Node(Transpose((0, 3, 2, 1)), (at,), (1, width, height, channels))
        flat = Node(Reshape(swapped.shape, (count, channels)), (at + 1,), (count, channels))
        margin = Node(Linear(np.array([[1.0], [-1.0]])), (at + 2,), (count, 1))
        graph = Graph((*graph.nodes, swapped, flat, margin, Node(Relu(), (at + 3,), (count, 1))))
    centre = rng.normal(size=graph.input_size)
    box = centre - 0.05, centre + 0.05
    found, sizes = [], []
    around = rows.Rows._around

    def noted(self: rows.Rows, part: np.ndarray) -> tuple[rows.Rows, np.ndarray]:
        here, there = around(self, part)
        sizes.append(sum(n.size for n in here.graph.nodes[1:]) / sum(self.graph.nodes[n].size for n in self.graph.ancestors(self.node)[1:]))
        return here, there

    for worth in (0.0, 1.0):
        with patch.object(tiles, "_WORTH", worth), patch.object(tiles, "_OVERHEAD", 0.0), patch.object(rows.Rows, "_around", noted):
            root = graphs.root(graph, graphs.EXACT, *box, iterations)
        found.append(graphs.flat_enclosures(graph, root))
    assert min(sizes) < 0.3
    for whole, windows in zip(*found):
        np.testing.assert_allclose(windows, whole, rtol=0, atol=1e-9 if iterations == 0 else 1e-3)
    values = graphs.flat_values(graph, graphs.box_points(rng, *box))
    flat = np.concatenate([values[p] for p in graph.preactivations], axis=1)
    assert (flat >= found[1][0] - 1e-12).all() and (flat <= found[1][1] + 1e-12).all()


@pytest.mark.parametrize("helps", [True, False])
def test_rows_that_help_no_sample_are_not_asked_for(helps: bool) -> None:
    """Differences of a value with itself are what rows know of and intervals do not; sums of values that have nothing in common are not."""
    rng = np.random.default_rng(0)
    b = graphs.Builder(40)
    first = b.relu(b.linear(0, np.eye(40), rng.uniform(0.5, 1.0, 40)))
    if helps:
        first = b.linear(first, np.concatenate([np.eye(40), -np.eye(40)], axis=1))
        weight = np.abs(rng.normal(size=(80, 700)))
    else:
        weight = np.zeros((40, 700))
        weight[rng.integers(0, 40, 700), np.arange(700)] = rng.uniform(0.5, 1.5, 700)
    b.linear(b.relu(b.linear(first, weight, -0.3 * np.ones(700))), rng.normal(size=(700, 1)))
    graph = b.graph()
    asked = []
    evaluated = rows.Rows._evaluated

    def noted(self: rows.Rows, *args: Any) -> Any:
        asked.append(len(args[-1]))
        return evaluated(self, *args)

    with patch.object(rows.Rows, "_evaluated", noted), patch.object(intermediate, "forms_pay", lambda *_: False):
        root = graphs.root(graph, graphs.EXACT, -np.ones(40), np.ones(40))
    loose = int(unstable(graph, graph.preactivations[1], root.preactivations[graph.preactivations[1]]).sum())
    assert (sum(asked) > 500) == helps and (helps or loose >= rows._MANY > sum(asked))
