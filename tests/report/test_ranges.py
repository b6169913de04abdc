"""Ranges as a table, whose numbers are rounded to the safe side, and as a document."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import PROVENANCE, STATISTICS
from verifier.answers import Attained, Ending, OutputInterval, RangeAnswer
from verifier.errors import InternalError
from verifier.report import ranges

ANSWER = RangeAnswer(
    Ending.TIMEOUT,
    0.01,
    (
        OutputInterval(0, "Y_0", -1.00000049, 2.00000051, Attained("-0.99999951", ("0.1",)), Attained("1.9", ("0.5",), "float32"), False),
        OutputInterval(12, "Y_12", float("-inf"), 1e-12, None, None, False),
    ),
    PROVENANCE,
    "onnxruntime 1.32.0",
    STATISTICS,
    ("look out",),
)


def test_table() -> None:
    assert ranges.table(ANSWER).splitlines() == [
        "output                 proved          attained       gap",
        "Y_0     -1.00001      2.00001    -0.999999  1.9    3.33 %",
        "Y_12        -inf  1.00000e-12            -    -         -",
    ]


def test_narrow_ranges_show_more_digits_and_constants_their_value() -> None:
    least, greatest = Attained("1.0597751", ("0",)), Attained("1.0597763", ("1",))
    narrow = OutputInterval(0, "Y_0", 1.05977501, 1.05977639, least, greatest, True)
    constant = OutputInterval(1, "Y_1", 0.30000001, 0.30000001, Attained("0.3", ("0",)), Attained("0.3", ("0",)), True)
    lines = [line.split() for line in ranges.table(replace(ANSWER, outputs=(narrow, constant))).splitlines()[1:]]
    assert lines == [
        ["Y_0", "1.05977501", "1.05977639", "1.0597751", "1.0597763", "0.00", "%"],
        ["Y_1", "0.300000", "0.300001", "0.3", "0.3", "0.00", "%"],
    ]


@pytest.mark.parametrize(
    ("interval", "gap"),
    [
        ((0.0, 10.0, "1", "9.5"), 0.1),
        ((0.0, 10.0, "-1", "12"), 0.0),
        ((1.0, 1.0, "1.0000001", "1.0000001"), 0.0),
        ((-5e-315, 5e-315, "0.0", "0.0"), 0.0),
        ((0.0, float("inf"), "1", "2"), float("inf")),
    ],
)
def test_gaps(interval: tuple[float, float, str, str], gap: float) -> None:
    """What float32 cannot resolve is no gap."""
    lower, upper, least, greatest = interval
    found = OutputInterval(0, "Y_0", lower, upper, Attained(least, ("0",)), Attained(greatest, ("0",)), False)
    assert found.gap == pytest.approx(gap, rel=1e-5)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_rounded_to_the_safe_side(value: float) -> None:
    low, high = Decimal(ranges.shown(value, up=False)), Decimal(ranges.shown(value, up=True))
    assert low <= Decimal(value) <= high
    assert high - low <= Decimal("1e-5") * abs(Decimal(value))


def test_document() -> None:
    jsonschema.Draft202012Validator.check_schema(ranges.schema())
    document = ranges.document([ANSWER, ANSWER])
    jsonschema.validate(document, ranges.schema(), jsonschema.Draft202012Validator)
    answer, schema = document["queries"][0], ranges.schema()["$defs"]
    assert set(answer) == set(schema["answer"]["properties"]) == set(schema["answer"]["required"])
    assert set(answer["outputs"][0]) == set(schema["interval"]["properties"]) == set(schema["interval"]["required"])
    assert answer["outputs"][1]["lower"] == "-inf" and answer["outputs"][0]["greatest"]["literals"] == "float32"
    assert {ending.value for ending in Ending} == set(schema["answer"]["properties"]["ending"]["enum"])


def test_summary_names_points_that_were_rounded() -> None:
    said = list(ranges.summary(ANSWER))
    assert said[0].startswith("timeout: ") and any("float32" in line for line in said)


def test_bounds_that_contradict_each_other_are_a_fault() -> None:
    with pytest.raises(InternalError):
        OutputInterval(0, "Y_0", 1.0, 0.0, None, None, False)
