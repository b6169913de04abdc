"""Bounds of the neurons of a subproblem that lean on what a counterexample in it would have to satisfy.

INVPROP (Kotha et al. 2023): rows of unstable neurons are bounded with multipliers on the query's own rows and on the splits,
layer by layer. Where enclosures cross, there is no counterexample. Proposals come from the reduced graph; each round's are
evaluated once on the network by the rigorous rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from verifier.arrays import Arrays, to_numpy
from verifier.bounds import interval
from verifier.bounds.ascent import Ascent, Parameters, Schedule, initial_parameters, problem_of
from verifier.bounds.constraint import own_rows, satisfied, signs, with_rows
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.intermediate import unit_rows, unstable
from verifier.bounds.rigorous import ErrorWeights, error_weights
from verifier.graph.ir import Graph
from verifier.operators.base import Lines
from verifier.parallel import Workers
from verifier.search.splits import Splits
from verifier.search.tree import Tree

_SCHEDULE = Schedule(10, multiplier_step=0.3)
"""Of a round; the multipliers of the query's rows move in units of (width of the neuron / bound of the subproblem)."""
_CHUNK_NUMBERS = 3_000_000, 12_000_000
"""Numbers of one array over all nodes of the reduced graph, and of the network, in a chunk of rows."""


class Rows(NamedTuple):
    """Neurons (k,) of pre-activation `node` of the reduced graph, in one subproblem."""

    subproblem: int
    node: int
    neurons: np.ndarray


class Found(NamedTuple):
    """Rigorous lower, upper (k,) of some rows, and the dual variables (1, 2k, size) that they come from: for +p, then for -p."""

    lower: np.ndarray
    upper: np.ndarray
    parameters: Parameters


class Start(NamedTuple):
    """Dual variables (1, 2k or 1, size) of neurons (k,), in order, for +p and then for -p."""

    neurons: np.ndarray
    parameters: Parameters

    @staticmethod
    def of(parts: Sequence[tuple[np.ndarray, Parameters]]) -> Start:
        """Of chunks of neurons, in order."""

        def joined(*arrays: np.ndarray) -> np.ndarray:
            if arrays[0].shape[1] == 1:  # the same for all rows
                return arrays[0]
            return np.concatenate([half for side in zip(*(np.split(a, 2, axis=1) for a in arrays)) for half in side], axis=1)

        found = [parameters for _, parameters in parts]
        slopes = {n: Lines(*(joined(*sides) for sides in zip(*(f.slopes[n] for f in found)))) for n in found[0].slopes}
        multipliers = {n: joined(*(f.multipliers[n] for f in found)) for n in found[0].multipliers}
        return Start(np.concatenate([neurons for neurons, _ in parts]), Parameters(slopes, multipliers))

    def covers(self, neurons: np.ndarray) -> bool:
        """Whether all `neurons` are among its own."""
        return bool(np.isin(neurons, self.neurons).all())

    def select(self, neurons: np.ndarray, arrays: Arrays) -> Parameters:
        """Of some of its neurons."""
        at = np.searchsorted(self.neurons, neurons)
        at = np.concatenate([at, len(self.neurons) + at])
        return self.parameters.map(lambda a: arrays.asarray(a[:, at] if a.shape[1] > 1 else a))


Starts = Mapping[int, Start]


@dataclass(frozen=True, eq=False)
class ConstrainedRows:
    """Of one tree."""

    tree: Tree

    @cached_property
    def _reduced(self) -> Graph:
        return with_rows(self.tree.graph, self.tree.targets)

    @cached_property
    def _network(self) -> Graph:
        return with_rows(self.tree.network.neurons.graph, self.tree.targets)

    @cached_property
    def _weights(self) -> ErrorWeights:
        tree, total = self.tree, self.tree.network.neurons.total
        host = {p: (to_numpy(b.lower), to_numpy(b.upper)) for p, b in tree.root.preactivations.items()}
        return error_weights(self._network, tree.network.below[total:], tree.network.above[total:], host).to(tree.exact)

    @cached_property
    def _values(self) -> Interval:
        """Of the query's rows at the root, (1, K * R)."""
        tree, exact, total = self.tree, self.tree.exact, self.tree.network.neurons.total
        graph = self._network.to(exact)
        lower, upper = (exact.asarray(side[None, total:]) for side in (tree.network.below, tree.network.above))
        return interval.propagate(graph, lower, upper, tree.root.preactivations, self._weights, graph.output)[graph.output]

    @cached_property
    def _originals(self) -> dict[int, int]:
        """Pre-activation of the reduced graph -> that of the network."""
        nodes, original = self.tree.graph.nodes, self.tree.network.neurons.graph.nodes
        return {nodes[m].inputs[0]: original[n].inputs[0] for m, (n, _) in self.tree.reduction.nodes.items()}

    def round(
        self, splits: Splits, starts: Sequence[Starts], workers: Workers, late: Callable[[], bool]
    ) -> tuple[np.ndarray, np.ndarray, list[Starts]]:
        """Enclosures (B, T' + n) of the subproblems `splits`, narrowed once, layer by layer, and what the next round may start from;
        where enclosures cross, there is no counterexample.

        starts (B,): dual variables to start from, by pre-activation of the reduced graph.
        """
        tree = self.tree
        _ = self._weights, self._values  # before the first fork
        low, high = tree.enclosures(splits)
        following = list(starts)
        for node in tree.graph.preactivations:
            rows = self._rows(node, low, high)
            if not rows or late():
                continue
            bound = lambda r: self._bound(splits, low, high, r, starts[r.subproblem].get(node), late)  # noqa: B023, E731
            kept: dict[int, list[tuple[np.ndarray, Parameters]]] = {}
            for r, found in zip(rows, workers.map(bound, rows)):
                if found is None:
                    continue
                at = tree.neurons.slices[node].start + r.neurons
                # A bound that is NaN is none.
                low[r.subproblem, at] = np.fmax(low[r.subproblem, at], found.lower)
                high[r.subproblem, at] = np.fmin(high[r.subproblem, at], found.upper)
                kept.setdefault(r.subproblem, []).append((r.neurons, found.parameters))
            for b, parts in kept.items():
                following[b] = {**following[b], node: Start.of(parts)}
        return low, high, following

    def _rows(self, node: int, low: np.ndarray, high: np.ndarray) -> list[Rows]:
        tree, s = self.tree, self.tree.neurons.slices[node]
        crossed: np.ndarray = np.any(low > high, axis=1)
        loose = to_numpy(unstable(tree.graph, node, Interval(low[:, s], high[:, s]))) & ~crossed[:, None]
        graphs = tree.graph, tree.network.neurons.graph
        most = max(1, min(numbers // (2 * sum(n.size for n in graph.nodes)) for numbers, graph in zip(_CHUNK_NUMBERS, graphs)))
        rows = []
        for b in np.flatnonzero(loose.any(axis=1)):
            index = np.flatnonzero(loose[b])
            rows += [Rows(int(b), node, index[i : i + most]) for i in range(0, len(index), most)]
        return rows

    def _bound(
        self, splits: Splits, low: np.ndarray, high: np.ndarray, rows: Rows, start: Start | None, late: Callable[[], bool]
    ) -> Found | None:
        if late():
            return None
        tree, b = self.tree, rows.subproblem
        fast, total, t, s = tree.proposals, tree.neurons.total, self._reduced.output, tree.neurons.slices[rows.node]
        one, mine = splits.select(slice(b, b + 1)), own_rows(tree.targets, splits.disjunct[b : b + 1])
        known = tree.neurons.split(fast.asarray(low[b : b + 1, :total]), fast.asarray(high[b : b + 1, :total]))
        known[t] = satisfied(Interval(*map(fast.asarray, self._values)), mine, fast)
        width = np.tile((high - low)[b, s][rows.neurons], 2)[None, :, None]
        graph = self._reduced.to(fast)
        ascent = Ascent(
            graph,
            {rows.node: unit_rows(fast, rows.neurons, graph.nodes[rows.node].shape)},
            fast.asarray(low[b : b + 1, total:]),
            fast.asarray(high[b : b + 1, total:]),
            known,
            start.select(rows.neurons, fast) if start is not None and start.covers(rows.neurons) else initial_parameters(graph, t, known),
            {**tree.signs(one, fast), t: signs(mine, fast)},
            _SCHEDULE,
            {t: fast.asarray(width / max(-float(splits.bound[b]), 1e-9))},
        )
        _, parameters = ascent.run(lambda lower: lower > np.inf, late)
        lower, upper = self._accepted(low[b], high[b], rows, mine, parameters)
        return Found(lower, upper, parameters.map(to_numpy))

    def _accepted(
        self, low: np.ndarray, high: np.ndarray, rows: Rows, mine: np.ndarray, parameters: Parameters
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rigorous (lower, upper), (k,) each."""
        tree, exact, network = self.tree, self.tree.exact, self.tree.network
        below, above = (np.array(side[None]) for side in (network.below, network.above))
        below[0, network.kept], above[0, network.kept] = low, high
        total, graph = network.neurons.total, self._network.to(exact)
        known = network.neurons.split(exact.asarray(below[:, :total]), exact.asarray(above[:, :total]))
        chosen = tree.parameters_on_network(parameters, known)
        gamma = exact.asarray(parameters.multipliers[self._reduced.output])
        chosen = replace(chosen, multipliers={**chosen.multipliers, graph.output: gamma})
        known[graph.output] = satisfied(self._values, mine, exact)
        problem = problem_of(graph, exact.asarray(below[:, total:]), exact.asarray(above[:, total:]), known, chosen)
        p = self._originals[rows.node]
        units = unit_rows(exact, tree.places(rows.node, p)[rows.neurons], graph.nodes[p].shape)
        bounds = to_numpy(evaluate(graph, {p: units}, problem, self._weights).lower)[0]
        return bounds[: len(rows.neurons)], -bounds[len(rows.neurons) :]
