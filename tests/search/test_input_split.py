from __future__ import annotations

import warnings
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.attack.witness import Witness
from verifier.search.attack_rounds import AttackRounds
from verifier.search.outcome import Outcome


def test_a_box_whose_half_has_no_bound_is_not_dropped() -> None:
    """y = 1e200 relu(1e200 (1e-300 x)): its coefficients overflow where the neuron is active, so one half of disjunct 0 has the bound NaN.
    Disjunct 0 (y - 0.5 <= 0) is violated at all x <= 0; disjunct 1 (1e90 (|x| + 0.1) <= 0) needs one split and waits beside it."""
    b = graphs.Builder(2)
    y = b.linear(b.relu(b.linear(b.linear(0, [[1e-300], [0.0]]), [[1e200]])), [[1e200]], [0.0])
    absolute = b.linear(b.relu(b.linear(0, [[1.0, -1.0], [0.0, 0.0]], [0.0, 0.0])), [[1.0], [1.0]], [0.0])
    b.concat(y, absolute)
    graph = b.graph()
    targets = graphs.Targets(np.diag([1.0, 1e90])[:, None], None, np.array([[-0.5], [0.1e90]]), np.zeros((2, 1), bool))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        outcome = graphs.search_inputs(graph, targets, np.array([-1.1, 0.0]), np.array([1.0, 0.0]), seconds=1.0)
    assert not outcome.proved


@pytest.mark.parametrize("search", [graphs.search_inputs, graphs.search_neurons])
def test_a_box_that_cannot_be_halved_is_left_undecided(search: Callable[..., Outcome]) -> None:
    """One float wide, and no row decides: exhausted, not proved."""
    graph = graphs.dense([np.array([[1.0, -1.0]]), np.ones((2, 1))], [np.zeros(2), np.zeros(1)])
    lower = np.array([1.0])
    outcome = search(graph, graphs.targets_of(np.ones((1, 1)), -1.0), lower, np.nextafter(lower, 2.0), seconds=1.0)
    assert not outcome.proved and outcome.exhausted and outcome.witness is None


def test_equality_is_a_violation() -> None:
    """y >= 0 with equality at the corner: a row <= 0 is met there, a strict row is not."""
    graph = graphs.dense([np.eye(2)], [np.zeros(2)])
    for strict, searched in (
        (False, graphs.search_inputs),
        (True, graphs.search_inputs),
        (False, graphs.search_neurons),
        (True, graphs.search_neurons),
    ):
        outcome = searched(graph, graphs.targets_of(np.array([[1.0, 1.0]]), strict=strict), np.zeros(2), np.ones(2), seconds=0.3)
        assert not outcome.proved or strict


def test_networks_without_nonlinear_nodes() -> None:
    graph = graphs.random_dense(np.random.default_rng(0), [3, 2])
    rows = np.array([[1.0, -1.0]])
    least = float(
        (
            graphs.row_bounds(
                graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, -np.ones(3), np.ones(3)), {1: rows}, -np.ones(3), np.ones(3)
            )
        ).lower[0]
    )
    assert graphs.search_inputs(graph, graphs.targets_of(rows, -least + 1e-6), -np.ones(3), np.ones(3)).proved
    assert not graphs.search_inputs(graph, graphs.targets_of(rows, -least - 1e-6), -np.ones(3), np.ones(3), seconds=0.2).proved


def test_outputs_that_do_not_depend_on_the_input() -> None:
    b = graphs.Builder(2)
    b.relu(b.linear(0, np.zeros((2, 1)), [0.75]))
    graph = b.graph()
    for searched in (graphs.search_inputs, graphs.search_neurons):
        assert searched(graph, graphs.targets_of(np.ones((1, 1)), -0.7), -np.ones(2), np.ones(2)).proved
        assert not searched(graph, graphs.targets_of(np.ones((1, 1)), -0.8), -np.ones(2), np.ones(2), seconds=0.2).proved


def test_a_witness_found_beside_a_closed_batch() -> None:
    """The attack of whole boxes may succeed right after a batch of which nothing is left open."""
    graph = graphs.random_dense(np.random.default_rng(0), [2, 3, 1])
    witness = Witness(np.zeros(2), np.zeros(1), 0, "exact")
    rounds = iter([None])  # the one before the search
    with patch.object(AttackRounds, "run_if_due", lambda self: next(rounds, witness)):
        outcome = graphs.search_inputs(graph, graphs.targets_of(np.ones((1, 1)), 1e6), -np.ones(2), np.ones(2))
    assert outcome.witness is witness and not outcome.proved


def test_boxes_that_were_popped_too_late_stay_open() -> None:
    """The clock runs out while they are bounded: what is reported is as bad as the worst of them."""
    rng = np.random.default_rng(2)
    graph = graphs.random_dense(rng, [3, 8, 8, 1])
    lowest = float(graph.evaluate(graphs.box_points(rng, -np.ones(3), np.ones(3), 2000)).min())
    for looks in range(2, 40):
        outcome = graphs.search_inputs(
            graph, graphs.targets_of(np.ones((1, 1)), 1e-3 - lowest), -np.ones(3), np.ones(3), ctx=graphs.ticking(looks)
        )
        assert outcome.proved or outcome.open_bound <= 2e-3, f"{looks} looks: {outcome}"


@pytest.mark.parametrize("cores", [1, 3])
def test_boxes_with_a_violation_stay_open_wherever_the_clock_runs_out(cores: int) -> None:
    """All boxes are popped at once, or shared out among cores; nothing is confirmed, so there is no proof, however often they change
    hands."""
    rng = np.random.default_rng(5)
    graph = graphs.random_dense(rng, [3, 8, 8, 1])
    lowest = float(graph.evaluate(graphs.box_points(rng, -np.ones(3), np.ones(3), 2000)).min())
    targets = graphs.targets_of(np.ones((1, 1)), -1e-2 - lowest)
    with graphs.Workers(cores) as workers:
        for batch, looks in ((100_000, range(2, 60, 8)), (12, (300, 800))):
            for count in looks:
                ctx = graphs.replace(graphs.ticking(count), workers=workers)
                outcome = graphs.search_inputs(graph, targets, -np.ones(3), np.ones(3), ctx=ctx, batch=batch)
                assert not outcome.proved and outcome.open_bound <= 0.0, f"batch {batch}, {count} looks: {outcome}"


def test_a_proof_takes_all_steps_wherever_the_clock_runs_out() -> None:
    """No step finds a counterexample, so a part of the search takes several, and the clock runs out within any of them."""
    rng = np.random.default_rng(5)
    graph = graphs.random_dense(rng, [3, 8, 8, 1])
    lowest = float(graph.evaluate(graphs.box_points(rng, -np.ones(3), np.ones(3), 2000)).min())
    targets = graphs.targets_of(np.ones((1, 1)), 0.1 - lowest)
    whole = graphs.search_inputs(graph, targets, -np.ones(3), np.ones(3), batch=100_000)
    assert whole.proved and whole.subproblems > 20
    for looks in range(2, 60):
        outcome = graphs.search_inputs(graph, targets, -np.ones(3), np.ones(3), ctx=graphs.ticking(looks), batch=100_000)
        assert not outcome.proved or outcome.subproblems == whole.subproblems, f"{looks} looks: {outcome}"
