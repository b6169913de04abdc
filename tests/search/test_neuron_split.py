from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.parallel import Late, Workers
from verifier.search import neuron_split
from verifier.search.frontier import Frontier


def query(seed: int) -> tuple[Graph, Targets, np.ndarray, np.ndarray]:
    """Two disjuncts, of which seeds 2, 5, ... violate the second."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 6, 6, 2])
    lower, upper, rows = -np.ones(3), np.ones(3), rng.normal(size=(2, 2))
    values = graph.evaluate(graphs.box_points(rng, lower, upper, 20_000)) @ rows.T
    constant = np.array([0.3, -0.3 if seed % 3 == 2 else 0.3]) - values.min(axis=0)
    return graph, Targets(rows[:, None], None, constant[:, None], np.zeros((2, 1), bool)), lower, upper


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_verdicts_do_not_depend_on_cores(seed: int, cores: int) -> None:
    """Small shares, so that cores are at work in every search."""
    violated = seed % 3 == 2
    with patch.object(neuron_split, "_FIRST", 4):
        if violated:
            with pytest.raises(graphs.Found):
                graphs.search_neurons(*query(seed), seconds=30.0, gate=graphs.FloatGate(), threads=cores, batch=8)
        else:
            outcome = graphs.search_neurons(*query(seed), seconds=30.0, gate=graphs.FloatGate(), threads=cores, batch=8)
            assert outcome.proved and outcome.proved_share == pytest.approx(1.0)


def test_what_cores_do_not_finish_in_time_stays_open() -> None:
    """Every second exchange comes too late: nothing of it is taken for done, and the shares are worked on again."""
    exchanges, original = [0, 0], Workers.map

    def late(self: Workers, function: object, items: list[object]) -> list[object]:
        if "_explored" in getattr(function, "__qualname__", ""):
            exchanges[0] += 1
            if exchanges[0] % 2:
                exchanges[1] += 1
                raise Late
        return original(self, function, items)  # type: ignore[arg-type]

    with patch.object(neuron_split, "_FIRST", 4), patch.object(Workers, "map", late):
        for seed in (0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19):
            outcome = graphs.search_neurons(*query(seed), seconds=30.0, threads=2, batch=8)
            assert outcome.proved and outcome.proved_share == pytest.approx(1.0)
    assert exchanges[1] > 2


def test_what_is_needed() -> None:
    """Splits that gain a on both sides make trees of 2^(gap / a); one that is stuck gains half of what all do on average, where a split is
    missing nothing is known."""
    graph, targets, lower, upper = query(0)
    tree = graphs.tree(graph, graphs.root(graph, graphs.EXACT, lower, upper), targets, lower, upper)
    start = tree.start(np.zeros(5, np.int64), np.full(5, -1.0), tree.initial())
    even = np.full((5, 4, 2), 0.5)
    stuck, unknown = even.copy(), even.copy()
    stuck[0], unknown[0, 0] = 0.0, np.nan
    for gains, expected in (
        (even, 5 * 2.0**2),
        (stuck, 2.0 ** (1 / 0.2) + 4 * 2.0 ** (1 / 0.45)),
        (unknown, 4 * 2.0**2),
        (np.full_like(even, np.nan), 0.0),
    ):
        search = SimpleNamespace(frontier=Frontier(replace(start, gains=gains)))
        assert neuron_split.Search.needed(search) == pytest.approx(expected)  # type: ignore[arg-type]
