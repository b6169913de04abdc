"""A subproblem as a linear program, and as a mixed-integer one: for what is left where few neurons are unstable.

Every element of every node is a column, every element of an affine node a row. An elementwise function lies between the planes
of the ends of its parameter range, for a Relu in the triangle of Ehlers (2017); a binary column for the kink inside an enclosure
makes it exact (Tjeng et al. 2019, section 4). HiGHS solves both, in floating point with tolerances: what it says is a proposal,
of dual variables to the evaluator and of points to the replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from verifier.bounds.ascent import Parameters
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Elementwise, Input, Lines

_LARGEST = 20_000_000
"""Entries that the Jacobians of all affine nodes may have while the rows are made."""
_CONTINUOUS = 1e-9
"""Difference of a function's two pieces at a kink, of their size, up to which it does not jump there."""


class Rows(NamedTuple):
    """lower <= A v <= upper (r,), A in compressed rows: start (r + 1,), index and value of the entries."""

    start: np.ndarray
    index: np.ndarray
    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @staticmethod
    def of(index: np.ndarray, value: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Rows:
        """index, value: (r, k)."""
        r, k = index.shape
        return Rows(np.arange(0, r * k + 1, k), index.reshape(-1), value.reshape(-1), lower, upper)

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        counts = np.concatenate([np.diff(part.start) for part in parts])
        return Rows(np.concatenate([[0], np.cumsum(counts)]), *(np.concatenate(arrays) for arrays in list(zip(*parts))[1:]))


class Relaxed(NamedTuple):
    """lower: least value of the largest row in the relaxation, inf where it is empty; parameters: dual variables (1, 1, size) that lead
    there, where it is not; point (n,): where."""

    lower: float
    parameters: Parameters | None
    point: np.ndarray


@dataclass(frozen=True, eq=False)
class Subproblem:
    """lower, upper (n,): the box; preactivations: node -> (lower, upper), (size,) each; rows (R, m) on the outputs, inputs (R, n) on
    the inputs, and their constant (R,): a counterexample has none above zero."""

    lower: np.ndarray
    upper: np.ndarray
    preactivations: Mapping[int, tuple[np.ndarray, np.ndarray]]
    rows: np.ndarray
    inputs: np.ndarray
    constant: np.ndarray


@dataclass(frozen=True, eq=False)
class Program:
    """Of a graph, whose functions are all elementwise: columns: node -> its elements; affine: rows of its affine nodes. The last column
    is the largest row of a subproblem."""

    graph: Graph
    columns: Mapping[int, slice]
    affine: Rows

    @staticmethod
    def of(graph: Graph) -> Program | None:
        """None where a function reads several values at once, or the program would be too large."""
        entries = sum(n.size * graph.nodes[p].size for n in graph.nodes if isinstance(n.operator, Affine) for p in n.inputs)
        if entries > _LARGEST or not all(isinstance(n.operator, Affine | Elementwise | Input) for n in graph.nodes):
            return None
        columns, first = {}, 0
        for n, node in enumerate(graph.nodes):
            columns[n] = slice(first, first + node.size)
            first += node.size
        parts = [_affine_rows(graph, columns, n) for n, node in enumerate(graph.nodes) if isinstance(node.operator, Affine)]
        return Program(graph, columns, Rows.joined([_nothing(), *parts]))

    @property
    def largest(self) -> int:
        """Column of the largest row."""
        return self.columns[self.graph.output].stop

    def relaxed(self, subproblem: Subproblem, seconds: float) -> Relaxed | None:
        """The linear relaxation; None where it is not solved in time."""
        below, above = self._limits(subproblem)
        lines = [self._lines(n, subproblem) for n in self.graph.nonlinear]
        rows = Rows.joined([self.affine, self._targets(subproblem), *lines])
        found = _solved(rows, self.largest, below, above, np.zeros(0, np.int64), seconds)
        if found is None:
            return None
        if found.empty:
            return Relaxed(np.inf, None, np.zeros(0))
        first, slopes = len(self.affine.lower) + len(subproblem.constant), {}
        for n, part in zip(self.graph.nonlinear, lines):
            slopes[n] = self._slopes(n, subproblem, found.row_dual[first : first + len(part.lower)])
            first += len(part.lower)
        multipliers = {p: -found.column_dual[self.columns[p]][None, None] for p in self.graph.preactivations if p > 0}
        return Relaxed(found.objective, Parameters(slopes, multipliers), found.point[self.columns[0]])

    def least(self, subproblem: Subproblem, seconds: float) -> np.ndarray | None:
        """A point (n,) of the subproblem where the largest row is as small as is found in `seconds`, with all functions exact; None
        where there is none, or a function is not piecewise linear with a kink at most inside its enclosure."""
        below, above = self._limits(subproblem)
        parts, phases, first = [self.affine, self._targets(subproblem)], {}, self.largest + 1
        for n in self.graph.nonlinear:
            parts.append(self._lines(n, subproblem))
            pieces = self._pieces(n, subproblem, phases, first)
            if pieces is None:
                return None
            parts.append(pieces)
            first = self.largest + 1 + sum(map(len, phases.values()))
        count = first - self.largest - 1
        below, above = np.concatenate([below, np.zeros(count)]), np.concatenate([above, np.ones(count)])
        found = _solved(Rows.joined(parts), self.largest, below, above, np.arange(self.largest + 1, first), seconds)
        return None if found is None or found.empty else np.clip(found.point[self.columns[0]], subproblem.lower, subproblem.upper)

    def _limits(self, subproblem: Subproblem) -> tuple[np.ndarray, np.ndarray]:
        below, above = np.full(self.largest + 1, -np.inf), np.full(self.largest + 1, np.inf)
        below[self.columns[0]], above[self.columns[0]] = subproblem.lower, subproblem.upper
        for p, (low, high) in subproblem.preactivations.items():
            below[self.columns[p]] = np.maximum(below[self.columns[p]], low)
            above[self.columns[p]] = np.minimum(above[self.columns[p]], high)
        return below, above

    def _targets(self, subproblem: Subproblem) -> Rows:
        """row + constant <= the last column."""
        count, m, n = len(subproblem.constant), self.graph.output_size, self.graph.input_size
        output, first = self.columns[self.graph.output], self.columns[0]
        index = np.concatenate([np.arange(output.start, output.stop), np.arange(first.start, first.stop), [self.largest]])
        value = np.concatenate([subproblem.rows, subproblem.inputs, -np.ones((count, 1))], axis=1)
        return Rows.of(np.broadcast_to(index, (count, m + n + 1)), value, np.full(count, -np.inf), -subproblem.constant)

    def _ends(self, n: int, subproblem: Subproblem) -> tuple[Elementwise, np.ndarray, np.ndarray, Lines, Lines]:
        """(function, enclosure (size,) of its argument, slopes below and above at both ends of their range)."""
        operator = self.graph.nodes[n].operator
        if not isinstance(operator, Elementwise):
            raise TypeError(f"node {n} is not elementwise")
        low, high = subproblem.preactivations[self.graph.nodes[n].inputs[0]]
        least, greatest = operator.parameter_range(low, high)
        chord = operator.initial(low, high).upper
        above = Lines(chord, chord) if operator.convex else Lines(least, greatest)
        return operator, low, high, Lines(least, greatest), above

    def _lines(self, n: int, subproblem: Subproblem) -> Rows:
        """Both lines below a function, then both above it: y - slope p against the intercept."""
        operator, low, high, below, above = self._ends(n, subproblem)
        parts, free = [], np.full(len(low), np.inf)
        for slope in below:
            parts.append((slope, operator.plane(slope, low, high, "lower")[1], free))
        for slope in above:
            parts.append((slope, -free, operator.plane(slope, low, high, "upper")[1]))
        y, p = (np.arange(s.start, s.stop) for s in (self.columns[n], self.columns[self.graph.nodes[n].inputs[0]]))
        return Rows.joined(
            [
                Rows.of(np.stack([y, p], axis=1), np.stack([np.ones(len(y)), -slope], axis=1), *(0.0 * slope if t is None else t for t in t))
                for slope, *t in parts
            ]
        )

    def _slopes(self, n: int, subproblem: Subproblem, dual: np.ndarray) -> Lines:
        """The mixtures of a function's lines that the duals (4 * size,) of their rows are weights of."""
        *_, below, above = self._ends(n, subproblem)
        weights = np.abs(dual.reshape(4, -1))
        found = []
        for (first, second), (a, b) in ((below, weights[:2]), (above, weights[2:])):
            total = a + b
            part = np.where(total > 0, a / np.where(total > 0, total, 1.0), 0.5)
            found.append((part * first + (1.0 - part) * second)[None, None])
        return Lines(*found)

    def _pieces(self, n: int, subproblem: Subproblem, phases: dict[int, np.ndarray], first: int) -> Rows | None:
        """Rows that leave a function with a kink inside its enclosure the piece that its neuron's binary column says, 1 for the right
        one. phases: pre-activation -> neurons with a binary column; `first` is that of the next one."""
        operator, low, high, _, _ = self._ends(n, subproblem)
        p = self.graph.nodes[n].inputs[0]
        loose = np.flatnonzero(~operator.linear(low, high))
        inside = [loose[(low[loose] < k) & (k < high[loose])] for k in operator.kinks]
        if sum(map(len, inside)) != len(loose) or (p in phases and not np.array_equal(phases[p], loose)):
            return None
        phases[p] = loose
        z = np.empty(len(low), np.int64)
        z[loose] = first + np.arange(len(loose))
        parts = [_nothing()]
        for kink, index in zip(operator.kinks, inside):
            k, l, u = np.full(len(index), kink), low[index], high[index]
            if not (operator.linear(l, k) & operator.linear(k, u)).all():
                return None
            (s1, t1), (s2, t2) = (_piece(operator, *ends) for ends in ((l, k), (k, u)))
            if np.any(np.abs((s2 - s1) * k + t2 - t1) > _CONTINUOUS * (np.abs(t1) + np.abs(t2) + 1.0)):
                return None
            y, at, binary = self.columns[n].start + index, self.columns[p].start + index, z[index]
            parts += _phase(y, at, binary, (s1, t1), (s2, t2), (l, k, u))
        return Rows.joined(parts)


def _piece(operator: Elementwise, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(slope, intercept) of a function that is affine on [low, high]."""
    slope = operator.initial(low, high).lower
    intercept = operator.plane(slope, low, high, "lower")[1]
    return slope, np.zeros_like(slope) if intercept is None else intercept


def _phase(
    y: np.ndarray,
    p: np.ndarray,
    z: np.ndarray,
    left: tuple[np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray],
    ends: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> list[Rows]:
    """Rows for columns y = s(p), each binary column z saying on which side of the kink p is. left, right: (slope, intercept) of both
    pieces; ends: (least p, kink, greatest p)."""
    (s1, t1), (s2, t2), (l, k, u) = left, right, ends
    one, free, bend = np.ones(len(y)), np.full(len(y), np.inf), s2 - s1
    index, both = np.stack([y, p, z], axis=1), np.stack([p, z], axis=1)
    convex = bend > 0
    # On the left piece z = 0 holds y to it, on the right one z = 1: |y - piece| is at most |bend| times the way from the kink.
    on_left, on_right = bend * (u - k), bend * (k - l)
    return [
        Rows.of(both, np.stack([one, -(u - k)], axis=1), -free, k),
        Rows.of(both, np.stack([one, -(k - l)], axis=1), l, free),
        Rows.of(index, np.stack([one, -s1, -on_left], axis=1), np.where(convex, -free, t1), np.where(convex, t1, free)),
        Rows.of(index, np.stack([one, -s2, on_right], axis=1), np.where(convex, -free, t2 + on_right), np.where(convex, t2 + on_right, free)),
    ]


def _nothing() -> Rows:
    none = np.zeros(0)
    return Rows(np.zeros(1, np.int64), np.zeros(0, np.int64), none, none, none)


def _affine_rows(graph: Graph, columns: Mapping[int, slice], n: int) -> Rows:
    """value(n) - J value(parents) = F(0)."""
    node, operator = graph.nodes[n], graph.nodes[n].operator
    if not isinstance(operator, Affine):
        raise TypeError(f"node {n} is not affine")
    unit = np.eye(node.size)
    rows, indices, values = [np.arange(node.size)], [np.arange(columns[n].start, columns[n].stop)], [np.ones(node.size)]
    for p, part in zip(node.inputs, operator.transpose(unit.reshape(node.size, *node.shape))):
        jacobian = np.asarray(part).reshape(node.size, -1)
        at = np.nonzero(jacobian)
        rows.append(at[0])
        indices.append(columns[p].start + at[1])
        values.append(-jacobian[at])
    width = columns[n].stop
    # A node may read another one twice: its entries add up.
    entry, place = np.unique(np.concatenate(rows) * width + np.concatenate(indices), return_inverse=True)
    value = np.bincount(place, np.concatenate(values), len(entry))
    offset = operator.offset
    constant = np.zeros(node.size) if offset is None else np.broadcast_to(offset, node.shape).reshape(-1)
    start = np.concatenate([[0], np.cumsum(np.bincount(entry // width, minlength=node.size))])
    return Rows(start, entry % width, value, constant, constant)


class _Solution(NamedTuple):
    """Of min v_j; duals in HiGHS's signs: of a row or column at its lower limit >= 0, at its upper one <= 0."""

    empty: bool
    objective: float
    point: np.ndarray
    column_dual: np.ndarray
    row_dual: np.ndarray


def _solved(rows: Rows, j: int, below: np.ndarray, above: np.ndarray, integral: np.ndarray, seconds: float) -> _Solution | None:
    """min v_j over `rows` and below <= v <= above, some columns integral; None where nothing is found in time."""
    import highspy  # only problems that come to this pay for it

    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(below), len(rows.lower)
    program.col_cost_ = np.where(np.arange(len(below)) == j, 1.0, 0.0)
    program.col_lower_, program.col_upper_ = below, above
    program.row_lower_, program.row_upper_ = rows.lower, rows.upper
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_, program.a_matrix_.index_, program.a_matrix_.value_ = rows.start, rows.index, rows.value
    if len(integral):
        kinds = np.full(len(below), highspy.HighsVarType.kContinuous)
        kinds[integral] = highspy.HighsVarType.kInteger
        program.integrality_ = list(kinds)
    solver = highspy.Highs()
    options: dict[str, Any] = {"output_flag": False, "threads": 1, "parallel": "off", "time_limit": seconds, "mip_rel_gap": 0.0}
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(program)
    solver.run()
    status, solution = solver.getModelStatus(), solver.getSolution()
    if status == highspy.HighsModelStatus.kInfeasible:
        none = np.zeros(0)
        return _Solution(True, np.inf, none, none, none)
    if not solution.value_valid:
        return None
    return _Solution(
        False,
        float(solver.getObjectiveValue()),
        np.array(solution.col_value),
        np.array(solution.col_dual),
        np.array(solution.row_dual),
    )
