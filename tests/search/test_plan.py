"""Which method a query gets, from counts alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.search.plan import make_plan


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


def test_inputs_that_vary_are_counted_in_one_box() -> None:
    """Every disjunct has two inputs of its own: a box has few columns, whatever the others vary."""
    graph = graphs.random_dense(np.random.default_rng(0), [40, 3000, 3000, 1])
    upper = np.zeros((20, 40))
    upper[np.arange(20), 2 * np.arange(20)] = upper[np.arange(20), 2 * np.arange(20) + 1] = 1.0
    assert make_plan(graph, np.zeros((20, 40)), upper, None, "cpu", lambda: 0).forms
