"""When the whole boxes are attacked: once before the search, then again and harder while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from verifier.arrays import Arrays
from verifier.attack import gradient
from verifier.attack.witness import Witness
from verifier.config import Settings
from verifier.search.events import Event
from verifier.search.outcome import Context
from verifier.search.query import Query

_NUMBERS = 8_000_000
"""Numbers that the values of all nodes may hold while points are attacked together."""
_SHARE = 0.05
"""Part of the time that attacks of whole boxes may take."""


@dataclass(eq=False)
class AttackRounds:
    """Gradient descent from random points; each round has eight times the starting points of the one before."""

    query: Query
    arrays: Arrays
    settings: Settings
    context: Context
    rounds: int = 0
    due: float = 0.0
    gap: float = np.inf

    def run_if_due(self) -> Witness | None:
        """A confirmed counterexample from the next round, if one is due: the first at once, later ones as the time doubles."""
        now = self.context.clock()
        if self.settings.attack.restarts == 0 or now < self.due or self.context.out_of_time():
            return None
        first = self.rounds == 0
        left = self.context.deadline - now
        limit = now + (min(2.0, _SHARE * left) if first else max(0.05, _SHARE * now))
        witness = self._round(
            self.settings.attack.restarts * 8**self.rounds, lambda: self.context.out_of_time() or self.context.clock() > limit
        )
        self.rounds = min(self.rounds + 1, 4)
        self.due = max(0.5, 2.0 * self.context.clock())
        return witness

    def _round(self, restarts: int, stop: Callable[[], bool]) -> Witness | None:
        count = len(self.query.lower)
        width = sum(node.size for node in self.query.graph.nodes)
        each = max(2, restarts // count)
        together = max(1, int(_NUMBERS // (width * min(each, 4096))))
        for first in range(0, count, together):
            found = self._descend(np.arange(first, min(count, first + together)), min(each, max(2, int(_NUMBERS // width))), stop)
            self.gap = min(self.gap, float(found.margin[0]))
            self.context.report(Event("A", self.context.clock(), attack_gap=self.gap))
            witness = self.context.gate.first(found.x, found.which, found.margin)
            if witness is not None or stop():
                return witness
        return None

    def _descend(self, part: np.ndarray, each: int, stop: Callable[[], bool]) -> gradient.Candidates:
        query, which = self.query, np.repeat(part, each)
        x = np.concatenate([gradient.starting_points(query.lower[k], query.upper[k], each, self.context.rng) for k in part])
        return gradient.descend(
            query.graph, self.arrays, query.targets, x, which, query.lower[which], query.upper[which], self.settings.attack.steps, stop
        )
