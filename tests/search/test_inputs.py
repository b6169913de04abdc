"""Which input to halve: what relaxations lose decides, not coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.batch import Neurons
from verifier.graph.ir import Graph
from verifier.operators.square import Square
from verifier.search.branching.inputs import input_candidates, input_scores, paid_off, smooth


def scores(graph: Graph, lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Of one box."""
    root = graphs.root(graph, graphs.EXACT, lower, upper)
    below, above = (side[None] for side in graphs.flat_enclosures(graph, root))
    found = graphs.box_bounds(graph, graphs.EXACT, root, graphs.targets_of(rows, 0.0), lower[None], upper[None])
    return input_scores(Neurons(graph), found.q, bounds[None], lower[None], upper[None], below, above)[0]


def test_linear_inputs_are_worth_nothing() -> None:
    """y = 100 x_0 + relu(x_1 + 0.1 x_2): the first is exact however wide it is, the last is a tenth of the second."""
    b = graphs.Builder(3)
    hidden = b.relu(b.linear(0, np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.1]])))
    b.linear(hidden, np.array([[100.0], [-100.0], [1.0]]))
    found = scores(b.graph(), -np.ones(3), np.ones(3), np.array([[-1.0]]), np.array([-1.0]))
    assert found[1] > 0 and found[2] == pytest.approx(0.1 * found[1])


def test_fixed_inputs_have_no_score_and_rows_are_weighed_by_what_they_need() -> None:
    rng = np.random.default_rng(0)
    graph = graphs.random_dense(rng, [3, 8, 2])
    lower, upper = np.array([-1.0, 0.5, -1.0]), np.array([1.0, 0.5, 1.0])
    rows = rng.normal(size=(2, 2))
    found = scores(graph, lower, upper, rows, np.array([-1.0, -1e9]))
    assert found[1] == 0 and (found >= 0).all() and found.max() > 0
    alone = scores(graph, lower, upper, rows[:1], np.array([-1.0]))
    np.testing.assert_allclose(found, alone, rtol=1e-6)
    np.testing.assert_allclose(scores(graph, lower, upper, rows[:1], np.array([-2.0])), 0.5 * alone)
    assert not scores(graph, upper, upper, rows, np.array([-1.0, -1.0])).any()


def test_what_is_convex_in_a_smooth_way_is_left_to_tangents() -> None:
    assert smooth(Square()) and not smooth(graphs.PIECEWISE[0])
    b = graphs.Builder(2)
    b.linear(b.apply(Square(), 0), np.array([[1.0], [-1.0]]))
    found = scores(b.graph(), -np.ones(2), np.ones(2), np.array([[1.0]]), np.array([-1.0]))
    assert found[0] == 0 and found[1] > 0


LOST, STEEPEST = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("depth", "paid", "smooth", "expected"),
    [
        (0, False, False, [0, 3, 1, 2]),
        (0, True, False, [0, -1, -1, -1]),
        (9, False, False, [0, 3, 1, -1]),
        (10, False, False, [0, 3, -1, -1]),
        (300, False, False, [0, 3, -1, -1]),
        (300, True, False, [0, -1, -1, -1]),
        (300, False, True, [0, -1, -1, -1]),
        (299, False, True, [0, 3, -1, -1]),
        (299, True, True, [0, -1, -1, -1]),
    ],
)
def test_the_first_of_either_score_are_tried(depth: int, paid: bool, smooth: bool, expected: list[int]) -> None:
    box = np.zeros((1, 4)), np.ones((1, 4))
    found = input_candidates(LOST, STEEPEST, *box, np.array([depth]), np.array([paid]), 4, smooth)
    assert found[0].tolist() == expected


def test_halving_has_paid_off_where_the_gap_is_closed_in_good_part() -> None:
    before, after = np.array([-1.0, -1.0, -np.inf, -1e300, -1.0]), np.array([-0.6, -0.7, -1.0, -1e200, np.nan])
    assert paid_off(before, after).tolist() == [True, False, False, True, False]


def test_narrow_inputs_are_no_candidates_and_a_second_one_always_is() -> None:
    lower, upper, state = np.zeros((2, 4)), np.ones((2, 4)), (np.array([50, 50]), np.zeros(2, bool))
    upper[0, [0, 3]] = 0.0
    lower[1, 1:] = 1.0
    lost, steepest = LOST.repeat(2, 0), LOST.repeat(2, 0)
    found = input_candidates(lost, steepest, lower, upper, *state, 4, False)
    assert found.tolist() == [[1, 2, -1, -1], [0, -1, -1, -1]]
    assert (input_candidates(lost, steepest, upper, upper, *state, 4, False) == -1).all()
    assert input_candidates(0.0 * lost, steepest, lower, upper, *state, 4, False).tolist() == found.tolist()


@pytest.mark.parametrize("large", [np.inf, np.nan, 1e308])
@pytest.mark.parametrize("lost", [0.0, np.inf, np.nan])
def test_coefficients_that_overflowed_put_nothing_before_the_candidates(large: float, lost: float) -> None:
    """Inputs that vary come first, those that do not are none."""
    lower, upper = np.array([[0.0, -1.0, 2.0, -1.0, -9.0]] * 2), np.array([[0.0, 1.0, 2.0, 1.0, 9.0]] * 2)
    steepest = np.array([[0.0, large, large, 1.0, 0.0], [large, 1.0, 1.0, 0.0, large]])
    with np.errstate(over="ignore", invalid="ignore"):
        found = input_candidates(np.full((2, 5), lost), steepest, lower, upper, np.zeros(2, np.int64), np.zeros(2, bool), 6, smooth=False)
    assert [sorted(row[:3]) for row in found] == [[1, 3, 4]] * 2 and (found[:, 3:] == -1).all()
