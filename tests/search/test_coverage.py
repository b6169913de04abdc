"""No counterexample is ever lost: after every batch each known one lies in some open subproblem, with its splits, clips and cuts."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.search import halving, neuron_split
from verifier.search.boxes import Boxes
from verifier.search.frontier import Frontier
from verifier.search.outcome import Progress
from verifier.search.splits import Splits
from verifier.search.tree import Tree


class Watch:
    """Looks at the frontier after every batch. x (k, n): points that violate; flat (k, total): their pre-activations."""

    def __init__(self, graph: graphs.Graph, lower: np.ndarray, upper: np.ndarray, x: np.ndarray, tolerance: float):
        self.graph, self.lower, self.upper, self.x, self.tolerance = graph, lower, upper, x, tolerance
        values = graphs.flat_values(graph, x)
        self.flat = np.concatenate([np.zeros((len(x), 0)), *(values[p] for p in graph.preactivations)], axis=1)
        self.frontier: Frontier | None = None
        self.tree: Tree | None = None
        self.batches = 0

    def inside(self, block: Boxes | Splits) -> np.ndarray:
        """(k, B): point in subproblem."""
        if isinstance(block, Boxes):
            low, high = np.concatenate([block.below, block.lower], axis=1), np.concatenate([block.above, block.upper], axis=1)
            cut = np.einsum("bpn,kn->kbp", block.cuts[:, :, :-1], self.x) + block.cuts[:, :, -1]
            allowed = (cut <= self.tolerance).all(axis=2)
        else:
            assert self.tree is not None
            low, high = self.tree.enclosures(block)
            allowed = True
        point = np.concatenate([self.flat, self.x], axis=1)[:, None]
        if self.tree is not None:
            point = point[:, :, self.tree.network.kept]
        return ((point >= low - self.tolerance) & (point <= high + self.tolerance)).all(axis=2) & allowed

    def check(self) -> None:
        assert self.frontier is not None
        self.batches += 1
        found = np.zeros(len(self.x), bool)
        for block in self.frontier._blocks:
            found |= self.inside(block).any(axis=1)
        assert found.all(), f"batch {self.batches}: lost {self.x[~found][:3]}"


def watched(method: str, seed: int) -> int:
    """Batches that were watched. Boxes are never stuck so early, and nothing is confirmed, so the frontier has to cover all violations."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng, int(rng.integers(4, 12)))
    lower, upper = graphs.random_box(rng, graph.input_size)
    if (upper - lower).max() < 1e-3:
        return 0
    x = graphs.box_points(rng, lower, upper, 300)
    rows = rng.normal(size=(2, graph.output_size))
    with_inputs = rng.normal(size=(2, graph.input_size)) * float(rng.random() < 0.5)
    values = graph.evaluate(x) @ rows.T + x @ with_inputs.T
    constant = -np.quantile(values, 0.15, axis=0)
    violating = x[(values + constant <= -1e-7 * (1 + np.abs(values).max())).all(axis=1)]
    if not len(violating):
        return 0
    watch = Watch(graph, lower, upper, violating, 1e-9 * graphs.magnitude(graphs.flat_values(graph, x)))
    create, begin = Frontier.__init__, neuron_split.Search.__post_init__

    def created(self: Frontier, start: Boxes | Splits) -> None:
        create(self, start)
        if method == "inputs" and watch.frontier is None:  # those of parts of the search come later
            watch.frontier = self

    def begun(self: neuron_split.Search) -> None:
        begin(self)
        watch.tree, watch.frontier = self.tree, self.frontier

    targets = graphs.targets_of(rows, constant, inputs=with_inputs if with_inputs.any() else None)
    run = graphs.search_inputs if method == "inputs" else graphs.search_neurons
    with (
        patch.object(Frontier, "__init__", created),
        patch.object(neuron_split.Search, "__post_init__", begun),
        patch.object(Progress, "batch", lambda *args, **options: watch.check()),
    ):
        outcome = run(graph, targets, lower, upper, ctx=graphs.ticking(60 if method == "inputs" else 200), batch=16)
    assert not outcome.proved
    return watch.batches


@pytest.mark.parametrize("method", ["inputs", "neurons", "narrowed neurons"])
def test_no_counterexample_is_lost(method: str) -> None:
    # Few unstable neurons switch the input split to neurons: then as well.
    with patch.object(halving, "_FEW", 6), graphs.narrowing(method == "narrowed neurons"):
        batches = [watched(method, seed) for seed in range(25)]
    assert sum(batches) > (30 if method == "narrowed neurons" else 60)  # narrowing looks at the clock more often
