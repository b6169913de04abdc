from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.ascent import Parameters
from verifier.operators.base import Lines
from verifier.parallel import Workers
from verifier.search.constrained_rows import ConstrainedRows, Start
from verifier.search.splits import Enclosures
from verifier.search.subproblems import sensitivities
from verifier.search.tightening import growth


def size(gap: float, a: float, b: float) -> float:
    """Nodes of the tree whose splits gain a on one side and b on the other."""
    return 1.0 if gap <= 0 else 1.0 + size(gap - a, a, b) + size(gap - b, a, b)


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.2), (0.1, 0.3), (0.15, 0.9)])
def test_growth_is_that_of_the_tree(a: float, b: float) -> None:
    rate = growth(np.tile([[a, b]], (1, 4, 1)))[0]
    assert abs(np.log(size(2.0, a, b) / size(1.0, a, b)) - rate) < 0.2 * rate
    assert np.exp(-a * rate) + np.exp(-b * rate) == pytest.approx(1.0)
    assert np.isnan(growth(np.array([[[np.nan, np.nan], *[[a, b]] * 3]]))).all()


def test_enclosures_by_number() -> None:
    """More are added than there was room for at first; the inputs' own stay those of the root."""
    rng = np.random.default_rng(0)
    below = -rng.random(5)
    kept = Enclosures(below, -below, inputs=2, arrays=graphs.EXACT, most=6 * 20)
    all_low = [below]
    for count in (1, 3, 7):
        low = np.concatenate([-rng.random((count, 3)), np.tile(below[3:], (count, 1))], axis=1)
        assert kept.add(low, -low).tolist() == list(range(len(all_low), len(all_low) + count))
        all_low += list(low)
    which = np.array([5, 0, 11, 1])
    low, high = kept.of(which)
    assert (low == np.array(all_low)[which]).all() and (high == -low).all()
    assert kept.room == 20 - 12


NONE = Parameters({}, {})


def test_a_start_is_joined_and_selected_by_neuron() -> None:
    """Rows are stored as all +p and then all -p, whatever the chunks were."""
    def chunk(neurons: list[int]) -> tuple[np.ndarray, Parameters]:
        rows = np.array([*neurons, *(-n for n in neurons)], float)[None, :, None]
        chord = np.full((1, 1, 1), 7.0)
        return np.array(neurons), Parameters({3: Lines(rows, chord)}, {5: 10 * rows})

    start = Start.of([chunk([2, 4]), chunk([5, 8, 9])])
    found = start.select(np.array([4, 9]), NONE, graphs.EXACT)
    assert found.slopes[3].lower[0, :, 0].tolist() == [4, 9, -4, -9] and found.slopes[3].upper.tolist() == [[[7.0]]]
    assert found.multipliers[5][0, :, 0].tolist() == [40, 90, -40, -90]
    default = Parameters({3: Lines(np.full((1, 4, 1), 0.5), np.full((1, 1, 1), 8.0))}, {})
    some = start.select(np.array([3, 8]), default, graphs.EXACT)
    assert some.slopes[3].lower[0, :, 0].tolist() == [0.5, 8, 0.5, -8] and some.slopes[3].upper.tolist() == [[[7.0]]]
    assert some.multipliers[5][0, :, 0].tolist() == [0, 80, 0, -80]
    assert start.select(np.array([1, 3]), default, graphs.EXACT) is default


def test_a_start_is_updated_by_neuron() -> None:
    """What was found of some neurons replaces their rows; a multiplier that one side lacks is zero there."""

    def start(neurons: list[int], factor: float, multipliers: list[int]) -> Start:
        rows = factor * np.array([*neurons, *(-n for n in neurons)], float)[None, :, None]
        return Start(np.array(neurons), Parameters({3: Lines(rows, rows)}, {p: 10 * rows for p in multipliers}))

    old = start([2, 4, 5], 1.0, [5])
    found = old.updated(start([4], 100.0, [7])).select(np.array([2, 4, 5]), NONE, graphs.EXACT)
    assert found.slopes[3].lower[0, :, 0].tolist() == [2, 400, 5, -2, -400, -5]
    assert found.multipliers[5][0, :, 0].tolist() == [20, 0, 50, -20, 0, -50]
    assert found.multipliers[7][0, :, 0].tolist() == [0, 4000, 0, 0, -4000, 0]
    more = old.updated(start([3, 5], 100.0, [5]))
    assert more.neurons.tolist() == [2, 3, 4, 5]
    assert more.select(more.neurons, NONE, graphs.EXACT).slopes[3].lower[0, :, 0].tolist() == [2, 300, 4, 500, -2, -300, -4, -500]
    parts = [(s.neurons, s.parameters) for s in (start([1], 1.0, [5]), start([2, 3], 1.0, [7]))]
    joined = Start.of(parts).select(np.array([1, 2, 3]), NONE, graphs.EXACT)
    assert joined.multipliers[5][0, :, 0].tolist() == [10, 0, 0, -10, 0, 0]
    assert joined.multipliers[7][0, :, 0].tolist() == [0, 20, 30, 0, -20, -30]


@pytest.mark.parametrize("seed", range(8))
def test_a_round_of_some_neurons(seed: int) -> None:
    """Those to which the bound is most sensitive, as many as asked for, are narrowed; what violates stays inside."""
    rng = np.random.default_rng(seed)
    graph, box = graphs.random_dense(rng, [3, 12, 12, 1]), (-np.ones(3), np.ones(3))
    x = graphs.box_points(rng, *box, 4000)
    y = graph.evaluate(x)[:, 0]
    targets = graphs.targets_of(np.ones((1, 1)), -float(np.quantile(y, 0.2)))
    tree = graphs.tree(graph, graphs.root(graph, graphs.EXACT, *box), targets, *box)
    splits = replace(graphs.start_splits(tree), bound=np.array([-1.0]))
    low, high = tree.enclosures(splits)
    scores = sensitivities(tree, splits)[0]
    assert (scores >= 0).all() and not scores[(low >= 0)[0, :24] | (high <= 0)[0, :24]].any()
    count = 1 + seed % 4
    narrowed, widest, _ = ConstrainedRows(tree).round(splits, [{}], count, Workers(1), lambda: False)
    changed = np.flatnonzero(((narrowed > low) | (widest < high))[0])
    assert len(changed) <= count and np.isin(changed, np.argsort(-scores)[:count]).all()
    flat = np.concatenate([graphs.flat_values(graph, x[y <= np.quantile(y, 0.2)])[p] for p in graph.preactivations], axis=1)
    assert ((flat >= narrowed[:, :24] - 1e-9) & (flat <= widest[:, :24] + 1e-9)).all()


@pytest.mark.parametrize("single", [False, True])
def test_narrowing_proves_without_splits(single: bool) -> None:
    """What plain bounds leave open at the root is refuted by rounds alone for some queries; with and without, verdicts agree."""
    proved = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        graph = graphs.random_dense(rng, [3, 8, 8, 1])
        box = -np.ones(3), np.ones(3)
        least = float(graph.evaluate(graphs.box_points(rng, *box, 4000)).min())
        targets = graphs.targets_of(np.ones((1, 1)), -least + 0.3 * abs(least) + 0.05)
        bounds = graphs.root(graph, graphs.EXACT, *box)
        tree = graphs.tree(graph, bounds, targets, *box, graphs.EXACT, graphs.SINGLE if single else graphs.EXACT)
        splits = replace(graphs.start_splits(tree), bound=np.array([-0.1]))
        outcomes = [graphs.narrowed_root(tree, splits), graphs.search_neurons(graph, targets, *box).proved]
        assert outcomes[1] or not outcomes[0]
        proved += outcomes[0]
    assert proved >= 3
