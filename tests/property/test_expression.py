"""Exact numbers and their directed rounding against rationals."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.property.expression import (
    Linear,
    NumberError,
    Numbers,
    NumberTable,
    as_single,
    bounded,
    exact,
    is_number,
    literal,
    nearest,
    round_down,
)

floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.one_of(
    floats.map(repr),
    floats.map(lambda v: format(Decimal(v), "f") if 1e-300 < abs(v) < 1e300 else repr(v)),  # floats in all their digits
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.tuples(floats, st.integers(-3, 3)).map(lambda t: str(Decimal(repr(t[0])) + t[1] * Decimal("1e-30"))),
    st.builds("{}{}.{}e{}".format, st.sampled_from(["", "-", "+"]), st.integers(0, 10**18), st.integers(0, 10**18), st.integers(-340, 280)),
).filter(lambda text: math.isfinite(float(text)) and abs(Fraction(text)) <= Fraction(float(np.finfo(np.float64).max)) and len(text) < 400)


def numbers(*texts: str) -> Numbers:
    return Numbers.of([t.encode() for t in texts], [float(t) for t in texts])


@given(decimals)
def test_outward_rounding_is_tight(text: str) -> None:
    value, table = Fraction(text), numbers(text)
    down, up = table.down[0], table.up[0]
    assert math.isfinite(down) and Fraction(float(down)) <= value
    assert math.isfinite(up) and Fraction(float(up)) >= value
    after, before = math.nextafter(down, math.inf), math.nextafter(up, -math.inf)
    assert after == math.inf or Fraction(after) > value
    assert before == -math.inf or Fraction(before) < value
    assert table.exact(0) == value == exact(text.encode()) == literal(text.encode()) and nearest(text.encode()) == float(text)
    assert table.sign[0] == (Fraction(float(table.near[0])) > value) - (Fraction(float(table.near[0])) < value)


@given(st.fractions())
def test_results_of_arithmetic_round_likewise(value: Fraction) -> None:
    table = NumberTable()
    table.add(value)
    frozen = table.freeze()
    assert Fraction(float(frozen.down[0])) <= value <= Fraction(float(frozen.up[0]))
    assert frozen.up[0] <= np.nextafter(frozen.down[0], np.inf) and frozen.exact(0) == value
    low = round_down(value)
    assert Fraction(low) <= value < Fraction(math.nextafter(low, math.inf))


@given(st.lists(decimals, min_size=1, max_size=6), st.data())
def test_comparison_of_numbers(texts: list[str], data: st.DataObject) -> None:
    texts += [str(Decimal(repr(float(texts[0])))), texts[0] + ("0" if "." in texts[0] and "e" not in texts[0].lower() else "")]
    table = numbers(*texts)
    a, b = (np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=8, max_size=8))) for _ in range(2))
    expected = [(Fraction(texts[i]) > Fraction(texts[j])) - (Fraction(texts[i]) < Fraction(texts[j])) for i, j in zip(a, b)]
    assert table.compare(a, b).tolist() == expected


def test_comparison_below_the_resolution_of_floats() -> None:
    close = "0.10000000000000000001", "0.1000", "0.1000000000000000055511151231257827021181583404541015625"
    table = numbers("0.1", *close, "1e-400", "0", "-1e-400", "-0.0")
    order = [[int(table.compare(np.array([i]), np.array([j]))[0]) for j in range(8)] for i in range(8)]
    values = [table.exact(i) for i in range(8)]
    assert order == [[(a > b) - (a < b) for b in values] for a in values]
    assert table.up[4] > 0 == table.down[4] and table.down[6] < 0 == table.up[6]
    assert not np.signbit(table.near[7])


@pytest.mark.parametrize("text", ["", "-", "+", ".", "e5", "1e", "1e+", "--1", "1_0", "0x10", "nan", "inf", "1.2.3", " 1", "1 ", "\u0661"])
def test_what_is_no_number(text: str) -> None:
    assert not is_number(text.encode())
    with pytest.raises(NumberError):
        nearest(text.encode())


OUT_OF_RANGE = ["1e309", "-1e309", "1e400", "1.7976931348623158e308", "1e99999", "1e-10000", "1" * 2001, "1e" + "0" * 200]


@pytest.mark.parametrize("text", OUT_OF_RANGE)
def test_out_of_range(text: str) -> None:
    with pytest.raises(NumberError):
        nearest(text.encode())


def test_the_largest_float_is_a_number() -> None:
    assert nearest(b"1.7976931348623157e308") == np.finfo(np.float64).max
    assert nearest(b"1e-9999") == 0 and nearest(b"1e-00006") == 1e-6


def test_literals_get_one_position_each() -> None:
    table = NumberTable()
    assert table.positions([b"0.5", b"1", b"0.5"]).tolist() == [0, 1, 0]
    with pytest.raises(NumberError):
        table.positions([b"7", b"1e308", b"1e309"])
    assert table.positions([b"2", b"1"]).tolist() == [2, 1] and table.freeze().near.tolist() == [0.5, 1, 2]


@given(st.floats(allow_nan=False, allow_infinity=False).map(Fraction))
def test_single_reading_is_that_of_numpy(value: Fraction) -> None:
    with np.errstate(over="ignore"):
        expected = float(np.float32(float(value)))
    assert as_single(value) == (Fraction(expected) if math.isfinite(expected) else value)


def test_bounded() -> None:
    assert bounded(Fraction(1, 3)) == Fraction(1, 3)
    for value in (Fraction(2) ** 1024, Fraction(1, 3 ** 60000)):
        with pytest.raises(NumberError):
            bounded(value)


def test_linear_terms() -> None:
    x, y = (Linear({(kind, 0): Fraction(1)}, Fraction(1)) for kind in "XY")
    total = x.scale(Fraction(2)).add(y, -1)
    assert (total.terms, total.constant) == ({("X", 0): 2, ("Y", 0): -1}, 1)
    total = total.add(Linear({("X", 0): Fraction(-2)}))
    assert total.terms == {("Y", 0): -1}
    assert total.scale(Fraction(0)).terms == {} and total.constant == 0
