"""Normal form and intersection of bounds."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from verifier.property import dnf
from verifier.property.disjuncts import Row
from verifier.property.dnf import Arm, Bounds, Conjunction
from verifier.property.expression import Numbers

TEXTS = ["0", "0.1", "0.10", "0.10000000000000000001", "0.2", "-1", "-0.0", "1e-400"]
NUMBERS = Numbers.of([t.encode() for t in TEXTS], [float(t) for t in TEXTS])


def output_row(line: int) -> Row:
    return Row({}, {0: Fraction(1)}, Fraction(0), False, line)


@pytest.mark.parametrize("seed", range(20))
def test_tightest_bounds(seed: int) -> None:
    rng = random.Random(seed)
    n = 3
    found = [(rng.randrange(2 * n), rng.randrange(len(TEXTS))) for _ in range(rng.choice([0, 1, 5, 60]))]
    found += [(key, 0) for key in range(2 * n)]
    rng.shuffle(found)
    cut = rng.randrange(len(found) + 1)
    parts = [Bounds.of(*zip(*part)) if part else Bounds.of([], []) for part in (found[:cut], found[cut:])]
    # Once all in common, once in an arm, once in both.
    for common, arm in (((*parts,), ()), ((), (*parts,)), ((parts[0],), (parts[1],))):
        (disjunct,) = dnf.build(NUMBERS, Arm(common, (), 1), [Arm(arm, (), 2)], n, 1)
        for i in range(n):
            low, high = disjunct.box.exact(i)
            assert low == max(Fraction(TEXTS[k]) for key, k in found if key == 2 * i)
            assert high == min(Fraction(TEXTS[k]) for key, k in found if key == 2 * i + 1)


def test_missing_bounds_are_named() -> None:
    common = Arm((Bounds.of([0, 1, 2], [0, 1, 0]),), (), 1)
    with pytest.raises(dnf.MissingBound) as caught:
        dnf.build(NUMBERS, common, [Arm((Bounds.of([3], [1]),), (), 5), Arm((), (), 6)], 2, 1)
    assert (caught.value.index, caught.value.side, caught.value.line) == (1, 1, 6)
    assert dnf.build(NUMBERS, common, [], 2, 1) == ()


def test_product_keeps_all_pairs_and_lines() -> None:
    inputs = [Arm((Bounds.of([0], [k]),), (), 10 + k) for k in range(3)]
    outputs = [Arm((), (output_row(20 + k),), 20 + k) for k in range(2)]
    for pairs in (dnf.product(inputs, outputs), dnf.product(outputs, inputs)):
        found = sorted((int(a.bounds[0].ids[0]), a.rows[0].line, a.line) for a in pairs)
        assert found == [(i, 20 + j, 20 + j) for i in range(3) for j in range(2)]


def test_caps() -> None:
    arms = [Arm((), (output_row(1),), 1)] * 400
    with pytest.raises(dnf.TooLarge, match="disjuncts"):
        dnf.product(arms, arms)
    long = [Arm((), (output_row(1),) * 200_000, 1)] * 100
    with pytest.raises(dnf.TooLarge, match="comparisons"):
        dnf.product(long, long)


def test_conjunction() -> None:
    both = Conjunction()
    both.add([Arm((Bounds.of([0], [0]),), (output_row(3),), 3)])
    both.add([Arm((), (output_row(k),), k) for k in (4, 5)])
    assert [[row.line for row in arm.rows] for arm in both.arms(9)] == [[3, 4], [3, 5]]
    common, arms = both.split()
    assert [row.line for row in common.rows] == [3] and [[row.line for row in arm.rows] for arm in arms] == [[4], [5]]
    both.add([])
    assert both.arms(9) == []
    assert np.array_equal(common.bounds[0].keys, [0])
