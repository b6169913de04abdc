"""Which method a query gets, from counts alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.bounds import cost
from verifier.bounds.cost import row_cost
from verifier.search.plan import make_plan, with_rows


@pytest.mark.parametrize(
    ("sizes", "varying", "method", "forms"),
    [
        ([5, 50, 50, 5], 5, "input split", False),
        ([2, 3000, 3000, 1], 2, "input split", True),
        ([20, 3000, 3000, 1], 20, "neuron split", False),
        ([20, 3000, 3000, 1], 3, "input split", True),
    ],
)
def test_few_inputs_are_split_with_forms_where_rows_are_too_dear(sizes: list[int], varying: int, method: str, forms: bool) -> None:
    graph = graphs.random_dense(np.random.default_rng(0), sizes)
    upper = np.zeros((1, sizes[0]))
    upper[:, :varying] = 1.0
    plan = make_plan(graph, np.zeros((1, sizes[0])), upper, None, "cpu", lambda: 0)
    assert (plan.method, plan.forms) == (method, forms)
    assert ("forms" in plan.reason) == forms


def test_numbers_that_were_rounded_outward_do_not_vary() -> None:
    """All but three inputs are decimals such as 0.1, between two floats."""
    graph = graphs.random_dense(np.random.default_rng(0), [20, 3000, 3000, 1])
    lower = np.full((1, 20), 0.1)
    upper = np.nextafter(lower, 1.0)
    upper[:, :3] = 0.3
    plan = make_plan(graph, lower, upper, None, "cpu", lambda: 0)
    assert plan.forms
    assert "3 of 20 inputs vary" in plan.reason


def test_forms_give_way_to_rows_that_there_is_time_for() -> None:
    graph = graphs.random_dense(np.random.default_rng(0), [2, 3000, 3000, 1])
    plan = make_plan(graph, np.zeros((1, 2)), np.ones((1, 2)), None, "cpu", lambda: 0)
    loose = dict.fromkeys(graph.preactivations, 1000)
    needed = sum(2 * 1000 * row_cost(graph, p) for p in loose) / (2 * cost._SPEED)
    assert with_rows(plan, graph, loose, 1, 1.7 * needed, 2, None).method == "neuron split"
    assert with_rows(plan, graph, loose, 1, 1.7 * needed, 2, 7).batch == 7
    assert with_rows(plan, graph, loose, 1, 1.7 * needed, 1, None) is plan
    assert with_rows(plan, graph, loose, 2, 1.7 * needed, 2, None) is plan
    assert with_rows(plan, graph, {}, 60, 300.0, 2, None).method == "neuron split"
    assert with_rows(plan, graph, {}, 100, 300.0, 2, None) is plan  # no time for a tree each


def test_inputs_that_vary_are_counted_in_one_box() -> None:
    """Every disjunct has two inputs of its own: a box has few columns, whatever the others vary."""
    graph = graphs.random_dense(np.random.default_rng(0), [40, 3000, 3000, 1])
    upper = np.zeros((20, 40))
    upper[np.arange(20), 2 * np.arange(20)] = upper[np.arange(20), 2 * np.arange(20) + 1] = 1.0
    assert make_plan(graph, np.zeros((20, 40)), upper, None, "cpu", lambda: 0).forms
