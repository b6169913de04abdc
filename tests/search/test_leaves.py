from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import to_numpy
from verifier.bounds.dual import Interval
from verifier.search.leaves import decided
from verifier.search.splits import Splits
from verifier.search.tree import Tree


def leaf_of(tree: Tree, x: np.ndarray) -> Splits:
    """The subproblem in which every neuron is on the side where it is at x (n,)."""
    splits, flat = graphs.start_splits(tree), graphs.flat_values(tree.graph, x[None])
    values = np.concatenate([flat[p][0] for p in tree.graph.preactivations])
    neuron = np.arange(tree.neurons.total)[None]
    return replace(
        splits,
        neuron=neuron,
        side=np.where(values >= 0, 1, -1)[None].astype(np.int8),
        point=np.zeros(neuron.shape),
        multiplier=np.zeros((1, 1, tree.neurons.total), np.float32),
        depth=np.array([tree.neurons.total]),
    )


@pytest.mark.parametrize("seed", range(25))
def test_leaves_are_closed_unless_they_hold_a_counterexample(seed: int) -> None:
    """All neurons are decided, so the relaxation is exact: either it is refuted, or its least point violates."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 6, 6, 2], graphs.PIECEWISE[seed % 3])
    lower, upper = -np.ones(3), np.ones(3)
    rows, x = rng.normal(size=(2, 2)), rng.uniform(-1, 1, (40, 3))
    tree = graphs.tree(graph, graphs.root(graph, graphs.EXACT, lower, upper), graphs.targets_of(rows), lower, upper)
    leaf, total = leaf_of(tree, x[0]), tree.neurons.total
    values = (graph.evaluate(x) @ rows.T).max(axis=1)
    low, high = (to_numpy(side)[0, :total] for side in tree.enclosures(leaf))
    at = graphs.flat_values(graph, x)
    flat = np.concatenate([at[p] for p in graph.preactivations], axis=1)
    inside = ((flat >= low) & (flat <= high)).all(axis=1)
    assert inside[0]
    for shift in (0.5, 0.0, -3.0):
        constant = np.full((1, 2), -values[0] - shift)
        moved = replace(tree, targets=replace(tree.targets, constant=constant))
        closed, points = decided(moved, leaf, graphs.context(20.0))
        assert not closed[0] or (values[inside] + constant[0, 0] > 0).all()
        assert closed[0] != (len(points.x) == 1)
        if not closed[0]:
            assert points.margins[0] <= 1e-6 * (1 + np.abs(values).max())


def test_what_narrowed_enclosures_of_stable_neurons_say_closes_a_leaf() -> None:
    """y = relu(x) over [-1, 1], y <= 0.5 asked for: within x >= 0.6, which the enclosure says but no split, there is none."""
    graph = graphs.dense([np.eye(1), np.eye(1)], [np.zeros(1), np.zeros(1)])
    lower, upper, targets = -np.ones(1), np.ones(1), graphs.targets_of(np.ones((1, 1)), -0.5)
    root = graphs.root(graph, graphs.EXACT, lower, upper)
    narrowed = replace(root, preactivations={1: Interval(np.array([[0.6]]), np.array([[1.0]]))})
    for bounds, expected in ((root, False), (narrowed, True)):
        tree = graphs.tree(graph, bounds, targets, lower, upper)
        closed, points = decided(tree, graphs.start_splits(tree), graphs.context(20.0))
        assert closed[0] == expected and len(points.x) == (not expected)
