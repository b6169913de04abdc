"""One box's search: what is narrowed for one disjunct alone stays with it, and the parts of a query add up."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from tests.search import milp
from verifier.attack.witness import Witness
from verifier.config import Settings
from verifier.graph.ir import Graph, Node
from verifier.operators import affine
from verifier.search import box_search, exploration, neuron_split, subproblems, tree
from verifier.search.attack_rounds import AttackRounds
from verifier.search.outcome import Outcome, joined
from verifier.search.points import Points
from verifier.search.query import Query
from verifier.search.splits import Splits
from verifier.search.sweeps import Sweep


def least_of(graph: Graph, lower: np.ndarray, upper: np.ndarray, row: np.ndarray) -> float:
    return milp.least(graph, lower, upper, row[None], np.zeros(1))[0]


@pytest.mark.parametrize("seed", range(6))
def test_sweeps_and_splits_in_turn(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits are given up three times, for sweeps with larger and larger trees of all neurons: all hold, or one of them is violated by a
    little; what is closed on the way stays so."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 6, 6, 6, 3])
    lower, upper = -np.ones(3), np.ones(3)
    rows = rng.normal(size=(4, 3))
    least = np.array([least_of(graph, lower, upper, row) for row in rows])
    violated = seed % 2 == 1
    constant = -least + 0.02
    constant[seed % 4] -= 0.03 * violated
    targets = replace(graphs.targets_of(rows[:1]), outputs=rows[:, None], constant=constant[:, None], strict=np.zeros((4, 1), bool))
    sizes: list[dict[int, int]] = []
    original = box_search.Refinement

    def noted(*arguments: object) -> object:
        sizes.append(arguments[-1])  # type: ignore[arg-type]
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(box_search, "Refinement", noted)
    monkeypatch.setattr(box_search, "Sweep", lambda: Sweep(2.0))
    monkeypatch.setattr(box_search, "_PAYS", -1.0)
    context = graphs.context(4.0 if violated else 30.0)
    query = Query(graph, targets, np.tile(lower, (4, 1)), np.tile(upper, (4, 1)))
    settings = Settings().with_options({"attack.restarts": 0, "bounds.root_iterations": 0})
    attack = AttackRounds(query, graphs.EXACT, settings, context)
    with graphs.narrowing(True):
        search = box_search.Search(query, graphs.EXACT, graphs.EXACT, settings, context, 32, attack, np.arange(4))
        root = graphs.root(graph, graphs.EXACT, lower, upper)
        within, step = search._rooted(root, np.arange(4), search._rows, last=True)
        monkeypatch.setattr(neuron_split.Search, "needed", lambda *_: 1e9 if len(sizes) < 3 else 0.0)
        outcome = search._search(within, step.open)
    assert outcome.proved is not violated and not outcome.exhausted
    assert violated or len(sizes) <= 3
    assert len(sizes) >= 1 and all(max(b.values()) > max(a.values()) for a, b in zip(sizes, sizes[1:]))


@pytest.mark.parametrize("seed", [0, 4])
def test_enclosures_that_were_narrowed_bound_the_last_splits(seed: int) -> None:
    """Where all neurons are decided and the box is a point, only multipliers of the enclosures tell that there is no counterexample:
    without them, some of these searches split the inputs of such subproblems without end."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 6, 6, 6, 3])
    lower, upper = -np.ones(3), np.ones(3)
    rows = rng.normal(size=(4, 3))
    constant = 0.1 - np.array([least_of(graph, lower, upper, row) for row in rows])
    targets = replace(graphs.targets_of(rows[:1]), outputs=rows[:, None], constant=constant[:, None], strict=np.zeros((4, 1), bool))
    outcome = graphs.search_neurons(graph, targets, lower, upper, seconds=60.0, iterations=20)
    assert outcome.proved and outcome.subproblems < 2000


@pytest.mark.parametrize("seed", range(4))
def test_few_rows_before_many(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better slopes of the query's rows prove it, so that those of the neurons are not asked for; a little less margin, and they are."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 8, 8, 8, 2])
    lower, upper = -np.ones(3), np.ones(3)
    root, row = graphs.root(graph, graphs.EXACT, lower, upper), rng.normal(size=(1, 2))
    plain, best = graphs.optimised_row_bounds(graph, graphs.EXACT, root, {graph.output: row}, lower, upper, box_search.ROW_ITERATIONS)
    settings, asked = Settings().with_options({"attack.restarts": 0}), list[int]()
    original = box_search.root_bounds

    def counted(*arguments: object, **others: object) -> object:
        asked.append(arguments[4].iterations)  # type: ignore[attr-defined]
        return original(*arguments, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(box_search, "root_bounds", counted)
    monkeypatch.setattr(box_search, "INPUTS", 0)
    for margin, optimised in ((plain[0] + 0.9 * (best[0] - plain[0]), False), (best[0] + 0.1 * abs(best[0]), True)):
        asked.clear()
        query, context = Query(graph, graphs.targets_of(row, -margin), lower[None], upper[None]), graphs.context(5.0)
        attack = AttackRounds(query, graphs.EXACT, settings, context)
        box_search.Search(query, graphs.EXACT, graphs.EXACT, settings, context, 32, attack, np.arange(1)).run(None)
        assert asked[0] == 0 and (len(asked) > 1) is optimised


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_few_splits_before_optimised_rows(seed: int, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that would take long are asked for where few splits do not seem to be enough; what splits have closed stays closed."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 8, 8, 8, 2])
    lower, upper = -np.ones(3), np.ones(3)
    root, rows = graphs.root(graph, graphs.EXACT, lower, upper), rng.normal(size=(3, 2))
    best = graphs.optimised_row_bounds(graph, graphs.EXACT, root, {graph.output: rows}, lower, upper, 20)[0]
    least = np.array([least_of(graph, lower, upper, row) for row in rows])
    constant = -least + 0.1 * (least - best)
    targets = replace(graphs.targets_of(rows[:1]), outputs=rows[:, None], constant=constant[:, None], strict=np.zeros((3, 1), bool))
    asked, original = list[int](), box_search.root_bounds

    def counted(*arguments: object, **others: object) -> object:
        asked.append(arguments[4].iterations)  # type: ignore[attr-defined]
        return original(*arguments, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(box_search, "root_bounds", counted)
    monkeypatch.setattr(box_search, "INPUTS", 0)
    monkeypatch.setattr(box_search, "_BRIEF", 0.0)
    monkeypatch.setattr(box_search, "_ATTEMPT", 0.5 if few else 0.0)
    monkeypatch.setattr(box_search.Search, "_rows_seconds", lambda *_: 10.0)
    settings, context = Settings().with_options({"attack.restarts": 0}), graphs.context(30.0)
    query = Query(graph, targets, np.tile(lower, (3, 1)), np.tile(upper, (3, 1)))
    attack = AttackRounds(query, graphs.EXACT, settings, context)
    outcome = box_search.Search(query, graphs.EXACT, graphs.EXACT, settings, context, 32, attack, np.arange(3)).run(None).outcome
    assert outcome.proved and outcome.subproblems >= 3
    assert asked[0] == 0 and (len(asked) == 1) is few


@pytest.mark.parametrize("attempt", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_what_cannot_be_split_is_not_forgotten(seed: int, attempt: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The subproblems of a disjunct that is violated cannot be split; the other one holds, within enclosures that are narrowed later."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [3, 8, 8, 8, 2])
    lower, upper, rows = -np.ones(3), np.ones(3), rng.normal(size=(2, 2))
    constant = -np.array([least_of(graph, lower, upper, row) for row in rows]) + np.array([-0.01, 0.01])
    targets = replace(graphs.targets_of(rows[:1]), outputs=rows[:, None], constant=constant[:, None], strict=np.zeros((2, 1), bool))
    original, chosen = exploration.Exploration._step, list[int]()

    def blocked(self: exploration.Exploration, *arguments: object) -> tuple[Splits, subproblems.Step]:
        children, step = original(self, *arguments)  # type: ignore[arg-type]
        choice = np.where(step.open.disjunct == 0, -1, step.open.choice)
        chosen.extend(choice)
        return children, replace(step, open=replace(step.open, choice=choice))

    monkeypatch.setattr(exploration.Exploration, "_step", blocked)
    monkeypatch.setattr(exploration, "candidates", lambda tree, *_: Points.none(tree.graph.input_size))
    monkeypatch.setattr(box_search, "INPUTS", 0)
    monkeypatch.setattr(box_search, "_BRIEF", 0.0 if attempt else np.inf)
    monkeypatch.setattr(box_search.Search, "_rows_seconds", lambda *_: 1.0)
    settings, context = Settings().with_options({"attack.restarts": 0, "bounds.root_iterations": 2}), graphs.context(5.0)
    query = Query(graph, targets, np.tile(lower, (2, 1)), np.tile(upper, (2, 1)))
    attack = AttackRounds(query, graphs.EXACT, settings, context)
    with patch.object(neuron_split.Search, "needed", lambda search: 1e9 if search.progress.nodes > 8 else 0.0):
        outcome = box_search.Search(query, graphs.EXACT, graphs.EXACT, settings, context, 32, attack, np.arange(2)).run(None).outcome
    assert -1 in chosen and not outcome.proved


@pytest.mark.parametrize("offset", [0.0, 1e9 + 31])
@pytest.mark.parametrize("seed", range(3))
def test_large_numbers_that_cancel_are_bounded_in_float64(seed: int, offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain bounds refute eight disjuncts by 0.2; near 1e9 + 31 float32 is off by about 31, whatever is split. Where both agree,
    float32 goes on."""
    rng = np.random.default_rng(seed)
    inner = graphs.random_dense(rng, [3, 8, 8, 2])
    rows, lower, upper = rng.normal(size=(8, 2)), -np.ones(3), np.ones(3)
    graph = Graph((*inner.nodes, Node(affine.Linear(rows.T, np.full(8, offset)), (inner.output,), (8,))))
    root = graphs.root(graph, graphs.EXACT, lower, upper)
    plain = graphs.optimised_row_bounds(graph, graphs.EXACT, root, {graph.output: np.eye(8)}, lower, upper, 1)[0]
    margin = 0.2 if offset else -0.01
    targets = replace(
        graphs.targets_of(np.eye(8)[:1]), outputs=np.eye(8)[:, None], constant=(margin - plain)[:, None], strict=np.zeros((8, 1), bool)
    )
    query = Query(graph, targets, np.tile(lower, (8, 1)), np.tile(upper, (8, 1)))
    settings, used = Settings().with_options({"attack.restarts": 0, "bounds.root_iterations": 0}), list[bool]()
    original = box_search.Search._continued

    def noted(self: box_search.Search, *arguments: object) -> object:
        used.append(self.fast is self.exact)
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(box_search.Search, "_continued", noted)
    monkeypatch.setattr(box_search, "INPUTS", 0)
    monkeypatch.setattr(tree, "_CLIPPED", 0)  # clips look at rows that are nearly refuted in float64 as well
    context = graphs.context(20.0)
    attack = AttackRounds(query, graphs.SINGLE, settings, context)
    outcome, _, precise = box_search.Search(query, graphs.EXACT, graphs.SINGLE, settings, context, 32, attack, np.arange(8)).run(None)
    assert used == [offset > 0] and precise is used[0]
    assert outcome.proved or not offset
    assert outcome.subproblems <= 16 or not offset


@pytest.mark.parametrize(("seen", "expected"), [(-1.05, False), (-2.0, True), (-np.inf, True), (np.inf, True), (np.nan, True)])
def test_proposals_that_overflow_are_imprecise(seen: float, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever float32 made of a row that float64 bounds by -1."""
    graph, lower, upper = graphs.random_dense(np.random.default_rng(0), [3, 8, 2]), -np.ones(3), np.ones(3)
    root, row = graphs.root(graph, graphs.EXACT, lower, upper), np.ones((1, 2))
    plain = graphs.optimised_row_bounds(graph, graphs.EXACT, root, {graph.output: row}, lower, upper, 1)[0]
    made = graphs.tree(graph, root, graphs.targets_of(row, -1.0 - plain), lower, upper)
    original = subproblems._best_rows

    def overflowed(*arguments: object, **named: object) -> object:
        dual, best = original(*arguments, **named)  # type: ignore[arg-type]
        return dual._replace(lower=np.full_like(dual.lower, seen) - made.targets.constant), best

    monkeypatch.setattr(subproblems, "_best_rows", overflowed)
    assert subproblems.imprecise(made, graphs.start_splits(made)).tolist() == [expected]


def test_parts_add_up() -> None:
    done, late = Outcome(True, None, 3, 0.5, 1.0), Outcome(False, None, 5, -0.5, 0.25)
    assert joined([done, done], 2)[:5] == (True, None, 6, 0.5, 1.0)
    assert joined([done], 2)[:5] == (False, None, 3, 0.5, 0.5)
    assert joined([done, late], 2)[:5] == (False, None, 8, -0.5, 0.625)
    violated = late._replace(witness=Witness(np.zeros(1), np.zeros(1), 0, "exact"))
    assert joined([violated, done], 2).witness is violated.witness and not joined([violated, done], 2).proved
    stuck = late._replace(exhausted=True)
    assert joined([done, stuck], 2).exhausted and not joined([late, stuck], 2).exhausted and not joined([stuck], 2).exhausted
