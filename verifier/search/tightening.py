"""When the enclosures of a subproblem's neurons are narrowed (search/constrained_rows.py), and for how many rounds.

Narrower enclosures make the next round's planes better, so rounds with few steps each, which go on from the slopes and
multipliers of the last one, gain more than one round with many. At the root they are repeated while they pay. Further down
they compete with splits: a round that closes a part of the gap is worth the subproblems that it makes unnecessary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from verifier.search.constrained_rows import ConstrainedRows, Starts
from verifier.search.events import Event
from verifier.search.outcome import Context
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort, Step, advance
from verifier.search.tree import Tree

_ROUNDS, _MOST = 2, 3
"""Rounds that a subproblem gets at the root at least, and further down at most at a time."""
_TOGETHER = 16
"""Subproblems whose rounds are run together below the root: few, as what they gain is the best guess for the next ones."""
_REPEATED = {"root": 0.02, "tree": 0.04}
"""Part of the gap that a round has to close to be repeated at once; in the tree splits would help the next one."""
_NEURONS = 64
"""Neurons that are bounded in a round, those to which a subproblem's bound is most sensitive: the fewer, the more rounds there is time for.
On sri_resnet_a 4904 a round of a twentieth, a fifth and all of 1,292 neurons took 1.3, 4.4 and 8 s, where its limit ended it, for five
disjuncts, and closed 41, 49 and 0.5 % of their gaps on average."""
_ROUND_WORK = 1.1
"""Time of a neuron in a round, in subproblems."""
_LONG = 600.0
"""Seconds that nothing is worth waiting for, however much time there is."""
_LEAST_GAIN, _PROBES = 0.02, 0.05
"""Part of the gap that rounds have to close on average to be tried further down; where they do not, part of the time for trying again."""
_SHARE = 100.0
"""Time that rounds further down may take at most, against that of splits, where they close the whole gap; it falls with the square of
what they close."""

Again = Callable[[np.ndarray, Splits], np.ndarray]
"""(numbers of subproblems still open, these after a round) -> (B,) True for another round."""


@dataclass(eq=False)
class Tightening:
    """Of one tree. effort: for the bounds of subproblems. gain: part of the gap that a round closed, and seconds
    that it took, moving averages over subproblems. spent: seconds below the root. starts: by disjunct, from the root."""

    tree: Tree
    effort: Effort
    context: Context
    rows: ConstrainedRows = field(init=False)
    gain: float = 0.2
    seconds: float = 0.0
    spent: float = 0.0
    starts: dict[int, Starts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = ConstrainedRows(self.tree)

    def expected(self, count: int) -> float:
        """Subproblems that could be bounded in the time of the rounds that `count` of them get at the root at least: a neuron has two
        rows, and a row takes as many steps as a subproblem, whose next split is chosen besides."""
        return _ROUNDS * _ROUND_WORK * count * min(_NEURONS, self.tree.neurons.total)

    def root(self, splits: Splits, limit: float) -> Splits:
        """What is open of subproblems without splits after as many rounds as pay, at most until `limit` on the clock."""
        bounds, rounds = splits.bound.copy(), 0

        def again(index: np.ndarray, found: Splits) -> np.ndarray:
            nonlocal rounds
            rounds += 1
            paid = (found.bound > (1.0 - _REPEATED["root"]) * bounds[index]) | (rounds < _ROUNDS)
            bounds[index] = found.bound
            event = Event("R", self.context.clock(), iteration=rounds, open=len(index), lower_bound=float(found.bound.min(initial=0.0)))
            self.context.report(event)
            return np.asarray(paid)

        return self._rounds(splits, limit, again).open

    def due(self, splits: Splits, seconds: float, elsewhere: float) -> np.ndarray:
        """(B,) True where a round is expected to save more than it takes, of the first ones. seconds: time of a subproblem.

        elsewhere: time spent on splits. What a round saves is only a guess: the less rounds close, the smaller the part of that time
        that they may take. Where splits alone would take longer than there is time, that does not matter.
        """
        if self.gain < _LEAST_GAIN and self.spent > _PROBES * elsewhere:
            return np.zeros(len(splits), bool)
        rate = growth(splits.gains)
        due = self._worth(rate, splits.bound, self.gain, seconds)
        if self.spent > _SHARE * self.gain**2 * elsewhere:
            left = min(self.context.deadline - self.context.clock(), _LONG)
            due &= np.minimum(-rate * splits.bound, 100.0) > np.log(left / max(seconds, 1e-6))
        return due & (np.cumsum(due[::-1])[::-1] <= _TOGETHER)  # the last ones: they come first in the frontier

    def run(self, splits: Splits, seconds: float) -> Step:
        """Subproblems anywhere in the tree after as many rounds as are expected to save more than they take."""
        rate, bounds, rounds = growth(splits.gains), splits.bound.copy(), 0

        def again(index: np.ndarray, found: Splits) -> np.ndarray:
            nonlocal rounds
            rounds += 1
            gain = 1.0 - found.bound / np.minimum(bounds[index], -1e-30)
            bounds[index] = found.bound
            return self._worth(rate[index], found.bound, gain, seconds) & (gain >= _REPEATED["tree"]) & (rounds < _MOST)

        start = self.context.clock()
        step = self._rounds(splits, self.context.deadline, again)
        self.spent += self.context.clock() - start
        return step

    def _worth(self, rate: np.ndarray, bound: np.ndarray, gain: np.ndarray | float, seconds: float) -> np.ndarray:
        """(B,) True where subproblems with trees that grow at `rate` save more by a round that closes the part `gain` of their gap
        than it takes."""
        whole = np.minimum(rate * np.maximum(-bound, 0.0), 100.0)
        saved = np.exp(whole) - np.exp(whole * (1.0 - np.clip(gain, 0.0, 1.0)))
        return np.asarray(np.isfinite(rate) & (saved * seconds > self.seconds))

    def _rounds(self, splits: Splits, limit: float, again: Again) -> Step:
        """Rounds for `splits` while `again`, then bounds and next splits of what is open. The order of what is open is not kept."""
        context, domains = self.context, self.tree.domains
        left, order = splits, np.arange(len(splits))
        finished, finished_order, closed = [splits.select(slice(0, 0))], [order[:0]], np.zeros(len(splits), bool)
        starts = [self.starts.get(int(k), {}) for k in splits.disjunct]
        while len(left) and not context.out_of_time() and context.clock() < limit and domains.room >= len(left):
            step, starts = self._round(left, starts, limit)
            closed[order[step.closed]] = True
            order = order[~step.closed]
            more = again(order, step.open)
            finished.append(step.open.select(~more))
            finished_order.append(order[~more])
            left, order, starts = step.open.select(more), order[more], [s for s, keep in zip(starts, more) if keep]
        if closed.all():
            return replace(step, closed=closed)
        order = np.concatenate([*finished_order, order])
        step = advance(self.tree, Splits.concatenate([*finished, left]), self.effort, context)
        closed[order[step.closed]] = True
        return replace(step, closed=closed)

    def _round(self, splits: Splits, starts: list[Starts], limit: float) -> tuple[Step, list[Starts]]:
        """(bounds after one round, what the open subproblems' next one may start from)."""
        context, start = self.context, self.context.clock()
        late = lambda: context.out_of_time() or context.clock() > limit  # noqa: E731
        low, high, following = self.rows.round(splits, starts, _NEURONS, context.workers, late)
        if not splits.depth.any():
            self.starts.update({int(k): s for k, s in zip(splits.disjunct, following)})
        step = advance(self.tree, splits.within(self.tree.domains.add(low, high)), replace(self.effort, look_ahead=1), context)
        first = ~np.isnan(splits.gains).any(axis=(1, 2))  # a round that follows another one tells less of the next after splits
        closed_part = np.ones(len(splits))
        closed_part[~step.closed] = 1.0 - step.open.bound / np.minimum(splits.bound[~step.closed], -1e-30)
        if first.any():
            self.gain += 0.2 * (float(closed_part[first].mean()) - self.gain)
        weight = 0.2 if self.seconds else 1.0
        self.seconds += weight * ((context.clock() - start) / len(splits) - self.seconds)
        return step, [s for s, gone in zip(following, step.closed) if not gone]


def growth(gains: np.ndarray) -> np.ndarray:
    """(B,): subproblems with gap g and gains (B, W, 2) of the last splits have trees of about exp(g * growth) nodes; NaN where gains
    are missing.

    Where every split gains a on one side and b on the other, the size of the tree satisfies  S(g) = S(g - a) + S(g - b), so
    exp(-a k) + exp(-b k) = 1 (Kullmann's tau, Handbook of Satisfiability 2009, section 7.3.3); k is found by bisection.
    """
    a, b = np.moveaxis(np.maximum(gains.mean(axis=1), 1e-9), 1, 0)
    low, high = np.zeros(len(a)), np.log(2.0) / np.minimum(a, b)
    for _ in range(40):
        middle = 0.5 * low + 0.5 * high
        more = np.exp(-a * middle) + np.exp(-b * middle) > 1.0
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.asarray(high)
