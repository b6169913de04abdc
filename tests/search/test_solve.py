"""`solve` as a whole: disjuncts and boxes together, and clocks that run out anywhere."""

from __future__ import annotations

import os
import signal
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.search import milp
from tests.search.test_exactness import query
from verifier.attack.witness import Witness
from verifier.bounds.recorded import Recorder
from verifier.bounds.targets import Targets
from verifier.config import Settings
from verifier.graph.ir import Graph
from verifier.operators.power import Power
from verifier.search import box_search
from verifier.search.attack_rounds import AttackRounds
from verifier.search.box_search import Searched
from verifier.search.outcome import Outcome
from verifier.search.query import Query
from verifier.search.solve import solve

METHODS = {"inputs": graphs.search_inputs, "neurons": graphs.search_neurons}


def padded(rows: list[np.ndarray], constants: list[np.ndarray]) -> Targets:
    """Disjuncts of different numbers of rows."""
    longest = max(map(len, rows))
    pick = [np.where(np.arange(longest) < len(r), np.arange(longest), 0) for r in rows]
    outputs, constant = (np.stack([p[i] for p, i in zip(parts, pick)]) for parts in (rows, constants))
    return Targets(outputs, None, constant, np.zeros(constant.shape, bool))


@pytest.mark.parametrize("method", METHODS)
def test_every_disjunct_has_to_be_closed(method: str) -> None:
    """Three disjuncts with boxes and rows of their own, two of the boxes equal: proved where all hold, open where any does not."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        graph = graphs.random_dense(rng, [2, 4, 4, 2])
        lower = rng.normal(size=(3, 2))
        lower[1] = lower[0]
        upper = lower + np.array([[0.7], [0.7], [1.2]])
        rows = [rng.normal(size=(k, 2)) for k in (1, 2, 1)]
        least = [milp.least(graph, lo, hi, r, np.zeros(len(r)))[0] for lo, hi, r in zip(lower, upper, rows)]
        single = [max(milp.least(graph, lo, hi, r[None], np.zeros(1))[0] for r in part) for lo, hi, part in zip(lower, upper, rows)]
        # By single rows: what a conjunction alone could refute is left out of the proof obligation.
        hold = [np.full(len(r), 0.05 - s) for r, s in zip(rows, single)]
        assert METHODS[method](graph, padded(rows, hold), lower, upper, seconds=60.0).proved, f"seed {seed}"
        for broken in range(3):
            constants = [np.full(len(r), -v - 1e-3) if k == broken else h for k, (r, v, h) in enumerate(zip(rows, least, hold))]
            assert not METHODS[method](graph, padded(rows, constants), lower, upper, seconds=0.08).proved, (
                f"seed {seed}: disjunct {broken} is violated"
            )


@pytest.mark.parametrize("method", METHODS)
def test_a_deadline_anywhere_proves_nothing_wrong(method: str) -> None:
    """A violated query and a clock that runs out after k looks: bounds left half-way are no proof."""
    for seed in range(300, 304):
        graph, lower, upper, rows, value, _ = query(seed)
        for k in (0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30, 50):
            outcome = METHODS[method](graph, graphs.targets_of(rows, -value - 1e-2), lower, upper, ctx=graphs.ticking(k))
            assert not outcome.proved and outcome.witness is None, f"seed {seed}, {k} looks"


@pytest.mark.parametrize("method", METHODS)
def test_a_deadline_does_not_change_what_was_proved(method: str) -> None:
    """With enough looks a provable query is proved; with fewer it is undecided; never the other way round."""
    graph, lower, upper, rows, value, _ = query(304)
    proved = [
        METHODS[method](graph, graphs.targets_of(rows, -value + 0.1), lower, upper, ctx=graphs.ticking(k)).proved for k in (0, 3, 10, 10**9)
    ]
    assert proved[-1] and not proved[0]


@pytest.mark.parametrize("method", METHODS)
def test_smooth_networks(method: str) -> None:
    """Sigmoid and Tanh: the threshold is set by the best of many points; beyond it there is a violation."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        graph = graphs.random_dense(rng, [2, 4, 3, 1], graphs.SMOOTH[seed % 2])
        lower, upper = -np.ones(2), np.ones(2)
        x = graphs.box_points(rng, lower, upper, 3000)
        best = float(graph.evaluate(x).min())
        assert not METHODS[method](graph, graphs.targets_of(np.ones((1, 1)), -best - 1e-6), lower, upper, seconds=0.2).proved
        assert METHODS[method](graph, graphs.targets_of(np.ones((1, 1)), -best + 0.1), lower, upper, seconds=60.0).proved


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("where", ["numpy", *graphs.DEVICES])
@pytest.mark.parametrize("threads", [1, 3])
def test_backends_and_threads(method: str, where: str, threads: int) -> None:
    for seed in (305, 306):
        graph, lower, upper, rows, value, _ = query(seed)
        options: dict[str, Any] = {"backend": "numpy"} if where == "numpy" else {"backend": "torch", "device": where}
        options |= {"threads": threads, "batch": 7}
        assert METHODS[method](
            graph, graphs.targets_of(rows[:1], -least_of(graph, lower, upper, rows[:1]) + 0.05), lower, upper, **options
        ).proved
        assert not METHODS[method](graph, graphs.targets_of(rows, -value - 1e-3), lower, upper, seconds=0.3, **options).proved


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_recorded_ascents(backend: Literal["numpy", "torch"], monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device where starting operations takes their time: batches are filled up, and what is proved is what is true."""
    made: list[int] = []
    monkeypatch.setattr(Recorder, "on", lambda arrays: Recorder(graphs.eager_record(made)))
    for seed in (305, 306):
        graph, lower, upper, rows, value, _ = query(seed)
        least = least_of(graph, lower, upper, rows[:1])
        for margin, proved in ((0.05, True), (-1e-3, False)):
            targets, seconds = graphs.targets_of(rows[:1], -least + margin), 20.0 if proved else 0.3
            assert graphs.search_neurons(graph, targets, lower, upper, seconds, backend=backend).proved is proved
    assert made


def least_of(graph: Graph, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray) -> float:
    return milp.least(graph, lower, upper, rows, np.zeros(len(rows)))[0]


def test_a_fault_in_a_worker_is_raised() -> None:
    """A chunk that fails must not look like a chunk without open subproblems."""
    for at in range(4):
        with graphs.Workers(2) as workers, pytest.raises(ZeroDivisionError):
            workers.map(lambda i, at=at: 1 // (i - at), range(4))


def test_a_worker_that_dies_loses_nothing() -> None:
    """Killed by the system before or while it answers: every item is still there once, in order."""
    parent = os.getpid()

    def work(item: int) -> np.ndarray:
        if os.getpid() != parent and item % 3 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full(50_000, item)

    with graphs.Workers(3) as workers:
        assert [int(r[0]) for r in workers.map(work, range(10))] == list(range(10))


def test_a_tree_without_time_left_is_a_timeout_whatever_became_of_the_others() -> None:
    """Two boxes: one tree is stuck, the other ran out of time. More time may have decided the second."""
    stuck, late, done = (Outcome(proved, None, 1, 0.0, 0.5, exhausted=exhausted) for proved, exhausted in ((0, 1), (0, 0), (1, 0)))
    graph = graphs.random_dense(np.random.default_rng(0), [2, 3, 1])
    lower = np.array([[0.0, 0.0], [0.0, 1.0]])
    for trees, exhausted in (((stuck, late), False), ((late, stuck), False), ((stuck, done), True), ((late, done), False)):
        with patch.object(box_search.Search, "run", side_effect=[Searched(tree, (), in_float64=False) for tree in trees]):
            outcome = graphs.search_neurons(graph, padded([np.ones((1, 1))] * 2, [np.zeros(1)] * 2), lower, lower + 1.0)
        assert (outcome.proved, outcome.exhausted) == (False, exhausted)


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_may_be_undefined_proves_nothing(method: str) -> None:
    """1 / x over an interval with zero, and over one without: x + 1 / x >= 2 for positive x."""
    b = graphs.Builder(1)
    b.linear(b.concat(0, b.apply(Power(-1.0), 0)), np.ones((2, 1)))
    graph = b.graph()
    below = graphs.targets_of(np.ones((1, 1)), np.array([-1.5]))
    for lower, upper, proved in ((-1.0, 2.0, False), (0.0, 2.0, False), (0.25, 4.0, True)):
        outcome = METHODS[method](graph, below, np.array([lower]), np.array([upper]), seconds=20.0)
        assert outcome.proved == proved and ("Power" in outcome.undefined) != proved


@pytest.mark.parametrize("long", [True, False])
def test_a_box_is_attacked_while_its_first_bounds_are_computed(long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the bounds of every layer, once they take long; a counterexample ends them."""
    graph = graphs.random_dense(np.random.default_rng(0), [20, 6, 6, 6, 1])
    query = Query(graph, graphs.targets_of(np.ones((1, 1))), -np.ones((1, 20)), np.ones((1, 20)))
    witness, calls = Witness(np.zeros(20), np.zeros(1), 0, "exact"), list[int]()

    def third(self: AttackRounds) -> Witness | None:
        calls.append(1)
        return witness if len(calls) == 3 else None

    monkeypatch.setattr(AttackRounds, "run_if_due", third)
    monkeypatch.setattr(box_search, "_LONG", 0.0 if long else 1.0)
    with patch.object(box_search.Search, "_rooted", side_effect=KeyError):
        if not long:
            with pytest.raises(KeyError):
                solve(query, Settings(), graphs.context(20.0))
            assert len(calls) == 1
            return
        solved = solve(query, Settings(), graphs.context(20.0))
    assert solved.plan.method == "neuron split"
    assert solved.outcome.witness is witness and not solved.outcome.proved and len(calls) == 3


@pytest.mark.parametrize("in_float64", [(False, False), (False, True)])
def test_a_plan_says_that_proposals_are_in_float64(in_float64: tuple[bool, bool]) -> None:
    """Where those of some box are."""
    graph = graphs.random_dense(np.random.default_rng(0), [20, 3, 1])
    lower = np.stack([np.zeros(20), np.ones(20)])
    query = Query(graph, padded([np.ones((1, 1))] * 2, [np.zeros(1)] * 2), lower, lower + 1.0)
    found = [Searched(Outcome.late(), (), one) for one in in_float64]
    with patch.object(box_search.Search, "run", side_effect=found):
        solved = solve(query, Settings().with_options({"attack.restarts": 0}), graphs.context(20.0))
    assert ("float64" in solved.plan.reason) is any(in_float64)
