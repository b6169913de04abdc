"""How large the trees of inner neurons become (search/refinement.py), and in which layers there is time for them.

What a tree gains grows about with the logarithm of its size, so a sweep gives every layer as much time: few wide neurons get large
trees. On mnist_fc 256x4 prop_9_0.05, after trees of 64 subproblems, ones of 256 for the 13 neurons of the third layer alone take 0.4 s
and a least bound from -2.34 to -1.90; for 75 of the second and for 111 of the fourth, 3.4 and 5.3 s, to -2.31 and -2.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from verifier.bounds.cost import row_cost
from verifier.bounds.dual import Interval
from verifier.bounds.stability import unstable
from verifier.bounds.tiles import tiled_cost
from verifier.search.tree import Tree

_FIRST, _FACTOR, _LEAST_FACTOR = 16, 4.0, 2.0
"""Subproblems of a neuron's own tree in the first sweep, and how many times more in the next one: usually, and where time is short."""
_LEVELLED = 16.0
"""Times as many that the trees of layers with little work get at most."""


@dataclass(frozen=True)
class Sweep:
    """The next one. size: subproblems of one tree in the layer with the most work; seconds: of one subproblem, as far as it is known;
    refined: the pre-activations of the sweep before."""

    size: float = _FIRST
    seconds: float | None = None
    refined: frozenset[int] | None = None

    def sizes(self, tree: Tree, seconds: float, limit: float) -> dict[int, float]:
        """Pre-activation of the network that there is time to refine -> subproblems of a tree; none where there is too little time.
        seconds: of a subproblem of `tree`, where that of a sweep is not known; limit: in all.

        Where time is short, the first sweep leaves out as few layers as it can, and later ones have smaller trees.
        """
        each = _work(tree)
        work = {p: self.size * units for p, units in each.items() if self.refined is None or p in self.refined}
        most = limit / max(self.seconds or seconds, 1e-9)
        if self.refined is None:
            work = _levelled(_affordable(work, most), most)
        elif work:
            levelled = _levelled(work, np.inf)
            part = min(1.0, most / sum(levelled.values()))
            work = {p: part * units for p, units in levelled.items()} if part * _FACTOR >= _LEAST_FACTOR else {}
        return {p: units / each[p] for p, units in work.items()}

    def expected(self, tree: Tree, sizes: Mapping[int, float], seconds: float) -> float:
        """Seconds for trees of these sizes."""
        work = _work(tree)
        return (self.seconds or seconds) * sum(size * work[p] for p, size in sizes.items())

    def following(self, tree: Tree, sizes: Mapping[int, float], taken: float) -> Sweep:
        """After trees of these sizes took so many seconds in all."""
        work = _work(tree)
        return Sweep(_FACTOR * self.size, taken / sum(size * work[p] for p, size in sizes.items()), frozenset(sizes))


def _work(tree: Tree) -> dict[int, float]:
    """Pre-activation of the network with loose neurons, and nonlinear nodes below it -> subproblems of the whole tree that one of each of
    its neurons' own trees takes the time of."""
    graph, found, whole = tree.graph, dict[int, float](), row_cost(tree.graph)
    for p in graph.preactivations:
        if not set(graph.nonlinear).isdisjoint(graph.ancestors(p)):
            s = tree.neurons.slices[p]
            loose = int(unstable(graph, p, Interval(tree.below[None, s], tree.above[None, s])).sum())
            if loose:
                found[tree.original(p)] = 2.0 * loose * tiled_cost(graph, p, loose) / whole
    return found


def _affordable(work: Mapping[int, float], most: float) -> dict[int, float]:
    """As many of the pre-activations as have work of less than `most` together, the first ones that are so many: what is gained in one
    narrows all that follow. On tllverifybench N=64 one of the first layers takes as much as the seven after it, which bring the bound from
    -169 to -24 and the proof in 20 s; with it and the last one the bound is -118, and the proof takes 42 s or more than 60. sri_resnet_a
    865 takes 42 s with the first four layers; with the last one, which is cheaper, in place of the fourth, it is not done in 60 s."""
    units, found = list(work.values()), dict[int, float]()
    count = int(np.searchsorted(np.cumsum(sorted(units)), most))
    for i, (p, own) in enumerate(work.items()):
        others = sorted(units[i + 1 :])[: max(0, count - len(found) - 1)]
        if len(found) + 1 + len(others) == count and sum(found.values()) + own + sum(others) < most:
            found[p] = own
    return found


def _levelled(work: Mapping[int, float], most: float) -> dict[int, float]:
    """The same with up to `_LEVELLED` times as much where there is less than elsewhere, of the difference as large a part as leaves it
    below `most` in all."""
    top, whole = max(work.values(), default=0.0), sum(work.values())
    extra = {p: min(_LEVELLED * units, top) - units for p, units in work.items()}
    part = min(1.0, (most - whole) / max(sum(extra.values()), 1e-9))
    return {p: units + part * extra[p] for p, units in work.items()}
