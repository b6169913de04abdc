"""Both searches on networks with products, against a dense grid: a threshold clearly below the least value is proved, one
clearly above is met by a counterexample."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.search.forms import search_forms
from verifier.graph.ir import Graph
from verifier.operators.square import Square

METHODS = {"inputs": (graphs.search_inputs, 0.03), "forms": (search_forms, 0.03), "neurons": (graphs.search_neurons, 0.3)}
"""Neuron splits do not bound what lies before the split again: they need more room."""


def network(rng: np.random.Generator) -> Graph:
    b = graphs.Builder(2)
    x = b.relu(b.linear(0, rng.normal(size=(2, 3)), 0.5 * rng.normal(size=3)))
    y = b.linear(0, rng.normal(size=(2, 3)), 0.5 * rng.normal(size=3))
    z = b.product(x, y)
    z = b.product(b.linear(y, rng.normal(size=(3, 1))), z) if rng.random() < 0.4 else b.concat(z, b.apply(Square(), y))
    b.linear(z, rng.normal(size=(b.shape(z)[0], 1)))
    return b.graph()


@pytest.mark.parametrize("method", METHODS)
def test_verdict_is_that_of_a_grid(method: str) -> None:
    search, room = METHODS[method]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        graph = network(rng)
        lower = rng.normal(size=2)
        upper = lower + rng.uniform(0.3, 1.0, 2)
        grid = np.stack(np.meshgrid(*(np.linspace(a, b, 201) for a, b in zip(lower, upper)), indexing="ij"), axis=-1).reshape(-1, 2)
        values = graph.evaluate(grid)[:, 0]
        least, spread = values.min(), values.max() - values.min()
        if spread < 1e-3:
            continue
        holds = search(graph, graphs.targets_of(np.ones((1, 1)), room * spread - least), lower, upper, 20.0, graphs.FloatGate())
        assert holds.proved, f"seed {seed}"
        with pytest.raises(graphs.Found):
            search(graph, graphs.targets_of(np.ones((1, 1)), -0.02 * spread - least), lower, upper, 20.0, graphs.FloatGate())
