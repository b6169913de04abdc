"""Regions in the user's units, exactly, and how numbers spread over features."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import PropertyError
from verifier.property.templates.region import Ball, Box, Interface, exact, exact_list, spread

IMAGE = Interface(((1, 3, 2, 2),), ((1, 10),))
FLAT = Interface(((1, 3),), ((1, 2),))

fractions = st.fractions(-100, 100, max_denominator=1000)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("0.1", Fraction(1, 10)),
        (" 8/255 ", Fraction(8, 255)),
        ("-1.5e-3", Fraction(-3, 2000)),
        ("0.5/0.25", Fraction(2)),
        (0.1, Fraction(0.1)),
        (3, Fraction(3)),
        (Decimal("0.1"), Fraction(1, 10)),
        (np.float32(0.1), Fraction(float(np.float32(0.1)))),
        (np.uint8(255), Fraction(255)),
    ],
)
def test_numbers_mean_what_they_say(value: object, meant: Fraction) -> None:
    assert exact(value) == meant


@pytest.mark.parametrize("value", ["", "one", "1/0", "1//2", "0x10", "nan", float("inf"), Decimal("NaN"), True, None, 1 + 2j, [1], "1e400"])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(PropertyError) as caught:
        exact(value)
    assert caught.value.code == "V223"


def test_arrays_are_flattened_in_c_order() -> None:
    array = np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 3
    assert exact_list(array) == [Fraction(float(v)) for v in array.ravel()]
    assert exact_list([[1, "0.5"], [2, 3.0]]) == [1, Fraction(1, 2), 2, 3]


def test_one_number_one_a_channel_or_one_a_feature() -> None:
    assert spread(7, IMAGE, "eps") == [7] * 12
    assert spread([1, 2, 3], IMAGE, "eps") == [1] * 4 + [2] * 4 + [3] * 4
    assert spread(range(12), IMAGE, "eps") == list(range(12))
    with pytest.raises(PropertyError, match="eps has 4 numbers, but the network has 12 inputs"):
        spread([1, 2, 3, 4], IMAGE, "eps")


@given(st.lists(fractions, min_size=3, max_size=3), st.fractions(0, 10, max_denominator=100), fractions, st.fractions(Fraction(1, 9), 9))
def test_a_ball_is_clipped_and_mapped_exactly(centre: list[Fraction], eps: Fraction, mean: Fraction, std: Fraction) -> None:
    low, high = min(centre) - 1, max(centre) + 1
    extent = Ball(centre, eps, domain=(low, high), fixed=[1], mean=mean, std=std).extent(FLAT)
    for i, c in enumerate(centre):
        reach = 0 if i == 1 else eps
        assert (extent.lower[i], extent.upper[i]) == (max(low, c - reach), min(high, c + reach))
        assert extent.normalised(i, c) * std + mean == c


@pytest.mark.parametrize(
    ("region", "code", "words"),
    [
        (Ball([1, 2], 1), "V223", "the centre has 2 features, but the network has 3 inputs"),
        (Ball([1, 2, 3], -1), "V224", "eps is -1"),
        (Ball([1, 2, 3], 1, domain=(0, 2)), "V224", r"feature 2 is 3, outside the domain \[0, 2\]"),
        (Ball([1, 2, 3], 1, fixed=[3]), "V224", "no feature 3"),
        (Ball([1, 2, 3], 1, std=0), "V224", "std is 0"),
        (Box([0, 0, 1], [1, 1, "0.5"]), "V224", "the box is empty: feature 2 is at least 1 and at most 1/2"),
        (Box([0, 0], 1), "V223", "lower has 2 numbers"),
    ],
)
def test_refused(region: Ball | Box, code: str, words: str) -> None:
    with pytest.raises(PropertyError, match=words) as caught:
        region.extent(FLAT)
    assert caught.value.code == code
