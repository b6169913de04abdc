"""Branch and bound on the input box, for networks with few inputs that vary.

A box waits with the inputs in which it may be halved. When its turn comes, the halves of every candidate are bounded (all
layers re-bounded) and the best candidate is taken; its halves are known by then: refuted ones leave, counterexamples are
tried, the rest is clipped with the planes of its rows and waits in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from verifier.arrays import Arrays
from verifier.attack.gradient import descend
from verifier.attack.witness import Witness
from verifier.bounds.batch import BoxBounds, Head, Neurons, bound_boxes, make_heads
from verifier.bounds.rigorous import ErrorWeights
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.search.boxes import Boxes
from verifier.search.branching.lookahead import best_split
from verifier.search.clipping import clip
from verifier.search.conjunction import refuted_together
from verifier.search.frontier import Frontier
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.query import Query

_CHUNK = 48
"""Boxes bounded together: their rows should stay in a core's cache."""
_POLISHED = 8
"""Points of a batch from which a few steps of gradient descent are tried."""


class Batch(NamedTuple):
    """Bounded boxes: row bounds with constants (B, R), planes a (B, R, n), c (B, R); refuted (B,)."""

    boxes: Boxes
    bounds: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray
    refuted: np.ndarray

    def select(self, index: np.ndarray) -> Batch:
        return Batch(self.boxes.select(index), *(a[index] for a in self[1:]))


@dataclass(frozen=True, eq=False)
class Search:
    """What all boxes share. `arrays` is float64: bounds are accepted as they are; `fast` serves the attack. lower, upper (K, n):
    whole boxes of the disjuncts. look_ahead: candidates a box."""

    graph: Graph
    neurons: Neurons
    heads: Mapping[int, Head]
    arrays: Arrays
    fast: Arrays
    weights: ErrorWeights
    targets: Targets
    lower: np.ndarray
    upper: np.ndarray
    context: Context
    look_ahead: int

    @staticmethod
    def of(query: Query, arrays: Arrays, fast: Arrays, weights: ErrorWeights, context: Context, look_ahead: int) -> Search:
        neurons, moved = Neurons(query.graph), weights.to(arrays)
        heads = make_heads(neurons, arrays, moved)
        return Search(query.graph, neurons, heads, arrays, fast, moved, query.targets, query.lower, query.upper, context, look_ahead)

    def run(self, roots: Boxes, batch_size: int) -> Outcome:
        """Close every box of `roots` or find a counterexample."""
        progress = Progress(self.context, float(len(roots)))
        batch, stuck = self.bound(roots), 0
        frontier: Frontier[Boxes] | None = None
        while True:
            progress.iteration += 1
            progress.nodes += len(batch.boxes)
            progress.depth = max(progress.depth, int(batch.boxes.depth.max()))
            progress.closed(batch.boxes.depth[batch.refuted])
            batch = batch.select(~batch.refuted)
            witness = self._attack(batch, progress)
            if witness is not None:
                return Outcome(False, witness, progress.nodes, float(batch.bounds.max(axis=1).min()), progress.share)
            waiting = self._candidates(self._clipped(batch, progress))
            divisible = waiting.candidates[:, 0] >= 0
            stuck += int(np.sum(~divisible))
            frontier = frontier or Frontier(waiting.select(slice(0, 0)))
            frontier.push(waiting.select(divisible))
            progress.batch(frontier.count, float(np.mean(np.sum((waiting.below < 0) & (waiting.above > 0), axis=1))) if len(waiting) else 0.0, frontier.worst_bound())
            if frontier.count == 0:
                return Outcome(stuck == 0, None, progress.nodes, 0.0, progress.share, exhausted=stuck > 0)
            if self.context.out_of_time():
                return Outcome(False, None, progress.nodes, frontier.worst_bound(), progress.share)
            batch = self._halved(frontier.pop(max(1, batch_size // (2 * self.look_ahead))))

    def bound(self, boxes: Boxes) -> Batch:
        """Bounds of boxes, in chunks on all cores."""
        parts = [boxes.select(slice(i, i + _CHUNK)) for i in range(0, len(boxes), _CHUNK)]

        def work(part: Boxes) -> BoxBounds:
            return bound_boxes(self.neurons, self.heads, self.arrays, self.weights, self.targets.rows(self.graph, self.arrays, part.disjunct),
                               part.lower, part.upper, part.below, part.above)

        found = BoxBounds(*(np.concatenate(field) for field in zip(*self.context.workers.map(work, parts))))
        bounds = self.targets.add_constant(found.lower, boxes.disjunct)
        offsets = self.targets.add_constant(found.offset, boxes.disjunct)
        known = replace(boxes, below=found.below, above=found.above, bound=np.maximum(boxes.bound, bounds.max(axis=1)))
        refuted = found.infeasible | self.targets.refuted(bounds, boxes.disjunct)
        rest = np.flatnonzero(~refuted)
        refuted[rest] = refuted_together(boxes.lower[rest], boxes.upper[rest], found.coefficients[rest], offsets[rest])
        return Batch(known, bounds, found.coefficients, offsets, refuted)

    def _halved(self, boxes: Boxes) -> Batch:
        """Both halves of every box, in the candidate whose halves have the best bounds."""
        count, most = boxes.candidates.shape
        owner, place = np.nonzero(boxes.candidates >= 0)
        dimension = boxes.candidates[owner, place]
        middle = 0.5 * boxes.lower[owner, dimension] + 0.5 * boxes.upper[owner, dimension]
        each = boxes.select(owner)
        left_upper, right_lower = each.upper.copy(), each.lower.copy()
        at = np.arange(len(owner))
        left_upper[at, dimension] = right_lower[at, dimension] = middle
        deeper = replace(each, depth=each.depth + 1)
        batch = self.bound(Boxes.concatenate([replace(deeper, upper=left_upper), replace(deeper, lower=right_lower)]))
        values = np.full((count, most, 2), -np.inf)
        # A refuted half is worth all that was needed, whatever its number says.
        worth = np.where(batch.refuted, np.inf, batch.bounds.max(axis=1)).reshape(2, len(owner))
        values[owner, place] = worth.T
        index = np.full((count, most), -1)
        index[owner, place] = at
        chosen = index[np.arange(count), best_split(boxes.bound, values)]
        return batch.select(np.concatenate([chosen, chosen + len(owner)]))

    def _attack(self, batch: Batch, progress: Progress) -> Witness | None:
        """The corner that minimises each box's best plane, and the centre, on the real network."""
        boxes = batch.boxes
        if not len(boxes):
            return None
        plane = batch.planes[np.arange(len(boxes)), batch.bounds.argmax(axis=1)]
        x = np.concatenate([np.where(plane > 0, boxes.lower, boxes.upper), 0.5 * (boxes.lower + boxes.upper)])
        which = np.concatenate([boxes.disjunct, boxes.disjunct])
        margins = self.targets.margins(x, self.graph.evaluate(x), which)
        best = np.argsort(margins, kind="stable")[:_POLISHED]
        lower, upper = self.lower[which[best]], self.upper[which[best]]
        polished = descend(self.graph, self.fast, self.targets, x[best], which[best], lower, upper, 10, self.context.out_of_time)
        x, which = np.concatenate([polished.x, x[best]]), np.concatenate([polished.which, which[best]])
        margins = np.concatenate([polished.margin, margins[best]])
        progress.attack_gap = min(progress.attack_gap, float(margins.min()))
        return self.context.gate.first(x, which, margins)

    def _clipped(self, batch: Batch, progress: Progress) -> Batch:
        """Boxes without the parts that some row's plane excludes; empty ones are closed."""
        boxes = batch.boxes
        lower, upper = clip(boxes.lower, boxes.upper, batch.planes, batch.offsets, 2)
        empty = (lower > upper).any(axis=1)
        progress.closed(boxes.depth[empty])
        return batch._replace(boxes=replace(boxes, lower=lower, upper=upper)).select(~empty)

    def _candidates(self, batch: Batch) -> Boxes:
        """The boxes with the inputs worth halving: largest plane coefficient times width first; none where float64 cannot halve."""
        boxes = batch.boxes
        width = boxes.upper - boxes.lower
        middle = 0.5 * boxes.lower + 0.5 * boxes.upper
        wide = (middle > boxes.lower) & (middle < boxes.upper)
        # Inputs that no plane depends on come last, the widest first.
        score = np.where(wide, (np.abs(batch.planes) * width[:, None]).max(axis=1, initial=0.0), -1.0)
        score = score + np.where(wide, 1e-9 * width * (1e-300 + score.max(axis=1, keepdims=True, initial=0.0)), 0.0)
        order = np.argsort(-score, axis=1, kind="stable")[:, : self.look_ahead]
        best = np.take_along_axis(score, order, axis=1)
        worth = (best >= 0) & (best >= 0.05 * best[:, :1])
        return replace(boxes, candidates=np.where(worth, order, -1))
