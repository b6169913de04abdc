"""The reduced graph has the values of the network everywhere in its box, and no stable neuron."""

from collections.abc import Callable

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import to_numpy
from verifier.bounds import reduction
from verifier.bounds.ascent import Schedule
from verifier.bounds.dual import Interval
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.resources import Resources
from verifier.graph.ir import Graph
from verifier.parallel import Late, Workers


def quadratic(rng: np.random.Generator) -> Graph:
    """Products of Relus with affine values, and what reads both factors."""
    b = graphs.Builder(3)
    x = b.relu(b.linear(0, rng.normal(size=(3, 4)), rng.normal(size=4)))
    y = b.linear(x, rng.normal(size=(4, 4)), rng.normal(size=4))
    z = b.relu(b.linear(b.product(x, y), rng.normal(size=(4, 3)), rng.normal(size=3)))
    b.linear(b.concat(z, y), rng.normal(size=(7, 2)))
    return b.graph()


@pytest.mark.parametrize("make", [graphs.random_graph, quadratic])
@pytest.mark.parametrize("seed", range(40))
def test_values_are_the_networks(make: Callable[[np.random.Generator], Graph], seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = make(rng)
    lower, upper = graphs.random_box(rng, graph.input_size)
    upper = np.where(rng.random(len(lower)) < 0.3, lower, upper)
    root = root_bounds(graph, Resources(graphs.EXACT, graphs.EXACT, Workers(1)), lower, upper, Schedule(0))
    known = {p: Interval(*(to_numpy(side) for side in b)) for p, b in root.preactivations.items()}
    parts = reduction._partition(graph, known, lower, upper)
    found = reduction._Builder(graph, parts, known, lower, upper, graphs.EXACT, Workers(1), lambda: False).build()
    x = graphs.box_points(rng, lower, upper, 50)
    expected = graph.evaluate(x)
    assert np.abs(found.graph.evaluate(x) - expected).max() <= 1e-9 * (1 + np.abs(expected).max()), f"seed {seed}"
    assert len(found.neurons) == sum(found.graph.nodes[p].size for p in found.graph.preactivations)
    assert len(found.neurons) == sum(map(len, parts.loose.values())) or len(found.graph.preactivations) < len(parts.loose)


def test_it_looks_at_the_clock() -> None:
    """Merging a large network may take longer than what is left."""
    graph = graphs.random_dense(np.random.default_rng(0), [4, 40, 40, 2])
    lower, upper = np.full(4, 0.50), np.full(4, 0.51)
    root = root_bounds(graph, Resources(graphs.EXACT, graphs.EXACT, Workers(1)), lower, upper, Schedule(0))
    with pytest.raises(Late):
        reduction.reduce_graph(graph, root.preactivations, lower, upper, graphs.EXACT, Workers(1), lambda: True)
