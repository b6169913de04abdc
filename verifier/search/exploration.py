"""One core's way through a part of the open subproblems: depth first, by splits alone.

Nothing of the search is changed here, so that a child process can do it: what was found, and what was learned of splits, is
returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from verifier.arrays import numpy_arrays, to_numpy
from verifier.attack.gradient import Steps, descend
from verifier.search.branching.pseudo_costs import PseudoCosts
from verifier.search.frontier import Frontier
from verifier.search.leaves import decided
from verifier.search.outcome import Context
from verifier.search.points import Points
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort, Step, advance, learned_gains
from verifier.search.tree import Tree

_POLISHED = 8
"""Points of a batch from which a few steps of gradient descent are tried."""


class Explored(NamedTuple):
    """What has become of a part: `bounded` subproblems in `steps` batches, the deepest at `depth`. closed: depths of those that are;
    stuck: disjuncts of open ones that cannot be split; open: blocks of the others; due: those of them whose enclosures are to be narrowed.

    unstable: neurons of a subproblem of the last batch, on average. learned: of splits.
    """

    bounded: int
    steps: int
    depth: int
    closed: np.ndarray
    stuck: np.ndarray
    open: Sequence[Splits]
    due: Splits
    points: Points
    unstable: float
    learned: PseudoCosts

    @staticmethod
    def of(tree: Tree, splits: Splits, step: Step, context: Context) -> Explored:
        """A single step with `splits`, of which the tree has learned already."""
        rest = splits.select(slice(0, 0)), candidates(tree, step, context), step.unstable, PseudoCosts(tree.neurons.total)
        return Explored(len(splits), 1, int(splits.depth.max()), splits.depth[step.closed], splits.disjunct[:0], [step.open], *rest)


@dataclass(frozen=True, eq=False)
class Exploration:
    """width: subproblems that are split at once. due: which of some subproblems (B,) are to be narrowed rather than split."""

    tree: Tree
    effort: Effort
    width: int
    context: Context
    due: Callable[[Splits], np.ndarray]

    def run(self, share: Splits, budget: float, seconds: float) -> Explored:
        """At least a batch of `share`, and no more once `budget` subproblems are bounded, `seconds` are over, or a point seems to be a
        counterexample."""
        tree, frontier = replace(self.tree, costs=self.tree.costs.copy()), Frontier(share)
        begin, stuck, bounded, steps, depth, unstable = self.context.clock(), [share.disjunct[:0]], 0, 0, 0, 0.0
        due, points, closed = [share.select(slice(0, 0))], [Points.none(tree.graph.input_size)], [np.zeros(0, np.int64)]
        while frontier.count and bounded < budget and points[-1].margins.min(initial=np.inf) > 0:
            if steps and (self.context.out_of_time() or self.context.clock() > begin + seconds):
                break
            parents = frontier.pop(self.width)
            divisible = parents.choice >= 0
            stuck.append(parents.disjunct[~divisible])
            parents = parents.select(divisible)
            narrowed = self.due(parents)
            due.append(parents.select(narrowed))
            parents, gone, found = self._undecided(tree, parents.select(~narrowed))
            closed.append(gone)
            if len(parents):
                children, step = self._step(tree, parents)
                frontier.push(step.open)
                closed.append(children.depth[step.closed])
                found = Points.joined([found, candidates(tree, step, self.context)])
                bounded, steps, unstable = bounded + len(children), steps + 1, step.unstable
                depth = max(depth, int(children.depth.max()))
            points.append(found)
        return Explored(
            bounded,
            steps,
            depth,
            np.concatenate(closed),
            np.concatenate(stuck),
            list(frontier),
            Splits.concatenate(due),
            Points.joined(points),
            unstable,
            tree.costs.since(self.tree.costs),
        )

    def _undecided(self, tree: Tree, parents: Splits) -> tuple[Splits, np.ndarray, Points]:
        """(the parents that stay open, depths of those that do not, points that may be counterexamples): those with no neuron left to
        split are decided by their linear programs, as far as they can be; their inputs are split otherwise."""
        last = np.flatnonzero(parents.choice >= tree.neurons.total)
        if not len(last):
            return parents, last, Points.none(tree.graph.input_size)
        closed, points = decided(tree, parents.select(last), self.context)
        return parents.select(np.setdiff1d(np.arange(len(parents)), last[closed])), parents.depth[last[closed]], points

    def _step(self, tree: Tree, parents: Splits) -> tuple[Splits, Step]:
        """The children of all, and what became of them."""
        children = parents.children()
        step = advance(tree, children, self.effort, self.context)
        mine = learned_gains(tree, children, step)
        both = np.stack([mine, np.roll(mine, len(parents))], axis=1)
        return children, replace(step, open=step.open.after_split(both[~step.closed]))


def candidates(tree: Tree, step: Step, context: Context) -> Points:
    """The relaxed minimisers of the open subproblems on the network, the best ones after a few steps of descent as well."""
    if not len(step.points):
        return Points.none(tree.graph.input_size)
    fast, total = tree.proposals, tree.neurons.total
    y = to_numpy(tree.graph.to(fast).evaluate(fast.asarray(step.points))).astype(np.float64)
    best = Points(step.points, step.which, tree.targets.margins(step.points, y, step.which)).best(_POLISHED)
    few = numpy_arrays(single=True)  # for so few points a GPU's start of an operation takes longer than the operation
    limits = tree.below[total:], tree.above[total:]
    polished = descend(tree.graph, few, tree.targets, best.x, best.which, *limits, Steps(10), context.out_of_time)
    return Points.joined([Points(polished.x, polished.which, polished.margin), best]).best(_POLISHED)
