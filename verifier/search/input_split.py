"""Branch and bound on the input box, for networks with few inputs that vary.

Every core explores a part of the open boxes on its own for a while, as what is exchanged after every step would take longer
than the step; what is left open is shared out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from verifier.arrays import Arrays
from verifier.attack.gradient import Steps, descend
from verifier.attack.witness import Witness
from verifier.parallel import Late, Workers
from verifier.search.attack_rounds import AttackRounds
from verifier.search.boxes import Boxes
from verifier.search.frontier import Frontier, WorstFirst
from verifier.search.halving import Halving, Step
from verifier.search.outcome import Outcome, Progress
from verifier.search.points import Points
from verifier.search.query import Query

_NUMBERS = 50_000_000
"""Numbers that boxes may hold which wait with the worst first."""
_POLISHED = 8
"""Points from which a few steps of gradient descent are tried."""
_FIRST, _STEPS = 128, 4
"""Boxes that are bounded before what is open is shared out: at first, and in steps later."""
_SHARED = 4
"""Steps' worth of boxes that a core is given, if there are as many: a part that is soon done leaves its core without work."""


class Explored(NamedTuple):
    """What a core has done: its steps, without their open boxes, those, and points after a few steps of descent."""

    steps: Sequence[Step]
    open: Sequence[Boxes]
    points: Points


@dataclass(eq=False)
class Search:
    """Closes every box of `roots` or finds a counterexample. `fast` serves the attack. batch: boxes bounded in one step.
    worst_first: open boxes improve the bound of the outcome all the time."""

    query: Query
    halving: Halving
    fast: Arrays
    batch: int
    attack: AttackRounds
    worst_first: bool
    progress: Progress = field(init=False)
    stuck: int = 0
    stuck_bound: float = np.inf

    def run(self, roots: Boxes) -> Outcome:
        context = self.halving.context
        self.progress = progress = Progress(context, float(len(roots)))
        first = self.halving.settled(self.halving.bound(roots))
        frontier = self._frontier(first.open)
        found = [Explored([first._replace(open=first.open.select(slice(0, 0)))], [], self._polished([first.points]))]
        while True:
            for part in found:
                for block in part.open:
                    frontier.push(block)
            witness = self._account(found, frontier) or self.attack.run_if_due()
            if witness is not None:
                return Outcome(False, witness, progress.nodes, frontier.worst_bound(), progress.share)
            if frontier.count == 0:
                stuck = self.stuck > 0
                return Outcome(not stuck, None, progress.nodes, 0.0, progress.share, exhausted=stuck, open_bound=self.stuck_bound)
            if context.out_of_time():
                return self._unfinished(frontier)
            shares = self._shares(frontier)
            try:
                found = self._explored(shares)
            except Late:
                for share in shares:
                    frontier.push(share)
                return self._unfinished(frontier)

    @property
    def _width(self) -> int:
        """Boxes that are halved in one step."""
        return max(1, self.batch // (2 * self.halving.look_ahead))

    @property
    def _budget(self) -> int:
        """Boxes that a core bounds before what is open is shared out anew; as long as there are few of them, soon."""
        return min(_STEPS * self.batch, max(_FIRST, self.progress.nodes // 2))

    def _frontier(self, start: Boxes) -> Frontier[Boxes] | WorstFirst[Boxes]:
        total = self.halving.neurons.total
        return WorstFirst(start, _NUMBERS // (2 * total + 1)) if self.worst_first else Frontier(start)

    def _shares(self, frontier: Frontier[Boxes] | WorstFirst[Boxes]) -> list[Boxes]:
        """One for every core, of boxes that are about as far; one alone where boxes are few, or bounded on all cores."""
        cores = self.halving.context.workers.cores
        if self.halving.dear or cores == 1 or frontier.count < self._width:
            return [frontier.pop(self._width)]
        popped = frontier.pop(cores * _SHARED * self._width)
        return [popped.select(slice(i, None, cores)) for i in range(min(cores, len(popped)))]

    def _explored(self, shares: Sequence[Boxes]) -> list[Explored]:
        if self.halving.dear:
            return [self._explore(self.halving, share, 1) for share in shares]
        context = self.halving.context
        alone = replace(self.halving, context=replace(context, workers=Workers(1)))
        return context.workers.map(lambda share: self._explore(alone, share, self._budget), shares)

    def _explore(self, halving: Halving, boxes: Boxes, budget: int) -> Explored:
        """At least a step, and no more once `budget` boxes are bounded, or a point seems to be a counterexample."""
        frontier, count, late = self._frontier(boxes), 0, halving.context.out_of_time
        steps: list[Step] = []
        while frontier.count and count < budget and not (steps and (late() or steps[-1].points.margins.min(initial=np.inf) <= 0)):
            popped = frontier.pop(self._width)
            try:
                step = halving.step(popped)
            except Late:
                if not steps:
                    raise
                frontier.push(popped)
                break
            count += step.bounded
            frontier.push(step.open)
            steps.append(step._replace(open=step.open.select(slice(0, 0))))
        return Explored(steps, list(frontier), self._polished([step.points for step in steps]))

    def _polished(self, points: Sequence[Points]) -> Points:
        """The best points, and what a few steps of descent make of them."""
        best = Points.joined(points).best(_POLISHED)
        if not len(best.x):
            return best
        lower, upper = self.query.lower[best.which], self.query.upper[best.which]
        out_of_time = self.halving.context.out_of_time
        found = descend(self.query.graph, self.fast, self.query.targets, best.x, best.which, lower, upper, Steps(10), out_of_time)
        return Points.joined([Points(found.x, found.which, found.margin), best])

    def _account(self, found: Sequence[Explored], frontier: Frontier[Boxes] | WorstFirst[Boxes]) -> Witness | None:
        """Keep what was done; a counterexample if a point is one."""
        progress, steps = self.progress, [step for part in found for step in part.steps]
        progress.iteration += len(steps)
        for step in steps:
            progress.nodes += step.bounded
            progress.depth = max(progress.depth, step.depth)
            progress.closed(step.closed)
            self.stuck += step.stuck[1]
            self.stuck_bound = float(np.minimum(self.stuck_bound, step.stuck[0]))
        points = Points.joined([part.points for part in found])
        progress.attack_gap = min(progress.attack_gap, float(points.margins.min(initial=np.inf)))
        witness = self.halving.context.gate.first(*points) if len(points.x) else None
        progress.batch(frontier.count, steps[-1].unstable, frontier.worst_bound())
        return witness

    def _unfinished(self, frontier: Frontier[Boxes] | WorstFirst[Boxes]) -> Outcome:
        progress, worst = self.progress, frontier.worst_bound()
        return Outcome(False, None, progress.nodes, worst, progress.share, open_bound=float(np.minimum(worst, self.stuck_bound)))
