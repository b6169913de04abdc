"""Both searches on networks of all functions of one value, against a dense grid."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.search.forms import search_forms
from verifier.graph.ir import Graph
from verifier.operators.base import Elementwise

METHODS = {"inputs": (graphs.search_inputs, 0.04), "forms": (search_forms, 0.04), "neurons": (graphs.search_neurons, 0.25)}


def network(rng: np.random.Generator, operator: Elementwise) -> Graph:
    b = graphs.Builder(2)
    x = b.apply_within(operator, b.linear(0, rng.normal(size=(2, 3)) * 2.0, rng.normal(size=3)))
    b.linear(b.relu(b.linear(x, rng.normal(size=(3, 3)))), rng.normal(size=(3, 1)))
    return b.graph()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", graphs.CURVED, ids=lambda op: type(op).__name__)
def test_verdict_is_that_of_a_grid(method: str, operator: Elementwise) -> None:
    search, room = METHODS[method]
    for seed in range(2):
        rng = np.random.default_rng(seed)
        graph = network(rng, operator)
        lower = rng.normal(size=2)
        upper = lower + rng.uniform(0.2, 0.6, 2)
        grid = np.stack(np.meshgrid(*(np.linspace(a, b, 201) for a, b in zip(lower, upper)), indexing="ij"), axis=-1).reshape(-1, 2)
        values = graph.evaluate(grid)[:, 0]
        least, spread = values.min(), values.max() - values.min()
        if spread < 1e-3:
            continue
        holds = search(graph, graphs.targets_of(np.ones((1, 1)), room * spread - least), lower, upper, 20.0, graphs.FloatGate())
        assert holds.proved, f"seed {seed}"
        with pytest.raises(graphs.Found):
            search(graph, graphs.targets_of(np.ones((1, 1)), -0.02 * spread - least), lower, upper, 20.0, graphs.FloatGate())
