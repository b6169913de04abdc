"""Points as VNN-COMP gives them (2025 and 2026), against the stored verdicts of a category.

    unsat, and the truth is not sat        +10       unsat, and the truth is sat         -150
    sat, and the truth is not unsat        +10       sat, and the truth is unsat         -150
    anything else, or later than the timeout 0

The competition judges a `sat` by its witness. Every `sat` here was replayed before it was reported; one that contradicts the stored
truth counts as wrong all the same, because somebody has to look at it. A category's score is 100 x points / the most points of
any tool; the stored reference tool stands in for the others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verifier.bench.suite import Instance
from verifier.errors import Location, UsageError

RIGHT, WRONG = 10, -150
DECIDED = ("sat", "unsat")
_SYNONYMS = {"holds": "unsat", "violated": "sat", "timed-out": "timeout"}


@dataclass(frozen=True)
class Truth:
    """What is known of one instance: its verdict ("sat", "unsat" or "unknown"), and the reference tool's answer and seconds."""

    verdict: str
    reference: str = "unknown"
    reference_seconds: float = float("inf")


@dataclass(frozen=True)
class Outcome:
    """The answer to one instance, as far as the score goes; seconds are of the wall clock, start-up included."""

    status: str
    seconds: float
    timeout: float
    truth: Truth | None

    @property
    def late(self) -> bool:
        return self.status in DECIDED and self.seconds > self.timeout

    @property
    def wrong(self) -> bool:
        return self.truth is not None and contradicts(self.status, self.truth.verdict)

    @property
    def solved(self) -> bool:
        return self.status in DECIDED and not self.wrong and not self.late

    @property
    def points(self) -> int:
        if self.status not in DECIDED or self.late:
            return 0
        return WRONG if self.wrong else RIGHT


@dataclass(frozen=True)
class Score:
    """One category. `reference` and `score` are None where no stored verdicts say how the reference tool did."""

    category: str
    instances: int
    sat: int
    unsat: int
    wrong: int
    late: int
    undecided: int
    errors: int
    seconds: float
    points: int
    reference: int | None
    score: float | None

    @property
    def solved(self) -> int:
        return self.sat + self.unsat


def contradicts(a: str, b: str) -> bool:
    return {a, b} == set(DECIDED)


def word(text: str) -> str:
    """The status that a word of a result file or a table stands for; matching is by prefix, as in the competition."""
    plain = text.strip().lower()
    plain = _SYNONYMS.get(plain, plain)
    for known in ("sat", "unsat", "unknown", "timeout", "error"):
        if plain.startswith(known):
            return known
    return "timeout" if plain.endswith("timeout") else "error" if "error" in plain else "unknown"


def dropped(onnx: str) -> bool:
    """Rows that the competition runs only to measure the overhead."""
    return "test_nano" in onnx or "test_tiny" in onnx


def score(category: str, outcomes: Iterable[Outcome]) -> Score:
    """The sums over a category, whose overhead rows have been taken out."""
    rows = list(outcomes)
    points = sum(row.points for row in rows)
    reference = _reference(rows)
    best = max(points, reference or 0)
    return Score(
        category,
        len(rows),
        sum(row.solved and row.status == "sat" for row in rows),
        sum(row.solved and row.status == "unsat" for row in rows),
        sum(row.wrong for row in rows),
        sum(row.late for row in rows),
        sum(row.status in ("unknown", "timeout") for row in rows),
        sum(row.status == "error" for row in rows),
        sum(row.seconds for row in rows),
        points,
        reference,
        None if reference is None or best <= 0 else max(0.0, 100.0 * points / best),
    )


def _reference(rows: Sequence[Outcome]) -> int | None:
    known = [row for row in rows if row.truth is not None and row.truth.reference_seconds < float("inf")]
    if not known:
        return None
    return sum(
        RIGHT
        for row in known
        if row.truth
        and row.truth.reference in DECIDED
        and row.truth.reference_seconds <= row.timeout
        and not contradicts(row.truth.reference, row.truth.verdict)
    )


def truths(folder: Path, instances: Sequence[Instance]) -> dict[int, Truth]:
    """Position -> what verdicts.csv says of it, {} where the folder has none. Rows are matched by their two names."""
    table = folder / "verdicts.csv"
    if not table.is_file():
        return {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"the stored verdicts cannot be read: {error}", code="V012", location=Location(str(table))) from error
    if rows and not {"onnx", "vnnlib", "verdict"} <= set(rows[0]):
        raise UsageError("the stored verdicts lack the columns onnx, vnnlib and verdict", code="V012", location=Location(str(table), 1))
    known = {(row["onnx"].removeprefix("./"), row["vnnlib"].removeprefix("./")): _truth(row) for row in rows if row["vnnlib"]}
    return {i.position: known[i.onnx, i.vnnlib] for i in instances if (i.onnx, i.vnnlib) in known}


def _truth(row: dict[str, str | None]) -> Truth:
    try:
        seconds = float(row.get("abcrown_time_s") or "inf")
    except ValueError:
        seconds = float("inf")
    return Truth(word(row["verdict"] or "unknown"), word(row.get("abcrown_verdict") or "unknown"), seconds)
