from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.ascent import Schedule
from verifier.operators.base import Elementwise
from verifier.search import subproblems
from verifier.search.exploration import Exploration, Explored
from verifier.search.outcome import Context
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort, advance
from verifier.search.tree import Tree


def started(seed: int, ctx: Context, operator: Elementwise | None = None) -> tuple[Tree, Splits]:
    """A tree and what is open of it after the root."""
    graph = graphs.random_dense(np.random.default_rng(seed), [3, 8, 8, 2], operator)
    lower, upper = -np.ones(3), np.ones(3)
    rows = np.random.default_rng(seed).normal(size=(1, 2))
    values = graph.evaluate(graphs.box_points(np.random.default_rng(1), lower, upper, 2000)) @ rows[0]
    tree = graphs.tree(graph, graphs.root(graph, graphs.EXACT, lower, upper), graphs.targets_of(rows, 0.05 - values.min()), lower, upper)
    return tree, advance(tree, graphs.start_splits(tree), Effort(4, Schedule(5)), ctx).open


def weight(depths: np.ndarray) -> float:
    return float(np.sum(0.5 ** depths.astype(float)))


def accounted(found: Explored) -> float:
    return weight(found.closed) + sum(weight(block.depth) for block in found.open) + weight(found.due.depth)


@pytest.mark.parametrize("budget", [1, 8, 60, 100_000])
@pytest.mark.parametrize("seed", range(5))
def test_every_subproblem_is_accounted_for(seed: int, budget: int) -> None:
    """What is closed, open or due covers what was given, whenever the exploration ends."""
    ctx = graphs.context(20.0)
    tree, share = started(seed, ctx)
    nothing_due = Exploration(tree, Effort(4, Schedule(5)), 4, ctx, lambda s: np.zeros(len(s), bool))
    found = nothing_due.run(share, budget, 20.0)
    assert accounted(found) == pytest.approx(weight(share.depth)) and not len(found.stuck)
    assert found.bounded >= min(budget, 2) and (budget < 100_000 or not found.open or found.points.margins.min() <= 0)
    some_due = replace(nothing_due, due=lambda s: s.depth % 3 == 2)
    found = some_due.run(share, budget, 20.0)
    assert accounted(found) == pytest.approx(weight(share.depth))
    assert (found.due.depth % 3 == 2).all() and (budget < 60 or len(found.due) or found.points.margins.min() <= 0)


def test_the_tree_that_is_explored_stays_as_it_is() -> None:
    """A core's learning is its own until it is added."""
    ctx = graphs.context(20.0)
    tree, share = started(0, ctx)
    before = tree.costs.of_scores, tree.costs.of_splits
    found = Exploration(tree, Effort(4, Schedule(5)), 4, ctx, lambda s: np.zeros(len(s), bool)).run(share, 100, 20.0)
    assert all((a == b).all() for a, b in zip(before, (tree.costs.of_scores, tree.costs.of_splits)))
    tree.costs.add([found.learned])
    assert (tree.costs.of_splits != before[1]).any()


def test_a_point_that_seems_to_be_a_counterexample_ends_it() -> None:
    ctx = graphs.context(20.0)
    tree, share = started(1, ctx)
    violated = replace(tree, targets=replace(tree.targets, constant=tree.targets.constant - 0.2))
    found = Exploration(violated, Effort(4, Schedule(5)), 4, ctx, lambda s: np.zeros(len(s), bool)).run(share, 100_000, 20.0)
    assert found.points.margins.min() <= 0 and found.steps <= 3
    assert accounted(found) == pytest.approx(weight(share.depth))


def test_a_batch_that_does_not_fit_the_memory_is_bounded_in_parts() -> None:
    """Nothing is lost, and nothing else comes out."""
    ctx = graphs.context(20.0)
    tree, share = started(2, ctx)
    children = share.children()
    for _ in range(3):
        children = advance(tree, children, Effort(1, Schedule(5)), ctx).open.children()
    whole, original = advance(tree, children, Effort(1, Schedule(5)), ctx), subproblems.bound

    def small(tree: Tree, splits: Splits, schedule: Schedule, context: Context) -> subproblems.Bounded:
        if len(splits) > 3:
            raise MemoryError
        return original(tree, splits, schedule, context)

    with patch.object(subproblems, "bound", small):
        parts = advance(tree, children, Effort(1, Schedule(5)), ctx)
    assert len(children) > 6 and (whole.closed == parts.closed).all()
    np.testing.assert_allclose(whole.open.bound, parts.open.bound, rtol=1e-6)
