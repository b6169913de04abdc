"""Boxes, rows and coefficients against rationals."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import InternalError, PropertyError
from verifier.property.disjuncts import Box, Disjunct, Property, Row
from verifier.property.expression import Numbers

F = Fraction
SINGLE_MAX = float(np.finfo(np.float32).max)


def box(*bounds: tuple[str, str]) -> Box:
    texts = [text for pair in bounds for text in pair]
    numbers = Numbers.of([t.encode() for t in texts], [float(t) for t in texts])
    return Box(numbers, np.arange(2 * len(bounds), dtype=np.int32).reshape(-1, 2))


def disjunct(where: Box, *rows: Row, outputs: int = 1) -> Disjunct:
    return Disjunct(where, rows, outputs, 1)


near_zero = st.one_of(st.floats(-4, 4), st.floats(-4, 4, width=32), st.sampled_from([0.1, 0.3, 1e-45, 1e-46, 1e39, -1e39, SINGLE_MAX]))
# Pairs close to one another, closer than floats are, or far apart.
pairs = st.one_of(
    st.tuples(near_zero.map(repr), near_zero.map(repr)),
    near_zero.map(lambda v: (repr(v), repr(v))),
    st.tuples(st.floats(0.25, 4), st.integers(-2, 2), st.sampled_from(["1e-20", "1e-16", "1e-9", "1e-7"])).map(
        lambda t: (repr(t[0]), str(Decimal(repr(t[0])) + t[1] * Decimal(t[2])))),
)


def neighbour(x: np.ndarray | np.floating, direction: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.nextafter(x, x.dtype.type(direction * np.inf))


@given(st.lists(pairs, min_size=1, max_size=5), st.sampled_from([np.float32, np.float64]))
def test_inward_rounding(bounds: list[tuple[str, str]], dtype: type) -> None:
    where = disjunct(box(*bounds))
    lower, upper = where.inner(dtype)
    thin = where.thin(dtype)
    assert lower.dtype == upper.dtype == dtype and np.isfinite(lower).all() and np.isfinite(upper).all()
    for (low, high), a, b, none in zip(bounds, lower, upper, thin):
        if not none:
            assert F(low) <= F(float(a)) <= F(float(b)) <= F(high)
            below, above = neighbour(a, -1), neighbour(b, 1)
            assert not np.isfinite(below) or F(float(below)) < F(low)
            assert not np.isfinite(above) or F(float(above)) > F(high)
        else:
            assert a == b
            with np.errstate(over="ignore"):
                guess = dtype(float(low))
            for k in (-1, 0, 1):  # no float near the lower bound lies inside
                candidate = guess if k == 0 else neighbour(guess, k)
                assert not np.isfinite(candidate) or not F(low) <= F(float(candidate)) <= F(high)
            if low == high and abs(float(low)) <= SINGLE_MAX:
                assert a == guess


@given(st.lists(pairs, min_size=1, max_size=5))
def test_outward_rounding_and_emptiness(bounds: list[tuple[str, str]]) -> None:
    where = disjunct(box(*bounds))
    for (low, high), a, b in zip(bounds, where.lower, where.upper):
        assert F(float(a)) <= F(low) and F(float(b)) >= F(high)
    assert where.empty == any(F(low) > F(high) for low, high in bounds)
    assert not where.lower.flags.writeable


@given(st.lists(pairs, min_size=1, max_size=3), st.data())
def test_membership_is_exact(bounds: list[tuple[str, str]], data: st.DataObject) -> None:
    where = disjunct(box(*bounds))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    with np.errstate(over="ignore"):
        x = np.array([data.draw(st.sampled_from([low, high])) for low, high in bounds], dtype=np.float64).astype(dtype)
    x = neighbour(x, data.draw(st.sampled_from([-1, 1]))) if data.draw(st.booleans()) else x
    finite = bool(np.isfinite(x).all())
    assert where.holds(x, np.zeros(1)) == (finite and all(F(low) <= F(float(v)) <= F(high) for (low, high), v in zip(bounds, x)))
    if dtype is np.float32 and finite:
        with np.errstate(over="ignore"):
            # numpy rounds the Python float to float32
            read = all(v >= float(low) and v <= float(high) for (low, high), v in zip(bounds, x))
        assert where.holds(x, np.zeros(1), float32_literals=True) == read


def test_fixed_inputs_that_float32_lacks() -> None:
    where = disjunct(box(("0.1", "0.1"), ("0", "1")), Row({}, {0: F(1)}, F("-0.3"), False, 1))
    lower, upper = where.inner(np.float32)
    assert where.thin("float32").tolist() == [True, False] and lower[0] == upper[0] == np.float32(0.1)
    y = np.array([0.3], dtype=np.float32)  # above 0.3, but equal to 0.3 read as float32
    assert not where.holds(lower, y) and where.holds(lower, y, float32_literals=True)
    assert not where.holds(lower, np.nextafter(y, np.float32(1)), float32_literals=True)


def test_the_nearest_of_two_ends() -> None:
    low = F(1) + F(1, 2**24) - F(1, 2**40)  # 1 and 1 + 2**-23 are floats
    high = F(1) + F(2, 2**24) - F(1, 2**40)
    (a, *_), (b, *_) = disjunct(box((f"{float(low)!r}", f"{float(high)!r}"))).inner(np.float32)
    assert a == b == np.float32(1 + 2**-23)


def test_points_that_meet_nothing() -> None:
    where = disjunct(box(("-1", "1")), Row({}, {0: F(1)}, F(0), False, 1))
    assert where.holds(np.zeros(1), np.zeros(1))
    for bad in (np.nan, np.inf, -np.inf):
        assert not where.holds(np.array([bad]), np.zeros(1)) and not where.holds(np.zeros(1), np.array([bad]))
    with pytest.raises(InternalError):
        where.holds(np.zeros(2), np.zeros(1))
    with pytest.raises(InternalError):
        where.inner(np.int32)


coefficients = st.one_of(
    st.sampled_from([F(1), F(-1), F("0.1"), F("-2.5"), F("1e-30"), F(1, 3)]),
    st.floats(-1e6, 1e6).filter(bool).map(F),
    st.decimals(-1000, 1000, places=6).map(F).filter(bool),
    st.decimals(-10, 10, places=19).map(F).filter(bool),
)


terms = st.dictionaries(st.integers(0, 1), coefficients), st.dictionaries(st.integers(0, 2), coefficients)


@given(*terms, coefficients, st.data())
def test_coefficients_never_exceed_the_exact_row(inputs: dict[int, F], outputs: dict[int, F], constant: F, data: st.DataObject) -> None:
    where = disjunct(box(("-0.7", "0.3"), ("0.1", "20")), Row(inputs, outputs, constant, True, 1), outputs=3)
    if not where.rows[0].representable:
        assert len(outputs) > 1
        with pytest.raises(PropertyError):
            where.coefficients()
        return
    C, D, d, strict = where.coefficients()
    assert (C.shape, D.shape, d.shape, strict.tolist()) == ((1, 3), (1, 2), (1,), [True]) and (C.dtype, D.dtype, d.dtype) == (float,) * 3
    scales = {F(float(C[0, j])) / c for j, c in outputs.items()} or {F(1)}
    (scale,) = scales
    assert F(1, 4) <= scale <= 4
    x = [data.draw(st.sampled_from(where.box.exact(i) + (sum(where.box.exact(i)) / 2,))) for i in range(2)]
    y = [data.draw(st.floats(-100, 100).map(F)) for _ in range(3)]
    exact_value = constant + sum(c * x[i] for i, c in inputs.items()) + sum(c * y[j] for j, c in outputs.items())
    float_value = F(float(d[0])) + sum(F(float(D[0, i])) * x[i] for i in range(2)) + sum(F(float(C[0, j])) * y[j] for j in range(3))
    assert float_value <= scale * exact_value
    size = sum(abs(scale * c) for c in (*inputs.values(), *outputs.values(), constant))
    assert scale * exact_value - float_value <= size * F(1, 2**45)


def test_plain_coefficients_are_left_alone() -> None:
    rows = Row({}, {0: F(-1), 1: F(1)}, F(0), False, 1), Row({0: F("0.1")}, {1: F("2.5")}, F("-0.3"), True, 2)
    where = disjunct(box(("0", "1")), *rows, outputs=2)
    C, D, d, strict = where.coefficients()
    assert C.tolist() == [[-1, 1], [0, 2.5]] and D.tolist() == [[0], [0.1]] and strict.tolist() == [False, True]
    assert d[0] == 0 and F(d[1]) <= F("-0.3") and d[1] >= math.nextafter(-0.3, -1)


def test_decimal_output_coefficients_become_exact() -> None:
    where = disjunct(box(("0", "1")), Row({}, {0: F("0.1"), 1: F("-0.7")}, F("0.3"), False, 1), outputs=2)
    C, _, d, _ = where.coefficients()
    assert F(C[0, 0]) * -7 == F(C[0, 1]) and 0.05 <= C[0, 0] <= 0.2 and F(d[0]) == F(C[0, 0]) * 3
    single = disjunct(box(("0", "1")), Row({}, {0: F("-0.12345678901234567")}, F(3), False, 1))
    C, _, d, _ = single.coefficients()
    assert F(d[0]) <= 3 / F("0.12345678901234567") * F(-C[0, 0]) and C[0, 0] in (-0.0625, -0.125, -0.25)
    row = Row({}, {0: F("0.12345678901234567"), 1: F("0.76543210987654321")}, F(0), False, 7)
    assert not row.representable
    with pytest.raises(PropertyError) as caught:
        disjunct(box(("0", "1")), row, outputs=2).coefficients()
    assert caught.value.code == "V211" and caught.value.location.line == 7


def test_false_constants_and_strict_ends_are_empty() -> None:
    fixed = box(("0.1", "0.1"))
    assert disjunct(fixed, Row({0: F(1)}, {}, F("-0.1"), True, 1)).empty
    assert not disjunct(fixed, Row({0: F(1)}, {}, F("-0.1"), False, 1)).empty
    assert disjunct(fixed, Row({}, {}, F("1e-400"), False, 1)).empty
    assert disjunct(fixed, Row({}, {}, F(0), True, 1)).empty


def test_first_disjunct_that_is_met() -> None:
    arms = tuple(disjunct(box(("0", "1")), Row({}, {0: F(1)}, F(-c), False, 1)) for c in (0, 1, 2))
    prop = Property(1, 1, arms, "q", "0" * 64, "1.0", ())
    assert [prop.holds(np.zeros(1), np.array([float(v)])) for v in (0, 1, 2, 3)] == [0, 1, 2, None]


def test_rows_that_compare_two_outputs() -> None:
    def row(outputs: dict[int, F], inputs: dict[int, F] | None = None, constant: str = "0") -> Row:
        return Row(inputs or {}, outputs, F(constant), False, 1)

    assert row({0: F(1), 3: F(-1)}).compares and row({0: F(-1, 3), 1: F(1, 3)}).compares
    assert not row({0: F(1), 3: F(-2)}).compares
    assert not row({0: F(1), 3: F(-1)}, constant="1e-30").compares
    assert not row({0: F(1), 3: F(-1)}, {0: F(1)}).compares
    assert not row({0: F(1)}).compares and not row({0: F(1), 1: F(1), 2: F(-2)}).compares
