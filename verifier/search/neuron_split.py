"""Branch and bound on neurons: pre-activations are split at a kink (or a chosen point of a smooth function).

Every core explores a part of the open subproblems on its own for a while, as what is exchanged after every batch would take
longer than a batch of a small network; what is left open is shared out anew. Subproblems whose enclosures are due to be narrowed
wait for that, which all cores do together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from verifier.attack.witness import Witness
from verifier.parallel import Late, Workers
from verifier.search.attack_rounds import AttackRounds
from verifier.search.exploration import Exploration, Explored
from verifier.search.frontier import Frontier
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.points import Points
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort
from verifier.search.tightening import Tightening, growth
from verifier.search.tree import Tree

_HOPELESS = 0.25
"""Part of the subproblems planned for splits alone that may seem to be needed: what the growth of a tree foretells is too few at first, by
a factor of 10 for three queries of oval21 and cifar10_resnet and of 2 to 5 later, and twice too many for one of mnist_fc."""
_PATIENCE = 4.0
"""Times as many subproblems as planned after which it does not matter how few seem to be needed."""
_FIRST, _STEPS = 64, 4
"""Subproblems that a core bounds before what is open is shared out anew: at first, and in batches later."""
_SHARED = 4
"""Batches' worth of subproblems that a core is given, if there are as many: a part that is soon done leaves its core without work."""
_ALONE = 0.1
"""Seconds of work from which on a batch is worth a fork."""
_APART = 1.0
"""Seconds after which what is open is shared out anew at the latest."""


@dataclass(eq=False)
class Search:
    """Closes every subproblem of `start`, each with its next split chosen, or finds a counterexample.

    batch: subproblems bounded at once. stuck: disjuncts of those that are open and cannot be split. spent: seconds on splits; seconds:
    of one subproblem, lately, with all cores at work.
    """

    tree: Tree
    start: Splits
    context: Context
    batch: int
    effort: Effort
    tightening: Tightening
    rounds: AttackRounds
    progress: Progress = field(init=False)
    frontier: Frontier[Splits] = field(init=False)
    stuck: set[int] = field(default_factory=set)
    seconds: float = 0.0
    spent: float = 0.0

    def __post_init__(self) -> None:
        self.progress = Progress(self.context, float(len(self.start)))
        self.frontier = Frontier(self.start)

    def run(self, splits_alone: Callable[[int], float] | None = None) -> Outcome | None:
        """splits_alone: narrow no enclosures, and stop with None when much more than so many subproblems, for a number of open disjuncts,
        seem to be needed."""
        progress, frontier, room = self.progress, self.frontier, np.inf
        while frontier.count:
            if self.context.out_of_time():
                return self.late()
            if splits_alone is not None:
                enough = splits_alone(len(self.open_disjuncts))
                if self.needed() > _HOPELESS * enough or progress.nodes >= _PATIENCE * enough:
                    return None
                room = enough - progress.nodes if progress.nodes < enough else np.inf
            witness = self._advanced(splits_alone is not None, room) or self.rounds.run_if_due()
            if witness is not None:
                return Outcome(False, witness, progress.nodes, frontier.worst_bound(), progress.share)
        return Outcome(not self.stuck, None, progress.nodes, 0.0, progress.share, exhausted=bool(self.stuck))

    def needed(self) -> float:
        """About how many subproblems are still to come, as far as gains are known. What the last few splits of one gained is little to go
        by: half of it is what those of all did."""
        blocks = [block for block in self.frontier if len(block)]
        known = [block.gains[~np.isnan(block.gains).any(axis=(1, 2))] for block in blocks]
        if not sum(map(len, known)):
            return 0.0
        mean = np.concatenate(known).mean(axis=(0, 1))
        return float(sum(np.nansum(np.exp(np.minimum(-growth(0.5 * b.gains + 0.5 * mean) * b.bound, 100.0))) for b in blocks))

    def late(self) -> Outcome:
        """What is known where the time is over."""
        return Outcome(False, None, self.progress.nodes, self.frontier.worst_bound(), self.progress.share)

    @property
    def open_disjuncts(self) -> np.ndarray:
        """Those with an open subproblem, whether it can be split or not."""
        return np.unique(np.concatenate([np.array(sorted(self.stuck), np.int64), *(block.disjunct for block in self.frontier)]))

    def resumed(self, roots: Splits) -> Outcome | None:
        """`run` after the enclosures of whole disjuncts were narrowed: `roots` (K,) are what is open of those, without splits."""
        everything = self.frontier.pop(self.frontier.count)
        mine = everything.disjunct[:, None] == roots.disjunct
        still = mine.any(axis=1)
        self.progress.closed(everything.depth[~still])
        if still.any():
            self.frontier.push(replace(everything.select(still), domain=roots.domain[mine[still].argmax(axis=1)]))
        return self.run()

    @property
    def _width(self) -> int:
        """Subproblems that are split at once."""
        return max(1, self.batch // 2)

    def _advanced(self, splits_alone: bool, room: float) -> Witness | None:
        """Narrow those first in the frontier that are due, or split; a counterexample if one is found. room: subproblems that may be
        bounded."""
        first = self.frontier.pop(self._width)
        due = np.zeros(len(first), bool) if splits_alone else self._due(first)
        self.frontier.push(first.select(~due))
        if due.any():
            return self._narrowed(first.select(due))
        shares, start = self._shares(), self.context.clock()
        try:
            found = self._explored(shares, splits_alone, room)
        except Late:
            for share in shares:
                self.frontier.push(share)
            return None
        taken, bounded = self.context.clock() - start, sum(part.bounded for part in found)
        self.spent += taken
        self.seconds = taken / bounded if bounded else self.seconds
        self.tree.costs.add([part.learned for part in found])
        return self._account(found)

    def _shares(self) -> list[Splits]:
        """One for every core, of subproblems that are about as far; a single one where they are few."""
        cores = self.context.workers.cores
        if cores == 1 or self.frontier.count < 2 * cores:
            return [self.frontier.pop(self._width)]
        popped = self.frontier.pop(cores * _SHARED * self._width)
        return [popped.select(slice(i, None, cores)) for i in range(cores)]

    def _explored(self, shares: Sequence[Splits], splits_alone: bool, room: float) -> list[Explored]:
        """A batch of a single share, on all cores if that pays; several are worked on by a core each."""
        alone = replace(self.context, workers=Workers(1))
        due = (lambda splits: np.zeros(len(splits), bool)) if splits_alone else self._due
        exploration = Exploration(self.tree, self.effort, self._width, alone, due)
        if len(shares) == 1:
            if 2 * len(shares[0]) * self.seconds >= _ALONE:
                exploration = replace(exploration, context=self.context)
            return [exploration.run(shares[0], 1, _APART)]
        if any((share.choice >= self.tree.neurons.total).any() for share in shares):
            _ = self.tree.network.program  # before the fork
        budget = min(_STEPS * self.batch, max(_FIRST, self.progress.nodes // 2), max(1.0, room / len(shares)))
        return self.context.workers.map(lambda share: exploration.run(share, budget, _APART), shares)

    def _due(self, splits: Splits) -> np.ndarray:
        return self.tightening.due(splits, self.seconds, self.spent)

    def _narrowed(self, splits: Splits) -> Witness | None:
        try:
            step = self.tightening.run(splits, self.seconds)
        except Late:
            self.frontier.push(splits)
            return None
        return self._account([Explored.of(self.tree, splits, step, self.context)])

    def _account(self, found: Sequence[Explored]) -> Witness | None:
        """Keep what was done; a counterexample if a point is one."""
        progress = self.progress
        for part in found:
            progress.iteration += part.steps
            progress.nodes += part.bounded
            progress.depth = max(progress.depth, part.depth)
            progress.closed(part.closed)
            self.stuck.update(map(int, part.stuck))
            for block in part.open:
                self.frontier.push(block)
        for part in found:
            self.frontier.push(part.due)
        points = Points.joined([part.points for part in found])
        progress.attack_gap = min(progress.attack_gap, float(points.margins.min(initial=np.inf)))
        witness = self.context.gate.first(*points) if len(points.x) else None
        progress.batch(self.frontier.count, max(part.unstable for part in found), self.frontier.worst_bound())
        return witness
