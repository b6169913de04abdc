"""Tiles share out what is asked for, and the window of each computes the same."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.graph.test_window import conv, image
from verifier.bounds import tiles as module
from verifier.bounds.cost import row_cost
from verifier.bounds.tiles import seen, tiled_cost, tiles, within
from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Take
from verifier.operators.piecewise_linear import Relu


def agree(graph: Graph, node: int, elements: np.ndarray, rng: np.random.Generator) -> int:
    """How many tiles there are."""
    parts = tiles(graph, node, elements)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), elements)
    x = rng.normal(size=(3, graph.input_size))
    values = graph.values(x)
    for part in parts:
        there = seen(graph, node, part)
        if there is not None:
            found = there.graph.evaluate(x).reshape(3, -1)[:, there.position(part)]
            np.testing.assert_allclose(found, values[node].reshape(3, -1)[:, part], rtol=1e-12, atol=1e-12)
    return len(parts)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng)
    with patch.object(module, "_OVERHEAD", 0.0), patch.object(module, "_WORTH", 2.0):
        for node in range(1, len(graph.nodes)):
            size = graph.nodes[node].size
            agree(graph, node, np.sort(rng.choice(size, rng.integers(1, size + 1), replace=False)), rng)


@pytest.mark.parametrize("columns", [np.array([0, 15]), np.array([3]), np.arange(16)])
def test_images_of_which_some_columns_are_left(columns: np.ndarray) -> None:
    """The middle of what the neurons lie on may have none."""
    rng = np.random.default_rng(0)
    graph = image(rng, conv(rng, 3, 3, padding=(1, 1, 1, 1)), Relu(), conv(rng, 2, 3, padding=(1, 1, 1, 1)))
    at = graph.output
    graph = Graph((*graph.nodes, Node(Take(3, columns, (1, 2, 16, 16)), (at,), (1, 2, 16, len(columns)))))
    with patch.object(module, "_OVERHEAD", 0.0):
        assert agree(graph, at + 1, np.arange(32 * len(columns)), rng) > 4
        assert tiled_cost(graph, at + 1, 32) < 0.5 * row_cost(graph, at + 1)


def test_enclosures_of_a_window() -> None:
    rng = np.random.default_rng(0)
    graph = image(rng, conv(rng, 3, 3), Relu(), conv(rng, 2, 3), Relu(), conv(rng, 2, 3))
    lower = rng.normal(size=graph.input_size)
    known = graphs.root(graph, graphs.EXACT, lower, lower + 0.1).preactivations
    there = seen(graph, graph.output, np.array([0, 1, 11]))
    assert there is not None
    below, x = within(there, known, graphs.EXACT), lower + 0.1 * rng.random((50, graph.input_size))
    values = there.graph.values(x)
    assert set(below) == set(there.graph.preactivations)
    for n, (low, high) in below.items():
        flat = values[n].reshape(50, -1)
        assert low.shape[1] == flat.shape[1] and (flat >= low - 1e-12).all() and (flat <= high + 1e-12).all()
