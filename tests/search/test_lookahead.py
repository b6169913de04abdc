from __future__ import annotations

import numpy as np
import pytest

from verifier.search.branching.lookahead import best_split
from verifier.search.branching.pseudo_costs import gain


def best(parent: float, children: list[list[float] | None]) -> int:
    """None: a candidate that is not there."""
    there = np.array([[child is not None for child in children]])
    values = np.array([[child if child is not None else [-np.inf, -np.inf] for child in children]])
    with np.errstate(over="ignore", invalid="ignore"):
        return int(best_split(there, gain(np.array([[[parent]]]), values).mean(axis=2))[0])


def test_balanced_gain_wins() -> None:
    assert best(-1.0, [[-1.0, 5.0], [-0.5, -0.5], None]) == 1


@pytest.mark.parametrize("parent", [-1.0, -np.inf, 0.0, np.nan, -1e308])
@pytest.mark.parametrize(
    "present",
    [[-1.0, -1.0], [-2.0, -5.0], [-np.inf, -np.inf], [np.inf, np.inf], [-np.inf, 3.0], [np.nan, -1.0], [np.nan, np.nan], [np.inf, np.nan]],
)
def test_a_candidate_that_is_not_there_is_never_chosen(parent: float, present: list[float]) -> None:
    """Wherever it stands, and whatever is known of the other: taking it would drop the subproblem."""
    assert best(parent, [present, None]) == 0
    assert best(parent, [None, present]) == 1
    assert best(parent, [None, present, None]) == 1
