"""Networks that stand for formulas: what the search decides is what trying all assignments says, in trees as small as those of a solver
that propagates units."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from tests.search import formulas
from verifier.bounds.ascent import Schedule
from verifier.search.subproblems import Effort, advance
from verifier.search.tree import Tree


def box(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(n), np.ones(n)


def made(clauses: formulas.Clauses, n: int) -> Tree:
    graph = formulas.network(clauses, n)
    return graphs.tree(graph, graphs.root(graph, graphs.EXACT, *box(n)), formulas.targets(), *box(n), clips=True)


def test_the_network_is_the_formula() -> None:
    clauses = [[1, -2, 3], [-1, 2], [-3]]
    graph, targets = formulas.network(clauses, 3), formulas.targets()
    for bits in range(8):
        x = np.array([[bits >> i & 1 for i in range(3)]], float)
        violated = sum(all((x[0, abs(v) - 1] == 1) != (v > 0) for v in clause) for clause in clauses)
        assert graph.evaluate(x).tolist() == [[1.0 - violated, 0.0]]
        assert (targets.margins(x, graph.evaluate(x), np.zeros(1, np.int64)) <= 0) == (violated == 0)
    assert graph.evaluate(np.array([[0.25, 1.0, 0.0]]))[0, 1] == 0.25
    assert formulas.satisfying(clauses, 3) is not None and formulas.satisfying([*clauses, [1], [-2]], 3) is None


@pytest.mark.parametrize("seed", range(24))
def test_the_search_decides_as_trying_all_assignments_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 13))
    clauses = formulas.random_clauses(rng, n, int(rng.uniform(3.0, 7.0) * n))
    graph, expected = formulas.network(clauses, n), formulas.satisfying(clauses, n)
    try:
        proved = graphs.search_neurons(graph, formulas.targets(), *box(n), seconds=30.0, gate=graphs.FloatGate()).proved
    except graphs.Found as found:
        x, proved = np.round(found.args[0][None]), False  # polished in float32
        assert formulas.targets().margins(x, graph.evaluate(x), np.zeros(1, np.int64)) == 0
    assert proved == (expected is None), f"seed {seed}: {clauses}"


@pytest.mark.parametrize("device", graphs.DEVICES)
def test_the_same_in_torch(device: str) -> None:
    rng = np.random.default_rng(1)
    clauses = formulas.random_clauses(rng, 8, 48)
    while formulas.satisfying(clauses, 8) is not None:
        clauses += formulas.random_clauses(rng, 8, 4)
    assert graphs.search_neurons(formulas.network(clauses, 8), formulas.targets(), *box(8), backend="torch", device=device).proved


def test_units_are_propagated_to_the_end() -> None:
    """x_1, and each implies the next: the root settles all, and a contradiction at the end of the chain closes it."""
    n = 7
    chain = [[1], *([-i, i + 1] for i in range(1, n))]
    for clauses, closed in ((chain, False), ([*chain, [-n]], True)):
        tree = made(clauses, n)
        step = advance(tree, graphs.start_splits(tree), Effort(3, Schedule(3)), graphs.context(10.0))
        assert (len(step.open) == 0) == closed
        assert (step.open.below[:, -n:] > 1.0 - 1e-9).all()


def test_trees_stay_small() -> None:
    """Of ten unsatisfiable formulas of 16 variables: 422 subproblems in all, 824 where propagation does not choose the splits, more than
    10,000 each without any."""
    rng, counts = np.random.default_rng(3), list[int]()
    while len(counts) < 10:
        clauses = formulas.random_clauses(rng, 16, 80)
        if formulas.satisfying(clauses, 16) is None:
            outcome = graphs.search_neurons(formulas.network(clauses, 16), formulas.targets(), *box(16), seconds=30.0)
            assert outcome.proved
            counts.append(outcome.subproblems)
    assert sum(counts) < 600, counts
