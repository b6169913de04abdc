"""A smaller graph with the same values inside one box: unstable neurons alone, what is stable merged into affine parts.

Rows that go back from a pre-activation through affine nodes and stable neurons end at unstable neurons and at the input.
A function of several values and all that it reads are kept as they are.
Their coefficients are the weights of the smaller graph. Those are rounded, so bounds over it are proposals, and nothing is
accepted from it: the dual variables found there are evaluated on the network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from verifier.arrays import Array, Arrays, to_numpy, varying
from verifier.bounds.cost import ELEMENT, row_cost
from verifier.bounds.dual import Interval, relax
from verifier.bounds.stability import unstable
from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Add, Constant, Linear, Take
from verifier.operators.base import Affine, Elementwise, Input, Nonlinear
from verifier.parallel import Late, Workers

_LARGEST = 12_000_000
"""Weights of a reduced graph, at most."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """graph: the smaller graph, with the inputs and outputs of the original one.

    neurons (T',): for every pre-activation neuron of `graph` its number among all of the original.
    nodes: nonlinear node of `graph` -> (original node, indices (k,) of its elements there).
    """

    graph: Graph
    neurons: np.ndarray
    nodes: Mapping[int, tuple[int, np.ndarray]]

    @staticmethod
    def none(graph: Graph) -> Reduction:
        """The graph itself."""
        total = sum(graph.nodes[p].size for p in graph.preactivations)
        return Reduction(graph, np.arange(total), {n: (n, np.arange(graph.nodes[n].size)) for n in graph.nonlinear})


def reduce_graph(
    graph: Graph,
    preactivations: Mapping[int, Interval],
    lower: np.ndarray,
    upper: np.ndarray,
    arrays: Arrays,
    workers: Workers,
    deadline: Callable[[], bool],
) -> Reduction:
    """The reduction of `graph` over the box lower, upper (n,) with enclosures (1, size) of its pre-activations; the graph
    itself where a row of the reduced one would cost more.

    arrays: where the weights are computed. Raises Late past the deadline.
    """
    known = {p: Interval(*(to_numpy(side) for side in b)) for p, b in preactivations.items()}
    parts = _partition(graph, known, lower, upper)
    if parts.work(graph) >= row_cost(graph):
        return Reduction.none(graph)
    found = _Builder(graph, parts, known, lower, upper, arrays, workers, deadline).build()
    return found if row_cost(found.graph) < row_cost(graph) else Reduction.none(graph)


@dataclass(frozen=True, eq=False)
class _Partition:
    """Indices into every pre-activation: loose neurons, and linear ones that stay as values of their own because merging
    them would fill more entries. varying: inputs that are not fixed."""

    loose: Mapping[int, np.ndarray]
    linear: Mapping[int, np.ndarray]
    columns: Mapping[int, int]
    varying: np.ndarray

    def ends(self, graph: Graph, n: int) -> np.ndarray:
        """Elements of nonlinear node n at which rows end."""
        node = graph.nodes[n]
        return self.loose[node.inputs[0]] if isinstance(node.operator, Elementwise) else np.arange(node.size)

    def work(self, graph: Graph) -> float:
        """Time of one row through the reduced graph, as `row_cost`; infinite where it would be too large to keep."""
        weights = sum((len(self.loose[p]) + len(self.linear[p])) * self.columns[p] for p in self.loose)
        weights += graph.output_size * (self.columns[max(self.columns)] if self.columns else len(self.varying))
        loose = sum(map(len, self.loose.values()))
        return float(weights) + ELEMENT * loose if weights <= _LARGEST else float("inf")


def _partition(graph: Graph, known: Mapping[int, Interval], lower: np.ndarray, upper: np.ndarray) -> _Partition:
    loose, active, whole = {}, {}, {}
    for p in graph.preactivations:
        readers = [graph.nodes[n] for n in graph.consumers[p]]
        lines = [node.operator for node in readers if isinstance(node.operator, Elementwise)]
        whole[p] = sum(node.size for node in readers if not isinstance(node.operator, Affine | Elementwise))
        mask = unstable(graph, p, known[p])[0] | (whole[p] > 0)
        slopes = [relax(op, known[p]).slope_lower[0, 0] for op in lines]
        loose[p] = np.flatnonzero(mask)
        active[p] = np.flatnonzero(~mask & np.any([s != 0 for s in slopes], axis=0))
    free = np.flatnonzero(varying(lower, upper))
    linear: dict[int, np.ndarray] = {}
    columns: dict[int, int] = {}
    open_columns = len(free)  # what an element of the present layer is a sum of
    order = graph.preactivations
    for i, p in enumerate(order):
        columns[p] = open_columns
        following = order[i + 1] if i + 1 < len(order) else None
        rows = graph.output_size if following is None else len(loose[following]) + len(active[following])
        keep = len(active[p])
        linear[p] = active[p] if keep * (open_columns + rows) < rows * open_columns else np.zeros(0, np.int64)
        open_columns = len(loose[p]) + whole[p] + (len(linear[p]) if len(linear[p]) or not keep else open_columns)
    return _Partition(loose, linear, columns, free)


_Columns = dict[tuple[str, int], np.ndarray]
"""("output of", nonlinear node), ("loose" or "linear", pre-activation: the neurons of that kind) or ("input", 0) -> (rows, k)."""


@dataclass(frozen=True, eq=False)
class _Builder:
    graph: Graph
    parts: _Partition
    known: Mapping[int, Interval]
    lower: np.ndarray
    upper: np.ndarray
    arrays: Arrays
    workers: Workers
    deadline: Callable[[], bool]

    def build(self) -> Reduction:
        graph, parts = self.graph, self.parts
        nodes = [Node(graph.nodes[0].operator, (), (graph.input_size,))]
        sources: dict[tuple[str, int], int] = {("input", 0): 0}
        if len(parts.varying) < graph.input_size:
            nodes.append(Node(Take(0, parts.varying, (graph.input_size,)), (0,), (len(parts.varying),)))
            sources["input", 0] = 1
        neurons: dict[int, np.ndarray] = {}
        mapping, first = {}, 0
        for p in graph.preactivations:
            loose, linear = parts.loose[p], parts.linear[p]
            for index, kind in ((linear, "linear"), (loose, "loose")):
                if len(index):
                    sources[kind, p] = self._affine(nodes, sources, p, index)
            if len(loose):
                neurons[sources["loose", p]] = first + loose
            first += graph.nodes[p].size
            for n in graph.consumers[p]:
                if len(loose) and isinstance(graph.nodes[n].operator, Nonlinear):
                    ends = parts.ends(graph, n)
                    nodes.append(Node(graph.nodes[n].operator, (sources["loose", p],), (len(ends),)))
                    sources["output of", n] = len(nodes) - 1
                    mapping[len(nodes) - 1] = (n, ends)
        self._affine(nodes, sources, graph.output, np.arange(graph.output_size))
        found, position = Graph(tuple(nodes)).alive()
        of_alive = [neurons[n] for n in sorted(neurons) if position.get(n) in found.preactivations]
        return Reduction(
            found, np.concatenate([np.zeros(0, np.int64), *of_alive]), {position[n]: ends for n, ends in mapping.items() if n in position}
        )

    def _affine(self, nodes: list[Node], sources: Mapping[tuple[str, int], int], start: int, index: np.ndarray) -> int:
        """Append elements `index` of node `start` as a function of what is there already; the position of the result."""
        if self.deadline():
            raise Late
        columns, constant = self._rows(start, index)
        parts = [(sources[key], matrix) for key, matrix in columns.items() if matrix.any()]
        if not parts:
            nodes.append(Node(Constant(constant), (), (len(index),)))
            return len(nodes) - 1
        made: list[int] = []
        for source, matrix in parts:
            nodes.append(Node(Linear(matrix.T.copy(), None if made else constant), (source,), (len(index),)))
            made.append(len(nodes) - 1)
        if len(made) > 1:
            nodes.append(Node(Add((1,) * len(made)), tuple(made), (len(index),)))
        return len(nodes) - 1

    def _rows(self, start: int, index: np.ndarray) -> tuple[_Columns, np.ndarray]:
        """Coefficients and constants (rows,) of elements `index` of node `start`, in chunks of rows on all cores."""
        width = sum(self.graph.nodes[n].size for n in self.graph.ancestors(start))
        most = max(1, int(self.arrays.budget / (8 * 4 * width)))
        chunk = min(most, -(-len(index) // self.workers.cores)) if len(index) * width > 1_000_000 else most
        pieces = [index[i : i + chunk] for i in range(0, len(index), chunk)]
        found = self.workers.map(partial(self._chunk, start), pieces)
        joined = {key: np.concatenate([columns[key] for columns, _ in found]) for key in found[0][0]}
        return joined, np.concatenate([constant for _, constant in found])

    def _chunk(self, start: int, index: np.ndarray) -> tuple[_Columns, np.ndarray]:
        graph, xp = self.graph.to(self.arrays), self.arrays.xp
        k, rows = len(index), np.zeros((len(index), graph.nodes[start].size))
        rows[np.arange(k), index] = 1.0
        coefficients: dict[int, Array] = {start: xp.reshape(self.arrays.asarray(rows), (k, *graph.nodes[start].shape))}
        columns = self._empty(k, start)
        constant = self.arrays.zeros((k,))
        for n in range(start, -1, -1):
            if n not in coefficients:
                continue
            node, lam = graph.nodes[n], coefficients.pop(n)
            flat = xp.reshape(lam, (k, node.size))
            if n in self.known and n != start:
                flat = self._cut(flat, n, columns)
                if not bool(xp.any(flat != 0)):
                    continue
                lam = xp.reshape(flat, lam.shape)
            if isinstance(node.operator, Nonlinear):
                flat, more = self._through(flat, n, columns)
                constant = constant + more
                parts: tuple[Array, ...] = (xp.reshape(flat, (k, *graph.nodes[node.inputs[0]].shape)),)
            elif isinstance(node.operator, Affine):
                if node.operator.offset is not None:
                    constant = constant + flat @ xp.reshape(xp.broadcast_to(node.operator.offset, node.shape), (node.size,))
                parts = node.operator.transpose(lam)
            elif isinstance(node.operator, Input):
                fixed = self.arrays.asarray(np.where(varying(self.lower, self.upper), 0.0, self.lower))
                constant = constant + flat @ fixed
                columns["input", 0] = to_numpy(flat)[:, self.parts.varying].astype(np.float64)
                break
            else:
                raise TypeError(f"operator {node.operator!r} has no reduction")
            for q, part in zip(node.inputs, parts):
                coefficients[q] = coefficients[q] + part if q in coefficients else part
        return columns, to_numpy(constant).astype(np.float64)

    def _empty(self, rows: int, start: int) -> _Columns:
        """Columns of zeros for all that rows from `start` can end at."""
        below, parts = set(self.graph.ancestors(start)), self.parts
        columns: _Columns = {("input", 0): np.zeros((rows, len(parts.varying)))}
        for p in self.graph.preactivations:
            if p in below and p != start:
                for kind, index in (("loose", parts.loose[p]), ("linear", parts.linear[p])):
                    if len(index):
                        columns[kind, p] = np.zeros((rows, len(index)))
        for n in self.graph.nonlinear:
            if n in below and len(ends := parts.ends(self.graph, n)):
                columns["output of", n] = np.zeros((rows, len(ends)))
        return columns

    def _cut(self, flat: Array, p: int, columns: _Columns) -> Array:
        """Rows (k, size) on pre-activation p without what ends at the values kept there."""
        flat = self.arrays.xp.asarray(flat, copy=True)
        for kind, index in (("loose", self.parts.loose[p]), ("linear", self.parts.linear[p])):
            if len(index):
                at = self.arrays.indices(index)
                columns[kind, p] = to_numpy(flat[:, at]).astype(np.float64)
                flat[:, at] = 0.0
        return flat

    def _through(self, flat: Array, n: int, columns: _Columns) -> tuple[Array, Array]:
        """(rows on the pre-activation, constants (k,)) of rows on nonlinear node n: loose elements end here."""
        p, operator = self.graph.nodes[n].inputs[0], self.graph.nodes[n].operator
        if not isinstance(operator, Elementwise):
            columns["output of", n] = to_numpy(flat).astype(np.float64)
            return self.arrays.zeros((flat.shape[0], self.graph.nodes[p].size)), self.arrays.zeros((flat.shape[0],))
        lines = relax(operator, self.known[p])
        slope = lines.slope_lower[0, 0] + 0.0
        intercept = np.zeros_like(slope) if lines.intercept_lower is None else lines.intercept_lower[0, 0] + 0.0
        loose = self.parts.loose[p]
        if len(loose):
            columns["output of", n] = to_numpy(flat[:, self.arrays.indices(loose)]).astype(np.float64)
            slope[loose] = intercept[loose] = 0.0
        return flat * self.arrays.asarray(slope), flat @ self.arrays.asarray(intercept)
