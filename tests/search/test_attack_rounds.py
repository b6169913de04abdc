from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests import graphs
from verifier.attack import gradient
from verifier.attack.witness import Witness
from verifier.config import Settings
from verifier.graph.ir import Graph
from verifier.parallel import Workers
from verifier.search import attack_rounds
from verifier.search.attack_rounds import AttackRounds
from verifier.search.outcome import Context
from verifier.search.query import Query


class Believing:
    """Confirms the best candidate where its margin says so."""

    def first(self, x: np.ndarray, which: np.ndarray, margins: np.ndarray, most: int = 8) -> Witness | None:
        best = int(np.argmin(margins))
        return Witness(x[best], np.zeros(1), int(which[best]), "exact") if margins[best] <= 0 else None


def rounds(graph: Graph, targets: graphs.Targets, ctx: Context, restarts: int = 64) -> AttackRounds:
    n = graph.input_size
    query = Query(graph, targets, *(np.tile(side, (len(targets.constant), 1)) for side in (-np.ones(n), np.ones(n))))
    return AttackRounds(query, graphs.SINGLE, Settings().with_options({"attack.restarts": restarts}), ctx)


def random_dense() -> Graph:
    return graphs.random_dense(np.random.default_rng(0), [3, 8, 1])


def spike(width: float) -> Graph:
    """y = 1 - max(0, width - |x_0|) / width, flat where |x_0| > width."""
    b = graphs.Builder(2)
    absolute = b.linear(b.relu(b.linear(0, [[1.0, -1.0], [0.0, 0.0]], [0.0, 0.0])), [[1.0], [1.0]])
    b.linear(b.relu(b.linear(absolute, [[-1.0]], [width])), [[-1.0 / width]], [1.0])
    return b.graph()


def test_a_counterexample_in_a_small_part_of_a_flat_box_is_found() -> None:
    """A two hundredth of the box, outside of which no gradient leads there."""
    targets = graphs.targets_of(np.ones((1, 1)), -0.5)
    found = [rounds(spike(0.005), targets, replace(graphs.context(20.0, Believing()), rng=np.random.default_rng(i))) for i in range(5)]
    assert sum(r.run_if_due() is not None for r in found) >= 4


@pytest.mark.parametrize("count", [2, 7, 64])
def test_starts(count: int) -> None:
    """In the box; one half any points, the other the best of many more, all of them also where there is no time for more."""
    graph = graphs.random_dense(np.random.default_rng(0), [3, 8, 2])
    targets = graphs.targets_of(np.array([[1.0, -1.0]]))
    attack = rounds(graph, targets, graphs.context(20.0))
    for late in (False, True):
        x = attack._starts(0, count, lambda: late, np.random.default_rng(0))  # noqa: B023
        assert x.shape == (count, 3) and (np.abs(x) <= 1).all()
    chosen = attack._starts(0, count, lambda: False, np.random.default_rng(0))
    best, plain = (targets.margins(p, graph.evaluate(p), np.zeros(len(p), int)) for p in (chosen, x))
    if count == 64:
        assert np.median(best[32:]) < np.quantile(plain, 0.1)


def test_rounds_grow_and_are_due_less_and_less_often() -> None:
    seconds: list[float] = [0.0]
    sizes: list[tuple[int, int]] = []
    ctx = replace(graphs.context(1000.0), clock=lambda: seconds[0])
    attack = rounds(random_dense(), graphs.targets_of(np.ones((1, 1)), 100.0), ctx, 4)
    original = gradient.descend

    def counted(*args: object) -> gradient.Candidates:
        sizes.append((len(args[3]), args[7].count))  # type: ignore[arg-type, attr-defined]
        return original(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "descend", counted)
        for moment in (0.0, 0.1, 0.6, 0.7, 0.95, 1.2, 1.45, 2.0):
            seconds[0] = moment
            assert attack.run_if_due() is None
    usual, jumps = ([size for size, steps in sizes if steps == count] for count in (60, 10))
    assert usual == [4, 32, 256, *[512] * 4]
    assert jumps == [24, 192, *[512] * 3, *[512] * 24]


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_cores_share_the_descents(cores: int) -> None:
    """As many points as asked for at least, different ones on every core, the best first."""
    graph, targets = random_dense(), graphs.targets_of(np.ones((1, 1)), 100.0)
    with pytest.MonkeyPatch.context() as patch, Workers(cores) as workers:
        patch.setattr(attack_rounds, "_LARGE", 0.0)
        attack = rounds(graph, targets, graphs.context(60.0, workers=workers))
        found = attack._shared(np.array([0]), 30, attack_rounds._USUAL, 60.0)
    assert len(found.x) == 30 and (np.diff(found.margin) >= 0).all()
    starts = rounds(graph, targets, graphs.context(60.0))
    both = [starts._starts(0, 15, lambda: True, rng) for rng in np.random.default_rng(0).spawn(2)]
    assert len(np.unique(np.concatenate(both), axis=0)) > 20  # some are corners


def test_a_round_makes_as_many_descents_as_have_the_time_for_all_steps() -> None:
    """The second round has 0.14 seconds, half of them for descents of 60 steps, of which 45 end."""
    seconds: list[float] = [0.0]
    ctx = replace(graphs.context(1000.0), clock=lambda: seconds[0])
    attack = rounds(random_dense(), graphs.targets_of(np.ones((1, 1)), 100.0), ctx, 64)
    sizes: list[int] = []

    def counted(*args: object) -> gradient.Candidates:
        if args[7].count == 60:  # type: ignore[attr-defined]
            sizes.append(len(args[3]))  # type: ignore[arg-type]
        seconds[0] += 0.05 / (8 * 240) * len(args[3]) * args[7].count  # type: ignore[arg-type, attr-defined]
        return original(*args)  # type: ignore[arg-type]

    original = gradient.descend
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "descend", counted)
        for _ in range(2):
            attack.run_if_due()
            seconds[0] = 1.0
    assert sizes[0] == 64 and 40 <= sizes[1] <= 46, sizes


def test_jumps_leave_a_valley() -> None:
    """y = |x - 0.1| + 0.1, but for a notch at -0.6 ± 0.05: slopes lead to 0.1, and steps across the box to the notch."""
    b = graphs.Builder(1)
    ends = b.relu(b.linear(0, np.array([[1.0, -1.0, 1.0, -1.0]]), np.array([-0.1, 0.1, 0.6, -0.6])))
    notch = b.relu(b.linear(ends, np.array([[0.0], [0.0], [-1.0], [-1.0]]), np.array([0.05])))
    b.linear(b.concat(ends, notch), np.array([[1.0], [1.0], [0.0], [0.0], [-20.0]]), np.array([0.1]))
    graph, targets, x = b.graph(), graphs.targets_of(np.ones((1, 1))), np.linspace(0.0, 0.2, 21)[:, None]
    found = []
    for kind in (attack_rounds._USUAL, attack_rounds._JUMPS):
        box = -np.ones(1), np.ones(1)
        found.append(gradient.descend(graph, graphs.EXACT, targets, x, np.zeros(21, int), *box, kind.steps(60), lambda: False))
    assert found[0].margin[0] >= 0.1 - 1e-3 and found[1].margin[0] < 0


def test_many_inputs_get_long_descents_as_well() -> None:
    sizes: list[tuple[int, int]] = []
    original = gradient.descend

    def counted(*args: object) -> gradient.Candidates:
        sizes.append((len(args[3]), args[7].count))  # type: ignore[arg-type, attr-defined]
        return original(*args)  # type: ignore[arg-type]

    graph = graphs.random_dense(np.random.default_rng(0), [60, 4, 1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "descend", counted)
        assert rounds(graph, graphs.targets_of(np.ones((1, 1)), 1e4), graphs.context(1000.0)).run_if_due() is None
    assert sizes == [(64, 60), (8, 240)]
