from __future__ import annotations

import numpy as np
import pytest

from verifier.search.branching.lookahead import best_split

MISSING = [-np.inf, -np.inf]


def test_balanced_gain_wins() -> None:
    assert best_split(np.array([-1.0]), np.array([[[-1.0, 5.0], [-0.5, -0.5], MISSING]])).tolist() == [1]


@pytest.mark.parametrize("parent", [-1.0, -np.inf, 0.0, np.nan, -1e308])
@pytest.mark.parametrize("present", [[-1.0, -1.0], [-2.0, -5.0], MISSING, [np.inf, np.inf], [-np.inf, 3.0]])
def test_a_missing_candidate_is_never_chosen(parent: float, present: list[float]) -> None:
    """The caller marks missing candidates by -inf, after the present ones; taking one would drop the subproblem."""
    with np.errstate(invalid="ignore", over="ignore"):
        assert best_split(np.array([parent]), np.array([[present, MISSING]])).tolist() == [0]


@pytest.mark.parametrize("present", [[np.nan, -1.0], [np.nan, np.nan], [np.inf, np.nan]])
def test_a_missing_candidate_is_never_chosen_before_nan(present: list[float]) -> None:
    assert best_split(np.array([-1.0]), np.array([[present, MISSING]])).tolist() == [0]
