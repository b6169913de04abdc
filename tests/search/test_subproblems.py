from __future__ import annotations

import numpy as np

from tests import graphs
from verifier.bounds.ascent import Schedule
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort, advance, bound
from verifier.search.tree import Tree


def started(seed: int) -> tuple[Tree, Splits]:
    """A tree where all loose neurons have multipliers, and subproblems of the third split."""
    graph, ctx = graphs.random_dense(np.random.default_rng(seed), [4, 10, 10, 10, 2]), graphs.context(20.0)
    lower, upper, row = -np.ones(4), np.ones(4), np.random.default_rng(seed).normal(size=(1, 2))
    values = graph.evaluate(graphs.box_points(np.random.default_rng(1), lower, upper, 2000)) @ row[0]
    root = graphs.replace(graphs.root(graph, graphs.EXACT, lower, upper), constrained=True)
    tree = graphs.tree(graph, root, graphs.targets_of(row, 0.3 - values.min()), lower, upper)
    splits = advance(tree, graphs.start_splits(tree), Effort(4, Schedule(3)), ctx).open
    for _ in range(2):
        splits = advance(tree, splits.children(), Effort(4, Schedule(3)), ctx).open
    return tree, splits.children()


def test_a_finish_closes_more_and_leads_nowhere() -> None:
    """What is closed without one stays so; bounds and dual variables that the next split is chosen by, and that it starts from, too."""
    more = 0
    for seed in range(6):
        tree, splits = started(seed)
        ctx, effort = graphs.context(20.0), Effort(4, Schedule(3))
        plain = bound(tree, splits, effort, ctx)
        finished = bound(tree, splits, Effort(4, Schedule(3), Schedule(20, multiplier_step=0.02)), ctx)
        assert (finished.closed >= plain.closed).all()
        more += int(finished.closed.sum() - plain.closed.sum())
        np.testing.assert_array_equal(finished.bounds, plain.bounds)
        np.testing.assert_array_equal(finished.splits.bound, plain.splits.bound)
        np.testing.assert_array_equal(finished.splits.multiplier, plain.splits.multiplier)
        assert all((finished.splits.slopes[n] == a).all() for n, a in plain.splits.slopes.items())
        assert all((finished.dual.q[n] == a).all() for n, a in plain.dual.q.items())
    assert more > 0
