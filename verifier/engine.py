"""One query, from files to a verdict."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from verifier import __version__
from verifier.attack.witness import Gate, Witness
from verifier.config import Settings
from verifier.graph.attainable import outputs
from verifier.parallel import Workers, available_cores
from verifier.problem import Problem, assignments, decimals, read
from verifier.search.events import Event, Listener, Trace
from verifier.search.outcome import Context
from verifier.verdict import Counterexample, DisjunctResult, FileRecord, Provenance, Reason, Statistics, Status, Verdict

if TYPE_CHECKING:
    from verifier.search.solve import Solved


_TIMEOUT, _INTERRUPTED = (Status.TIMEOUT, Reason.TIMEOUT), (Status.UNKNOWN, Reason.INTERRUPTED)
_GRACE = 0.5
"""Seconds after the time limit for what was begun before it."""


@dataclass(eq=False)
class Run:
    """The state of one call: settings, clock, and what is collected on the way."""

    settings: Settings
    listener: Listener | None
    stop: Callable[[], bool]
    workers: Workers
    started: float
    ended: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    trace: Trace = field(default_factory=Trace)

    def clock(self) -> float:
        return time.monotonic() - self.started

    @property
    def deadline(self) -> float:
        return float("inf") if self.settings.search.timeout is None else self.settings.search.timeout

    def late(self) -> bool:
        """The time has run out, or the run was asked to stop; once true, always: a check that ended early stays unfinished."""
        self.ended = self.ended or self.clock() >= self.deadline or self.stop()
        return self.ended

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start

    def self_checked(self, problem: Problem, lower: np.ndarray, upper: np.ndarray) -> bool:
        """Whether the self-check in a box was done; it may end early, and nothing may be proved without it. Raises SelfCheckError."""
        if not self.late():
            with self.phase("self-check"):
                problem.check(lower, upper, self.settings.search.seed, self.late)
        return not self.late()

    def context(self, gate: Gate, deadline: float) -> Context:
        """For a search until `deadline`, of which 2 %, half a second at most, are left for the last batch and the report."""
        until = deadline - min(0.5, 0.02 * (deadline - self.clock())) if deadline != float("inf") else deadline
        return Context(self.clock, until, self.stop, gate, self.report, np.random.default_rng(self.settings.search.seed), self.workers)

    def report(self, event: Event) -> None:
        self.trace.add(event)
        if self.listener is not None:
            self.listener(replace(event, memory_mb=peak_memory_mb()))


def verify(
    network: Path | Mapping[str, Path],
    query: Path,
    settings: Settings,
    listener: Listener | None = None,
    stop: Callable[[], bool] | None = None,
) -> Verdict:
    """Decide whether some input in the query's region makes the query true (sat) or none does (unsat).

    network: a file, or files by the names that a VNN-LIB 2 query gives to its networks.
    Raises UsageError, ModelError, PropertyError, SelfCheckError or ConfigurationError; a refused input is never a verdict.
    """
    networks = {name: Path(path) for name, path in network.items()} if isinstance(network, Mapping) else Path(network)
    return decide(lambda: read(networks, Path(query)), settings, listener, stop)


def decide(
    load: Callable[[], Problem], settings: Settings, listener: Listener | None = None, stop: Callable[[], bool] | None = None
) -> Verdict:
    """`verify` for a problem that `load` gives; the clock runs while it does."""
    with running(load, settings, listener, stop) as (run, problem):
        verdict = _checked_and_decided(run, problem)
        run.report(
            Event(
                "*",
                run.clock(),
                lower_bound=verdict.lower_bound,
                nodes=verdict.statistics.subproblems,
                proved=1.0 if verdict.status is Status.UNSAT else 0.0,
                message=verdict.status.value,
            )
        )
    return verdict


@contextmanager
def running(
    load: Callable[[], Problem], settings: Settings, listener: Listener | None = None, stop: Callable[[], bool] | None = None
) -> Iterator[tuple[Run, Problem]]:
    """A run whose clock has started, and its problem; nothing is checked yet."""
    started = time.monotonic()
    limit = float("inf") if settings.search.timeout is None else settings.search.timeout
    asked = stop or (lambda: False)
    with Workers(available_cores(), started + limit + _GRACE, asked) as workers:
        run = Run(settings, listener, asked, workers, started)
        with run.phase("read"):
            problem = load()
            run.warnings += problem.warnings
        yield run, problem


def _checked_and_decided(run: Run, problem: Problem) -> Verdict:
    prop = problem.prop
    live = [i for i, d in enumerate(prop.disjuncts) if not d.empty]
    if live:
        first = prop.disjuncts[live[0]]
        if not run.self_checked(problem, first.lower, first.upper):
            said = "The time limit had passed, or the run was stopped, before the search began."
            interrupted = run.clock() < run.deadline
            return _verdict(run, problem, *(_INTERRUPTED if interrupted else _TIMEOUT), explanation=(said,))
    return decide_checked(run, problem, run.deadline)


def decide_checked(run: Run, problem: Problem, deadline: float) -> Verdict:
    """The verdict on a problem whose network has passed the self-check, by `deadline` on the clock of the run."""
    prop = problem.prop
    live = [i for i, d in enumerate(prop.disjuncts) if not d.empty]
    if not live:
        return _verdict(run, problem, Status.UNSAT, Reason.VACUOUS)
    gate = Gate(problem.replay, prop.disjuncts, problem.dtype)
    asking = [i for i in live if prop.disjuncts[i].rows]
    for i in sorted({*live} - {*asking}):  # nothing is asked of the network: any point of the box will do
        lower, upper = prop.disjuncts[i].lower, prop.disjuncts[i].upper
        for point in (0.5 * lower + 0.5 * upper, lower, upper):
            witness = gate.confirm(point, i)
            if witness is not None:
                return _verdict(run, problem, Status.SAT, Reason.VACUOUS, witness=witness)
    witness = _at_centre(problem, gate, live)
    if witness is not None:
        said = "The centre of the input region, which the property is about, violates it already."
        return _verdict(run, problem, Status.SAT, Reason.COUNTEREXAMPLE, witness=witness, explanation=(said,))
    found = _search(run, problem, asking, deadline) if asking else None
    if found is not None and (found.status is not Status.UNSAT or asking == live):
        return found
    said = "A disjunct asks nothing of the network, but the network has no finite output at any of its points that were tried."
    return _verdict(run, problem, Status.UNKNOWN, Reason.NUMERICALLY_UNDECIDED, explanation=(said,))


def _at_centre(problem: Problem, gate: Gate, live: Sequence[int]) -> Witness | None:
    """A counterexample at the property's centre, moved to the nearest floats of the region."""
    if problem.prop.centre is None:
        return None
    lower, upper = problem.prop.disjuncts[live[0]].inner(problem.dtype)
    x, y = problem.replay.run(np.clip(problem.prop.centre.astype(problem.dtype), lower, upper)[None])
    met = (i for i in live if np.isfinite(y).all() and problem.prop.disjuncts[i].rows_hold(x[0], y[0]))
    which = next(met, None)
    return None if which is None else gate.confirm(x[0], which)


def _search(run: Run, problem: Problem, live: Sequence[int], deadline: float) -> Verdict:
    """live: positions of the disjuncts to decide, all with rows."""
    from verifier.search.query import Query
    from verifier.search.solve import solve

    attainable = outputs(problem.graph)
    live = [i for i in live if not problem.prop.disjuncts[i].excluded(attainable.lower, attainable.upper)]
    if not live:
        said = "The outputs cannot be what the query asks of them, whatever the input: an operator has no such values."
        return _verdict(run, problem, Status.UNSAT, Reason.PROVED, explanation=(said,))
    disjuncts = [problem.prop.disjuncts[i] for i in live]
    context = run.context(Gate(problem.replay, disjuncts, problem.dtype), deadline)
    with run.phase("search"):
        solved = solve(Query.narrowed(problem.graph, disjuncts), run.settings, context)
    outcome = solved.outcome
    if outcome.witness is not None:
        witness = replace(outcome.witness, disjunct=live[outcome.witness.disjunct])
        return _verdict(run, problem, Status.SAT, Reason.COUNTEREXAMPLE, solved, witness)
    if outcome.proved:
        return _verdict(run, problem, Status.UNSAT, Reason.PROVED, solved)
    if run.stop():
        return _verdict(run, problem, *_INTERRUPTED, solved)
    if outcome.undefined:
        return _verdict(run, problem, Status.UNKNOWN, Reason.EXHAUSTED, solved, explanation=(outcome.undefined,))
    if outcome.exhausted:
        return _verdict(run, problem, Status.UNKNOWN, Reason.NUMERICALLY_UNDECIDED, solved)
    return _verdict(run, problem, *_TIMEOUT, solved)


def _verdict(
    run: Run,
    problem: Problem,
    status: Status,
    reason: Reason,
    solved: Solved | None = None,
    witness: Witness | None = None,
    explanation: tuple[str, ...] = (),
) -> Verdict:
    counterexample = None if witness is None else counterexample_of(problem, witness)
    method = "" if solved is None else solved.plan.method
    disjuncts = tuple(
        DisjunctResult(
            i,
            d.line or None,
            Status.UNSAT if status is Status.UNSAT else Status.SAT if witness is not None and witness.disjunct == i else Status.UNKNOWN,
            method="empty input set" if d.empty else method,
        )
        for i, d in enumerate(problem.prop.disjuncts)
    )
    bound = None if solved is None or status.decided or not np.isfinite(solved.outcome.lower_bound) else solved.outcome.lower_bound
    if solved is not None and not status.decided:
        explanation = _explain(solved, bound) + explanation
    course = run.trace.points()
    statistics = Statistics(
        dict(run.seconds),
        max(0 if solved is None else solved.outcome.subproblems, course[-1].nodes if course else 0),
        unstable=() if solved is None else solved.unstable,
        peak_memory_mb=peak_memory_mb(),
        threads=run.workers.cores,
        trace=course,
    )
    return Verdict(
        status,
        reason,
        provenance(run, problem, "none" if solved is None else solved.plan.device),
        bound,
        counterexample,
        None,
        disjuncts,
        statistics,
        tuple(run.warnings),
        explanation,
    )


def counterexample_of(problem: Problem, witness: Witness) -> Counterexample:
    disjunct = problem.prop.disjuncts[witness.disjunct]
    outputs, inputs, constant, _ = disjunct.coefficients()
    values = outputs @ np.array(disjunct.extended(witness.x, witness.y), dtype=float) + inputs @ witness.x.astype(float) + constant
    margin = float(-values.max()) if len(values) else float("inf")
    return Counterexample(
        decimals(witness.x),
        decimals(witness.y),
        witness.disjunct,
        max(0.0, margin),
        f"onnxruntime {version('onnxruntime')}",
        witness.literals,
        assignments(problem.prop, witness.x, witness.y),
    )


def _explain(solved: Solved, bound: float | None) -> tuple[str, ...]:
    outcome = solved.outcome
    said = [
        f"Tried: {solved.plan.reason}; {outcome.subproblems} subproblems, {100 * outcome.proved_share:.1f} % of the search tree proved."
    ]
    if bound is not None:
        said.append(f"The worst open subproblem has the lower bound {bound:.6g}; above 0 it would be proved.")
    help = "A smaller" if outcome.undefined else "A longer --timeout, a GPU (--device cuda) or a smaller"
    said.append(f"{help} input region would help.")
    return tuple(said)


def provenance(run: Run, problem: Problem, device: str) -> Provenance:
    """Of an answer whose bounds were computed on `device`."""
    versions = {
        "verifier": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnx": version("onnx"),
        "onnxruntime": version("onnxruntime"),
    }
    if "torch" in sys.modules:
        versions["torch"] = version("torch")
    settings: dict[str, tuple[Any, str]] = run.settings.describe()
    network, *further = problem.files
    return Provenance(
        network,
        FileRecord(problem.prop.source, problem.prop.sha256, problem.prop.part),
        versions,
        device,
        "float64",
        run.settings.search.seed,
        settings,
        further=tuple(further),
        language=problem.prop.version,
    )


def peak_memory_mb() -> float:
    """Peak resident memory of the process in 2^20 bytes (Linux counts in 2^10, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
