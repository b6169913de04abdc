"""Own enclosures of subproblems: no counterexample is outside of them (see test_coverage as well), and they say more than the root's."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.ascent import Schedule
from verifier.bounds.targets import Targets
from verifier.search import tree as trees
from verifier.search.subproblems import Effort, advance
from verifier.search.tree import Tree


def made(seed: int, clips: bool, sizes: tuple[int, ...] = (4, 12, 2)) -> tuple[Tree, np.ndarray]:
    """A tree for two rows that must hold together, and counterexamples (k, n): a twentieth of the points."""
    rng = np.random.default_rng(seed)
    graph, lower, upper = graphs.random_dense(rng, list(sizes)), -np.ones(sizes[0]), np.ones(sizes[0])
    x, rows = graphs.box_points(rng, lower, upper, 4000), rng.normal(size=(2, sizes[-1]))
    values = graph.evaluate(x) @ rows.T
    constant = -np.quantile(values.max(axis=1), 0.05) - 1e-3
    targets = Targets(rows[None], None, np.full((1, 2), constant), np.zeros((1, 2), bool))
    root = graphs.root(graph, graphs.EXACT, lower, upper)
    violating = x[values.max(axis=1) + constant < -1e-9]
    return graphs.tree(graph, root, targets, lower, upper, clips=clips), violating


@pytest.mark.parametrize("sizes", [(4, 12, 2), (3, 12, 10, 3)])
@pytest.mark.parametrize("seed", range(12))
def test_counterexamples_are_inside(seed: int, sizes: tuple[int, ...]) -> None:
    tree, x = made(seed, True, sizes)
    values = graphs.flat_values(tree.graph, x)
    point = np.concatenate([*(values[p] for p in tree.graph.preactivations), x], axis=1)[:, None]
    splits = graphs.start_splits(tree)
    for _ in range(6):
        step = advance(tree, splits, Effort(3, Schedule(5)), graphs.context(10.0))
        low, high = tree.enclosures(step.open)
        inside = ((point >= low - 1e-12) & (point <= high + 1e-12)).all(axis=2)
        assert inside.any(axis=1).all(), f"seed {seed}"
        assert (step.open.above <= tree.above).all() and (step.open.below >= tree.below).all()
        splits = step.open.select(step.open.choice >= 0).children()


def test_neurons_are_settled_by_what_is_left_of_the_box() -> None:
    fewer = 0
    for seed in range(12):
        counts = []
        for clips in (True, False):
            tree, _ = made(seed, clips)
            splits, unstable = graphs.start_splits(tree), 0.0
            for _ in range(5):
                step = advance(tree, splits, Effort(3, Schedule(5)), graphs.context(10.0))
                unstable, splits = step.unstable, step.open.select(step.open.choice >= 0).children()
            counts.append(unstable)
        fewer += counts[0] < counts[1]
    assert fewer >= 8


def test_large_subproblems_and_those_that_ask_for_no_counterexample_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made(0, True)[0].clips and not made(0, False)[0].clips
    monkeypatch.setattr(trees, "_OWN", 15)
    assert not made(0, True)[0].clips and made(0, True, (4, 8, 2))[0].clips
    monkeypatch.setattr(trees, "_CLIPPED", 3)
    splits = graphs.start_splits(made(0, True, (4, 8, 2))[0])
    assert splits.below.shape == splits.above.shape == (1, 0)
