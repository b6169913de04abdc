"""When the whole boxes are attacked: once before the search, then again and harder while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from verifier.arrays import Arrays, to_numpy, varying
from verifier.attack import gradient
from verifier.attack.witness import Witness
from verifier.bounds.cost import row_cost
from verifier.config import Settings
from verifier.parallel import Late
from verifier.search.events import Event
from verifier.search.outcome import Context
from verifier.search.query import Query

_NUMBERS = 8_000_000
"""Numbers that the values of all nodes may hold while points are attacked together."""
_BLOCK = 512
"""Descents that a core makes together: where a round ends by its time, those before have all their steps."""
_WIDE = 50
"""Inputs from which on there are long descents beside the usual ones, and fewer of them; with fewer inputs there are jumps."""
_LARGE, _FORKED = 2e8, 0.1
"""Time of all descents, as `row_cost`, and seconds that there are for them, from which on other cores are worth a fork."""
_POOL = 32
"""Times as many random points as are descended from are evaluated, in a quarter of the time of the descents. On ACAS Xu 2_9 prop_8, 41
of the 1,800 best of 180,000 points lead to a counterexample, 16 of the 1,800 best of 60,000, and none of 18,000 others."""
_POOL_SHARE = 0.2
"""Part of a round's time that this may take: large networks take longer for a point than for its comparison."""
_SHARE, _SOONER, _SECONDS, _PAUSE = 0.05, 0.1, 10.0, 1.5
"""Part of the time so far that a round may take, as much more for few inputs in the first seconds, of about so many, and times as much of
it as has to pass until the next round. With eight seeds and no jumps, ACAS Xu 1_9 prop_7 takes 9 s on average with no more in the first
seconds, 4 s with it; images, whose gradients lead to a counterexample at once or not at all, lose time by it."""


class Kind(NamedTuple):
    """Of descents: times as many steps and as many starting points as is usual, sizes of the steps, and whether half of the starting points
    are the best of many."""

    longer: float
    more: float
    first: float
    last: float
    chosen: bool

    def steps(self, usual: int) -> gradient.Steps:
        return gradient.Steps(max(1, round(self.longer * usual)), self.first, self.last)


_USUAL = Kind(1.0, 1.0, 0.2, 0.01, True)
_LONG = Kind(4.0, 0.125, 0.2, 0.01, True)
"""On marabou_cifar10 index1783, 44 of 60 descents of 200 steps lead to a counterexample, none of 60 steps."""
_JUMPS = Kind(1 / 6, 6.0, 0.4, 0.4, False)
"""Few large steps from any points: where a gradient leads away from a small region, only steps that are too long get there. Of 200,000
such descents on ACAS Xu 1_9 prop_7 41 lead to a counterexample, in at most 10 steps; of 40,000 usual ones 4, also in the first 10."""


class Violated(Exception):
    """A counterexample was found on the way to something else."""

    def __init__(self, witness: Witness):
        self.witness = witness


@dataclass(eq=False)
class AttackRounds:
    """Gradient descent of several kinds from random points; each round has eight times as many as the one before. seconds: of a step of one
    descent of a kind, lately."""

    query: Query
    arrays: Arrays
    settings: Settings
    context: Context
    rounds: int = 0
    due: float = 0.0
    gap: float = np.inf
    seconds: dict[Kind, float] = field(default_factory=dict)

    def run_if_due(self) -> Witness | None:
        """A confirmed counterexample from the next round, if one is due: the first at once, others whenever the time has grown by half."""
        now = self.context.clock()
        if self.settings.attack.restarts == 0 or now < self.due or self.context.out_of_time():
            return None
        first = self.rounds == 0
        left = self.context.deadline - now
        share = _SHARE + (0.0 if self._wide else _SOONER / (1.0 + now / _SECONDS))
        limit = now + (min(2.0, _SHARE * left) if first else max(0.05, share * now))
        kinds = (_USUAL, _LONG) if self._wide else (_USUAL, _JUMPS)
        try:
            for i, kind in enumerate(kinds, 1):
                witness = self._round(kind, now + i / len(kinds) * (limit - now))
                if witness is not None:
                    return witness
        except Late:
            return None
        self.rounds = min(self.rounds + 1, 4)
        self.due = max(0.5, _PAUSE * self.context.clock())
        return None

    def interrupt(self) -> None:
        """The next round, if one is due; raises Violated where it finds a counterexample."""
        witness = self.run_if_due()
        if witness is not None:
            raise Violated(witness)

    @cached_property
    def _wide(self) -> bool:
        """Many inputs vary."""
        return int(varying(self.query.lower, self.query.upper).any(axis=0).sum()) >= _WIDE

    def _until(self, limit: float) -> Callable[[], bool]:
        return lambda: self.context.out_of_time() or self.context.clock() > limit

    def _round(self, kind: Kind, limit: float) -> Witness | None:
        restarts, steps = kind.more * self.settings.attack.restarts * 8**self.rounds, kind.steps(self.settings.attack.steps)
        count = len(self.query.lower)
        width = sum(node.size for node in self.query.graph.nodes)
        # Fewer descents that come to their end find more than many that are cut short.
        fit = (limit - self.context.clock()) / (self.seconds[kind] * steps.count) if self.seconds.get(kind) else np.inf
        each = max(2, int(min(restarts, fit) / count))
        together = max(1, int(_NUMBERS // (width * min(each, _BLOCK))))
        block = min(each, _BLOCK * self.context.workers.cores, max(2, int(_NUMBERS // width)))
        for begin in range(0, each, block):
            for first in range(0, count, together):
                found = self._shared(np.arange(first, min(count, first + together)), min(block, max(2, each - begin)), kind, limit)
                self.gap = min(self.gap, float(found.margin[0]))
                self.context.report(Event("A", self.context.clock(), attack_gap=self.gap))
                witness = self.context.gate.first(found.x, found.which, found.margin)
                if witness is not None or self._until(limit)():
                    return witness
        return None

    def _shared(self, part: np.ndarray, each: int, kind: Kind, limit: float) -> gradient.Candidates:
        """`each` descents for every disjunct of `part`, on all cores if that pays."""
        workers, steps = self.context.workers, kind.steps(self.settings.attack.steps).count
        work = float(len(part)) * each * steps * row_cost(self.query.graph)
        start = self.context.clock()
        cores = min(workers.cores, each // 2) if work > _LARGE and limit - self.context.clock() > _FORKED else 1
        rngs = self.context.rng.spawn(cores)
        found = workers.map(lambda rng: self._descend(part, -(-each // cores), kind, limit, rng), rngs)
        taken = (self.context.clock() - start) / (len(part) * each * steps)
        # Few descents are slower for each of them: the best time is the one of many. What was cut short says that it is slower than that.
        known = self.seconds.get(kind) or taken
        self.seconds[kind] = 2.0 * max(known, taken) if self._until(limit)() else min(known, taken)
        x, which, margin = (np.concatenate([getattr(f, name) for f in found]) for name in ("x", "which", "margin"))
        order = np.argsort(margin, kind="stable")
        return gradient.Candidates(x[order], which[order], margin[order])

    def _descend(self, part: np.ndarray, each: int, kind: Kind, limit: float, rng: np.random.Generator) -> gradient.Candidates:
        query, which, now = self.query, np.repeat(part, each), self.context.clock()
        enough = self._until(now + _POOL_SHARE * (limit - now) if kind.chosen else -np.inf)
        x = np.concatenate([self._starts(k, each, enough, rng) for k in part])
        box, steps = (query.lower[which], query.upper[which]), kind.steps(self.settings.attack.steps)
        return gradient.descend(query.graph, self.arrays, query.targets, x, which, *box, steps, self._until(limit))

    def _starts(self, k: int, count: int, stop: Callable[[], bool], rng: np.random.Generator) -> np.ndarray:
        """(count, n): random points of the box of disjunct k, half of them the best ones of many more."""
        query, graph = self.query, self.query.graph.to(self.arrays)
        x = gradient.starting_points(query.lower[k], query.upper[k], count, rng)
        best, margins = x[: count // 2], np.full(count // 2, np.inf)
        for _ in range(_POOL):
            if stop():
                break
            more = gradient.starting_points(query.lower[k], query.upper[k], count, rng)
            points = self.arrays.asarray(more) if graph.ball is None else graph.ball.project(self.arrays.asarray(more))
            y = to_numpy(graph.evaluate(points)).astype(np.float64)
            margins = np.concatenate([margins, query.targets.margins(more, y, np.full(count, k))])
            order = np.argsort(margins, kind="stable")[: count // 2]
            best, margins = np.concatenate([best, more])[order], margins[order]
        return np.concatenate([x[count // 2 :], best])
