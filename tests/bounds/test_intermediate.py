"""Root bounds that look at the clock, and compute each layer's rounding bound once."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs
from verifier.bounds import rows
from verifier.bounds.ascent import Schedule
from verifier.bounds.dual import Interval
from verifier.bounds.intermediate import RootBounds, root_bounds
from verifier.bounds.resources import Resources
from verifier.bounds.rigorous import Magnitudes, error_weights
from verifier.errors import InternalError
from verifier.operators.affine import Add, Linear
from verifier.parallel import Late, Workers

LOWER, UPPER = -np.ones(3), np.ones(3)
GRAPH = graphs.random_dense(np.random.default_rng(0), [3, 6, 6, 6, 6, 2])


def bounds(looks: int, start: graphs.RootBounds | None = None) -> graphs.RootBounds:
    """Root bounds with a clock that has run out after some looks."""
    ticking = graphs.ticking(looks)
    with Workers(1) as workers:
        return root_bounds(GRAPH, Resources(graphs.EXACT, graphs.EXACT, workers, ticking.out_of_time), LOWER, UPPER, Schedule(3), start)


def test_without_time_there_are_no_root_bounds() -> None:
    for looks in range(3):
        with pytest.raises(Late):
            bounds(looks)


def test_what_was_found_in_time_improves_what_was_there() -> None:
    start = graphs.root(GRAPH, graphs.EXACT, LOWER, UPPER)
    x = graphs.box_points(np.random.default_rng(1), LOWER, UPPER)
    values = graphs.flat_values(GRAPH, x)
    widths = []
    for looks in (0, 1, 4, 8, 16, 1000):
        found = bounds(looks, start)
        assert set(found.preactivations) == set(GRAPH.preactivations)
        for p, (low, high) in graphs.enclosures(found).items():
            assert (low >= graphs.enclosures(start)[p][0]).all() and (high <= graphs.enclosures(start)[p][1]).all()
            assert (values[p] >= low - 1e-9).all() and (values[p] <= high + 1e-9).all()
        widths.append(sum(float((high - low).sum()) for low, high in graphs.enclosures(found).values()))
    assert widths == sorted(widths, reverse=True) and widths[-1] < widths[0]


@pytest.mark.parametrize("seed", range(6))
def test_sums_of_sums_are_bounded_by_rows(seed: int) -> None:
    """Without a function between them, bounds are exact: |J| times the radius about the middle, J by unit vectors."""
    rng = np.random.default_rng(seed)
    b = graphs.Builder(5)
    x = b.linear(b.linear(0, rng.normal(size=(5, 6)), rng.normal(size=6)), rng.normal(size=(6, 4)), rng.normal(size=4))
    y = b.linear(0, rng.normal(size=(5, 4)))
    b.relu(x)
    b.relu(b.add(Add((1, 1)), (x, y), (4,)))
    b.relu(y)
    last = b.concat(*range(len(b.nodes) - 4, len(b.nodes)))
    b.linear(last, rng.normal(size=(b.nodes[last].size, 2)))
    graph = b.graph()
    lower, upper = graphs.random_box(rng, 5)
    assert [p in graph.deep for p in graph.preactivations] == [True, False, True]
    found = graphs.enclosures(graphs.root(graph, graphs.EXACT, lower, upper))
    centre, radius = (lower + upper) / 2, (upper - lower) / 2
    values = graphs.flat_values(graph, np.concatenate([centre[None], centre + np.eye(5)]))
    for p, (low, high) in found.items():
        reach = np.abs(values[p][1:] - values[p][0]).T @ radius
        stable = (low >= 0) | (high <= 0)  # rows are asked no further
        for side, truth in ((low, values[p][0] - reach), (high, values[p][0] + reach)):
            np.testing.assert_allclose(side[~stable], truth[~stable], rtol=1e-9, atol=1e-9)
        assert ((values[p][0] - reach >= -1e-9) | (values[p][0] + reach <= 1e-9))[stable].all()


def test_the_rounding_of_a_layer_is_computed_once() -> None:
    """Whatever the number of layers above it: it takes as long as an evaluation of the network."""
    with patch.object(Linear, "absolute", autospec=True, side_effect=Linear.absolute) as absolute:
        graphs.root(GRAPH, graphs.EXACT, LOWER, UPPER)
    assert absolute.call_count <= 2 * 5  # once for magnitudes, once for intervals


def test_enclosures_found_on_the_way_give_the_same_weights() -> None:
    """Node after node, each pre-activation enclosed when the nodes up to it are done: as if all had been known."""
    known = {p: (low, high) for p, (low, high) in graphs.enclosures(graphs.root(GRAPH, graphs.EXACT, LOWER, UPPER)).items()}
    magnitudes, found = Magnitudes(GRAPH, LOWER, UPPER), {}
    for p in GRAPH.preactivations:
        magnitudes.extend(p, found)
        found[p] = known[p]
    magnitudes.extend(GRAPH.output, found)
    step, whole = magnitudes.weights(found), error_weights(GRAPH, LOWER, UPPER, known)
    for name in ("node", "multiplier", "forward"):
        a, b = getattr(step, name), getattr(whole, name)
        assert a.keys() == b.keys() and all((a[n] == b[n]).all() for n in a)
    assert step.underflow == whole.underflow


def test_enclosures_that_cross() -> None:
    """Some bound is wrong."""
    graph = graphs.random_dense(np.random.default_rng(0), [3, 6, 6, 2])
    box = -np.ones(3), np.ones(3)
    start = graphs.root(graph, graphs.EXACT, *box)
    last = graph.preactivations[-1]
    high = start.preactivations[last].upper + 1.0
    beyond = {**start.preactivations, last: Interval(high, high + 1.0)}
    with pytest.raises(InternalError):
        graphs.root(graph, graphs.EXACT, *box, start=RootBounds(beyond, start.weights))


@pytest.mark.parametrize(
    ("pays", "tried"), [([True] * 3, [1, 2, 3]), ([False] * 3, [1, 2]), ([False, True, False], [1, 2, 3])]
)
def test_slopes_that_pay_for_no_sample_are_given_up(pays: list[bool], tried: list[int]) -> None:
    """After two layers in a row; those are tried with few steps, on few of their neurons."""
    start, asked, answers = graphs.root(GRAPH, graphs.EXACT, LOWER, UPPER), list[tuple[int, int]](), iter(pays)
    evaluated, places = rows.Rows._evaluated, {p: i for i, p in enumerate(GRAPH.preactivations)}

    def noted(self: rows.Rows, stage: Schedule, *rest: Any) -> Any:
        asked.append((places[self.node], stage.iterations))
        return evaluated(self, stage, *rest)

    with (
        Workers(1) as workers,
        patch.object(rows, "_MANY", 1),
        patch.object(rows, "_STEPS", 2),
        patch.object(rows, "_SAMPLE", 1),
        patch.object(rows.Rows, "_evaluated", noted),
        patch.object(rows.Rows, "_pays", lambda *_: next(answers)),
    ):
        found = root_bounds(GRAPH, Resources(graphs.EXACT, graphs.EXACT, workers), LOWER, UPPER, Schedule(7), start)
    assert sorted({p for p, _ in asked}) == tried
    assert [p for p, steps in asked if steps == 7] == [p for p in tried if pays[p - 1]]
    x = graphs.box_points(np.random.default_rng(1), LOWER, UPPER)
    for p, (low, high) in graphs.enclosures(found).items():
        values = graphs.flat_values(GRAPH, x)[p]
        assert (values >= low - 1e-9).all() and (values <= high + 1e-9).all()
        assert (low >= graphs.enclosures(start)[p][0]).all() and (high <= graphs.enclosures(start)[p][1]).all()
