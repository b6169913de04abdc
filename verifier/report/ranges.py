"""Ranges of outputs as text and as a JSON document, described by range.schema.json beside this file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from importlib.resources import files
from math import ceil, isfinite, log10
from typing import Any

from verifier.answers import Attained, OutputInterval, RangeAnswer
from verifier.report.json_report import circumstances, number, statistics, subject
from verifier.report.text import count

SCHEMA_VERSION = 1
_DIGITS = 6
_MOST_DIGITS = 10


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    document: dict[str, Any] = json.loads(files("verifier.report").joinpath("range.schema.json").read_text(encoding="utf-8"))
    return document


def document(answers: Sequence[RangeAnswer]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "kind": "range", "queries": [_answer(answer) for answer in answers]}


def _answer(answer: RangeAnswer) -> dict[str, Any]:
    return {
        **subject(answer.provenance),
        "ending": answer.ending.value,
        "ending_help": answer.ending.help,
        "precision": answer.precision,
        "outputs": [
            {
                "output": o.output,
                "name": o.name,
                "lower": number(o.lower),
                "upper": number(o.upper),
                "least": _point(o.least),
                "greatest": _point(o.greatest),
                "precise": o.precise,
            }
            for o in answer.outputs
        ],
        "confirmed_by": answer.confirmed_by,
        "statistics": statistics(answer.statistics),
        **circumstances(answer.provenance),
        "warnings": list(answer.warnings),
    }


def _point(found: Attained | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "inputs": list(found.inputs), "literals": found.literals}


def table(answer: RangeAnswer) -> str:
    """A line an output. Proved bounds are rounded away from each other, attained ones towards each other."""
    rows = [("output", "proved", "", "attained", "", "gap")]
    for o in answer.outputs:
        digits = _digits(o)
        least = "-" if o.least is None else shown(o.least.value, True, digits)
        greatest = "-" if o.greatest is None else shown(o.greatest.value, False, digits)
        if o.least is not None and o.greatest is not None and float(least) > float(greatest):  # nearly one value
            least, greatest = o.least.value, o.greatest.value
        rows.append((o.name, shown(o.lower, False, digits), shown(o.upper, True, digits), least, greatest, _percent(o.gap)))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: tuple[str, ...], widths: Sequence[int]) -> str:
    name, *numbers = row
    if not numbers[1]:  # the header, whose words stand over two columns
        two = [widths[1] + widths[2] + 2, widths[3] + widths[4] + 2]
        return f"{name:<{widths[0]}}  {numbers[0]:>{two[0]}}    {numbers[2]:>{two[1]}}    {numbers[4]:>{widths[5]}}"
    low, high, least, greatest, share = (f"{text:>{width}}" for text, width in zip(numbers, widths[1:]))
    return f"{name:<{widths[0]}}  {low}  {high}    {least}  {greatest}    {share}"


def _digits(interval: OutputInterval) -> int:
    """So many that the width of the interval can be seen."""
    width, largest = interval.upper - interval.lower, max(abs(interval.lower), abs(interval.upper))
    if not (isfinite(width) and 0 < width < largest):
        return _DIGITS
    return min(_MOST_DIGITS, max(_DIGITS, 3 + ceil(log10(largest) - log10(width))))


def shown(value: float | str | Fraction, up: bool, digits: int = _DIGITS) -> str:
    """A few digits, rounded up or down."""
    context = Context(prec=digits, rounding=ROUND_CEILING if up else ROUND_FLOOR)
    if isinstance(value, Fraction):
        rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    elif isfinite(float(value)):
        rounded = context.create_decimal(Decimal(value))
    else:
        return f"{float(value):g}"
    plain = rounded.is_zero() or -5 <= rounded.adjusted() <= 9
    return f"{rounded:f}" if plain else f"{rounded:e}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if isfinite(share) else "-"


def summary(answer: RangeAnswer) -> Iterator[str]:
    """For people: how it ended, and what it cost."""
    cost = answer.statistics
    yield f"{answer.ending.value}: {answer.ending.help}"
    if any(a is not None and a.literals == "float32" for o in answer.outputs for a in (o.least, o.greatest)):
        yield "  attained        an input interval holds no float32: the query's numbers were read as float32 for the points"
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in cost.seconds.items())
    yield f"  time            {cost.total_seconds:.2f} s ({phases})"
    memory = "" if cost.peak_memory_mb is None else f", {cost.peak_memory_mb / 1024:.1f} GB at most"
    yield f"  work            {count(cost.subproblems)} subproblems{memory}"
