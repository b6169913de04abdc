"""Halves of a box cover it, whatever is refuted, and are given up where too many would be needed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests import graphs
from tests.search import milp
from verifier.attack.witness import Witness
from verifier.bounds.intermediate import RootBounds
from verifier.config import Settings
from verifier.search import box_search
from verifier.search.attack_rounds import AttackRounds
from verifier.search.box_halves import Halves, Part, by_halves
from verifier.search.outcome import Outcome
from verifier.search.query import Query


class Bounds:
    """Disjuncts k with the row  |x - centre_k|_1 - radius_k: bounds that are `loose` times the widths of a box too low, in `seconds` each.
    boxes: every one that was asked for, with what was open of the one around it, and whether all of it was refuted."""

    def __init__(self, centres: np.ndarray, radii: np.ndarray, loose: float, seconds: float = 1e-3) -> None:
        self.centres, self.radii, self.loose, self.seconds = centres, radii, loose, seconds
        self.boxes: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def __call__(self, lower: np.ndarray, upper: np.ndarray, around: RootBounds, group: np.ndarray) -> Part:
        centres = self.centres[group]
        nearest = np.clip(centres, lower, upper)
        bounds = np.abs(nearest - centres).sum(axis=1) - self.radii[group] - self.loose * (upper - lower).sum()
        left = bounds <= 0
        self.boxes.append((lower, upper, group, group[left]))
        planes = np.sign(0.5 * (lower + upper) - centres[left])
        outcome = None if left.any() else Outcome(True, None, len(group), float(bounds.min()), 1.0)
        return Part(lower, upper, around, group[left], bounds[left], planes, self.seconds, outcome)


def whole(bounds: Bounds) -> Part:
    root = RootBounds({}, None)  # type: ignore[arg-type]
    return bounds(-np.ones(2), np.ones(2), root, np.arange(len(bounds.radii)))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_proved_is_covered(seed: int) -> None:
    """Every point lies in a box in which each disjunct was refuted, there or further up."""
    rng = np.random.default_rng(seed)
    bounds = Bounds(rng.uniform(1.0, 1.6, (3, 2)) * rng.choice([-1.0, 1.0], (3, 2)), 0.5 * rng.random(3), rng.uniform(0.1, 0.6))
    part = whole(bounds)
    if part.outcome is not None:
        return
    found = by_halves(part, bounds, replace(graphs.context(1e6), clock=lambda: 0.0))
    assert found.outcome is None or (found.outcome.proved and not len(found.open))
    for x, k in itertools.product(rng.uniform(-1, 1, (50, 2)), range(3)):
        holding = [(group, left) for lower, upper, group, left in bounds.boxes if (lower <= x).all() and (x <= upper).all()]
        refuted = any(k in group and k not in left for group, left in holding)
        assert refuted or k in found.open


def test_few_that_are_needed_are_bounded() -> None:
    """A dominant input: two halves of it, and no other box."""
    bounds = Bounds(np.array([[3.0, 0.0]]), np.array([0.1]), 0.6)
    part = whole(bounds)
    found = by_halves(part, bounds, graphs.context(100.0))
    assert found.outcome is not None and found.outcome.proved and found.outcome.subproblems == 2
    assert [list(lower) + list(upper) for lower, upper, *_ in bounds.boxes[1:]] in (
        [[-1, -1, 0, 1], [0, -1, 1, 1]],
        [[0, -1, 1, 1], [-1, -1, 0, 1]],
    )


@pytest.mark.parametrize("seconds", [1e-3, 10.0])
def test_too_many_are_given_up(seconds: float) -> None:
    """A counterexample in the middle: what is near it stays open for ever. Where there is not even time for two boxes, none is bounded."""
    bounds = Bounds(np.array([[0.1, 0.2], [2.4, 0.0]]), np.array([0.5, 0.0]), 0.5, seconds)
    found = by_halves(whole(bounds), bounds, replace(graphs.context(30.0), clock=lambda: 0.0))
    assert found.outcome is None and 0 in found.open
    assert 1 < len(bounds.boxes) < 12 if seconds < 1.0 else len(bounds.boxes) <= 3


def test_a_box_that_cannot_be_halved_is_given_up() -> None:
    bounds = Bounds(np.ones((1, 2)), np.ones(1), 0.0)
    point = bounds(np.ones(2), np.full(2, np.nextafter(1.0, 2.0)), RootBounds({}, None), np.arange(1))  # type: ignore[arg-type]
    found = by_halves(point, bounds, replace(graphs.context(30.0), clock=lambda: 0.0))
    assert found.outcome is None and list(found.open) == [0]


def test_a_counterexample_ends_it() -> None:
    bounds = Bounds(np.array([[0.1, 0.2]]), np.array([0.5]), 0.5)
    part, witness = whole(bounds), Outcome(False, Witness(np.zeros(2), np.zeros(1), 0, 0.0), 1, -1.0, 0.0)
    found = by_halves(part, lambda *given: bounds(*given)._replace(outcome=witness), graphs.context(100.0))
    assert found.outcome is not None and found.outcome.witness is witness.witness and not found.outcome.proved


@pytest.mark.parametrize("violated", [False, True])
def test_what_halves_leave_open_goes_on(violated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves refute some of the disjuncts everywhere and are given up; the search over neurons decides the others."""
    graph = graphs.random_dense(np.random.default_rng(1), [3, 8, 8, 3])
    lower, upper, rows = -np.ones(3), np.ones(3), np.random.default_rng(2).normal(size=(4, 3))
    constant = 0.1 - np.array([milp.least(graph, lower, upper, row[None], np.zeros(1))[0] for row in rows])
    constant[2] -= 0.15 * violated
    targets = replace(graphs.targets_of(rows[:1]), outputs=rows[:, None], constant=constant[:, None], strict=np.zeros((4, 1), bool))
    original, given_up = box_search.by_halves, list[np.ndarray]()

    def some(part: Part, *rest: object) -> Halves:
        found = original(part, *rest)  # type: ignore[arg-type]
        given_up.append(found.open)
        return found

    monkeypatch.setattr(box_search, "by_halves", some)
    query, context = Query(graph, targets, np.tile(lower, (4, 1)), np.tile(upper, (4, 1))), graphs.context(4.0 if violated else 30.0)
    settings = Settings().with_options({"attack.restarts": 0})
    attack = AttackRounds(query, graphs.EXACT, settings, context)
    outcome = box_search.Search(query, graphs.EXACT, graphs.EXACT, settings, context, 32, attack, np.arange(4)).run(None).outcome
    assert outcome.proved is not violated and len(given_up) == 1
    assert not violated or 2 in given_up[0]


@pytest.mark.parametrize("seed", range(8))
def test_small_networks(seed: int) -> None:
    """Where time does not count halves prove what holds; what is violated by little is never proved."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_dense(rng, [2, 6, 6, 1])
    lower, upper = -np.ones(2), np.ones(2)
    least, _ = milp.least(graph, lower, upper, np.ones((1, 1)), np.zeros(1))
    settings = Settings().with_options({"attack.restarts": 0})
    for margin, context in ((0.1, replace(graphs.context(1e6), clock=lambda: 0.0)), (-0.05, graphs.ticking(2000))):
        query = Query(graph, graphs.targets_of(np.ones((1, 1)), margin - least), lower[None], upper[None])
        attack = AttackRounds(query, graphs.EXACT, settings, context)
        search = box_search.Search(query, graphs.EXACT, graphs.EXACT, settings, context, 32, attack, np.arange(1))
        part = search._bounded(None)
        if part.outcome is None:
            outcome = by_halves(part, search._half, context).outcome
            assert (outcome is not None and outcome.proved and outcome.subproblems > 1) if margin > 0 else outcome is None
        else:
            assert margin > 0 and part.outcome.proved
