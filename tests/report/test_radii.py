"""Radii as lines, whose numbers are rounded to the safe side, and as a document."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import COUNTEREXAMPLE, PROVENANCE, QUERY, STATISTICS
from verifier.answers import Ending, Probe, RadiusAnswer
from verifier.errors import InternalError
from verifier.report import radii
from verifier.verdict import Status

ANSWER = RadiusAnswer(
    Ending.PRECISE,
    0.05,
    Fraction(1),
    Fraction(1, 3),
    Fraction(2, 3),
    COUNTEREXAMPLE,
    (Probe(Fraction(1, 3), Status.UNSAT, 0.5), Probe(Fraction(1, 2), Status.TIMEOUT, 1.5)),
    replace(PROVENANCE, query=replace(QUERY, name="sample 7")),
    STATISTICS,
)
NOTHING = replace(ANSWER, proved=None, violated=None, counterexample=None, ending=Ending.TIMEOUT)
ITSELF = replace(ANSWER, proved=None, violated=Fraction(0))


def test_lines() -> None:
    assert [radii.line(a).split() for a in (ANSWER, NOTHING)] == [
        ["holds", "up", "to", proved, "violated", "from", violated, "0.62", "s", "sample", "7"]
        for proved, violated in (("0.333333", "0.666667"), ("-", "-"))
    ]
    assert radii.line(ITSELF).endswith("sample 7  the sample itself violates the property")
    assert next(radii.summary([ANSWER, NOTHING])).startswith("1 of 2 known")


@given(st.fractions(min_value=0), st.booleans())
def test_numbers_are_rounded_to_the_safe_side(value: Fraction, up: bool) -> None:
    near = Fraction(radii.rounded(value, up))
    assert near >= value if up else near <= value
    assert abs(near - value) <= value * Fraction(2) ** -52


def test_document() -> None:
    jsonschema.Draft202012Validator.check_schema(radii.schema())
    document = radii.document([ANSWER, NOTHING, ITSELF])
    jsonschema.validate(document, radii.schema(), jsonschema.Draft202012Validator)
    answer, schema = document["queries"][0], radii.schema()["$defs"]["answer"]
    assert set(answer) == set(schema["properties"]) == set(schema["required"])
    assert answer["proved"]["exact"] == "1/3" and Fraction(answer["proved"]["value"]) <= Fraction(1, 3)
    assert Fraction(answer["violated"]["value"]) >= Fraction(2, 3) and document["queries"][1]["violated"] is None


def test_a_radius_without_its_counterexample_is_a_fault() -> None:
    with pytest.raises(InternalError):
        replace(ANSWER, counterexample=None)
