from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.ascent import Schedule
from verifier.search import subproblems
from verifier.search.branching.pseudo_costs import Learned, PseudoCosts, gain


def test_gains() -> None:
    """Nothing gained, half of the gap, more than was needed; what is no number stays none."""
    before = np.array([-2.0, -2.0, -2.0, -2.0])
    found = gain(before, np.array([-2.0, -1.0, 5.0, np.nan]))
    np.testing.assert_allclose(np.exp(found[:3]), [0.002, 1.002, 2.002])
    assert np.isnan(found[3])


def test_a_neuron_that_is_misjudged_is_corrected() -> None:
    """Scores of neuron 1 promise ten times what its look-aheads show, splits of neuron 2 a tenth; of neuron 3 nothing is known."""
    costs = PseudoCosts(4)
    for _ in range(50):
        neuron = np.array([[0, 1, 2, -1, 4]])
        costs.looked_ahead([Learned.of(4, neuron, np.log([[1.0, 0.1, 1.0, 1e9, 1e9]]))])
        before, after = np.full(3, -1.0), np.array([-0.5, -0.5, -0.95])
        costs.split(np.array([0, 1, 2]), gain(before, np.full(3, -0.5)), before, after)
    of_scores, of_splits = costs.of_scores, np.exp(costs.of_splits)
    assert of_scores[1] / of_scores[0] == pytest.approx(0.1, rel=0.2) and of_scores[2] == pytest.approx(of_scores[0], rel=0.2)
    assert of_splits[2] / of_splits[0] == pytest.approx(0.1, rel=0.3) and of_splits[1] == pytest.approx(of_splits[0], rel=0.2)
    assert of_scores[3] == pytest.approx(1.0) and of_splits[3] == pytest.approx(1.0)


def test_what_is_no_number_teaches_nothing() -> None:
    costs = PseudoCosts(2)
    costs.looked_ahead([Learned.of(2, np.array([[0, 1]]), np.array([[np.nan, -np.inf]]))])
    costs.split(np.array([0, 1]), np.array([np.nan, 0.0]), np.array([-1.0, -np.inf]), np.array([0.0, 0.0]))
    assert (costs.of_scores == 1.0).all() and (costs.of_splits == 0.0).all()
    assert PseudoCosts(0).of_scores.shape == (0,)


def learned(cores: int) -> np.ndarray:
    """What a few batches teach of scores."""
    graph = graphs.random_dense(np.random.default_rng(7), [3, 9, 9, 1])
    box = -np.ones(3), np.ones(3)
    targets = graphs.targets_of(np.ones((1, 1)), -5.0)
    tree = graphs.tree(graph, graphs.root(graph, graphs.EXACT, *box), targets, *box, graphs.EXACT, graphs.EXACT)
    splits = graphs.start_splits(tree)
    with graphs.Workers(cores) as workers:
        for _ in range(4):
            ctx, effort = graphs.context(60.0, graphs.NoGate(), workers), subproblems.Effort(4, Schedule(3))
            splits = subproblems.advance(tree, splits, effort, ctx).open.children()
    return tree.costs.of_scores


def test_a_search_learns_the_same_on_any_number_of_cores() -> None:
    alone = learned(1)
    assert alone.std() > 0.0
    np.testing.assert_allclose(alone, learned(3), rtol=1e-9)
