"""Records of every kind, for tests of reports."""

from __future__ import annotations

from tests.samples import sat, undecided, unsat
from verifier.errors import Location, ModelError
from verifier.report import json_report
from verifier.report.records import Record, of_error, of_verdict

VIOLATED = of_verdict(json_report.document(sat()))
HOLDS = of_verdict(json_report.document(unsat()))
UNDECIDED = of_verdict(json_report.document(undecided()))
REFUSED = of_error(
    ModelError("operator 'Loop' <is> not & supported", location=Location("m.onnx", 3), hint="a hint"), "m.onnx", "q.vnnlib", 0.5
)
KILLED = Record("timeout", "n", "q", 30.0, None, {"code": "V017", "message": "killed", "location": None, "hint": None, "log": "last words"})
CRASHED = Record(
    "error",
    "[('f', 'a')]",
    "q",
    3.0,
    None,
    {"code": "V902", "message": "SIGSEGV", "location": None, "hint": None, "log": "\x1b[31m\x00x"},
    "suite",
    7,
    20.0,
    "unsat",
    "/suites/s",
)
ALL = [VIOLATED, HOLDS, UNDECIDED, REFUSED, KILLED, CRASHED]

NASTY = "<script>alert(1)</script>]]>&\"'{{ 7*7 }}\x00\x1b%0A::error::\n=1+1\u202e\ud800"
"""What a file name or a message may hold, at worst."""
EVIL = Record("error", NASTY, NASTY, 1.0, None, {"code": "V101", "message": NASTY, "location": NASTY, "hint": NASTY, "log": NASTY}, NASTY)
EVIL_VIOLATION = of_verdict(
    {
        **json_report.document(sat()),
        "query": {"path": NASTY, "sha256": "0" * 64},
        "networks": [{"path": NASTY, "sha256": "0" * 64}],
        "explanation": [NASTY],
        "warnings": [NASTY],
        "reason_help": NASTY,
    }
)
