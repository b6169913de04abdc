"""The answer to one query, with everything needed to trust and to repeat it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isnan
from typing import Any, Literal

from verifier.errors import InternalError


class Status(Enum):
    """The word for machines; `word` is the one for people."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"

    @property
    def word(self) -> str:
        return {"sat": "violated", "unsat": "holds"}.get(self.value, "undecided")

    @property
    def decided(self) -> bool:
        return self in (Status.SAT, Status.UNSAT)


class Reason(Enum):
    """Why the verdict is what it is; `help` says it in a sentence, `statuses` which verdicts it can stand for."""

    help: str
    statuses: tuple[Status, ...]

    def __new__(cls, value: str, help: str, *statuses: Status) -> Reason:
        member = object.__new__(cls)
        member._value_ = value
        member.help = help
        member.statuses = statuses
        return member

    PROVED = "proved", "Every part of the input set is covered by a bound that excludes a violation.", Status.UNSAT
    COUNTEREXAMPLE = "counterexample", "An input that violates the property was found and replayed with onnxruntime.", Status.SAT
    VACUOUS = (
        "vacuous",
        "The network plays no part in the answer: the input set is empty, or the query is constant. Check the property.",
        Status.SAT,
        Status.UNSAT,
    )
    TIMEOUT = "timeout", "The time limit ran out before the search ended; try a longer --timeout.", Status.TIMEOUT
    MEMORY = "memory", "The subproblems do not fit in memory, even one at a time; a larger machine is needed.", Status.UNKNOWN
    INTERRUPTED = "interrupted", "The run was stopped by a signal before the search ended.", Status.UNKNOWN
    NUMERICALLY_UNDECIDED = (
        "numerically_undecided",
        "What is left lies within rounding error of the threshold: neither a rigorous bound nor a confirmed counterexample decides it.",
        Status.UNKNOWN,
    )
    EXHAUSTED = (
        "exhausted",
        "Subproblems are left that this method can neither decide nor split further.",
        Status.UNKNOWN,
    )


_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Assignment:
    """The values of one variable of a VNN-LIB 2 query, decimal numbers in C order."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Counterexample:
    """An input that violates the property, confirmed by running the original model.

    `inputs` and `outputs` are decimal numbers, flat in C order, the shortest that round-trip in the model's type; the outputs are
    those of the confirming run. `margin` >= 0: least slack over the output constraints of the violated disjunct, infinite where
    it has none.
    `literals`: "exact" where the check read the numbers of the query as written, "float32" where an interval holds no
    float32 and they were rounded to the model's type first. `variables`: the same by the variables that a VNN-LIB 2 query declares.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    disjunct: int
    margin: float
    confirmed_by: str
    literals: Literal["exact", "float32"] = "exact"
    variables: tuple[Assignment, ...] = ()

    def __post_init__(self) -> None:
        for text in (*self.inputs, *self.outputs):
            if not _DECIMAL.fullmatch(text):
                raise InternalError(f"a counterexample holds {text!r}, which is not a finite decimal number")
        if not self.margin >= 0:
            raise InternalError(f"a counterexample has the margin {self.margin!r}: it does not violate the property")
        if not self.confirmed_by:
            raise InternalError("a counterexample names nothing that confirmed it")


@dataclass(frozen=True)
class DisjunctResult:
    """One disjunct of the query; `line` is where it stands in the file, counted from 1."""

    index: int
    line: int | None
    status: Status
    method: str = ""


@dataclass(frozen=True)
class TracePoint:
    """The search at one moment: `lower_bound` the least over what is open, None where none is known; `open`, `nodes`: subproblems."""

    seconds: float
    lower_bound: float | None
    open: int
    nodes: int


@dataclass(frozen=True)
class Statistics:
    """What the run cost. `seconds`: wall clock a phase; `unstable`: unstable neurons a nonlinear layer at the root, in graph order;
    `trace`: the course of the search, thinned out."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    subproblems: int = 0
    unstable: tuple[int, ...] = ()
    peak_memory_mb: float | None = None
    threads: int = 1
    trace: tuple[TracePoint, ...] = ()

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True)
class FileRecord:
    """A file that was read, by the digest of its bytes as they are on disk.

    `name`: what the query calls a network, or which of the queries of a template it is; else empty.
    """

    path: str
    sha256: str
    name: str = ""


@dataclass(frozen=True)
class Provenance:
    """What has to be the same for the run to be repeated.

    `versions` of the verifier, python and the libraries in use; `semantics` "real": the network as a function over the reals.
    `settings`: option -> (value, where it was set); `further`: the networks after the first; `language`: the query's version of VNN-LIB, or
    "template".
    """

    network: FileRecord
    query: FileRecord
    versions: Mapping[str, str]
    device: str
    dtype: str
    seed: int
    settings: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    semantics: Literal["real"] = "real"
    further: tuple[FileRecord, ...] = ()
    language: str = "1.0"

    @property
    def networks(self) -> tuple[FileRecord, ...]:
        return (self.network, *self.further)


@dataclass(frozen=True)
class Verdict:
    """`lower_bound`: the least bound over what is left open, or None where none was computed; > 0 would be a proof.

    `explanation`: sentences for people about what is undecided and what would help; `certificate`: not written yet, always None.
    """

    status: Status
    reason: Reason
    provenance: Provenance
    lower_bound: float | None = None
    counterexample: Counterexample | None = None
    certificate: None = None
    disjuncts: tuple[DisjunctResult, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)
    warnings: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.status is Status.SAT) != (self.counterexample is not None):
            raise InternalError(f"verdict {self.status.value} {'without' if self.counterexample is None else 'with'} a counterexample")
        if self.status not in self.reason.statuses:
            raise InternalError(f"verdict {self.status.value} for the reason {self.reason.value}")
        if self.lower_bound is not None and isnan(self.lower_bound):
            raise InternalError("the lower bound of a verdict is NaN")
        if self.status is Status.UNSAT and any(d.status is not Status.UNSAT for d in self.disjuncts):
            raise InternalError("verdict unsat, but a disjunct is not proved")

    @property
    def vacuous(self) -> bool:
        return self.reason is Reason.VACUOUS
