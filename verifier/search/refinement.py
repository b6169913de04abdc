"""Enclosures of inner neurons by branch and bound of their own, layer by layer.

An unstable neuron gets two trees, one a side, whose subproblems split the neurons below it: few of those are unstable in the
first layers, so a few dozen subproblems come close to the true range, and what is gained in one layer narrows all that follow
(progressive bounds tightening, Tjeng et al. 2019, section 4.2, with this verifier's own search in place of a MILP solver).
Every leaf is accepted by one float64 evaluation; the least of them bounds the neuron.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import Arrays, to_numpy
from verifier.bounds.ascent import Schedule
from verifier.bounds.dual import Interval
from verifier.bounds.intermediate import RootBounds
from verifier.bounds.reduction import reduce_graph
from verifier.bounds.rigorous import error_weights
from verifier.bounds.stability import unstable
from verifier.bounds.targets import Targets
from verifier.bounds.tiles import seen, tiles, within
from verifier.graph.ir import Graph
from verifier.operators.base import Nonlinear
from verifier.parallel import Late, Workers
from verifier.search.outcome import Context
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort, advance, learned_gains
from verifier.search.tree import Tree

_CANDIDATES = 6
"""With 2, mnist_fc's second layer needs four times as many subproblems for the same width."""
_SCHEDULE = Schedule(4, multiplier_step=0.5)
"""Of a subproblem: as in the search, few large steps do. On mnist_fc 256x4 prop_13_0.05 refinement takes 3 s in place of 8 s with 8 steps
of size 0.1."""
_LAST = 5
"""Times as many steps for the last subproblems, whose neurons are all decided."""
_KEPT_NUMBERS = 40_000_000
"""Numbers that the leaves of the trees that are grown together may hold."""


@dataclass(frozen=True, eq=False)
class Refinement:
    """Of pre-activations of `graph` over the box lower, upper (n,). subproblems: of one tree, at most, of each pre-activation that is
    refined. context: its deadline is the refinement's own.
    """

    graph: Graph
    exact: Arrays
    proposals: Arrays
    lower: np.ndarray
    upper: np.ndarray
    context: Context
    subproblems: Mapping[int, int]

    def __call__(self, p: int, known: Mapping[int, Interval]) -> Interval:
        """A narrower enclosure (1, size) of pre-activation p, from those of p and of all below it."""
        bounds = known[p]
        lower, upper = (np.array(to_numpy(side)) for side in bounds)
        loose = np.flatnonzero(to_numpy(unstable(self.graph, p, bounds))[0] & np.isfinite(lower[0]) & np.isfinite(upper[0]))
        if p not in self.subproblems or not len(loose):
            return bounds
        enough, parts = self._enough(p, lower[0], upper[0]), tiles(self.graph, p, loose)
        # Of many parts every core takes some; of one, some of its trees.
        each = self if len(parts) == 1 else replace(self, context=replace(self.context, workers=Workers(1)))
        try:
            found = self.context.workers.map(lambda part: each._least(p, part, known, enough[:, part]), parts)
        except Late:
            return bounds
        for part, least in zip(parts, found):
            if least is not None:  # a bound that is NaN is none
                lower[0, part] = np.fmax(lower[0, part], least[: len(part)])
                upper[0, part] = np.fmin(upper[0, part], -least[len(part) :])
        return Interval(self.exact.asarray(lower), self.exact.asarray(upper))

    def _least(self, p: int, part: np.ndarray, known: Mapping[int, Interval], enough: np.ndarray) -> np.ndarray | None:
        """Lower bounds (2 k,) of the elements `part` (k,) of p and of their negatives, by trees in the window that they see; None where
        there is nothing to split, or the refinement's own time is over, which is no reason for the search to end."""
        there = seen(self.graph, p, part)
        graph, node, elements = (self.graph, p, part) if there is None else (there.graph, there.graph.output, there.position(part))
        mine = known if there is None else within(there, known, self.exact)
        graph, position = graph.part(node, elements)
        below = {n: mine[q] for q, n in position.items() if n in graph.preactivations}
        if not any(to_numpy(unstable(graph, n, b)).any() for n, b in below.items()):
            return None
        try:
            return Trees.of(self, graph, below, enough, self.subproblems[p]).least()
        except Late:
            return None

    def _enough(self, p: int, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """(2, size): bounds of p and of -p past which a better one changes no relaxation. For a Relu that is its kink; where there is
        no such value, the other end."""
        found = np.full((2, len(lower)), -np.inf)
        for n in self.graph.consumers[p]:
            operator = self.graph.nodes[n].operator
            if not isinstance(operator, Nonlinear):
                continue
            own = np.where(operator.settled(lower, upper), -np.inf, np.stack([upper, -lower]))
            for kink in operator.kinks:
                at, inside = np.full(len(lower), kink), (lower < kink) & (kink < upper)
                own[0] = np.where(inside & operator.settled(at, upper), np.minimum(own[0], kink), own[0])
                own[1] = np.where(inside & operator.settled(lower, at), np.minimum(own[1], -kink), own[1])
            found = np.maximum(found, own)
        return found


@dataclass(frozen=True, eq=False)
class Trees:
    """One tree for each of the outputs and, after them, of their negatives: tree, without targets; enough (2 m,): a bound past which a
    subproblem is closed; subproblems: of one tree, at most."""

    tree: Tree
    enough: np.ndarray
    subproblems: int
    context: Context

    @staticmethod
    def of(refinement: Refinement, graph: Graph, known: Mapping[int, Interval], enough: np.ndarray, subproblems: int) -> Trees:
        lower, upper, fast, context = refinement.lower, refinement.upper, refinement.proposals, refinement.context
        host = {q: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for q, b in known.items()}
        root = RootBounds(known, error_weights(graph, lower, upper, host))
        reduced = reduce_graph(graph, known, lower, upper, fast, context.workers, context.out_of_time)
        none = Targets(np.zeros((1, 1, graph.output_size)), None, np.zeros((1, 1)), np.zeros((1, 1), bool))
        tree = Tree.of(graph, reduced, refinement.exact, fast, root, none, lower, upper, clips=False)
        return Trees(tree, enough.reshape(-1), subproblems, context)

    def least(self) -> np.ndarray:
        """Rigorous lower bounds (2 m,) of the outputs and of their negatives; -inf where the time was over before."""
        count, workers = len(self.enough), self.context.workers
        found, leaf = np.full(count, -np.inf), self.tree.graph.input_size + 2 * self.tree.neurons.total
        together = max(1, _KEPT_NUMBERS // (leaf * self.subproblems))
        # Every core grows trees of its own: to share out every batch would take longer than the batch.
        alone = replace(self, context=replace(self.context, workers=Workers(1)))
        for first in range(0, count, together):
            if self.context.out_of_time():
                break
            rows = np.arange(first, min(first + together, count))
            parts = [part for i in range(workers.cores) if len(part := rows[i :: workers.cores])]
            found[np.concatenate(parts)] = np.concatenate(workers.map(alone._least, parts))
        return found

    def _least(self, rows: np.ndarray) -> np.ndarray:
        m, count = self.tree.graph.output_size, len(rows)
        outputs = np.zeros((count, 1, m))
        outputs[np.arange(count), 0, rows % m] = np.where(rows < m, 1.0, -1.0)
        targets = Targets(outputs, None, -self.enough[rows, None], np.zeros((count, 1), bool))
        tree = replace(self.tree, targets=targets)
        leaves = self._grown(tree)
        alone = replace(tree, targets=replace(targets, constant=np.zeros((count, 1))))
        parts = [leaves.select(slice(i, i + tree.chunk)) for i in range(0, len(leaves), tree.chunk)]
        bounds = np.concatenate([np.zeros(0), *(_accepted(alone, part) for part in parts)])
        found = self.enough[rows]
        np.minimum.at(found, leaves.disjunct, bounds)
        return found

    def _grown(self, tree: Tree) -> Splits:
        """The open leaves of all trees, the worst leaves of each split first, as long as there is time and something to split."""
        count = len(tree.targets.constant)
        start = tree.start(np.arange(count), np.full(count, -np.inf), tree.initial())
        effort = Effort(_CANDIDATES, _SCHEDULE)
        longer = replace(effort, schedule=replace(effort.schedule, iterations=_LAST * effort.schedule.iterations))
        leaves = advance(tree, start, effort, self.context).open
        sizes = np.ones(count, np.int64)
        while len(leaves) and not self.context.out_of_time():
            chosen = self._worst(tree, leaves, sizes)
            if not chosen.any():
                break
            parents = leaves.select(chosen)
            np.add.at(sizes, parents.disjunct, 2)
            # Where no neuron is left to split, an input is, and better multipliers help more.
            last = bool(np.any(parents.choice >= tree.neurons.total))
            children = parents.children()
            step = advance(tree, children, longer if last else effort, self.context)
            learned_gains(tree, children, step)
            leaves = Splits.concatenate([leaves.select(~chosen), step.open])
        return leaves

    def _worst(self, tree: Tree, leaves: Splits, sizes: np.ndarray) -> np.ndarray:
        """(B,) True at the worst leaves of each tree that may grow: its worst one can be split and it has room."""
        order = np.lexsort((leaves.bound, leaves.disjunct))
        which = leaves.disjunct[order]
        first = np.flatnonzero(np.diff(which, prepend=-1))
        rank = np.arange(len(which)) - np.repeat(first, np.diff(first, append=len(which)))
        divisible = leaves.choice[order] >= 0
        grows = (sizes < self.subproblems) & np.isin(np.arange(len(sizes)), which[first][divisible[first]])
        each = max(1, tree.chunk // max(1, int(grows.sum())))
        chosen = np.zeros(len(leaves), bool)
        chosen[order[grows[which] & divisible & (rank < each)]] = True
        return chosen


def _accepted(tree: Tree, leaves: Splits) -> np.ndarray:
    """Rigorous bounds (B,) of the leaves' rows, with the slopes and multipliers that they hold."""
    return tree.exact_rows(leaves, tree.parameters(leaves, tree.proposals), np.arange(len(leaves))).bounds[:, 0]
