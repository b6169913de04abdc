"""Heads: the affine part below a pre-activation, as matrices and, where those would be too large, as unit rows."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from tests import graphs
from verifier.bounds import batch
from verifier.bounds.batch import Neurons, bound_boxes, make_heads
from verifier.operators import affine


def test_unit_rows_bound_as_matrices_do() -> None:
    rng = np.random.default_rng(0)
    graph = graphs.random_dense(rng, [3, 8, 8, 2])
    lower, upper = -np.ones(3), np.ones(3)
    root = graphs.root(graph, graphs.EXACT, lower, upper)
    neurons = Neurons(graph)
    flat = [np.concatenate([root.preactivations[p][side][0] for p in graph.preactivations])[None] for side in (0, 1)]
    rows = {graph.output: np.eye(2)[None]}
    found = []
    for largest in (batch._LARGEST_HEAD, 0):
        with patch.object(batch, "_LARGEST_HEAD", largest):
            heads = make_heads(neurons, graphs.EXACT, root.weights)
        assert all(bool(h.matrices) == (largest > 0) for h in heads.values())
        found.append(bound_boxes(neurons, heads, graphs.EXACT, root.weights, rows, lower[None] / 2, upper[None] / 2, *flat))
    assert np.allclose(found[0].lower, found[1].lower, rtol=0, atol=1e-9)
    assert np.allclose(found[0].below, found[1].below, rtol=0, atol=1e-9)


def test_rows_for_the_widest_neurons_alone() -> None:
    """Bounds are no better than with all rows; it is said whether a neuron that needed a row got none, and with room for all none did."""
    rng = np.random.default_rng(0)
    graph = graphs.random_dense(rng, [3, 8, 8, 8, 2])
    lower, upper = -np.ones((1, 3)), np.ones((1, 3))
    root = graphs.root(graph, graphs.EXACT, lower[0], upper[0])
    targets = graphs.targets_of(np.eye(2))
    found = {k: graphs.box_bounds(graph, graphs.EXACT, root, targets, lower / 2, upper / 2, widest=k) for k in (None, 1, 4, 8)}
    assert found[1].spared and found[4].spared and not found[8].spared and not found[None].spared
    assert np.array_equal(found[8].lower, found[None].lower)
    assert (found[1].lower <= found[4].lower + 1e-12).all() and (found[4].lower < found[8].lower).all()


def test_planes_of_a_constant_neuron() -> None:
    """No input below it: its planes are the constant, once."""
    b = graphs.Builder(1)
    constant = b.add(affine.Constant(np.array([0.25, -3.0])), (), (2,))
    b.concat(b.relu(constant), b.relu(0))
    graph = b.graph()
    box = -np.ones(1), np.ones(1)
    root = graphs.root(graph, graphs.EXACT, *box)
    low, high = graphs.flat_enclosures(graph, root)
    first = Neurons(graph).slices[next(p for p in graph.preactivations if p != 0)].start
    a, c = graphs.planes_of_neurons(graph, graphs.EXACT, root, *box, low, high, np.array([first, first + 1]))
    assert not a.any()
    assert np.allclose(c, [[0.25, -0.25], [-3.0, 3.0]], rtol=0, atol=1e-12)
    assert (c <= [[0.25, -0.25], [-3.0, 3.0]]).all()
