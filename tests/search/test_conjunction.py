"""A mixture of planes never refutes a box with a point below all of them: compared in rationals, without tolerance."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from tests.bounds.exact import fractions
from verifier.search.conjunction import mixture, refuted_together


def touching(rng: np.random.Generator, n: int, rows: int, kind: str) -> tuple[np.ndarray, ...]:
    """Box (n,), planes a (rows, n), c (rows,), and a point of the box where all of them are <= 0, most hardly so."""
    lower = rng.normal(size=n)
    upper = lower + np.abs(rng.normal(size=n)) * float(rng.choice([1.0, 1e-9, 0.0]))
    a = rng.normal(size=(rows, n))
    if kind == "opposed":  # every row is nearly the opposite of the one before: the feasible set is a sliver
        a[1::2] = -a[: len(a[1::2])] * (1 + rng.choice([0.0, 1e-15, 1e-8], size=(len(a[1::2]), 1)))
    if kind == "scales":
        a = a * 10.0 ** rng.integers(-8, 9, (rows, 1))
    share = np.where(rng.random(n) < 0.5, rng.integers(0, 2, n), rng.random(n))
    x = np.clip(lower + share * (upper - lower), lower, upper)
    c = np.empty(rows)
    for r in range(rows):
        exact = -sum((w * v for w, v in zip(fractions(a[r]), fractions(x))), Fraction(0))
        c[r] = float(exact)
        if Fraction(c[r]) > exact:
            c[r] = np.nextafter(c[r], -np.inf)
    return lower, upper, a, c, x


def test_a_feasible_box_is_never_refuted() -> None:
    for seed in range(1200):
        rng = np.random.default_rng(seed)
        lower, upper, a, c, _ = touching(rng, int(rng.integers(1, 6)), int(rng.integers(2, 6)), ("plain", "opposed", "scales")[seed % 3])
        assert not refuted_together(lower[None], upper[None], a[None], c[None])[0], f"seed {seed}"


def test_most_infeasible_boxes_are_refuted() -> None:
    """Where linear programming finds every point above some plane by a clear margin."""
    infeasible = refuted = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n, rows = 3, 3
        lower, upper = -np.ones(n), np.ones(n)
        a, c = rng.normal(size=(rows, n)), 0.4 * rng.normal(size=rows)
        highest = linprog(
            [0.0] * n + [1.0], A_ub=np.concatenate([a, -np.ones((rows, 1))], axis=1), b_ub=-c, bounds=[(-1, 1)] * n + [(None, None)]
        )
        found = bool(refuted_together(lower[None], upper[None], a[None], c[None])[0])
        assert not (found and highest.fun < -1e-9)
        if highest.fun > 0.1:
            infeasible, refuted = infeasible + 1, refuted + found
    assert infeasible >= 3 and refuted >= 0.5 * infeasible


def test_planes_that_are_not_finite_refute_nothing() -> None:
    box = np.zeros((1, 2)), np.ones((1, 2))
    for bad in (np.nan, np.inf, -np.inf):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            a = np.array([[[bad, 1.0], [1.0, 1.0]]])
            assert not refuted_together(*box, a, np.array([[-1.0, -1.0]]))[0]
            assert not refuted_together(*box, np.ones((1, 2, 2)), np.array([[-5.0, bad if bad != np.inf else -5.0]]))[0]


def test_a_mixture_is_not_positive_where_no_plane_is() -> None:
    for seed in range(900):
        rng = np.random.default_rng(seed)
        lower, upper, a, c, x = touching(rng, int(rng.integers(1, 6)), int(rng.integers(1, 6)), ("plain", "opposed", "scales")[seed % 3])
        plane, offset = (v[0] for v in mixture(lower[None], upper[None], a[None], c[None]))
        value = sum((w * v for w, v in zip(fractions(plane), fractions(x))), Fraction(float(offset)))
        assert value <= 0, f"seed {seed}"
