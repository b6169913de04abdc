"""How far a property holds around a sample: the largest radius proved and the smallest one violated.

A ball contains all smaller ones, so a proof for a radius is one for all smaller, and a counterexample one for all radii from its own
distance on. Radii between the two are decided by the search until they are near enough, or the time is over; a radius that takes too
long is left aside, and smaller ones are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import isqrt
from typing import Any, cast

import numpy as np

from verifier.answers import Ending, Probe, RadiusAnswer
from verifier.arrays import numpy_arrays
from verifier.attack.witness import Gate
from verifier.config import Settings
from verifier.engine import Run, counterexample_of, decide_checked, peak_memory_mb, provenance, running
from verifier.errors import PropertyError, UsageError
from verifier.graph.onnx_reader import Model
from verifier.problem import Problem, interfaces, of_query, with_property
from verifier.property.templates import reader
from verifier.property.templates.region import Ball, Extent, exact_list
from verifier.search.attack_rounds import AttackRounds
from verifier.search.events import Trace
from verifier.search.query import Query
from verifier.verdict import Counterexample, Reason, Statistics, Status, Verdict

PRECISION = 0.05
_GROWTH = 1024
"""Times the radius of the template that is asked about where no domain says how far inputs go."""
_SHARE = 0.3
"""Part of the time left that one radius may take."""
_LEAST_SECONDS = 0.5
_DIGITS = 6
_FINE = 10**15
_ATTACK_SHARE = 0.15
"""Part of the time in which counterexamples are brought nearer before the first proof is tried."""
_NEARER = Fraction(3, 4)
"""Part of the violated radius that is attacked next."""
_PULLS = 12
"""Replays on the way from a counterexample towards the sample."""

Loaded = tuple[Sequence[Model], reader.Query]


def radius(
    load: Callable[[], Loaded],
    settings: Settings,
    precision: float = PRECISION,
    most: Fraction | None = None,
    stop: Callable[[], bool] | None = None,
    session: Session | None = None,
) -> RadiusAnswer:
    """The radius of the query that `load` gives, whose region is a `Ball` with one eps; the time limit is for it alone.

    precision: done when proved and violated are apart by at most this part of the violated radius. most: the largest radius of interest;
    default: where the domain ends, or 1024 times that of the query. session: kept from one sample of a network to the next.

    Raises UsageError for a precision out of range, PropertyError V224 for a region that has no radius, and what `load` raises.
    """
    if not 0 < precision < 1:
        raise UsageError(f"the precision is {precision:g}", hint="it is a part of the radius between 0 and 1, such as 0.05")
    session = session or Session()
    asked: list[_Sample] = []

    def problem() -> Problem:
        models, query = load()
        asked.append(_Sample.of(models, query, most))
        return session.problem(models, query)

    with running(problem, settings, None, stop) as (run, loaded):
        bisection = _Bisection(run, loaded, asked[0], precision)
        return bisection.answer(bisection.run_until_late())


@dataclass(eq=False)
class Session:
    """The problem of the last sample: the network as it was read, and onnxruntime's sessions."""

    last: Problem | None = None
    models: Sequence[Model] = ()

    def problem(self, models: Sequence[Model], query: reader.Query) -> Problem:
        prop = query.build(interfaces(models))
        if self.last is None or prop.declarations is not None or list(map(id, models)) != list(map(id, self.models)):
            self.last, self.models = of_query(models, query), models
        return with_property(self.last, prop)


@dataclass(frozen=True, eq=False)
class _Sample:
    """A query around a sample. eps: where to begin; most: where to end."""

    models: Sequence[Model]
    query: reader.Query
    ball: Ball
    extent: Extent
    eps: Fraction
    most: Fraction

    @staticmethod
    def of(models: Sequence[Model], query: reader.Query, most: Fraction | None) -> _Sample:
        ball = query.claim.region
        if not isinstance(ball, Ball):
            hint = "in a template: data and eps; in Python: a Ball"
            raise PropertyError("a radius is asked for of a region that has none", code="V224", location=query.origin.location, hint=hint)
        eps = exact_list(ball.eps)
        if len(eps) != 1 or eps[0] <= 0:
            message = "a radius needs one positive eps for all features"
            raise PropertyError(message, code="V224", location=query.origin.location, hint="`fixed` features do not change at all")
        if most is not None and most <= 0:
            raise UsageError("the largest radius of interest is not positive")
        extent = replace(ball, eps=0).extent(interfaces(models)[0])
        return _Sample(models, query, ball, extent, eps[0], most or _reach(ball, extent, eps[0]))

    def build(self, eps: Fraction) -> reader.Query:
        claim = cast(Any, self.query.claim)  # every claim is a dataclass with a region
        return replace(self.query, claim=replace(claim, region=replace(self.ball, eps=eps)))

    def distance(self, x: np.ndarray) -> Fraction:
        """Of the point x (n,), as the network sees it, from the sample, in the user's units; exactly, but rounded up in the norm l2."""
        if self.extent.centre is None:
            raise TypeError("the extent of a ball has a centre")
        points = (Fraction(float(v)) * s + m for v, s, m in zip(x, self.extent.std, self.extent.mean))
        away = [abs(point - centre) for point, centre in zip(points, self.extent.centre)]
        if self.ball.norm == "l2":
            return _root(sum((a * a for a in away), Fraction(0)))
        return max(away) if self.ball.norm == "linf" else sum(away, Fraction(0))


def _reach(ball: Ball, extent: Extent, eps: Fraction) -> Fraction:
    """Where a larger radius changes nothing, or far away."""
    if ball.domain is None or extent.centre is None:
        return _GROWTH * eps
    low, high = (exact_list(side) for side in ball.domain)
    widest = max(max(c - min(low), max(high) - c) for c in extent.centre)
    return (widest if ball.norm == "linf" else widest * len(extent.centre)) or eps


def _root(square: Fraction) -> Fraction:
    """At least the square root, and near to it; exactly 0 of 0."""
    return Fraction(isqrt(square.numerator * _FINE**2 // square.denominator) + 1, _FINE) if square else square


@dataclass(eq=False)
class _Bisection:
    """proved, violated: as in the answer; ceiling: the smallest radius that was left aside since `violated` was last tried."""

    run: Run
    problem: Problem
    sample: _Sample
    precision: float
    proved: Fraction | None = None
    violated: Fraction | None = None
    ceiling: Fraction | None = None
    found: Counterexample | None = None
    patience: float = _LEAST_SECONDS
    checked: Fraction = Fraction(-1)
    device: str = "none"
    subproblems: int = 0
    hopeless: bool = False
    probes: list[Probe] = field(default_factory=list)

    def run_until_late(self) -> Ending:
        """The sample itself first: where it violates the property, there is nothing to bisect."""
        eps: Fraction | None = Fraction(0)
        while eps is not None:
            if not self._probe(eps):
                return Ending.INTERRUPTED if self.run.stop() else Ending.TIMEOUT
            if self.violated == 0:
                return Ending.PRECISE
            if self.proved is None:
                return Ending.EXHAUSTED
            if len(self.probes) == 1:
                with self.run.phase("attack"):
                    self._attack()
            eps = self._next()
        return Ending.EXHAUSTED if self.hopeless and not self._precise() else Ending.PRECISE

    def _next(self) -> Fraction | None:
        """The radius to try next; None where there is none that would help."""
        low = self.proved or Fraction(0)
        if self._precise():
            return None
        top = min((e for e in (self.violated, self.ceiling) if e is not None), default=None)
        if self.ceiling is None and max(self.sample.eps, 2 * low) < (self.violated or self.sample.most):
            return max(self.sample.eps, 2 * low)
        if top is None:
            return self.sample.most
        if self.ceiling is not None and top - low <= Fraction(self.precision) * top:
            if self.hopeless:
                return None
            # Everything below is known: what was left aside gets more time.
            self.ceiling, self.patience = None, 4 * self.patience
            return self._next()
        middle = _short((low + top) / 2)
        return middle if low < middle < top else None

    def _precise(self) -> bool:
        if self.proved is None:
            return False
        if self.violated is None:
            return self.proved >= self.sample.most
        return self.violated - self.proved <= Fraction(self.precision) * self.violated

    def _probe(self, eps: Fraction) -> bool:
        """Decide one radius; False where the time is over."""
        run, problem = self.run, self._at(eps)
        if eps > self.checked:
            box = problem.prop.disjuncts[0]
            if not run.self_checked(problem, box.lower, box.upper):
                return False
            self.checked = eps
        start = run.clock()
        if run.late():
            return False
        left = run.deadline - start
        seconds = max(self.patience, _SHARE * left) if np.isfinite(left) else 4 * self.patience
        verdict = decide_checked(replace(run, trace=Trace(), listener=None), problem, min(run.deadline, start + seconds))
        self._learn(problem, eps, verdict)
        self.subproblems += verdict.statistics.subproblems
        self.device = verdict.provenance.device if verdict.provenance.device != "none" else self.device
        self.probes.append(Probe(eps, verdict.status, run.clock() - start))
        return not run.late()

    def _learn(self, problem: Problem, eps: Fraction, verdict: Verdict) -> None:
        if verdict.status is Status.UNSAT:
            self.proved = max(eps, self.proved or eps)
        elif verdict.counterexample is not None:
            self._violate(problem, eps, verdict.counterexample)
        else:
            self.ceiling = eps
            self.hopeless = verdict.reason is not Reason.TIMEOUT

    def _at(self, eps: Fraction) -> Problem:
        return with_property(self.problem, self.sample.build(eps).build(interfaces(self.sample.models)))

    # -- counterexamples --

    def _attack(self) -> None:
        """Gradient attacks on ever smaller balls, as long as they succeed."""
        run, settings = self.run, self.run.settings
        deadline = run.clock() + min(_ATTACK_SHARE * (run.deadline - run.clock()), 30.0)
        eps = self.sample.most
        while run.clock() < deadline and not run.late():
            problem = self._at(eps)
            places = [k for k, d in enumerate(problem.prop.disjuncts) if d.rows and not d.empty]
            if not places:
                return
            disjuncts, before = [problem.prop.disjuncts[k] for k in places], self.violated
            context = run.context(Gate(problem.replay, disjuncts, problem.dtype), deadline)
            context = replace(context, report=lambda event: None)
            query = Query.narrowed(problem.graph, disjuncts)
            witness = AttackRounds(query, numpy_arrays(single=True), settings, context).run_if_due()
            if witness is None:
                return
            self._violate(problem, eps, counterexample_of(problem, replace(witness, disjunct=places[witness.disjunct])))
            if self.violated is None or (before is not None and self.violated >= before):
                return
            eps = _NEARER * self.violated

    def _violate(self, problem: Problem, eps: Fraction, found: Counterexample) -> None:
        """The counterexample, or one nearer to the sample on the line between the two, bounds the radius from above."""
        self._keep(found, eps if found.literals != "exact" or problem.prop.declarations is not None else None, problem)
        if problem.prop.declarations is not None or problem.prop.centre is None or eps == 0:
            return
        gate = Gate(problem.replay, problem.prop.disjuncts, problem.dtype)
        x, centre = np.array(found.inputs, dtype=problem.dtype).astype(float), problem.prop.centre
        near, far = 0.0, 1.0
        for _ in range(_PULLS):
            if self.run.late():
                break
            middle = 0.5 * (near + far)
            witness = gate.confirm(centre + middle * (x - centre), found.disjunct)
            if witness is None:
                near = middle
            else:
                far = middle
                self._keep(counterexample_of(problem, witness), None if witness.literals == "exact" else eps, problem)

    def _keep(self, found: Counterexample, eps: Fraction | None, problem: Problem) -> None:
        """eps: the radius it violates, if not its own distance."""
        reached = self.sample.distance(np.array(found.inputs, dtype=problem.dtype)) if eps is None else eps
        if self.violated is None or reached < self.violated:
            self.violated, self.found = reached, found
            if self.ceiling is not None and self.ceiling >= reached:
                self.ceiling = None

    def answer(self, ending: Ending) -> RadiusAnswer:
        run = self.run
        statistics = Statistics(dict(run.seconds), self.subproblems, peak_memory_mb=peak_memory_mb(), threads=run.workers.cores)
        return RadiusAnswer(
            Ending.PRECISE if self.violated == 0 or self._precise() else ending,
            self.precision,
            self.sample.most,
            self.proved,
            self.violated,
            self.found,
            tuple(self.probes),
            provenance(run, self.problem, self.device),
            statistics,
            tuple(run.warnings),
        )


def _short(eps: Fraction) -> Fraction:
    """A number of few digits near eps."""
    return Fraction(f"{float(eps):.{_DIGITS}g}")
