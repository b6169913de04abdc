"""Radii as text and as a JSON document, described by radius.schema.json beside this file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from importlib.resources import files
from math import inf, nextafter
from typing import Any

from verifier.answers import RadiusAnswer
from verifier.report.json_report import circumstances, counterexample, statistics, subject
from verifier.report.ranges import shown
from verifier.report.text import count

SCHEMA_VERSION = 1


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    document: dict[str, Any] = json.loads(files("verifier.report").joinpath("radius.schema.json").read_text(encoding="utf-8"))
    return document


def document(answers: Sequence[RadiusAnswer]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "kind": "radius", "queries": [_answer(answer) for answer in answers]}


def _answer(answer: RadiusAnswer) -> dict[str, Any]:
    return {
        **subject(answer.provenance),
        "ending": answer.ending.value,
        "ending_help": answer.ending.help,
        "precision": answer.precision,
        "most": _rational(answer.most, up=True),
        "proved": None if answer.proved is None else _rational(answer.proved, up=False),
        "violated": None if answer.violated is None else _rational(answer.violated, up=True),
        "counterexample": None if answer.counterexample is None else counterexample(answer.counterexample),
        "probes": [{"eps": _rational(p.eps, up=True), "verdict": p.status.value, "seconds": p.seconds} for p in answer.probes],
        "statistics": statistics(answer.statistics),
        **circumstances(answer.provenance),
        "warnings": list(answer.warnings),
    }


def _rational(value: Fraction, up: bool) -> dict[str, Any]:
    return {"exact": str(value), "value": rounded(value, up)}


def rounded(value: Fraction, up: bool) -> float:
    """The nearest float on the safe side of an exact number."""
    near = float(value)
    if up:
        return near if Fraction(near) >= value else nextafter(near, inf)
    return near if Fraction(near) <= value else nextafter(near, -inf)


def line(answer: RadiusAnswer) -> str:
    """One line for a sample: the proved radius is rounded down, the violated one up."""
    part = answer.provenance.query.name
    proved = "-" if answer.proved is None else shown(answer.proved, up=False)
    violated = "-" if answer.violated is None else shown(answer.violated, up=True)
    note = "  the sample itself violates the property" if answer.violated == 0 else ""
    columns = f"{'holds up to':<11} {proved:>11}   {'violated from':<13} {violated:>11}   {answer.statistics.total_seconds:>7.2f} s"
    return f"{columns}  {part}{note}".rstrip()


def summary(answers: Sequence[RadiusAnswer]) -> Iterator[str]:
    """For people: how many are known how well, and what it cost."""
    precise = sum(answer.ending.value == "precise" for answer in answers)
    yield f"{precise} of {len(answers)} known to the precision asked for"
    seconds, work = sum(a.statistics.total_seconds for a in answers), sum(a.statistics.subproblems for a in answers)
    yield f"  time            {seconds:.2f} s"
    yield f"  work            {count(sum(len(a.probes) for a in answers))} radii, {count(work)} subproblems"
