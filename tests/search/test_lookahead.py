from __future__ import annotations

import numpy as np
import pytest

from verifier.search.branching.lookahead import best_split
from verifier.search.branching.pseudo_costs import gain

MISSING = [-np.inf, -np.inf]


def best(parent: float, children: list[list[float]]) -> int:
    values = np.array([children])
    with np.errstate(over="ignore"):
        return int(best_split(values, gain(np.array([[[parent]]]), values).mean(axis=2))[0])


def test_balanced_gain_wins() -> None:
    assert best(-1.0, [[-1.0, 5.0], [-0.5, -0.5], MISSING]) == 1


@pytest.mark.parametrize("parent", [-1.0, -np.inf, 0.0, np.nan, -1e308])
@pytest.mark.parametrize("present", [[-1.0, -1.0], [-2.0, -5.0], MISSING, [np.inf, np.inf], [-np.inf, 3.0]])
def test_a_missing_candidate_is_never_chosen(parent: float, present: list[float]) -> None:
    """The caller marks missing candidates by -inf, after the present ones; taking one would drop the subproblem."""
    assert best(parent, [present, MISSING]) == 0


@pytest.mark.parametrize("present", [[np.nan, -1.0], [np.nan, np.nan], [np.inf, np.nan]])
def test_a_missing_candidate_is_never_chosen_before_nan(present: list[float]) -> None:
    assert best(-1.0, [present, MISSING]) == 0
