"""How low and how high every output gets over an input set: proved bounds from outside, replayed points from inside.

Each side of each output starts from the root's bounds and from gradient ascent. Then thresholds between the two are decided by the
search, one after another: `unsat` proves a threshold to be a bound, `sat` comes with a higher value. Where inputs are split, the
threshold is as near to the highest value found as the precision allows, and a search that runs out of time still leaves a bound: that
of its worst open box. Elsewhere such a search is lost, and thresholds approach the highest value from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib.metadata import version

import numpy as np

from verifier.answers import Attained, Ending, OutputInterval, RangeAnswer, gap
from verifier.arrays import Arrays, cuda_devices
from verifier.attack import gradient
from verifier.attack.witness import Gate, Witness
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import RootBounds, Undefined, output_bounds, root_bounds
from verifier.bounds.resources import Resources
from verifier.bounds.targets import Targets
from verifier.config import Settings
from verifier.engine import Run, peak_memory_mb, provenance, running
from verifier.errors import Location, PropertyError, UsageError
from verifier.parallel import Late
from verifier.problem import Problem, decimals
from verifier.property.disjuncts import Disjunct, Property, Row
from verifier.search.box_search import ROW_ITERATIONS
from verifier.search.outcome import Outcome
from verifier.search.plan import Plan, make_plan
from verifier.search.query import Query
from verifier.search.solve import arrays_of, solve
from verifier.verdict import Statistics

PRECISION = 0.01
_FIRST_FRACTION = 0.25
"""Where between the highest value found and the bound the first threshold lies: proofs become harder fast towards the former."""
_PATIENCE = 0.25
"""Seconds of the first attempts at a threshold, at least."""
_ATTACK_SHARE = 0.1
"""Part of the time that gradient ascent may take before the search."""
_ROOT_SHARE = 0.2
"""Part of the time that the optimisation of the root's bounds may take."""
_REPLAYED = 3
"""Points of a side that are replayed after the ascent."""
_NUMBERS = 8_000_000
"""Numbers that the values of all nodes may hold while points are moved together."""

Progress = Callable[[Sequence[OutputInterval], float], None]
"""Told now and then what is known, and the seconds."""


def output_ranges(
    load: Callable[[], Problem],
    settings: Settings,
    outputs: Sequence[int] | None = None,
    precision: float = PRECISION,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RangeAnswer:
    """The ranges of `outputs` (default: all) over the input set of the problem that `load` gives; its conditions on outputs are not used.

    precision: a side is done when its gap is at most so many widths of the proved interval. Raises UsageError for an output that does
    not exist, PropertyError V229 for an empty input set, and what `load` raises.
    """
    if not 0 < precision < 1:
        raise UsageError(f"the precision is {precision:g}", hint="it is a part of the range between 0 and 1, such as 0.01")
    with running(load, settings, None, stop) as (run, problem):
        chosen = tuple(dict.fromkeys(range(problem.prop.outputs) if outputs is None else outputs))
        for j in chosen:
            if not 0 <= j < problem.prop.outputs:
                hint = f"outputs are numbered 0 to {problem.prop.outputs - 1}"
                raise UsageError(f"there is no output {j}", location=Location(problem.files[0].path), hint=hint)
        if problem.prop.monomials:
            message = "a query with products of variables has no input set of boxes and linear conditions"
            raise PropertyError(message, code="V211", location=Location(problem.prop.source))
        sets = input_sets(problem.prop)
        if not sets:
            raise PropertyError("the input set is empty", code="V229", location=Location(problem.prop.source))
        refinement = _Refinement(run, problem, sets, [_Side(j, s) for j in chosen for s in (-1, 1)], precision, progress)
        refinement.run_until_late()
        return refinement.answer()


def input_sets(prop: Property) -> tuple[Disjunct, ...]:
    """The different sets of inputs that the disjuncts speak of: box and rows over inputs alone; without those that are empty."""
    found: dict[tuple[object, ...], Disjunct] = {}
    for d in prop.disjuncts:
        rows = tuple(row for row in d.rows if not row.outputs)
        key = (d.box.bounds.tobytes(), *((tuple(sorted(row.inputs.items())), row.constant, row.strict) for row in rows))
        found.setdefault(key, replace(d, rows=rows))
    return tuple(d for d in found.values() if not d.empty)


@dataclass(eq=False)
class _Side:
    """The greatest value of sign * y[output]: `bound` is proved, `attained` (-inf: none yet) replayed at `witness`.

    fraction: where the next threshold lies between them; patience: seconds for it; spent: seconds so far; stuck: no threshold helps.
    """

    output: int
    sign: int
    bound: float = np.inf
    attained: float = -np.inf
    witness: Witness | None = None
    fraction: float = _FIRST_FRACTION
    patience: float = 0.0
    spent: float = 0.0
    reach: float = 1.0
    stuck: bool = False

    def threshold(self, floor: float, near: float | None) -> float:
        """Where to try next, below the bound. floor: the start where nothing was attained; near: how far above it, if given."""
        low = self.attained if np.isfinite(self.attained) else floor if np.isfinite(floor) else 0.0
        if not np.isfinite(self.bound):
            self.reach *= 16
            return low + self.reach * max(1.0, abs(low))
        return low + (self.fraction * (self.bound - low) if near is None else near)


@dataclass(eq=False)
class _Refinement:
    """sides: the lower and the upper one of every output, in turn; lower, upper (K, n): the boxes of the sets."""

    run: Run
    problem: Problem
    sets: tuple[Disjunct, ...]
    sides: list[_Side]
    precision: float
    progress: Progress | None
    subproblems: int = 0
    searches: int = 0
    device: str = "none"
    method: str = ""
    root: RootBounds | None = None
    rng: np.random.Generator = field(init=False)
    gate: Gate = field(init=False)
    lower: np.ndarray = field(init=False)
    upper: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.lower, self.upper = np.stack([d.lower for d in self.sets]), np.stack([d.upper for d in self.sets])
        self.rng = np.random.default_rng(self.run.settings.search.seed)
        self.gate = Gate(self.problem.replay, self.sets, self.problem.dtype)

    def run_until_late(self) -> None:
        if not self.run.self_checked(self.problem, self.sets[0].lower, self.sets[0].upper):
            return
        search = self.run.settings.search
        plan = make_plan(self.problem.graph, self.lower, self.upper, search.batch, search.device, cuda_devices)
        self.device, self.method = plan.device, plan.method
        exact, fast = arrays_of(plan)
        with self.run.phase("root bounds"):
            self._bound_root(plan, exact, fast)
        with self.run.phase("attack"):
            self._attack(fast)
        with self.run.phase("search"):
            while not self.run.late():
                self._tell()
                waiting = [side for side in self.sides if not side.stuck and not self._precise(side)]
                if not waiting:
                    break
                self._refine(min(waiting, key=lambda side: side.spent), len(waiting))

    # -- the root --

    def _bound_root(self, plan: Plan, exact: Arrays, fast: Arrays) -> None:
        """Bounds over the smallest box around all sets."""
        lower, upper = self.lower.min(axis=0), self.upper.max(axis=0)
        run, graph, iterations = self.run, self.problem.graph, self.run.settings.bounds.root_iterations
        graph.to(exact), graph.to(fast)
        limit = run.clock() + _ROOT_SHARE * (run.deadline - run.clock())
        resources = Resources(exact, fast, run.workers, run.late)
        try:
            root = root_bounds(graph, resources, lower, upper, Schedule(0))
            if plan.method == "neuron split" and iterations:
                rows = Schedule(min(ROW_ITERATIONS, iterations))
                sooner = replace(resources, late=lambda: run.late() or run.clock() > limit)
                root = root_bounds(graph, sooner, lower, upper, rows, root)
            low, high = output_bounds(graph, resources, lower, upper, root, Schedule(iterations))
        except (Late, Undefined):
            return
        if len(self.sets) == 1 or plan.method == "input split":
            self.root = root
        for side in self.sides:
            bound = float(high[side.output] if side.sign > 0 else -low[side.output])
            side.bound = np.inf if np.isnan(bound) else bound

    def _attack(self, fast: Arrays) -> None:
        """Gradient ascent on every side from random points of the sets."""
        settings, width = self.run.settings.attack, sum(node.size for node in self.problem.graph.nodes)
        now = self.run.clock()
        limit = now + min(_ATTACK_SHARE * (self.run.deadline - now), 60.0)
        each = max(2, min(settings.restarts, _NUMBERS // width))
        together = max(1, _NUMBERS // (width * each))
        for first in range(0, len(self.sides), together):
            sides = self.sides[first : first + together]
            place = np.tile(np.arange(each) % len(self.sets), len(sides))
            share = gradient.starting_points(np.zeros_like(self.lower[0]), np.ones_like(self.lower[0]), len(place), self.rng)
            x = self.lower[place] + share * (self.upper - self.lower)[place]
            late = lambda: self.run.late() or self.run.clock() > limit  # noqa: E731
            self._ascend(fast, sides, x, place, late)
            if late():
                break

    def _ascend(self, fast: Arrays, sides: Sequence[_Side], x: np.ndarray, place: np.ndarray, stop: Callable[[], bool]) -> None:
        """From x (S * k, n) in the sets `place` (S * k,), k points a side; the best points of each are replayed."""
        rows = np.zeros((len(sides), 1, self.problem.prop.outputs))
        rows[np.arange(len(sides)), 0, [side.output for side in sides]] = [-side.sign for side in sides]
        targets = Targets(rows, None, np.zeros((len(sides), 1)), np.zeros((len(sides), 1), bool))
        which, steps = np.repeat(np.arange(len(sides)), len(x) // len(sides)), gradient.Steps(self.run.settings.attack.steps)
        lower, upper = self.lower[place], self.upper[place]
        found = gradient.descend(self.problem.graph, fast, targets, x, which, lower, upper, steps, stop, enough=-np.inf)
        for s in range(len(sides)):
            for point in found.x[found.which == s][:_REPLAYED]:
                outside = np.maximum(self.lower - point, point - self.upper).max(axis=1)
                self._learn(self.gate.confirm(point, int(outside.argmin())))

    def _learn(self, witness: Witness | None) -> None:
        """A replayed point says something of every output."""
        if witness is None:
            return
        for side in self.sides:
            value = side.sign * float(witness.y[side.output])
            if value > side.attained:
                side.attained, side.witness = value, witness

    # -- thresholds --

    def _refine(self, side: _Side, open_sides: int) -> None:
        """Decide one threshold."""
        floor, width = -self._other(side).bound, side.bound + self._other(side).bound
        t = side.threshold(floor, 0.9 * self.precision * width if self._leaves_bounds else None)
        if not max(side.attained, floor) < t < side.bound:
            side.stuck = True
            return
        start = self.run.clock()
        share = (self.run.deadline - start) / open_sides
        least = (1.0 if self._leaves_bounds else 0.25) * share if np.isfinite(share) else 1.0
        patience = max(side.patience, _PATIENCE, least)
        outcome = self._solved(side, t, min(self.run.deadline, start + patience))
        self.subproblems += outcome.subproblems
        side.stuck = outcome.exhausted
        if outcome.witness is not None:
            self._learn(outcome.witness)
        elif outcome.proved:
            side.bound = t
            side.fraction = max(_FIRST_FRACTION, 0.7 * side.fraction)
        else:
            if self._leaves_bounds and np.isfinite(outcome.open_bound):
                # The row is t - sign * y, and at least open_bound where it is not positive.
                side.bound = min(side.bound, max(t, float(np.nextafter(t - outcome.open_bound, np.inf))))
            side.fraction, side.patience = min(0.9, 0.5 + 0.5 * side.fraction), 2 * patience
        side.spent += self.run.clock() - start

    def _solved(self, side: _Side, t: float, deadline: float) -> Outcome:
        """Whether sign * y[output] > t somewhere."""
        row = Row({}, {side.output: Fraction(-side.sign)}, Fraction(t), True, 0)
        disjuncts = [replace(d, rows=(*d.rows, row)) for d in self.sets]
        self.searches += 1
        context = replace(
            self.run.context(Gate(self.problem.replay, disjuncts, self.problem.dtype), deadline),
            report=lambda event: None,
            rng=np.random.default_rng((self.run.settings.search.seed, self.searches)),
        )
        return solve(Query.of(self.problem.graph, disjuncts), self.run.settings, context, worst_first=True, known=self.root).outcome

    @property
    def _leaves_bounds(self) -> bool:
        """Whether a search that runs out of time proves something of the row: with others in the set it may be any of them."""
        return self.method == "input split" and not any(d.rows for d in self.sets)

    def _other(self, side: _Side) -> _Side:
        return next(s for s in self.sides if s.output == side.output and s.sign != side.sign)

    def _precise(self, side: _Side) -> bool:
        return gap(side.bound, side.attained, side.bound + self._other(side).bound) <= self.precision

    # -- the answer --

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self._intervals(), self.run.clock())

    def _intervals(self) -> tuple[OutputInterval, ...]:
        found = []
        for low, high in zip(self.sides[::2], self.sides[1::2]):
            least, greatest = (None if s.witness is None else _attained(s.witness, s.output) for s in (low, high))
            precise = self._precise(low) and self._precise(high)
            name = output_name(self.problem.prop, low.output)
            found.append(OutputInterval(low.output, name, 0.0 - low.bound, high.bound, least, greatest, precise))
        return tuple(found)

    def answer(self) -> RangeAnswer:
        found = self._intervals()
        if all(interval.precise for interval in found):
            ending = Ending.PRECISE
        elif self.run.stop():
            ending = Ending.INTERRUPTED
        else:
            ending = Ending.TIMEOUT if self.run.late() else Ending.EXHAUSTED
        statistics = Statistics(
            dict(self.run.seconds), self.subproblems, peak_memory_mb=peak_memory_mb(), threads=self.run.workers.cores
        )
        return RangeAnswer(
            ending,
            self.precision,
            found,
            provenance(self.run, self.problem, self.device),
            f"onnxruntime {version('onnxruntime')}",
            statistics,
            tuple(self.run.warnings),
        )


def _attained(witness: Witness, output: int) -> Attained:
    return Attained(decimals(witness.y[output : output + 1])[0], decimals(witness.x), witness.literals)


def output_name(prop: Property, output: int) -> str:
    """As the language of the property calls it: Y_3, or NAME[0,3]."""
    if prop.declarations is not None:
        for v in prop.declarations.variables:
            if v.kind != "input" and v.offset <= output < v.offset + v.size:
                return f"{v.name}[{','.join(map(str, np.unravel_index(output - v.offset, v.shape)))}]"
    return f"Y_{output}"
