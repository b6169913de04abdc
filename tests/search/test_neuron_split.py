from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.parallel import Late, Workers
from verifier.search import neuron_split


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


def test_what_a_core_does_not_finish_in_time_stays_open() -> None:
    """The third exchange comes too late: nothing of it counts as closed."""
    calls, original = [0], Workers.map

    def late(self: Workers, function: object, items: object) -> list[object]:
        calls[0] += 1
        if calls[0] == 3:
            raise Late
        return original(self, function, items)  # type: ignore[arg-type]

    shares: list[float] = []
    account = neuron_split.Search.late
    ended = lambda self: (shares.append(self.progress.share + open_weight(self)), account(self))[1]  # noqa: E731
    ctx = graphs.context(2.0, workers=Workers(2))
    with patch.object(neuron_split, "_FIRST", 4), patch.object(Workers, "map", late), patch.object(neuron_split.Search, "late", ended):
        clock = iter([*[0.0] * 60, *[9.0] * 10_000])
        outcome = graphs.search_neurons(*query(0), ctx=replace(ctx, clock=lambda: next(clock)), threads=2, batch=8)
    assert not outcome.proved and outcome.witness is None
    assert shares == [pytest.approx(1.0)] * len(shares)


def open_weight(search: neuron_split.Search) -> float:
    return float(sum((0.5 ** block.depth.astype(float)).sum() for block in search.frontier)) / search.progress.total_weight
