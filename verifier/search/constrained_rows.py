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

from verifier.arrays import Array, Arrays, namespace, to_numpy
from verifier.bounds import interval
from verifier.bounds.ascent import Ascent, Parameters, Schedule, initial_parameters, problem_of
from verifier.bounds.constraint import own_rows, satisfied, signs, with_rows
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.rigorous import ErrorWeights, error_weights
from verifier.bounds.rows import unit_rows
from verifier.bounds.stability import unstable
from verifier.graph.ir import Graph
from verifier.operators.base import Lines
from verifier.parallel import Workers
from verifier.search.splits import Splits
from verifier.search.subproblems import sensitivities
from verifier.search.tree import Tree

_SCHEDULE = Schedule(10, multiplier_step=0.3)
"""Of a round; the multipliers of the query's rows move in units of (width of the neuron / bound of the subproblem)."""
_CHUNK_NUMBERS = 3_000_000, 4_000_000
"""Numbers of one array over all nodes of the reduced graph, and of the network, in a chunk of rows."""
_KEPT_NUMBERS = 100_000_000
"""Numbers that the dual variables of all neurons' rows may hold in all disjuncts; where there are more, every round starts anew."""


class Rows(NamedTuple):
    """Neurons (G, k) of pre-activation `node` of the reduced graph in the subproblems (G,), of which each has `counts` (G,) of its own;
    the rest repeats one of them."""

    node: int
    subproblems: np.ndarray
    neurons: np.ndarray
    counts: np.ndarray


class Found(NamedTuple):
    """Rigorous lower, upper (k,) of `neurons` of a subproblem, and the dual variables (1, 2k or 1, size) that they come from, where
    those are kept."""

    subproblem: int
    neurons: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    parameters: Parameters | None


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
        # A part that started anew lacks multipliers that another one had to start from.
        like = {n: m for f in found for n, m in f.multipliers.items()}
        none = [np.zeros((1, 2 * len(neurons), 1)) for neurons, _ in parts]
        multipliers = {n: joined(*(f.multipliers.get(n, zero + 0.0 * m[:, :1]) for f, zero in zip(found, none))) for n, m in like.items()}
        return Start(np.concatenate([neurons for neurons, _ in parts]), Parameters(slopes, multipliers))

    def updated(self, new: Start) -> Start:
        """The same with the variables of the neurons of `new` added, or replaced where it has them."""
        neurons = np.union1d(self.neurons, new.neurons)
        found = Parameters({n: Lines(*(0.0 * a[:, :1] for a in lines)) for n, lines in self.parameters.slopes.items()}, {})
        for part in (self, new):
            found = _placed(found, part.parameters, _rows_at(neurons, part.neurons), 2 * len(neurons))
        return Start(neurons, found)

    def select(self, neurons: np.ndarray, default: Parameters, arrays: Arrays) -> Parameters:
        """Of `neurons` (k,), with the variables `default` (1, 2k or 1, size) of those that it does not have."""
        known = np.isin(neurons, self.neurons)
        if not known.any():
            return default
        own = _rows_at(self.neurons, neurons[known])
        mine = self.parameters.map(lambda a: arrays.asarray(a[:, own] if a.shape[1] > 1 else a))
        at = arrays.indices(np.flatnonzero(np.concatenate([known, known])))
        return mine if known.all() else _placed(default, mine, at, 2 * len(neurons))


Starts = Mapping[int, Start]


@dataclass(frozen=True, eq=False)
class ConstrainedRows:
    """Bounds the neurons of subproblems of one tree: proposals in its reduced graph, acceptance on the network, both with the query's
    rows as their last node t."""

    tree: Tree

    @cached_property
    def _kept(self) -> bool:
        """Whether dual variables are kept for the next round."""
        return 2 * self.tree.neurons.total**2 * len(self.tree.targets.constant) <= _KEPT_NUMBERS

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

    def round(
        self, splits: Splits, starts: Sequence[Starts], most: int, workers: Workers, late: Callable[[], bool]
    ) -> tuple[np.ndarray, np.ndarray, list[Starts]]:
        """Enclosures (B, T' + n) of the subproblems `splits`, narrowed once, layer by layer, and what the next round may start from;
        where enclosures cross, there is no counterexample.

        starts (B,): dual variables to start from, by pre-activation of the reduced graph. most: neurons of each subproblem that are
        bounded, those to which its bound is most sensitive.
        """
        tree = self.tree
        _ = self._weights, self._values  # before the first fork
        low, high = map(to_numpy, tree.enclosures(splits))
        chosen, following = self._chosen(splits, most), list(starts)
        for node in tree.graph.preactivations:
            rows = self._rows(node, low, high, chosen, workers.cores)
            if not rows or late():
                continue
            bound = lambda r: self._bound(splits, low, high, r, [starts[b].get(node) for b in r.subproblems], late)  # noqa: B023, E731
            kept: dict[int, list[tuple[np.ndarray, Parameters]]] = {}
            for found in (f for group in workers.map(bound, rows) for f in group):
                at = tree.neurons.slices[node].start + found.neurons
                # A bound that is NaN is none.
                low[found.subproblem, at] = np.fmax(low[found.subproblem, at], found.lower)
                high[found.subproblem, at] = np.fmin(high[found.subproblem, at], found.upper)
                if found.parameters is not None:
                    kept.setdefault(found.subproblem, []).append((found.neurons, found.parameters))
            for b, parts in kept.items():
                new, old = Start.of(parts), following[b].get(node)
                following[b] = {**following[b], node: new if old is None else old.updated(new)}
        return low, high, following

    def _chosen(self, splits: Splits, most: int) -> np.ndarray:
        """(B, T') True at the neurons to bound."""
        tree, total = self.tree, self.tree.neurons.total
        if most >= total:
            return np.ones((len(splits), total), bool)
        parts = [splits.select(slice(i, i + tree.chunk)) for i in range(0, len(splits), tree.chunk)]
        scores = np.concatenate([sensitivities(tree, part) for part in parts])
        least = -np.partition(-scores, most - 1, axis=1)[:, most - 1 : most]
        return np.asarray((scores >= least) & (scores > 0))

    def _rows(self, node: int, low: np.ndarray, high: np.ndarray, chosen: np.ndarray, cores: int) -> list[Rows]:
        """Chunks of rows: of several subproblems with about as many each, or of a part of one."""
        tree, s = self.tree, self.tree.neurons.slices[node]
        crossed: np.ndarray = np.any(low > high, axis=1)
        loose = to_numpy(unstable(tree.graph, node, Interval(low[:, s], high[:, s]))) & ~crossed[:, None] & chosen[:, s]
        graphs, total = (tree.graph, tree.network.neurons.graph), int(loose.sum())
        width = tree.proposals.width
        most = min(numbers * width // (2 * sum(n.size for n in graph.nodes)) for numbers, graph in zip(_CHUNK_NUMBERS, graphs))
        most = max(1, min(most, -(-total // cores)))
        counts = loose.sum(axis=1)
        rows: list[Rows] = []
        group: list[int] = []
        for b in sorted(np.flatnonzero(counts), key=lambda b: -counts[b]):
            index = np.flatnonzero(loose[b])
            if len(index) > most:
                parts = [index[i : i + most] for i in range(0, len(index), most)]
                rows += [Rows(node, np.array([b]), part[None], np.array([len(part)])) for part in parts]
                continue
            if group and counts[group[0]] * (len(group) + 1) > most:
                rows.append(_padded(node, loose, group))
                group = []
            group.append(int(b))
        return [*rows, _padded(node, loose, group)] if group else rows

    def _bound(
        self, splits: Splits, low: np.ndarray, high: np.ndarray, rows: Rows, starts: Sequence[Start | None], late: Callable[[], bool]
    ) -> list[Found]:
        if late():
            return []
        tree, which = self.tree, rows.subproblems
        fast, total, t, s = tree.proposals, tree.neurons.total, self._reduced.output, tree.neurons.slices[rows.node]
        some, low, high = splits.select(which), low[which], high[which]
        mine = own_rows(tree.targets, some.disjunct)
        known = tree.neurons.split(fast.asarray(low[:, :total]), fast.asarray(high[:, :total]))
        known[t] = satisfied(Interval(*map(fast.asarray, self._values)), mine, fast)
        width = np.tile(np.take_along_axis((high - low)[:, s], rows.neurons, axis=1), 2)[:, :, None]
        graph = self._reduced.to(fast)
        ascent = Ascent(
            graph,
            {rows.node: unit_rows(fast, rows.neurons, graph.nodes[rows.node].shape)},
            fast.asarray(low[:, total:]),
            fast.asarray(high[:, total:]),
            known,
            _together(starts, rows.neurons, initial_parameters(graph, t, known), fast),
            {**tree.signs(some, fast), t: signs(mine, fast)},
            _SCHEDULE,
            {t: fast.asarray(width / np.maximum(-some.bound, 1e-9)[:, None, None])},
        )
        _, parameters = ascent.run(lambda lower: lower > np.inf, late)
        lower, upper = self._accepted(low, high, rows, mine, parameters)
        own = parameters.map(to_numpy) if self._kept else None
        found = []
        for g, (sub, k) in enumerate(zip(which, rows.counts)):
            mine_alone = own.map(lambda a, g=g, k=k: _rows_of(a, g, k)) if own is not None else None  # type: ignore[misc]
            found.append(Found(int(sub), rows.neurons[g, :k], lower[g, :k], upper[g, :k], mine_alone))
        return found

    def _accepted(
        self, low: np.ndarray, high: np.ndarray, rows: Rows, mine: np.ndarray, parameters: Parameters
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rigorous (lower, upper), (G, k) each."""
        tree, exact, network = self.tree, self.tree.exact, self.tree.network
        below, above = (np.repeat(side[None], len(low), axis=0) for side in (network.below, network.above))
        below[:, network.kept], above[:, network.kept] = low, high
        total, graph = network.neurons.total, self._network.to(exact)
        known = network.neurons.split(exact.asarray(below[:, :total]), exact.asarray(above[:, :total]))
        chosen = tree.parameters_on_network(parameters)
        gamma = exact.asarray(parameters.multipliers[self._reduced.output])
        chosen = replace(chosen, multipliers={**chosen.multipliers, graph.output: gamma})
        known[graph.output] = satisfied(self._values, mine, exact)
        problem = problem_of(graph, exact.asarray(below[:, total:]), exact.asarray(above[:, total:]), known, chosen)
        p, k = tree.original(rows.node), rows.neurons.shape[1]
        units = unit_rows(exact, tree.places(rows.node, p)[rows.neurons], graph.nodes[p].shape)
        bounds = to_numpy(evaluate(graph, {p: units}, problem, self._weights).lower)
        return bounds[:, :k], -bounds[:, k:]


def _padded(node: int, loose: np.ndarray, group: Sequence[int]) -> Rows:
    """The rows of subproblems `group` with all their loose neurons (B, size)."""
    counts = loose[group].sum(axis=1)
    order = np.argsort(~loose[group], axis=1, kind="stable")[:, : counts.max()]
    neurons = np.where(np.arange(order.shape[1]) < counts[:, None], order, order[:, :1])
    return Rows(node, np.array(group), neurons, counts)


def _rows_at(neurons: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Rows (2 k,) of `some` (k,) of the neurons, in order, for +p and then for -p."""
    at = np.searchsorted(neurons, some)
    return np.concatenate([at, len(neurons) + at])


def _placed(old: Parameters, new: Parameters, at: Array, rows: int) -> Parameters:
    """Dual variables (1, rows or 1, size): `new` (1, len(at) or 1, size) in the rows `at`, `old` (1, rows or 1, size) in the others."""

    def one(a: Array, b: Array) -> Array:
        if a.shape[1] == b.shape[1] == 1:  # the same for all rows
            return b
        xp = namespace(a)
        full = xp.asarray(xp.broadcast_to(a, (1, rows, a.shape[-1])), copy=True)
        full[:, at] = b
        return full

    slopes = {n: Lines(*map(one, old.slopes[n], lines)) for n, lines in new.slopes.items()}
    none = {n: 0.0 * m[:, :1] for n, m in {**old.multipliers, **new.multipliers}.items()}
    return Parameters(slopes, {n: one(old.multipliers.get(n, zero), new.multipliers.get(n, zero)) for n, zero in none.items()})


def _rows_of(a: np.ndarray, g: int, k: int) -> np.ndarray:
    """Of dual variables (G or 1, 2K or 1, size) those of subproblem g, without the padding of its k neurons: (1, 2k or 1, size)."""
    one = a[g : g + 1] if a.shape[0] > 1 else a
    half = a.shape[1] // 2
    return np.concatenate([one[:, :k], one[:, half : half + k]], axis=1) if half else one


def _together(starts: Sequence[Start | None], neurons: np.ndarray, initial: Parameters, arrays: Arrays) -> Parameters:
    """Dual variables (G, 2k, size) to start from, for the neurons (G, k) of G subproblems; `initial` where there are none."""
    if all(start is None for start in starts):
        return initial
    shape = (1, 2 * neurons.shape[1])
    parts: list[Parameters] = []
    for g, (start, n) in enumerate(zip(starts, neurons)):
        own = initial.map(lambda a, g=g: a[g : g + 1] if a.shape[0] > 1 else a)  # type: ignore[misc]
        parts.append(own if start is None else start.select(n, own, arrays))
    full = [p.map(lambda a: arrays.xp.broadcast_to(a, (*shape, a.shape[-1]))) for p in parts]
    slopes = {n: Lines(*(arrays.xp.concat(list(sides)) for sides in zip(*(p.slopes[n] for p in full)))) for n in full[0].slopes}
    sizes = {n: m for p in full for n, m in p.multipliers.items()}
    multipliers = {n: arrays.xp.concat([p.multipliers.get(n, 0.0 * like) for p in full]) for n, like in sizes.items()}
    return Parameters(slopes, multipliers)
