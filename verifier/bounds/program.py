"""A subproblem as a linear program, whose duals are the best slopes and multipliers there are.

Every element of every node is a column, every element of an affine node a row, and an elementwise function lies between the lines
at the ends of its range of slopes: for a Relu, in the triangle of Ehlers (2017). HiGHS (Huangfu & Hall 2018) solves it in floating
point with tolerances, so what it says is a proposal: of dual variables to the evaluator, of points to the replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from verifier.bounds.ascent import Parameters
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Elementwise, Input, Lines, Side

_LARGEST = 20_000_000
"""Entries that the Jacobians of all affine nodes may have while the rows are made."""
_EXCESS = 1e5
"""What a unit of exceeding an enclosure costs, and so the sum of all multipliers where the relaxation is empty."""


class Rows(NamedTuple):
    """lower <= A v <= upper (r,), A in compressed rows: start (r + 1,), columns and values of the entries."""

    start: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @staticmethod
    def of(columns: np.ndarray, values: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> Rows:
        """columns, values: (r, k)."""
        r, k = columns.shape
        return Rows(np.arange(0, r * k + 1, k), columns.reshape(-1), values.reshape(-1), lower, upper)

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        counts = np.concatenate([np.diff(part.start) for part in parts])
        return Rows(np.concatenate([[0], np.cumsum(counts)]), *(np.concatenate(arrays) for arrays in list(zip(*parts))[1:]))


class Relaxed(NamedTuple):
    """lower: least value of the largest row in the relaxation, inf where it is empty; parameters: dual variables (1, 1, size) with which
    the evaluator comes to it, or shows that; point (n,): where."""

    lower: float
    parameters: Parameters
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
        # The rows of a node are made from as many unit vectors as it has elements.
        affine = [node for node in graph.nodes if isinstance(node.operator, Affine)]
        entries = sum(node.size * (node.size + sum(graph.nodes[p].size for p in node.inputs)) for node in affine)
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
        below, above = self._limits(subproblem, self.columns, self.largest + 1)
        lines = [self._lines(n, subproblem, self.columns) for n in self.graph.nonlinear]
        rows = Rows.joined([self.affine, self._targets(subproblem), *lines])
        found = _solved(rows, _cost(len(below), {self.largest: 1.0}), below, above, seconds)
        if found is not None and found.empty:
            return self._stretched(subproblem, seconds)
        return None if found is None else self._result(subproblem, found, lines, self.columns, float(found.point[self.largest]))

    def _stretched(self, subproblem: Subproblem, seconds: float) -> Relaxed | None:
        """An empty relaxation where functions may read something else than the value of their pre-activation: all differ by at most as much
        as it takes, which costs more than anything else."""
        read, excess = dict(self.columns), self.largest + 1
        first = excess + 1
        for p in self.graph.preactivations:
            if p > 0:
                read[p], first = slice(first, first + self.graph.nodes[p].size), first + self.graph.nodes[p].size
        below, above = self._limits(subproblem, read, first)
        below[excess] = 0.0
        lines = [self._lines(n, subproblem, read) for n in self.graph.nonlinear]
        near = [_near(self.columns[p], read[p], excess) for p in self.graph.preactivations if p > 0]
        rows = Rows.joined([self.affine, self._targets(subproblem), *lines, *near])
        found = _solved(rows, _cost(first, {self.largest: 1.0, excess: _EXCESS}), below, above, seconds)
        return None if found is None or found.empty else self._result(subproblem, found, lines, read, np.inf)

    def _result(
        self, subproblem: Subproblem, found: _Solution, lines: Sequence[Rows], read: Mapping[int, slice], lower: float
    ) -> Relaxed:
        """read: columns of what the functions of a pre-activation read."""
        multipliers = {p: -found.column_dual[read[p]][None, None] for p in self.graph.preactivations if p > 0}
        slopes = self._all_slopes(subproblem, lines, found.row_dual)
        return Relaxed(lower, Parameters(slopes, multipliers), found.point[self.columns[0]])

    def _all_slopes(self, subproblem: Subproblem, lines: Sequence[Rows], dual: np.ndarray) -> dict[int, Lines]:
        first, slopes = len(self.affine.lower) + len(subproblem.constant), {}
        for n, part in zip(self.graph.nonlinear, lines):
            slopes[n] = self._slopes(n, subproblem, dual[first : first + len(part.lower)])
            first += len(part.lower)
        return slopes

    def _limits(self, subproblem: Subproblem, read: Mapping[int, slice], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Of `count` columns: the box, and the enclosures of what functions read."""
        below, above = np.full(count, -np.inf), np.full(count, np.inf)
        below[self.columns[0]], above[self.columns[0]] = subproblem.lower, subproblem.upper
        for p, (low, high) in subproblem.preactivations.items():
            below[read[p]], above[read[p]] = np.maximum(below[read[p]], low), np.minimum(above[read[p]], high)
        return below, above

    def _targets(self, subproblem: Subproblem) -> Rows:
        """row + constant <= the last column."""
        count, m, n = len(subproblem.constant), self.graph.output_size, self.graph.input_size
        output, first = self.columns[self.graph.output], self.columns[0]
        columns = np.concatenate([np.arange(output.start, output.stop), np.arange(first.start, first.stop), [self.largest]])
        values = np.concatenate([subproblem.rows, subproblem.inputs, -np.ones((count, 1))], axis=1)
        return Rows.of(np.broadcast_to(columns, (count, m + n + 1)), values, np.full(count, -np.inf), -subproblem.constant)

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

    def _lines(self, n: int, subproblem: Subproblem, read: Mapping[int, slice]) -> Rows:
        """Both lines below a function, then both above it: y - slope p against the intercept."""
        operator, low, high, below, above = self._ends(n, subproblem)
        y, p = (np.arange(s.start, s.stop) for s in (self.columns[n], read[self.graph.nodes[n].inputs[0]]))
        free, parts = np.full(len(low), np.inf), []
        sides: tuple[tuple[Side, Lines], ...] = ("lower", below), ("upper", above)
        for side, slopes in sides:
            for slope in slopes:
                intercept = operator.plane(slope, low, high, side)[1]
                offset = 0.0 * slope if intercept is None else intercept
                limits = (offset, free) if side == "lower" else (-free, offset)
                parts.append(Rows.of(np.stack([y, p], axis=1), np.stack([np.ones(len(y)), -slope], axis=1), *limits))
        return Rows.joined(parts)

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


def _near(value: slice, read: slice, excess: int) -> Rows:
    """|read - value| <= excess."""
    count = value.stop - value.start
    columns = np.stack([np.arange(read.start, read.stop), np.arange(value.start, value.stop), np.full(count, excess)], axis=1)
    one, none, free = np.ones(count), np.zeros(count), np.full(count, np.inf)
    above = Rows.of(columns, np.stack([one, -one, -one], axis=1), -free, none)
    return Rows.joined([above, Rows.of(columns, np.stack([one, -one, one], axis=1), none, free)])


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
    """Duals in HiGHS's signs: of a row or column at its lower limit >= 0, at its upper one <= 0."""

    empty: bool
    point: np.ndarray
    column_dual: np.ndarray
    row_dual: np.ndarray


def _cost(columns: int, costs: Mapping[int, float]) -> np.ndarray:
    found = np.zeros(columns)
    found[list(costs)] = list(costs.values())
    return found


def _solved(rows: Rows, cost: np.ndarray, below: np.ndarray, above: np.ndarray, seconds: float) -> _Solution | None:
    """min cost . v over `rows` and below <= v <= above; None where it is not found in time."""
    import highspy  # only problems that come to this pay for it

    class Quiet(highspy.Highs):
        def enableCallbacks(self) -> None:
            """None are used, and to set them up writes to the standard output, before it can be turned off."""

    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(below), len(rows.lower)
    program.col_cost_, program.col_lower_, program.col_upper_ = cost, below, above
    program.row_lower_, program.row_upper_ = rows.lower, rows.upper
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_, program.a_matrix_.index_, program.a_matrix_.value_ = rows.start, rows.columns, rows.values
    solver = Quiet()
    for name, value in (("output_flag", False), ("threads", 1), ("parallel", "off"), ("time_limit", seconds)):
        solver.setOptionValue(name, value)
    if solver.passModel(program) == highspy.HighsStatus.kError:  # such as numbers that are not finite
        return None
    solver.run()
    status, none = solver.getModelStatus(), np.zeros(0)
    if status == highspy.HighsModelStatus.kInfeasible:
        return _Solution(True, none, none, none)
    if status != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    return _Solution(False, *(np.array(values) for values in (solution.col_value, solution.col_dual, solution.row_dual)))
