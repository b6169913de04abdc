"""Verdicts to report and an engine that returns them, for tests that need no network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verifier.config import Settings
from verifier.search.events import Event
from verifier.verdict import Counterexample, DisjunctResult, FileRecord, Provenance, Reason, Statistics, Status, TracePoint, Verdict

NETWORK = FileRecord("net.onnx", "a" * 64)
QUERY = FileRecord("query.vnnlib", "b" * 64)
PROVENANCE = Provenance(
    NETWORK,
    QUERY,
    {"verifier": "0.1.0", "python": "3.11.7", "onnxruntime": "1.32.0"},
    "cpu",
    "float64",
    0,
    {"search.timeout": (10.0, "command line"), "search.seed": (0, "default")},
)
TRACE = (TracePoint(0.25, -1.5, 1, 1), TracePoint(0.5, -0.0625, 40, 600), TracePoint(0.625, None, 2, 1204))
STATISTICS = Statistics({"load": 0.125, "search": 0.5}, 1204, (12, 3), 512.0, 2, TRACE)
COUNTEREXAMPLE = Counterexample(("0.1", "-1e-05"), ("1.25",), 1, 0.25, "onnxruntime 1.32.0")


def sat(**changes: Any) -> Verdict:
    disjuncts = (DisjunctResult(0, 12, Status.UNSAT, "root bound"), DisjunctResult(1, 13, Status.SAT, "attack"))
    fields = {"counterexample": COUNTEREXAMPLE, "disjuncts": disjuncts, "statistics": STATISTICS, **changes}
    return Verdict(Status.SAT, Reason.COUNTEREXAMPLE, PROVENANCE, **fields)


def unsat(**changes: Any) -> Verdict:
    fields = {"disjuncts": (DisjunctResult(0, 12, Status.UNSAT, "branch and bound"),), "statistics": STATISTICS, **changes}
    return Verdict(Status.UNSAT, Reason.PROVED, PROVENANCE, **fields)


def undecided(reason: Reason = Reason.TIMEOUT, **changes: Any) -> Verdict:
    fields = {
        "lower_bound": -0.0625,
        "disjuncts": (DisjunctResult(0, None, reason.statuses[0]),),
        "statistics": STATISTICS,
        "explanation": ("Disjunct 0 is open.",),
        **changes,
    }
    return Verdict(reason.statuses[0], reason, PROVENANCE, **fields)


@dataclass
class FakeEngine:
    """Stands in for verifier.engine: keeps its arguments, tells the listener one event, answers as told."""

    answer: Verdict | Exception | Callable[[Callable[[], bool]], Verdict] = field(default_factory=unsat)
    calls: list[tuple[Path, Path, Settings]] = field(default_factory=list)

    def verify(self, network: Path, query: Path, settings: Settings, listener: Any = None, stop: Any = None) -> Verdict:
        self.calls.append((network, query, settings))
        if listener is not None:
            listener(Event("R", 0.31, nodes=1, open=1, unstable=412, lower_bound=-0.38021, attack_gap=float("inf"), memory_mb=614.4))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(stop) if callable(self.answer) else self.answer
