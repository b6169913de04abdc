"""Least values of planes over balls: never above those at points of the ball, in exact arithmetic, and near them."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import numpy_arrays, to_numpy
from verifier.operators.ball import Norm, NormBall
from verifier.property.balls import Ball

NORMS: tuple[Norm, ...] = ("l1", "l2")


def exact_ball(rng: np.random.Generator, norm: Norm, n: int) -> Ball:
    """Numbers that no float holds, of very different sizes."""
    size = Fraction(10) ** int(rng.integers(-8, 9))
    centre = [Fraction(int(rng.integers(-1000, 1000)), 333) * size for _ in range(n)]
    scale = [Fraction(int(rng.integers(1, 1000)), 777) for _ in range(n)]
    return Ball(norm, centre, scale, Fraction(int(rng.integers(0, 50)), 7) * size)


def extreme(ball: Ball, plane: np.ndarray) -> Fraction:
    """The exact least value of the plane over the ball, for l2 above it by less than 1e-39 of it."""
    a = [Fraction(float(v)) for v in plane]
    middle = sum((p * c for p, c in zip(a, ball.centre)), Fraction(0))
    reach = [abs(p) / s for p, s in zip(a, ball.scale)]
    if ball.norm == "l1":
        return middle - ball.radius * max(reach)
    square = sum((r * r for r in reach), Fraction(0))
    fine = 10 ** (40 + max(0, (square.denominator.bit_length() - square.numerator.bit_length()) // 6))
    return middle - ball.radius * Fraction(isqrt(square.numerator * fine**2 // square.denominator), fine)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(150))
def test_least_is_a_lower_bound_and_near(norm: Norm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    exact = exact_ball(rng, norm, n)
    ball = NormBall.of(norm, exact.centre, exact.scale, exact.radius)
    planes = rng.normal(size=(5, n)) * 10.0 ** rng.integers(-160, 100, (5, 1)) * 10.0 ** rng.integers(-9, 9, (5, n))
    planes[rng.random((5, n)) < 0.2] = 0.0
    least = ball.least(planes)
    for value, plane in zip(least, planes):
        true = extreme(exact, plane)
        assert Fraction(float(value)) <= true
        size = sum((abs(Fraction(float(p)) * c) for p, c in zip(plane, exact.centre)), Fraction(0)) + abs(true)
        assert true - Fraction(float(value)) <= Fraction(10) ** -12 * size + Fraction(10) ** -280


@pytest.mark.parametrize("norm", NORMS)
def test_minimisers_attain_it_and_projections_lie_inside(norm: Norm) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 30))
        exact = exact_ball(rng, norm, n)
        ball = NormBall.of(norm, exact.centre, exact.scale, exact.radius)
        planes = rng.normal(size=(6, n))
        points = ball.minimiser(planes)
        size = np.abs(planes) @ np.abs(ball.centre) + np.abs(planes) @ ball.reach * ball.radius
        assert (np.abs((planes * points).sum(axis=1) - ball.least(planes)) <= 1e-9 * size + 1e-12).all()
        far = ball.centre + rng.normal(size=(20, n)) * 10.0 ** rng.integers(-3, 4, (20, 1)) * (ball.radius * ball.reach + 1e-9)
        if exact.radius:
            assert all(exact.contains(x) for x in ball.project(far))
            inside = ball.centre + 0.5 * (ball.project(far) - ball.centre)
            assert (ball.project(inside) == inside).all()


@pytest.mark.parametrize("norm", NORMS)
def test_torch_and_single_precision_agree(norm: Norm) -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    exact = exact_ball(rng, norm, 7)
    ball = NormBall.of(norm, exact.centre, exact.scale, Fraction(3))
    planes = rng.normal(size=(2, 3, 7))
    for arrays, tolerance in (*((graphs.torch64(device), 1e-12) for device in graphs.DEVICES), (numpy_arrays(single=True), 1e-5)):
        moved = ball.to(arrays)
        for name in ("least", "minimiser", "project"):
            ours, theirs = getattr(ball, name)(planes), to_numpy(getattr(moved, name)(arrays.asarray(planes)))
            assert ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(ours).max())


def test_what_is_not_finite_says_nothing() -> None:
    ball = NormBall.of("l2", [Fraction(1)] * 2, [Fraction(1)] * 2, Fraction(1))
    assert (ball.least(np.array([[np.inf, 1.0], [np.nan, 0.0], [1e308, 1e308]])) == -np.inf)[:2].all()


def test_exact_membership_at_the_border() -> None:
    third = Fraction(1, 3)
    assert Ball("l1", [Fraction(0)] * 3, [Fraction(1)] * 3, Fraction(3, 4)).contains(np.array([0.25, -0.25, 0.25]))
    assert not Ball("l1", [Fraction(0)] * 3, [Fraction(1)] * 3, Fraction(3, 4)).contains(np.array([0.25, -0.25, 0.25000000000000006]))
    assert Ball("l2", [Fraction(0)] * 2, [Fraction(1)] * 2, Fraction(5)).contains(np.array([3.0, -4.0]))
    assert not Ball("l2", [Fraction(0)] * 2, [Fraction(1)] * 2, Fraction(5)).contains(np.array([3.0, -4.000000000000001]))
    assert not Ball("l2", [third, third], [Fraction(1)] * 2, Fraction(0)).contains(np.array([1 / 3, 1 / 3]))
