"""The reduced graph has the values of the network everywhere in its box, and no stable neuron."""

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import to_numpy
from verifier.bounds import reduction
from verifier.bounds.ascent import Schedule
from verifier.bounds.dual import Interval
from verifier.bounds.intermediate import root_bounds
from verifier.parallel import Workers


@pytest.mark.parametrize("seed", range(40))
def test_values_are_the_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng)
    lower, upper = graphs.random_box(rng, graph.input_size)
    upper = np.where(rng.random(len(lower)) < 0.3, lower, upper)
    root = root_bounds(graph, graphs.EXACT, lower, upper, Schedule(0), lambda: False, graphs.EXACT, Workers(1))
    known = {p: Interval(*(to_numpy(side) for side in b)) for p, b in root.preactivations.items()}
    parts = reduction._partition(graph, known, lower, upper)
    found = reduction._Builder(graph, parts, known, lower, upper, graphs.EXACT, Workers(1)).build()
    x = graphs.box_points(rng, lower, upper, 50)
    expected = graph.evaluate(x)
    assert np.abs(found.graph.evaluate(x) - expected).max() <= 1e-9 * (1 + np.abs(expected).max()), f"seed {seed}"
    assert len(found.neurons) == sum(map(len, parts.loose.values()))
