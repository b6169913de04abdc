"""Every kind against its definition: at random points, the property's disjuncts hold exactly where the claim, written out, does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import PropertyError
from verifier.property.templates.assembly import Origin
from verifier.property.templates.kinds import (
    BoundedChange,
    Claim,
    Equivalence,
    Fairness,
    Monotonicity,
    OutputRange,
    Robustness,
    SafeRegion,
)
from verifier.property.templates.region import Ball, Box, Interface

N, M = 3, 4
NETWORK = Interface(((1, N),), ((1, M),))
ORIGIN = Origin("t.yaml", "0" * 64, "sample 0", 5)
BOX = Box([0, 0, 0], [4, 4, 4], mean=2, std=4)
"""Normalised to [-1/2, 1/2]; quarters of it are floats."""

Point = Sequence[int]
"""Of the user's units."""


def violations(claim: Claim, networks: int, x: Point, y: Point) -> bool:
    """x: joint inputs in the user's units, in quarters of floats once normalised."""
    prop = claim.build([NETWORK] * networks, ORIGIN)
    assert prop.inputs == len(x) and prop.outputs == len(y)
    return prop.holds((np.array(x, dtype=float) - 2) / 4, np.array(y, dtype=float)) is not None


def single(claim: Claim, violated: Callable[[Point, Point], bool]) -> None:
    @given(st.lists(st.integers(0, 4), min_size=N, max_size=N), st.lists(st.integers(-2, 2), min_size=M, max_size=M))
    def check(x: list[int], y: list[int]) -> None:
        assert violations(claim, 1, x, y) is violated(x, y)

    check()


def double(claim: Claim, own: Sequence[int], violated: Callable[[Point, Point, Point, Point], bool], networks: int = 1) -> None:
    """own: features that the second copy has for itself."""
    values = st.lists(st.integers(-2, 2), min_size=M, max_size=M)

    @given(st.lists(st.integers(0, 4), min_size=N + len(own), max_size=N + len(own)), values, values)
    def check(x: list[int], y: list[int], z: list[int]) -> None:
        other = x[:N]
        for k, i in enumerate(own):
            other[i] = x[N + k]
        assert violations(claim, networks, x, y + z) is violated(x[:N], other, y, z)

    check()


def test_robustness() -> None:
    single(Robustness(BOX, 1), lambda x, y: any(y[j] >= y[1] for j in (0, 2, 3)))
    single(Robustness(BOX, 1, target=[0, 3]), lambda x, y: y[0] == max(y) or y[3] == max(y))
    single(Robustness(BOX, 2, top_k=3), lambda x, y: sum(v >= y[2] for v in y) - 1 >= 3)
    single(Robustness(BOX, 0, top_k=2), lambda x, y: sum(v >= y[0] for v in y) - 1 >= 2)


def test_output_range() -> None:
    claim = OutputRange(BOX, {0: (-1, 1), 2: (None, "0.5"), 3: (0, None)})
    single(claim, lambda x, y: not (-1 <= y[0] <= 1 and y[2] <= 0.5 and y[3] >= 0))


def test_safe_region() -> None:
    single(SafeRegion(BOX, safe=["y[0] <= y[1]", "y[2] - x[0] < 1"]), lambda x, y: not (y[0] <= y[1] and y[2] - x[0] < 1))
    unsafe = SafeRegion(BOX, unsafe=[["y[0] > 0", "0.5*x[1] + y[1] >= 2"], "y[3] > 1"])
    single(unsafe, lambda x, y: (y[0] > 0 and 0.5 * x[1] + y[1] >= 2) or y[3] > 1)


@pytest.mark.parametrize(("direction", "sign"), [("increasing", 1), ("decreasing", -1)])
def test_monotonicity(direction: str, sign: int) -> None:
    claim = Monotonicity(BOX, 1, 2, direction, tolerance=1)  # type: ignore[arg-type]
    double(claim, [1], lambda a, b, y, z: b[1] >= a[1] and sign * (z[2] - y[2]) < -1)


def test_bounded_change() -> None:
    claim = BoundedChange(BOX, [1, 0, 2], 1, [0, 3])
    # The swapped pair is in the region as well, so that one order of the two is enough.
    double(claim, [0, 2], lambda a, b, y, z: abs(a[0] - b[0]) <= 1 and abs(a[2] - b[2]) <= 2 and any(y[j] - z[j] > 1 for j in (0, 3)))


def test_equivalence() -> None:
    double(Equivalence(BOX, 1), [], lambda a, b, y, z: any(abs(p - q) > 1 for p, q in zip(y, z)), 2)

    def other(a: Point, b: Point, y: Point, z: Point) -> bool:
        best = [j for j in range(M) if y[j] == max(y)]
        return len(best) == 1 and z[best[0]] < max(z)

    double(Equivalence(BOX), [], other, 2)


def test_fairness() -> None:
    box = Box([0, 9, 0], [4, 9, 4], mean=2, std=4)  # what the box says of a sensitive feature does not matter
    pairs = [(0, 1), (0, 3), (1, 3)]

    def unfair(a: Point, b: Point, y: Point, z: Point) -> bool:
        return (a[1], b[1]) in pairs and abs(y[0] - z[0]) > 1

    double(Fairness(box, [1], [0, 1, 3], tolerance=1, outputs=[0]), [1], unfair)

    def decided(a: Point, b: Point, y: Point, z: Point) -> bool:
        return (a[1], b[1]) in pairs and (y[2] >= 1) != (z[2] >= 1)

    double(Fairness(box, [1], [0, 1, 3], threshold=1, outputs=[2]), [1], decided)

    def answers(a: Point, b: Point, y: Point, z: Point) -> bool:
        best = [[j for j in range(M) if v[j] == max(v)] for v in (y, z)]
        found = any(len(p) == 1 and p[0] not in q for p, q in (best, best[::-1]))
        return (a[2], a[0]) == (1, 0) and (b[2], b[0]) == (0, 1) and found

    double(Fairness(BOX, [2, 0], [[1, 0], [0, 1]]), [0, 2], answers)


def test_the_centre_and_the_place_are_kept() -> None:
    prop = Robustness(Ball([1, 2, 3], 1, mean=1, std=2), 1).build([NETWORK], ORIGIN)
    assert prop.centre is not None and prop.centre.tolist() == [0, 0.5, 1]
    assert {d.line for d in prop.disjuncts} == {5} and (prop.source, prop.part, prop.version) == ("t.yaml", "sample 0", "template")


def test_the_box_is_exact() -> None:
    rng = random.Random(3)
    for _ in range(20):
        centre, eps = [Fraction(rng.randint(0, 255), 255) for _ in range(N)], Fraction(rng.randint(1, 16), 255)
        mean, std = Fraction(rng.randint(1, 999), 1000), Fraction(rng.randint(1, 999), 1000)
        box = Robustness(Ball(centre, eps, (0, 1), mean=mean, std=std), 0).build([NETWORK], ORIGIN).disjuncts[0].box
        for i, c in enumerate(centre):
            assert box.exact(i) == ((max(Fraction(0), c - eps) - mean) / std, (min(Fraction(1), c + eps) - mean) / std)


@pytest.mark.parametrize(
    ("claim", "code", "words"),
    [
        (Robustness(BOX, 4), "V224", "no label 4"),
        (Robustness(BOX), "V222", "label or a target"),
        (Robustness(BOX, 1, target=[1]), "V224", "target 1 is the label"),
        (Robustness(BOX, 1, target=[4]), "V224", "no output 4"),
        (Robustness(BOX, 1, top_k=4), "V224", "top_k is 4"),
        (Robustness(BOX, 1, target=[0], top_k=2), "V224", "exclude"),
        (OutputRange(BOX, {}), "V222", "asks nothing"),
        (SafeRegion(BOX), "V222", "asks nothing"),
        (OutputRange(BOX, {9: (0, 1)}), "V224", "no output 9"),
        (OutputRange(BOX, {0: (1, 0)}), "V224", "at least 1 and at most 0"),
        (Monotonicity(BOX, 3, 0), "V224", "no feature 3"),
        (Monotonicity(BOX, 0, 0, tolerance=-1), "V224", "tolerance is -1"),
        (BoundedChange(BOX, -1, 1), "V224", "distance is -1"),
        (Fairness(BOX, [0, 0], [[0, 0], [1, 1]]), "V224", "distinct"),
        (Fairness(BOX, [0], [1]), "V223", "at least two values"),
        (Fairness(BOX, [0], [0, 1], outputs=[2]), "V222", "threshold"),
    ],
)
def test_refused(claim: Claim, code: str, words: str) -> None:
    with pytest.raises(PropertyError, match=words) as caught:
        claim.build([NETWORK], ORIGIN)
    assert caught.value.code == code


def test_too_many_sets_are_refused_by_name() -> None:
    wide = Interface(((1, N),), ((1, 100),))
    with pytest.raises(PropertyError, match="71523144 sets of 5 outputs") as caught:
        Robustness(BOX, 1, top_k=5).build([wide], ORIGIN)
    assert caught.value.code == "V213"


def test_networks_that_do_not_match() -> None:
    with pytest.raises(PropertyError, match="4 and 5 outputs"):
        Equivalence(BOX, 1).build([NETWORK, Interface(((1, N),), ((1, 5),))], ORIGIN)
