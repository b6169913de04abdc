"""Reports that are a line or an entry a record: JSON, JSON lines, CSV, GitHub annotations, baseline."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from verifier.report.gate import VERSION, Policy
from verifier.report.records import Record, entry, relative, suite_document

_COLUMNS = (
    *("category", "network", "query", "verdict", "reason", "seconds", "timeout", "expected"),
    *("disjunct", "line", "margin", "lower_bound", "subproblems", "error"),
)


def as_json(records: Sequence[Record], policy: Policy) -> str:
    """A verdict document for one verdict that belongs to no suite, else a suite document."""
    single = records[0] if len(records) == 1 else None
    document = single.document if single is not None and not single.category and single.document is not None else suite_document(records)
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def as_json_lines(records: Sequence[Record], policy: Policy) -> str:
    return "".join(json.dumps(entry(record), allow_nan=False) + "\n" for record in records)


def as_csv(records: Sequence[Record], policy: Policy) -> str:
    """With a header. Texts that a spreadsheet would run as a formula are quoted with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # of RFC 4180
    writer.writerow(_COLUMNS)
    writer.writerows(map(_cells, records))
    return text.getvalue()


def _cells(record: Record) -> list[object]:
    document = record.document or {}
    found = document.get("counterexample") or {}
    error = "" if record.error is None else f"{record.error['code']}: {record.error['message']}"
    names = [_harmless(text) for text in (record.category, record.network, record.query)]
    outcome = [record.verdict, document.get("reason", ""), f"{record.seconds:.3f}", record.timeout, record.expected]
    work = [document.get("lower_bound"), document.get("statistics", {}).get("subproblems")]
    return [*names, *outcome, found.get("disjunct"), record.line, found.get("margin"), *work, _harmless(error)]


def _harmless(text: str) -> str:
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_annotations(records: Sequence[Record], policy: Policy) -> str:
    """Workflow commands that GitHub shows beside the query's lines; a query that holds has none."""
    return "".join(_annotation(record, policy) + "\n" for record in records if record.verdict != "unsat")


def _annotation(record: Record, policy: Policy) -> str:
    level = "notice" if policy.known(record) else "error" if policy.fails(record) else "warning"
    place = {"file": relative(record.query_file)}
    if record.line is not None:
        place["line"] = str(record.line)
    title = f"{record.meaning}{' (known)' if policy.known(record) else ''}: {relative(record.network)}"
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**place, "title": title}.items())
    return f"::{level} {properties}::{_data(record.sentence)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_baseline(records: Sequence[Record], policy: Policy) -> str:
    """Today's violations, in an order that keeps the file's changes small."""
    violations = sorted((relative(r.network_file), relative(r.query_file), r.fingerprint) for r in records if r.verdict == "sat")
    found = [{"network": network, "query": query, "fingerprint": fingerprint} for network, query, fingerprint in violations]
    return json.dumps({"baseline_version": VERSION, "violations": found}, indent=2) + "\n"
