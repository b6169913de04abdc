"""Branch and bound on neurons: pre-activations are split at a kink (or a chosen point of a smooth function)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from verifier.arrays import numpy_arrays, to_numpy
from verifier.attack.gradient import descend
from verifier.attack.witness import Witness
from verifier.bounds.ascent import Schedule
from verifier.parallel import Late
from verifier.search.attack_rounds import AttackRounds
from verifier.search.frontier import Frontier
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.splits import Splits
from verifier.search.subproblems import Step, advance, learned_gains
from verifier.search.tightening import Tightening, growth
from verifier.search.tree import Tree

_HOPELESS = 20.0
"""What the growth of a tree foretells is only a guess: so many times too large it has to be to be believed."""
_PATIENCE = 4.0
"""Times as many subproblems as planned after which it does not matter how few seem to be needed."""
_POLISHED = 8
"""Points of a batch from which a few steps of gradient descent are tried."""


@dataclass(eq=False)
class Search:
    """Closes every subproblem of `start`, each with its next split chosen, or finds a counterexample.

    batch: subproblems bounded at once. spent: seconds on splits; seconds: of one subproblem, lately.
    """

    tree: Tree
    start: Splits
    context: Context
    batch: int
    schedule: Schedule
    look_ahead: int
    tightening: Tightening
    rounds: AttackRounds
    progress: Progress = field(init=False)
    frontier: Frontier[Splits] = field(init=False)
    stuck: int = 0
    seconds: float = 0.0
    spent: float = 0.0

    def __post_init__(self) -> None:
        self.progress = Progress(self.context, float(len(self.start)))
        self.frontier = Frontier(self.start)

    def run(self, splits_alone: Callable[[int], float] | None = None) -> Outcome | None:
        """splits_alone: narrow no enclosures, and stop with None after that many subproblems, for a number of open disjuncts, unless few
        more are needed, or when far more than that are."""
        progress, frontier = self.progress, self.frontier
        while frontier.count:
            if self.context.out_of_time():
                return self.late()
            if splits_alone is not None:
                enough = splits_alone(len(self.open_disjuncts))
                needed, spent = self.needed(), progress.nodes / max(enough, 1e-9)
                if needed > _HOPELESS * enough or (spent >= 1.0 and needed > 0.5 * enough) or spent >= _PATIENCE:
                    return None
            parents = frontier.pop(max(1, self.batch // 2))
            undecidable = parents.choice < 0
            self.stuck += int(undecidable.sum())
            if undecidable.all():
                continue
            parents = parents.select(~undecidable)
            try:
                bounded, step = self._step(parents, splits_alone is not None)
            except Late:
                return self.late(float(parents.bound.min()))
            witness = self._account(bounded, step) or self.rounds.run_if_due()
            if witness is not None:
                return Outcome(False, witness, progress.nodes, step.lowest, progress.share)
        return Outcome(self.stuck == 0, None, progress.nodes, 0.0, progress.share, exhausted=self.stuck > 0)

    def needed(self) -> float:
        """About how many subproblems are still to come, as far as gains are known."""
        return float(sum(np.nansum(np.exp(np.minimum(-growth(block.gains) * block.bound, 100.0))) for block in self.frontier))

    def late(self, worst: float = float("inf")) -> Outcome:
        """What is known where the time is over. worst: least bound of what is open beside the frontier."""
        return Outcome(False, None, self.progress.nodes, min(worst, self.frontier.worst_bound()), self.progress.share)

    @property
    def open_disjuncts(self) -> np.ndarray:
        """Those with an open subproblem."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(block.disjunct for block in self.frontier)]))

    def resumed(self, roots: Splits) -> Outcome | None:
        """`run` after the enclosures of whole disjuncts were narrowed: `roots` (K,) are what is open of those, without splits."""
        everything = self.frontier.pop(self.frontier.count)
        mine = everything.disjunct[:, None] == roots.disjunct
        still = mine.any(axis=1)
        self.progress.closed(everything.depth[~still])
        if still.any():
            self.frontier.push(replace(everything.select(still), domain=roots.domain[mine[still].argmax(axis=1)]))
        return self.run()

    def _account(self, bounded: Splits, step: Step) -> Witness | None:
        """Keep what became of `bounded`; a counterexample if its points lead to one."""
        progress = self.progress
        progress.iteration += 1
        progress.nodes += len(bounded)
        progress.depth = max(progress.depth, int(bounded.depth.max()))
        progress.closed(bounded.depth[step.closed])
        witness = attack(self.tree, step, self.context, progress)
        self.frontier.push(step.open)
        progress.batch(self.frontier.count, step.unstable, self.frontier.worst_bound())
        return witness

    def _step(self, parents: Splits, splits_alone: bool) -> tuple[Splits, Step]:
        """(subproblems, what became of them): those of `parents` whose enclosures are due to be narrowed, the others going back to
        the frontier; or, where none are, the children of all."""
        due = np.zeros(len(parents), bool) if splits_alone else self.tightening.due(parents, self.seconds, self.spent)
        if due.any():
            self.frontier.push(parents.select(~due))
            return parents.select(due), self.tightening.run(parents.select(due), self.seconds)
        # Where no neuron is left to split, only better multipliers (or smaller boxes) can help.
        last = bool(np.any(parents.choice >= self.tree.neurons.total))
        schedule = replace(self.schedule, iterations=5 * self.schedule.iterations) if last else self.schedule
        children, start = parents.children(), self.context.clock()
        step = advance(self.tree, children, schedule, self.look_ahead, self.context)
        taken = self.context.clock() - start
        self.spent, self.seconds = self.spent + taken, taken / len(children)
        mine = learned_gains(self.tree, children, step)
        both = np.stack([mine, np.roll(mine, len(parents))], axis=1)
        return children, replace(step, open=step.open.after_split(both[~step.closed]))


def attack(tree: Tree, step: Step, context: Context, progress: Progress) -> Witness | None:
    """The relaxed minimisers of the open subproblems on the real network, the best ones after a few steps of descent."""
    if not len(step.points):
        return None
    fast, total = tree.proposals, tree.neurons.total
    y = to_numpy(tree.graph.to(fast).evaluate(fast.asarray(step.points))).astype(np.float64)
    margins = tree.targets.margins(step.points, y, step.which)
    best = np.argsort(margins, kind="stable")[:_POLISHED]
    x, which = step.points[best], step.which[best]
    few = numpy_arrays(single=True)  # for so few points a GPU's start of an operation takes longer than the operation
    polished = descend(tree.graph, few, tree.targets, x, which, tree.below[total:], tree.above[total:], 10, context.out_of_time)
    x, which, margins = (np.concatenate(pair) for pair in zip((polished.x, polished.which, polished.margin), (x, which, margins[best])))
    progress.attack_gap = min(progress.attack_gap, float(margins.min()))
    return context.gate.first(x, which, margins, most=4)
