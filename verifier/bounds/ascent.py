"""Projected Adam on slopes and multipliers: proposals of good dual variables (alpha- and beta-CROWN).

Nothing here has to be right for a verdict to be: any values that come out are sound in the evaluator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Mapping

from verifier.arrays import Array, namespace
from verifier.bounds.dual import Dual, Interval, Problem, evaluate, relax, relaxed_point
from verifier.graph.ir import Graph
from verifier.operators.base import Elementwise, Lines


@dataclass(frozen=True, eq=False)
class Parameters:
    """Slopes of nonlinear nodes and multipliers of pre-activations, each (B, S, size) or broadcastable to it."""

    slopes: Mapping[int, Lines]
    multipliers: Mapping[int, Array]

    def map(self, function: Callable[[Array], Array]) -> "Parameters":
        return Parameters({n: Lines(function(s.lower), function(s.upper)) for n, s in self.slopes.items()},
                          {n: function(m) for n, m in self.multipliers.items()})


@dataclass(frozen=True)
class Schedule:
    """iterations; step sizes of slopes (absolute) and multipliers (relative to the mean size of the coefficients there);
    decay of both an iteration (Xu et al. 2021: 0.1 and 0.98)."""

    iterations: int
    slope_step: float = 0.1
    multiplier_step: float = 0.1
    decay: float = 0.98


def initial_parameters(graph: Graph, target: int, preactivations: Mapping[int, Interval]) -> Parameters:
    """The lines that CROWN starts from, (B or 1, 1, size), for the nonlinear nodes below `target`."""
    slopes = {}
    for n in graph.ancestors(target):
        node = graph.nodes[n]
        if isinstance(node.operator, Elementwise):
            interval = preactivations[node.inputs[0]]
            slopes[n] = node.operator.lines(interval.lower[:, None], interval.upper[:, None])
    return Parameters(slopes, {})


def problem_of(graph: Graph, lower: Array, upper: Array, preactivations: Mapping[int, Interval], parameters: Parameters) -> Problem:
    relaxations = {}
    for n, slopes in parameters.slopes.items():
        operator = graph.nodes[n].operator
        if not isinstance(operator, Elementwise):
            raise TypeError(f"slopes given for node {n}, whose operator is {operator!r}")
        relaxations[n] = relax(operator, preactivations[graph.nodes[n].inputs[0]], slopes)
    return Problem(lower, upper, preactivations, relaxations, parameters.multipliers)


@dataclass(eq=False)
class _Adam:
    """First and second moments of one array (Kingma & Ba 2015)."""

    first: Array | None = None
    second: Array | None = None
    steps: int = field(default=0)

    def step(self, gradient: Array) -> Array:
        xp = namespace(gradient)
        self.steps += 1
        self.first = 0.1 * gradient if self.first is None else 0.9 * self.first + 0.1 * gradient
        square = gradient * gradient
        self.second = 0.001 * square if self.second is None else 0.999 * self.second + 0.001 * square
        scale = (1 - 0.999**self.steps) ** 0.5 / (1 - 0.9**self.steps)
        return scale * self.first / (xp.sqrt(self.second) + 1e-12)


@dataclass(eq=False)
class Ascent:
    """Maximises the bounds of `rows` from `start`; `best` and `parameters` hold the best values of each row so far.

    signs: (B or 1, 1, size) at pre-activations whose multiplier may move: -1 below a lower split bound (m <= 0),
    1 above an upper one (m >= 0), 2 for both, 0 for neither.
    """

    graph: Graph
    rows: Mapping[int, Array]
    lower: Array
    upper: Array
    preactivations: Mapping[int, Interval]
    start: Parameters
    signs: Mapping[int, Array]
    schedule: Schedule

    def run(self, closed: Callable[[Array], Array], deadline: Callable[[], bool]) -> tuple[Dual, Parameters]:
        """Iterate until the schedule ends, every row of `closed(bounds (B, S)) -> bool (B, S)` is true, or the deadline passed."""
        xp = namespace(self.lower)
        current = self._expanded(self.start)
        adams: dict[tuple[str, int], _Adam] = {}
        best: Dual | None = None
        best_parameters = current
        for i in range(self.schedule.iterations + 1):
            problem = problem_of(self.graph, self.lower, self.upper, self.preactivations, current)
            dual = evaluate(self.graph, self.rows, problem, None, keep=True)
            last_q = dual.q
            if best is None:
                best = dual
            else:
                better = dual.lower > best.lower
                best = Dual(xp.where(better, dual.lower, best.lower), xp.where(better[..., None], dual.coefficients, best.coefficients),
                            xp.where(better, dual.offset, best.offset), {})
                best_parameters = _select(better[..., None], current, best_parameters)
            if i == self.schedule.iterations or bool(xp.all(closed(best.lower))) or deadline():
                break
            current = self._step(current, problem, dual, adams, self.schedule.decay**i)
        # q of the last iterate stands in for the best one's: it only guides branching.
        return best._replace(q=last_q), best_parameters

    def _expanded(self, parameters: Parameters) -> Parameters:
        xp = namespace(self.lower)
        shape = next(iter(self.rows.values())).shape[:2]
        full = parameters.map(lambda a: xp.broadcast_to(a, (*shape, a.shape[-1])))
        missing = {p: xp.zeros_like(xp.broadcast_to(s, (*shape, s.shape[-1]))) * self.lower[0, 0] for p, s in self.signs.items() if p not in full.multipliers}
        return Parameters(full.slopes, {**full.multipliers, **missing})

    def _step(self, current: Parameters, problem: Problem, dual: Dual, adams: dict[tuple[str, int], _Adam], decay: float) -> Parameters:
        xp = namespace(self.lower)
        values = relaxed_point(self.graph, dual, self.rows, problem)
        slopes: dict[int, Lines] = {}
        for n, lines in current.slopes.items():
            if n not in dual.q:
                slopes[n] = lines
                continue
            operator, parent = self.graph.nodes[n].operator, self.graph.nodes[n].inputs[0]
            interval = self.preactivations[parent]
            low, high = interval.lower[:, None], interval.upper[:, None]
            least, greatest = operator.slope_range(low, high)
            moved = []
            for side, slope, fixed in (("lower", problem.relaxations[n].slope_lower, False), ("upper", problem.relaxations[n].slope_upper, operator.convex)):
                if fixed:
                    moved.append(lines.upper)
                    continue
                q = xp.maximum(dual.q[n], 0.0) if side == "lower" else xp.minimum(dual.q[n], 0.0)
                touch = 0.0 if operator.lower_through_origin and side == "lower" else operator.extremum(slope, low, high, side)
                gradient = xp.where(greatest > least, q * (values[parent] - touch), 0.0 * q)
                step = self.schedule.slope_step * decay * (greatest - least) * adams.setdefault((side, n), _Adam()).step(gradient)
                moved.append(xp.minimum(xp.maximum(slope + step, least), greatest))
            slopes[n] = Lines(*moved)
        multipliers = dict(current.multipliers)
        for p, sign in self.signs.items():
            m, interval = current.multipliers[p], self.preactivations[p]
            low, high = interval.lower[:, None], interval.upper[:, None]
            violated_low, violated_high = values[p] - low, values[p] - high
            at_zero = xp.where(violated_low < 0, violated_low, xp.where(violated_high > 0, violated_high, 0.0 * values[p]))
            gradient = xp.where(m > 0, violated_high, xp.where(m < 0, violated_low, at_zero)) * (sign != 0)
            scale = self._scale(dual, p)
            step = self.schedule.multiplier_step * decay * scale * adams.setdefault(("m", p), _Adam()).step(gradient)
            m = m + step
            m = xp.where((sign == 1) & (m < 0), 0.0 * m, xp.where((sign == -1) & (m > 0), 0.0 * m, m))
            multipliers[p] = xp.where(sign == 0, 0.0 * m, m)
        return Parameters(slopes, multipliers)

    def _scale(self, dual: Dual, p: int) -> Array:
        """Mean absolute coefficient of the row around p: multipliers live on the scale of the coefficients they offset."""
        xp = namespace(dual.lower)
        user = next(n for n in self.graph.consumers[p] if n in dual.q)
        return xp.mean(xp.abs(dual.q[user]), axis=-1, keepdims=True)


def _select(mask: Array, new: Parameters, old: Parameters) -> Parameters:
    xp = namespace(mask)
    slopes = {n: s if s.upper is old.slopes[n].upper and s.lower is old.slopes[n].lower else
              Lines(xp.where(mask, s.lower, old.slopes[n].lower), s.upper if s.upper is old.slopes[n].upper else xp.where(mask, s.upper, old.slopes[n].upper))
              for n, s in new.slopes.items()}
    return Parameters(slopes, {p: xp.where(mask, m, old.multipliers[p]) for p, m in new.multipliers.items()})
