"""What makes a check in CI fail: new violations, errors, and undecided queries if they are to.

A baseline names the violations that are known; they are reported, but do not fail the check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from verifier.errors import Location, UsageError
from verifier.report.records import Record

VERSION = 1
PASSED, VIOLATED, REFUSED, UNDECIDED, FAULT = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Baseline:
    """Fingerprints of known violations."""

    known: frozenset[str] = frozenset()

    def knows(self, record: Record) -> bool:
        return record.fingerprint in self.known


@dataclass(frozen=True)
class Policy:
    """`undecided`: whether they fail; `baseline`: None where there is none, so that nothing is called new or known."""

    undecided: Literal["fail", "pass"] = "fail"
    baseline: Baseline | None = None

    def known(self, record: Record) -> bool:
        return self.baseline is not None and record.verdict == "sat" and self.baseline.knows(record)

    def fails(self, record: Record) -> bool:
        if record.verdict == "sat":
            return not self.known(record)
        return record.verdict == "error" or (record.verdict != "unsat" and self.undecided == "fail")

    def exit_code(self, records: Iterable[Record]) -> int:
        """The code of the worst record that fails: violated, then errors, then undecided."""
        codes = {_code(record) for record in records if self.fails(record)}
        return next((code for code in (VIOLATED, FAULT, REFUSED, UNDECIDED) if code in codes), PASSED)

    def summary(self, records: Sequence[Record]) -> str:
        counts = {word: sum(r.meaning == word for r in records) for word in ("holds", "violated", "undecided", "error")}
        known = sum(map(self.known, records))
        note = f" ({known} known, {counts['violated'] - known} new)" if self.baseline is not None else ""
        return f"{counts['holds']} hold, {counts['violated']} violated{note}, {counts['undecided']} undecided, {counts['error']} errors"


def _code(record: Record) -> int:
    if record.error is not None and record.verdict == "error":
        return FAULT if str(record.error["code"])[:2] in ("V4", "V5", "V9") else REFUSED
    return VIOLATED if record.verdict == "sat" else UNDECIDED


def read(path: Path) -> Baseline:
    """A baseline file, as `--report baseline=FILE` writes it. UsageError for anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["baseline_version"] != VERSION:
            raise ValueError(f"version {document['baseline_version']!r}")
        return Baseline(frozenset(str(entry["fingerprint"]) for entry in document["violations"]))
    except OSError as error:
        hint = "write one with --report baseline=FILE"
        raise UsageError(f"the baseline cannot be read: {error.strerror}", code="V021", location=Location(str(path)), hint=hint) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"this is no baseline: {error!r}", code="V021", location=Location(str(path))) from error
