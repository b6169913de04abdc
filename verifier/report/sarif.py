"""SARIF 2.1.0 for code scanning: a result a query that is violated, undecided or refused, at the line of its disjunct."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from verifier import __version__
from verifier.report.gate import Policy
from verifier.report.records import Record, relative

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULES = {
    "violated": ("PropertyViolated", "An input violates the property.", "error"),
    "undecided": ("PropertyUndecided", "The property was neither proved nor refuted.", "warning"),
    "error": ("QueryRefused", "The query was not decided because of an error.", "error"),
}


def render(records: Sequence[Record], policy: Policy) -> str:
    found = [record for record in records if record.meaning in _RULES]
    errors = any(record.verdict == "error" for record in records)
    run = {
        "tool": {"driver": {"name": "verifier", "semanticVersion": __version__, "rules": [_rule(name) for name in _RULES]}},
        "invocations": [{"executionSuccessful": not errors}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(record, policy) for record in found],
        "properties": {"queries": len(records), "proved": sum(record.verdict == "unsat" for record in records)},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


def _rule(name: str) -> dict[str, Any]:
    identifier, text, level = _RULES[name]
    return {"id": identifier, "name": identifier, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}}


def _result(record: Record, policy: Policy) -> dict[str, Any]:
    rule, _, level = _RULES[record.meaning]
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": list(_RULES).index(record.meaning),
        "level": "note" if policy.known(record) else level,
        "message": {"text": _message(record)},
        "locations": [{"physicalLocation": _place(record.query_file, record.line)}],
        "relatedLocations": [{"id": 1, "message": {"text": "the network"}, "physicalLocation": _place(record.network_file, None)}],
        "partialFingerprints": {"verifierQuery/v1": record.fingerprint},
        "properties": _properties(record),
    }
    if policy.baseline is not None and record.verdict == "sat":
        result["baselineState"] = "unchanged" if policy.known(record) else "new"
    return result


def _message(record: Record) -> str:
    about = f"{relative(record.network)}: {record.sentence or record.meaning}"
    found = None if record.document is None else record.document["counterexample"]
    return about if found is None else f"{about} Disjunct {found['disjunct']}, margin {found['margin']}."


def _properties(record: Record) -> dict[str, Any]:
    found = {"verdict": record.verdict, "seconds": record.seconds, "category": record.category, "expected": record.expected}
    if record.error is not None:
        found["error"] = record.error["code"]
    return {name: value for name, value in found.items() if value not in (None, "")}


def _place(path: str, line: int | None) -> dict[str, Any]:
    """Relative to the root of the sources where the file lies below the working directory, else absolute."""
    near = relative(path)
    if os.path.isabs(near):
        place: dict[str, Any] = {"artifactLocation": {"uri": "file://" + quote(near, errors="replace")}}
    else:
        place = {"artifactLocation": {"uri": quote(near, errors="replace"), "uriBaseId": "%SRCROOT%"}}
    if line is not None:
        place["region"] = {"startLine": line}
    return place
