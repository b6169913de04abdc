"""JUnit XML: a test case a query, a test suite a category."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from verifier.report.gate import Policy
from verifier.report.records import Record, relative

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped."""
_SHOWN = 20


def render(records: Sequence[Record], policy: Policy) -> str:
    """Violations that are not known fail; undecided queries fail or are skipped as the policy says; known violations are skipped."""
    suites: dict[str, list[Record]] = {}
    for record in records:
        suites.setdefault(record.category or "verifier", []).append(record)
    root = ElementTree.Element("testsuites", {"name": "verifier", **_counts(records, policy)})
    for name, members in suites.items():
        skipped = str(sum(_kind(r, policy) == "skipped" for r in members))
        suite = ElementTree.SubElement(root, "testsuite", {"name": _text(name), **_counts(members, policy), "skipped": skipped})
        for record in members:
            _case(suite, record, policy)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _kind(record: Record, policy: Policy) -> str:
    if record.verdict == "unsat":
        return "passed"
    if record.verdict == "error":
        return "error"
    return "failure" if policy.fails(record) else "skipped"


def _counts(records: Sequence[Record], policy: Policy) -> dict[str, str]:
    kinds = [_kind(record, policy) for record in records]
    seconds = sum(record.seconds for record in records)
    return {
        "tests": str(len(kinds)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "time": f"{seconds:.3f}",
    }


def _case(suite: ElementTree.Element, record: Record, policy: Policy) -> None:
    names = {"classname": _text(relative(record.network)), "name": _text(relative(record.query)), "time": f"{record.seconds:.3f}"}
    case = ElementTree.SubElement(suite, "testcase", names)
    kind = _kind(record, policy)
    if kind == "passed":
        return
    message = _text(("known violation: " if policy.known(record) else "") + record.sentence)
    if kind == "skipped":
        ElementTree.SubElement(case, "skipped", {"message": message})
        return
    type_ = str(record.error["code"]) if record.error is not None else record.meaning
    ElementTree.SubElement(case, kind, {"message": message, "type": type_}).text = _text(_details(record))


def _details(record: Record) -> str:
    if record.document is None:
        error = record.error or {}
        return "\n".join(str(error[key]) for key in ("location", "hint", "log") if error.get(key))
    found = record.document["counterexample"]
    if found is None:
        return "\n".join(record.document["explanation"])
    place = "" if record.line is None else f" (line {record.line} of {relative(record.query_file)})"
    lines = [f"disjunct {found['disjunct']}{place}, margin {found['margin']}, confirmed by {found['confirmed_by']}"]
    for letter, values in (("X", found["inputs"]), ("Y", found["outputs"])):
        lines += [f"{letter}_{i} = {value}" for i, value in enumerate(values[:_SHOWN])]
        if len(values) > _SHOWN:
            lines.append(f"... {len(values) - _SHOWN} more; the JSON report has them all")
    return "\n".join(lines)


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
