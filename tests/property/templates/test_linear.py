"""Inequalities as people write them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import PropertyError
from verifier.property.templates.linear import negated, row

integers = st.integers(-4, 4)


@pytest.mark.parametrize(
    ("text", "inputs", "outputs", "constant", "strict"),
    [
        ("y[0] <= 2", {}, {0: 1}, -2, False),
        ("-y[0] + 0.5 * y[1] < 1e-1", {}, {0: -1, 1: Fraction(1, 2)}, Fraction(-1, 10), True),
        ("3 >= 2*y[1]-x[0]", {0: -1}, {1: 2}, -3, False),
        ("y[0]>y[1]", {}, {0: -1, 1: 1}, 0, True),
        (" + y[ 1 ] + y[1] <= y[0] + 1 - 2 ", {}, {0: -1, 1: 2}, 1, False),
        ("0*y[0] + y[1] - x[2] <= 0", {2: -1}, {1: 1}, 0, False),
    ],
)
def test_read(text: str, inputs: dict[int, int], outputs: dict[int, int], constant: int, strict: bool) -> None:
    found = row(text, 3, 2, 7)
    assert (found.inputs, found.outputs, found.constant, found.strict, found.line) == (inputs, outputs, constant, strict, 7)


@given(
    st.lists(integers, min_size=3, max_size=3),
    st.sampled_from(["<=", "<", ">=", ">"]),
    integers,
    st.lists(integers, min_size=2, max_size=2),
)
def test_meaning_and_negation(coefficients: list[int], relation: str, limit: int, values: list[int]) -> None:
    a, b, c = coefficients
    x, y = np.array([float(values[0])]), np.array(values, dtype=float)
    left = a * values[0] - b * values[1] + c * values[0]
    if not (a or b or c):
        return
    text = f"{a}*y[0] - {b}*y[1] + {c}*x[0] {relation} {limit}".replace("- -", "+ ").replace("+ -", "- ")
    found = row(text, 1, 2, 1)
    expected = {"<=": left <= limit, "<": left < limit, ">=": left >= limit, ">": left > limit}[relation]
    assert found.holds(x, y) is expected and negated(found).holds(x, y) is not expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "y[0]",
        "y[0] = 1",
        "y[0] <= 1 <= 2",
        "<= 1",
        "y[0] y[1] <= 1",
        "y[0]*2 <= 1",
        "2y[0] <= 1",
        "z[0] <= 1",
        "y[-1] <= 0",
        "1 <= 2",
        "y[0] - y[0] <= 1",
        "y[0] + <= 1",
        "1e999*y[0] <= 1",
        "y[0] * x[0] <= 1",
        "1e-400*y[0] + 1e300*y[1] <= 1",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(PropertyError) as caught:
        row(text, 1, 2, 1)
    assert caught.value.code == "V227" and caught.value.hint


@pytest.mark.parametrize("text", ["y[2] <= 0", "x[1] <= y[0]"])
def test_out_of_range(text: str) -> None:
    with pytest.raises(PropertyError, match=r"speaks of"):
        row(text, 1, 2, 1)
