"""Clipping never removes a point that all planes allow, no row is less there than its bound: compared in rationals, without tolerance."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from tests.bounds.exact import fractions
from verifier.search.clipping import clip, clip_affine, least_over, least_within


def scaled(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    values = rng.normal(size=shape)
    if kind == "scales":
        values = values * 2.0 ** rng.integers(-60, 60, shape)
    elif kind == "integers":
        values = np.round(3 * values)
    elif kind == "extreme":
        values = values * 10.0 ** rng.integers(-150, 150, shape)
    elif kind == "tiny":
        values = values * 10.0 ** rng.integers(-320, -150, shape)
    return values


def allowed(a: np.ndarray, c: np.ndarray, x: list[Fraction]) -> bool:
    """Every a[r] . x + c[r] <= 0, exactly."""
    return all(sum((w * v for w, v in zip(row, x)), Fraction(0)) + d <= 0 for row, d in zip(fractions(a), fractions(c)))


def on_a_plane(rng: np.random.Generator, a: np.ndarray, c: float, lower: np.ndarray, upper: np.ndarray) -> list[Fraction] | None:
    """An exact point of the box on the plane: all inputs but one at a random side, the last one solved for."""
    candidates = np.flatnonzero(a)
    if not len(candidates):
        return None
    i = int(rng.choice(candidates))
    x = [Fraction(float(v)) for v in np.where(rng.random(len(lower)) < 0.5, lower, upper)]
    rest = sum((Fraction(float(w)) * v for j, (w, v) in enumerate(zip(a, x)) if j != i), Fraction(float(c)))
    x[i] = -rest / Fraction(float(a[i]))
    return x if Fraction(float(lower[i])) <= x[i] <= Fraction(float(upper[i])) else None


def corners(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray, middle: np.ndarray) -> list[list[Fraction]]:
    """Some corners of the box, and a point inside."""
    some = np.where(rng.random((6, len(lower))) < 0.5, lower, upper)
    return [[Fraction(float(v)) for v in p] for p in (lower, upper, middle, *some)]


def check(seed: int, kinds: tuple[str, ...]) -> int:
    """Number of points tested; asserts that none was removed."""
    rng = np.random.default_rng(seed)
    n, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    kind = str(rng.choice(kinds))
    lower = scaled(rng, (n,), kind)
    upper = lower + np.abs(scaled(rng, (n,), kind))
    a = scaled(rng, (rows, n), kind) * (rng.random((rows, n)) < 0.85)
    middle = lower + rng.random(n) * (upper - lower)
    c = -(a @ middle) * (1 + rng.choice([0.0, 1e-15, 0.3]) * rng.normal())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = clip(lower[None], upper[None], a[None], c[None], 2)
    tested = 0
    points = corners(rng, lower, upper, middle)
    points += [p for r in range(rows) for _ in range(6) if (p := on_a_plane(rng, a[r], c[r], lower, upper)) is not None]
    for x in points:
        if allowed(a, c, x):
            tested += 1
            inside = all(Fraction(float(low[0, i])) <= x[i] <= Fraction(float(high[0, i])) for i in range(n))
            assert inside, f"seed {seed} ({kind}): {list(map(float, x))} was removed from {low[0]}, {high[0]}"
    return tested


def test_no_allowed_point_is_removed() -> None:
    assert sum(check(seed, ("plain", "scales", "integers", "extreme")) for seed in range(1500)) > 3000


def test_no_allowed_point_is_removed_by_underflow() -> None:
    for seed in range(600):
        check(seed, ("tiny",))


def test_planes_that_are_not_finite_clip_nothing() -> None:
    lower, upper = np.array([[-1.0, 0.0]]), np.array([[1.0, 2.0]])
    for a, c in (([np.inf, 1.0], 0.0), ([1.0, 1.0], -np.inf), ([0.0, 0.0], 1.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = clip(lower, upper, np.array([[a]]), np.array([[c]]), 2)
        assert (low <= lower).all() and (high >= upper).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = clip(lower, upper, np.array([[[1.0, np.nan]]]), np.array([[0.0]]), 2)
    assert not (low > high).any(), "NaN must not close a box"


def value(row: np.ndarray, constant: float, x: list[Fraction]) -> Fraction:
    return sum((w * v for w, v in zip(fractions(row), x)), Fraction(float(constant)))


def propagated(seed: int, kinds: tuple[str, ...]) -> int:
    """Number of points tested; asserts that no point is removed at which shared rows are no greater than they are known to be."""
    rng = np.random.default_rng(seed)
    n, count, boxes = int(rng.integers(1, 5)), int(rng.integers(1, 4)), 3
    kind = str(rng.choice(kinds))
    lower = scaled(rng, (boxes, n), kind)
    upper = lower + np.abs(scaled(rng, (boxes, n), kind)) * (rng.random((boxes, n)) < 0.9)
    rows, constants = scaled(rng, (count, n), kind) * (rng.random((count, n)) < 0.85), scaled(rng, (count,), kind)
    middle = lower + rng.random((boxes, n)) * (upper - lower)
    above = (middle @ rows.T + constants) * (1 + rng.choice([0.0, 1e-15, 0.3]) * rng.normal())
    with np.errstate(all="ignore"):
        low, high = clip_affine(lower, upper, rows, constants, above)
    tested = 0
    for b in range(boxes):
        points = corners(rng, lower[b], upper[b], middle[b])
        for j in range(count):
            edge = (on_a_plane(rng, rows[j], float(constants[j] - above[b, j]), lower[b], upper[b]) for _ in range(6))
            points += [p for p in edge if p is not None]
        for x in points:
            if all(value(rows[j], constants[j], x) <= Fraction(float(above[b, j])) for j in range(count)):
                tested += 1
                inside = all(Fraction(float(low[b, i])) <= x[i] <= Fraction(float(high[b, i])) for i in range(n))
                assert inside, f"seed {seed} ({kind}): {list(map(float, x))} was removed from {low[b]}, {high[b]}"
    return tested


def test_no_point_is_removed_that_shared_rows_allow() -> None:
    assert sum(propagated(seed, ("plain", "scales", "integers", "extreme")) for seed in range(900)) > 3000


def test_no_point_is_removed_that_shared_rows_allow_by_underflow() -> None:
    for seed in range(400):
        propagated(seed, ("tiny",))


def test_shared_rows_leave_what_each_allows_an_input() -> None:
    """The box of a linear program over one row, and nothing where a row has no bound."""
    less = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 6))
        lower, row = rng.normal(size=n), rng.normal(size=n) * (rng.random(n) < 0.7)
        upper = lower + rng.random(n)
        above = row @ (lower + rng.random(n) * (upper - lower))
        low, high = clip_affine(lower[None], upper[None], row[None], np.zeros(1), np.array([[above]]))
        for i in range(n):
            ends = [linprog(sign * np.eye(n)[i], A_ub=row[None], b_ub=[above], bounds=list(zip(lower, upper))).fun for sign in (1, -1)]
            np.testing.assert_allclose([low[0, i], -high[0, i]], ends, atol=1e-8)
        less += bool((high - low < upper - lower - 1e-6).any())
        same = clip_affine(lower[None], upper[None], row[None], np.zeros(1), np.array([[np.inf]]))
        assert (same[0] == lower).all() and (same[1] == upper).all()
    assert less > 20


def bounded(seed: int, kinds: tuple[str, ...]) -> int:
    """Number of points tested; asserts that no row is less at one than its bound, over the box or where a plane is not positive."""
    rng = np.random.default_rng(seed)
    n, count = int(rng.integers(1, 6)), 5
    kind = str(rng.choice(kinds))
    lower = scaled(rng, (n,), kind)
    upper = lower + np.abs(scaled(rng, (n,), kind)) * (rng.random(n) < 0.9)
    a, rows, constants = scaled(rng, (n,), kind) * (rng.random(n) < 0.85), scaled(rng, (count, n), kind), scaled(rng, (count,), kind)
    middle = lower + rng.random(n) * (upper - lower)
    c = float(-(a @ middle) * (1 + rng.choice([0.0, 1e-15, 0.3]) * rng.normal()))
    with np.errstate(all="ignore"):
        over = least_over(lower[None], upper[None], rows, constants)[0]
        same = (np.repeat(v[None], count, axis=0) for v in (lower, upper, a))
        within = least_within(*same, np.full(count, c), rows, constants)
    tested = 0
    points = corners(rng, lower, upper, middle)
    for x in points + [p for _ in range(8) if (p := on_a_plane(rng, a, c, lower, upper)) is not None]:
        for j in range(count):
            exact = value(rows[j], constants[j], x)
            assert not Fraction(float(over[j])) > exact if np.isfinite(over[j]) else not over[j] == np.inf, f"seed {seed} ({kind})"
            if allowed(a[None], np.array([c]), x):
                tested += 1
                assert not within[j] > exact, f"seed {seed} ({kind}): row {j} at {list(map(float, x))}"
    return tested


def test_no_row_is_less_than_its_bound() -> None:
    assert sum(bounded(seed, ("plain", "scales", "integers", "extreme")) for seed in range(600)) > 3000


def test_no_row_is_less_than_its_bound_by_underflow() -> None:
    for seed in range(300):
        bounded(seed, ("tiny",))


def test_bounds_within_a_plane_are_those_of_a_linear_program() -> None:
    """Where the plane excludes a part of the box, they are greater than over the box."""
    better = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 8))
        lower, a, row = rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)
        upper = lower + rng.random(n)
        c = float(-(a @ (lower + rng.random(n) * (upper - lower))))
        found = least_within(lower[None], upper[None], a[None], np.array([c]), row[None], np.zeros(1))[0]
        truth = linprog(row, A_ub=a[None], b_ub=[-c], bounds=list(zip(lower, upper)))
        np.testing.assert_allclose(found, truth.fun, atol=2e-6)
        better += found > least_over(lower[None], upper[None], row[None], np.zeros(1))[0, 0] + 1e-6
    assert better > 40


def test_rows_without_a_finite_bound_have_none() -> None:
    lower, upper = np.array([[-1.0, 0.0]]), np.array([[1.0, 2.0]])
    for a, c in (([np.inf, 1.0], 0.0), ([np.nan, 1.0], 0.0), ([1.0, 1.0], -np.inf), ([0.0, 0.0], -1.0)):
        with np.errstate(all="ignore"):
            found = least_within(lower, upper, np.array([a]), np.array([c]), np.array([[1.0, 1.0]]), np.zeros(1))
        assert not found[0] > -1.0


def test_shared_rows_that_are_not_finite_clip_nothing() -> None:
    lower, upper = np.array([[-1.0, 0.0]]), np.array([[1.0, 2.0]])
    cases = ([np.inf, 1.0], 0.0, 0.0), ([1e308, 1e308], 0.0, 1e308), ([1.0, 1.0], -np.inf, 0.0), ([1.0, 1.0], 0.0, np.nan)
    for row, constant, above in cases:
        with np.errstate(all="ignore"):
            low, high = clip_affine(lower, upper, np.array([row]), np.array([constant]), np.array([[above]]))
        assert (low <= lower).all() and (high >= upper).all(), (row, constant, above)
