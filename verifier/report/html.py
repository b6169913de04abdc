"""One self-contained HTML page: verdicts, counterexamples, pictures, a cactus plot. Needs jinja2 and matplotlib.

Every text is escaped by the template engine; only the SVG of charts.py, whose texts matplotlib escapes, goes in as it is.
The page loads nothing, and its policy forbids it to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from verifier import __version__
from verifier.report.gate import Policy
from verifier.report.records import Record, relative

if TYPE_CHECKING:
    import numpy as np

    from verifier.report.region import Region

_VALUES = 64
"""Values of a counterexample that the page shows; the JSON report has them all."""
_COURSES = 20
"""Searches whose course is drawn: the first ones."""
_DETAILS = 200
"""Queries with details; the table has them all."""


@dataclass(frozen=True)
class Value:
    name: str
    value: str
    lower: str = ""
    upper: str = ""


@dataclass(frozen=True)
class Detail:
    """What the page says of one query. `inputs`, `outputs` are cut to `_VALUES`; `hidden` counts what was cut."""

    number: int
    record: Record
    known: bool
    inputs: Sequence[Value] = ()
    outputs: Sequence[Value] = ()
    hidden: int = 0
    pictures: Sequence[tuple[str, str]] = ()
    layers: Sequence[int] = ()
    course: str | None = None


def render(records: Sequence[Record], policy: Policy) -> str:
    import jinja2

    template = files("verifier.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["relative"] = relative
    interesting = [(i, record) for i, record in enumerate(records) if record.verdict != "unsat" or len(records) == 1]
    return environment.from_string(template).render(
        records=records,
        details=_details(interesting[:_DETAILS], policy),
        linked={i for i, _ in interesting[:_DETAILS]},
        left_out=max(0, len(interesting) - _DETAILS),
        counts={word: sum(r.meaning == word for r in records) for word in ("holds", "violated", "undecided", "error")},
        categories=_categories(records),
        chart=_chart(records),
        summary=policy.summary(records),
        version=__version__,
        has_categories=any(record.category for record in records),
    )


def _categories(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One line a category: counts by meaning, wrong answers and seconds; nothing where there is only one unnamed."""
    names = list(dict.fromkeys(record.category for record in records))
    if names == [""] or not names:
        return []
    lines = []
    for name in names:
        mine = [record for record in records if record.category == name]
        counts = {word: sum(r.meaning == word for r in mine) for word in ("holds", "violated", "undecided", "error")}
        lines.append(
            {"name": name or "-", "all": len(mine), **counts, "wrong": sum(r.wrong for r in mine), "seconds": sum(r.seconds for r in mine)}
        )
    return lines


def _chart(records: Sequence[Record]) -> str | None:
    """The cactus plot of the decided queries by category; None where there are fewer than two."""
    times: dict[str, list[float]] = {}
    for record in records:
        if record.verdict in ("sat", "unsat"):
            times.setdefault(record.category or "queries", []).append(record.seconds)
    if sum(map(len, times.values())) < 2:
        return None
    from verifier.report.charts import cactus

    return cactus(times)


def _details(interesting: Sequence[tuple[int, Record]], policy: Policy) -> list[Detail]:
    details = [_detail(i, record, policy) for i, record in interesting]
    drawn = 0
    for k, detail in enumerate(details):
        trace = [] if detail.record.document is None else detail.record.document["statistics"].get("trace", [])
        if len(trace) > 1 and drawn < _COURSES:
            from verifier.report.charts import course

            details[k] = replace(detail, course=course(trace))
            drawn += 1
    return details


def _detail(number: int, record: Record, policy: Policy) -> Detail:
    document = record.document
    if document is None:
        return Detail(number, record, False)
    layers = document["statistics"]["unstable"]
    found = document["counterexample"]
    if found is None:
        return Detail(number, record, False, layers=layers)
    if found.get("variables"):
        values = [Value(f"{v['name']}[{i}]", x) for v in found["variables"] for i, x in enumerate(v["values"])]
        return Detail(number, record, policy.known(record), values[:_VALUES], (), max(0, len(values) - _VALUES), layers=layers)
    from verifier.report import region as regions

    region = regions.read(document)
    inputs = [_input(i, x, region) for i, x in enumerate(found["inputs"][:_VALUES])]
    outputs = [Value(f"Y_{i}", y) for i, y in enumerate(found["outputs"][:_VALUES])]
    hidden = len(found["inputs"]) + len(found["outputs"]) - len(inputs) - len(outputs)
    return Detail(number, record, policy.known(record), inputs, outputs, hidden, _pictures(found, region), layers)


def _input(i: int, value: str, region: Region | None) -> Value:
    if region is None:
        return Value(f"X_{i}", value)
    return Value(f"X_{i}", value, f"{region.lower[i]:.9g}", f"{region.upper[i]:.9g}")


def _pictures(found: Mapping[str, Any], region: Region | None) -> list[tuple[str, str]]:
    """(caption, data URI): the middle of the region, the counterexample, and the change, where the only input is a picture."""
    import numpy as np

    from verifier.report import pictures

    layout = None if region is None or len(region.shapes) != 1 else pictures.layout(region.shapes[0])
    if region is None or layout is None:
        return []
    middle, point = 0.5 * region.lower + 0.5 * region.upper, np.array([float(x) for x in found["inputs"]])
    least, most = pictures.value_range(np.concatenate([middle, point]))
    change: np.ndarray = point - middle
    largest = float(np.abs(change).max())
    shown = [("middle of the region", middle, least, most), ("counterexample", point, least, most)]
    if largest > 0:
        shown.append((f"change, magnified {(most - least) / (2 * largest):.3g} times", change, -largest, largest))
    return [(caption, pictures.png(layout.pixels(pictures.shades(values, low, high)))) for caption, values, low, high in shown]
