"""Projected Adam on slopes and multipliers: proposals of good dual variables (alpha- and beta-CROWN).

Nothing here has to be right for a verdict to be: any values that come out are sound in the evaluator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from verifier.arrays import Array, at_least, at_most, is_torch, namespace
from verifier.bounds.dual import Dual, Interval, Problem, Relaxation, evaluate, relax, relaxed_point
from verifier.graph.ir import Graph
from verifier.operators.base import Lines, Nonlinear, Side

_SELDOM = 4
"""Iterations after which a device is asked whether all rows are closed: it has nothing to do while the answer is on its way."""
_FEW = 4
"""Iterations between two looks at what they gain."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of nonlinear nodes (slopes, of elementwise ones) and multipliers of pre-activations, (B, S, size) or broadcastable."""

    slopes: Mapping[int, Lines]
    multipliers: Mapping[int, Array]

    def map(self, function: Callable[[Array], Array]) -> Parameters:
        return Parameters(
            {n: Lines(function(s.lower), function(s.upper)) for n, s in self.slopes.items()},
            {n: function(m) for n, m in self.multipliers.items()},
        )

    def replaced(self, other: Parameters, better: Array) -> Parameters:
        """The same with the rows `better` (B, S) of `other`; both with arrays (B, S, size)."""
        slopes = {n: Lines(*(_with_rows(a, b, better) for a, b in zip(s, other.slopes[n]))) for n, s in self.slopes.items()}
        return Parameters(slopes, {p: _with_rows(m, other.multipliers[p], better) for p, m in self.multipliers.items()})


@dataclass(frozen=True)
class Schedule:
    """iterations; step sizes of slopes (absolute) and multipliers (relative to their scale, see Ascent);
    decay of both an iteration (Xu et al. 2021: 0.1 and 0.98).

    worth: part of what all iterations have gained, on average over the rows, that the last few have to gain for there to be more.
    """

    iterations: int
    slope_step: float = 0.1
    multiplier_step: float = 0.1
    decay: float = 0.98
    worth: float = 0.0


def initial_parameters(graph: Graph, target: int, preactivations: Mapping[int, Interval]) -> Parameters:
    """The lines that CROWN starts from, (B or 1, 1, size), for the nonlinear nodes below `target`."""
    slopes = {}
    for n in graph.ancestors(target):
        node = graph.nodes[n]
        if isinstance(node.operator, Nonlinear):
            interval = preactivations[node.inputs[0]]
            slopes[n] = node.operator.initial(interval.lower[:, None], interval.upper[:, None])
    return Parameters(slopes, {})


def problem_of(graph: Graph, lower: Array, upper: Array, preactivations: Mapping[int, Interval], parameters: Parameters) -> Problem:
    relaxations = {}
    for n, slopes in parameters.slopes.items():
        operator = graph.nodes[n].operator
        if not isinstance(operator, Nonlinear):
            raise TypeError(f"slopes given for node {n}, whose operator is {operator!r}")
        relaxations[n] = relax(operator, preactivations[graph.nodes[n].inputs[0]], slopes)
    return Problem(lower, upper, preactivations, relaxations, parameters.multipliers)


@dataclass(eq=False)
class _Adam:
    """First and second moments of one array (Kingma & Ba 2015), updated in place."""

    first: Array | None = None
    second: Array | None = None
    steps: int = 0

    def step(self, gradient: Array, size: Array | float) -> Array:
        """The ascent step for a fresh array `gradient`, which is used up; `size` scales it.

        The moments are kept as plain decaying sums; what turns them into means is one number.
        """
        xp = namespace(gradient)
        self.steps += 1
        if self.first is None or self.second is None:
            self.first, self.second = gradient + 0.0, gradient * gradient
            self.second += 1e-24
        else:
            self.first *= 0.9
            self.first += gradient
            gradient *= gradient
            self.second *= 0.999
            self.second += gradient
        step = self.first / xp.sqrt(self.second)
        step *= size * (0.1 * ((1 - 0.999**self.steps) / 0.001) ** 0.5 / (1 - 0.9**self.steps))
        return step


@dataclass(frozen=True, eq=False)
class _Slope:
    """What stays the same about one nonlinear node's planes while they are improved. first: the parameters it starts from."""

    operator: Nonlinear
    parent: int
    low: Array
    high: Array
    least: Array
    greatest: Array
    first: Lines
    base: Relaxation

    def relaxation(self, lines: Lines) -> Relaxation:
        """Planes with parameters inside [least, greatest]."""
        slope_below, below = self.operator.plane(lines.lower, self.low, self.high, "lower")
        if self.operator.convex:
            slope_above, above = self.base.slope_upper, self.base.intercept_upper
        else:
            slope_above, above = self.operator.plane(lines.upper, self.low, self.high, "upper")
        return Relaxation(slope_below, slope_above, below, above)


@dataclass(frozen=True, eq=False)
class _Multiplier:
    """Range of one node's multipliers (see Ascent.signs), and the enclosure that they pull at."""

    least: Array
    greatest: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Ascent:
    """Maximises the bounds of `rows` from `start`.

    signs: (B or 1, 1, size) at nodes whose multiplier may move: -1 below a lower split bound (m <= 0),
    1 above an upper one (m >= 0), 2 for both, 0 for neither.
    scales: (B, S, 1), sizes that the multipliers of a node may be expected to have; by default the mean size of the
    coefficients around it.
    """

    graph: Graph
    rows: Mapping[int, Array]
    lower: Array
    upper: Array
    preactivations: Mapping[int, Interval]
    start: Parameters
    signs: Mapping[int, Array]
    schedule: Schedule
    scales: Mapping[int, Array] = field(default_factory=dict)

    def run(self, closed: Callable[[Array], Array] | None, deadline: Callable[[], bool]) -> tuple[Dual, Parameters]:
        """(best bounds, their parameters) of each row, (B, S, size); ends with the schedule, when every row of
        `closed(bounds (B, S)) -> bool (B, S)`, if any, is seen to be true, or past the deadline. q is the last iterate's: it only
        guides branching."""
        xp = namespace(self.lower)
        current = self._expanded(self.start)
        slopes, multipliers = self._slopes(current), self._multipliers()
        current = Parameters({n: s.first for n, s in slopes.items()}, current.multipliers)
        adams: dict[tuple[str, int], _Adam] = {}
        scales: dict[int, Array] = {}
        best, best_parameters = None, current
        gains: list[Array] = []
        seldom = _SELDOM if is_torch(self.lower) else 1
        for i in range(self.schedule.iterations + 1):
            problem = Problem(
                self.lower,
                self.upper,
                self.preactivations,
                {n: s.relaxation(current.slopes[n]) for n, s in slopes.items()},
                current.multipliers,
            )
            dual = evaluate(self.graph, self.rows, problem, None, keep=True)
            best, best_parameters = (dual, current) if best is None else _better(best, best_parameters, dual, current)
            done = closed is not None and i % seldom == 0 and bool(xp.all(closed(best.lower)))
            if self.schedule.worth and i % _FEW == 0:
                gains.append(xp.mean(best.lower))
                done = done or (i > _FEW and bool(gains[-1] - gains[-2] < self.schedule.worth * (gains[-1] - gains[0])))
            if done or i == self.schedule.iterations or deadline():
                return best._replace(q=dual.q), best_parameters
            scales = scales or {p: self.scales[p] if p in self.scales else self._scale(dual, p) for p in multipliers}
            current = self._step(current, slopes, multipliers, scales, problem, dual, adams, self.schedule.decay**i)
        raise AssertionError("the last iteration returns")

    def _expanded(self, parameters: Parameters) -> Parameters:
        xp = namespace(self.lower)
        shape = next(iter(self.rows.values())).shape[:2]
        full = parameters.map(lambda a: xp.broadcast_to(a, (*shape, a.shape[-1])))
        missing = {
            p: xp.zeros_like(xp.broadcast_to(s, (*shape, s.shape[-1]))) * self.lower[0, 0]
            for p, s in self.signs.items()
            if p not in full.multipliers
        }
        return Parameters(full.slopes, {**full.multipliers, **missing})

    def _slopes(self, parameters: Parameters) -> dict[int, _Slope]:
        xp, found = namespace(self.lower), {}
        for n, lines in parameters.slopes.items():
            operator, parent = self.graph.nodes[n].operator, self.graph.nodes[n].inputs[0]
            if not isinstance(operator, Nonlinear):
                raise TypeError(f"slopes given for node {n}, whose operator is {operator!r}")
            interval = self.preactivations[parent]
            low, high = interval.lower[:, None], interval.upper[:, None]
            if operator.convex:
                lines = Lines(lines.lower, operator.initial(low, high).upper)
            least, greatest = operator.parameter_range(low, high)
            lines = Lines(*(xp.minimum(xp.maximum(s, least), greatest) for s in lines))
            found[n] = _Slope(operator, parent, low, high, least, greatest, lines, relax(operator, interval, lines))
        return found

    def _multipliers(self) -> dict[int, _Multiplier]:
        xp = namespace(self.lower)
        found = {}
        for p, sign in self.signs.items():
            low, high = self.preactivations[p].lower[:, None], self.preactivations[p].upper[:, None]
            found[p] = _Multiplier(
                xp.where((sign == -1) | (sign == 2), -xp.inf, 0.0 * sign),
                xp.where(sign > 0, xp.inf, 0.0 * sign),
                low,
                high,
            )
        return found

    def _step(
        self,
        current: Parameters,
        slopes: Mapping[int, _Slope],
        multipliers: Mapping[int, _Multiplier],
        scales: Mapping[int, Array],
        problem: Problem,
        dual: Dual,
        adams: dict[tuple[str, int], _Adam],
        decay: float,
    ) -> Parameters:
        xp = namespace(self.lower)
        values = relaxed_point(self.graph, dual, self.rows, problem)
        moved = {
            n: self._moved(s, current.slopes[n], dual.q[n], values[s.parent], n, adams, self.schedule.slope_step * decay)
            if n in dual.q
            else current.slopes[n]
            for n, s in slopes.items()
        }
        changed = dict(current.multipliers)
        for p, fixed in multipliers.items():
            m = current.multipliers[p]
            # At zero, both sides of the enclosure may pull; a value inside lies between them.
            inside = xp.minimum(xp.maximum(values[p], fixed.low), fixed.high)
            gradient = values[p] - xp.where(m > 0, fixed.high, xp.where(m < 0, fixed.low, inside))
            m = m + adams.setdefault(("m", p), _Adam()).step(gradient, self.schedule.multiplier_step * decay * scales[p])
            changed[p] = xp.minimum(xp.maximum(m, fixed.least), fixed.greatest)
        return Parameters(moved, changed)

    def _moved(self, fixed: _Slope, lines: Lines, q: Array, p: Array, n: int, adams: dict[tuple[str, int], _Adam], step: float) -> Lines:
        """d bound / d parameter = q * sensitivity on the side that q selects."""
        xp = namespace(q)
        size = step * (fixed.greatest - fixed.least)

        def move(slope: Array, part: Array, side: Side) -> Array:
            gradient = part * fixed.operator.sensitivity(slope, fixed.low, fixed.high, p, side)
            slope = slope + adams.setdefault((side, n), _Adam()).step(gradient, size)
            return xp.minimum(xp.maximum(slope, fixed.least), fixed.greatest)

        lower = move(lines.lower, at_least(q, 0.0), "lower")
        return Lines(lower, lines.upper if fixed.operator.convex else move(lines.upper, at_most(q, 0.0), "upper"))

    def _scale(self, dual: Dual, p: int) -> Array:
        """Mean absolute coefficient of the row around p: multipliers live on the scale of the coefficients they offset."""
        xp = namespace(dual.lower)
        user = next(n for n in self.graph.consumers[p] if n in dual.q)
        return xp.mean(xp.abs(dual.q[user]), axis=-1, keepdims=True)


def _better(best: Dual, best_parameters: Parameters, dual: Dual, parameters: Parameters) -> tuple[Dual, Parameters]:
    """The better one of each row."""
    better = dual.lower > best.lower
    if not is_torch(better):  # what a GPU has computed is not waited for
        if better.all():
            return dual, parameters
        if not better.any():
            return best, best_parameters
    lower, coefficients, offset = (_with_rows(old, new, better) for old, new in zip(best[:3], dual[:3]))
    return Dual(lower, coefficients, offset, {}), best_parameters.replaced(parameters, better)


def _with_rows(old: Array, new: Array, better: Array) -> Array:
    """old (B, S, ...) with the rows `better` (B, S) of new; in numpy a copy is far cheaper than a masked choice."""
    if old is new:
        return old
    if is_torch(better):
        return namespace(old).where(better if old.ndim == better.ndim else better[..., None], new, old)
    joined = namespace(old).asarray(old, copy=True)
    joined[better] = new[better]
    return joined
