"""What every search returns, and what it needs to know of the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from verifier.attack.witness import Gate, Witness
from verifier.parallel import Workers
from verifier.search.events import Event


@dataclass(frozen=True, eq=False)
class Context:
    """clock: seconds since the start; deadline on that clock; interrupted: asked once a batch; gate: confirms candidates;
    report: progress events; rng: all randomness;
    workers: the cores."""

    clock: Callable[[], float]
    deadline: float
    interrupted: Callable[[], bool]
    gate: Gate
    report: Callable[[Event], None]
    rng: np.random.Generator
    workers: Workers

    def out_of_time(self) -> bool:
        return self.interrupted() or self.clock() >= self.deadline


class Outcome(NamedTuple):
    """proved: every subproblem of every disjunct was closed. witness: a confirmed counterexample. Neither: out of time.

    lower_bound: for people. undefined: what cannot be bounded at all, in words. open_bound: a rigorous one: at every counterexample, as
    far as no closed subproblem excludes it, the largest row of its disjunct is at least this; -inf where none is known.
    """

    proved: bool
    witness: Witness | None
    subproblems: int
    lower_bound: float
    proved_share: float
    exhausted: bool = False
    undefined: str = ""
    open_bound: float = -np.inf

    @staticmethod
    def late() -> Outcome:
        """Of a search whose time ran out before it knew anything, or whose last batch did not end in time."""
        return Outcome(False, None, 0, -np.inf, 0.0)


def joined(outcomes: Sequence[Outcome], wanted: int) -> Outcome:
    """Of `wanted` parts of a query, which were searched until a counterexample was found or the time was over."""
    finished = len(outcomes) == wanted and all(o.proved or o.exhausted for o in outcomes)
    return Outcome(
        proved=finished and all(o.proved for o in outcomes),
        witness=next((o.witness for o in outcomes if o.witness is not None), None),
        subproblems=sum(o.subproblems for o in outcomes),
        lower_bound=min(o.lower_bound for o in outcomes),
        proved_share=sum(o.proved_share for o in outcomes) / wanted,
        exhausted=finished and any(o.exhausted for o in outcomes),  # a part that ran out of time may have ended well with more
    )


@dataclass(eq=False)
class Progress:
    """Running totals of one search, and the events made from them."""

    context: Context
    total_weight: float
    iteration: int = 0
    nodes: int = 0
    closed_weight: float = 0.0
    depth: int = 0
    attack_gap: float = np.inf
    last_report: float = field(default=-np.inf)

    def closed(self, depths: np.ndarray) -> None:
        self.closed_weight += float(np.sum(0.5 ** depths.astype(float)))

    @property
    def share(self) -> float:
        return min(1.0, self.closed_weight / self.total_weight)

    def batch(self, open_count: int, unstable: float, lower_bound: float, interval: float = 1.0) -> None:
        """One line a second at most."""
        now = self.context.clock()
        if now - self.last_report >= interval:
            self.last_report = now
            self.context.report(
                Event(
                    kind="B",
                    seconds=now,
                    iteration=self.iteration,
                    nodes=self.nodes,
                    open=open_count,
                    depth=self.depth,
                    unstable=int(unstable),
                    lower_bound=lower_bound,
                    attack_gap=self.attack_gap,
                    proved=self.share,
                )
            )
