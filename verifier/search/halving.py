"""One step of the search over input boxes: the halves of every box, bounded, and how those that stay open may be halved in turn.

A box waits with the inputs in which it may be halved and, where few neurons are left unstable, with a neuron that may be
split. When its turn comes, the halves of every candidate are bounded, with few rows a layer, and those of the best one with all:
refuted ones leave, the rest is clipped with the planes of its rows and of its split neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from verifier.arrays import Arrays, to_numpy, varying
from verifier.attack.gradient import minimisers
from verifier.bounds.ascent import Schedule
from verifier.bounds.batch import BoxBounds, Head, Neurons, bound_boxes, make_heads, neuron_planes, optimised_rows
from verifier.bounds.forward import forms_memory, rows_beside_forms
from verifier.bounds.rigorous import ErrorWeights
from verifier.bounds.targets import Targets
from verifier.errors import InternalError
from verifier.graph.ir import Graph
from verifier.parallel import Late, within_memory
from verifier.search.boxes import Boxes
from verifier.search.branching.inputs import input_candidates, input_scores, paid_off, smooth
from verifier.search.branching.lookahead import best_split
from verifier.search.branching.pseudo_costs import gain
from verifier.search.branching.scores import neuron_scores, split_points
from verifier.search.clipping import clip
from verifier.search.conjunction import refuted_together
from verifier.search.outcome import Context
from verifier.search.plan import row_work
from verifier.search.points import Points
from verifier.search.query import Query

_CHUNK, _CHUNK_WORK, _FORM_CHUNK = 128, 400_000, 64
"""Boxes bounded together, on one core. Fewer are a third slower, as every operation is small then; more are padded to longer rows. In
a network of a few hundred multiplications even four times as many are small: as many as do such work in a row. With forms, as many as
these have fewer columns each: nn4sys cardinality_1_720_128_dual takes 46 s with 64, 54 s with 128, 49 s with 32."""
_RANKING = 16
"""Rows of a pre-activation by which candidates are compared. On ACAS Xu 1_1 prop_6: as many boxes as with all rows, in 80 % of the time;
8 rows cost 15 % more boxes, and 24 save none."""
_FEW = 6
"""Unstable neurons of a box from which on they are split instead of its inputs: all their phases are few linear pieces."""
_MOST_CUTS = 8
"""Planes of split neurons that a box keeps; forgetting one is sound."""
_SHARPENING = Schedule(2, slope_step=0.4)
"""Of the rows of open boxes. On ACAS Xu 3_3 prop_9: 4,700 boxes instead of 10,800, in two thirds of the time; 4 steps save few more."""
_TOUCHING = Schedule(6, slope_step=0.2, decay=0.9)
"""The same where planes touch smooth functions, whose points of contact are worth more steps: on lsnc quadrotor2d_state_17, 22,000
boxes; 12 steps leave 18,000, in the same time."""
_POINTS = 8
"""Most promising points of a step that are kept."""


class Batch(NamedTuple):
    """Bounded boxes: row bounds with constants (B, R), planes a (B, R, n), c (B, R); refuted (B,); neuron (B,): the one to
    split, -1 where inputs are; lost (B, n): `input_scores`, zero where nothing is known; steepest (B, n): coefficients of the planes
    before any improvement; spared (B,): they would be better with more rows."""

    boxes: Boxes
    bounds: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray
    refuted: np.ndarray
    neuron: np.ndarray
    lost: np.ndarray
    steepest: np.ndarray
    spared: np.ndarray

    @staticmethod
    def concatenate(parts: Sequence[Batch]) -> Batch:
        return Batch(Boxes.concatenate([b.boxes for b in parts]), *(np.concatenate(field) for field in zip(*(b[1:] for b in parts))))

    def all_planes(self) -> tuple[np.ndarray, np.ndarray]:
        """Planes of the rows and the cuts: a (B, R + P, n), c (B, R + P)."""
        cuts = self.boxes.cuts
        return np.concatenate([self.planes, cuts[:, :, :-1]], axis=1), np.concatenate([self.offsets, cuts[:, :, -1]], axis=1)

    def select(self, index: np.ndarray) -> Batch:
        return Batch(self.boxes.select(index), *(a[index] for a in self[1:]))


class Step(NamedTuple):
    """What became of `bounded` boxes, the deepest at `depth`. closed: depths of those that hold no counterexample; open: the others,
    as they wait for their turn; stuck: least bound of those of them that cannot be halved, and how many there are; points: the most
    promising ones; unstable: neurons of an open box, on average."""

    bounded: int
    depth: int
    closed: np.ndarray
    open: Boxes
    stuck: tuple[float, int]
    points: Points
    unstable: float


@dataclass(frozen=True, eq=False)
class Halving:
    """What all boxes share. `arrays` is float64: bounds are accepted as they are. look_ahead: candidates a box. most: as of
    `bound_boxes`. chunk: boxes bounded together."""

    graph: Graph
    neurons: Neurons
    heads: Mapping[int, Head]
    arrays: Arrays
    fast: Arrays
    weights: ErrorWeights
    targets: Targets
    context: Context
    look_ahead: int
    most: Mapping[int, int] | None
    chunk: int

    @staticmethod
    def of(query: Query, arrays: Arrays, fast: Arrays, weights: ErrorWeights, context: Context, look_ahead: int, forms: bool) -> Halving:
        """forms: the neurons of a box are bounded by forward affine forms, and by rows of their own as far as those are cheap."""
        graph, neurons, moved = query.graph, Neurons(query.graph), weights.to(arrays)
        heads, most = make_heads(neurons, arrays, moved), None
        chunk = int(np.clip(_CHUNK_WORK / max(1, row_work(graph)), _CHUNK, 4 * _CHUNK)) * arrays.width
        if forms:
            inputs = int(varying(query.lower, query.upper).sum(axis=1).max())
            most, fits = rows_beside_forms(graph, inputs), max(1, arrays.budget // forms_memory(graph, inputs))
            chunk = min(_FORM_CHUNK * arrays.width, fits)
        return Halving(graph, neurons, heads, arrays, fast, moved, query.targets, context, look_ahead, most, chunk)

    @property
    def smooth(self) -> bool:
        """Some planes touch smooth functions: bounds before they touch where it matters do not tell which half is better."""
        return any(smooth(operator) for operator, _ in self.neurons.functions)

    @property
    def dear(self) -> bool:
        """A box takes so long that the boxes of one step are worth sharing out."""
        return self.most is not None

    def step(self, boxes: Boxes) -> Step:
        """Of the halves of boxes, or of what `step` calls open. Raises Late where there is no time."""
        return self.settled(self._halved(boxes))

    def settled(self, batch: Batch) -> Step:
        """Bounded boxes, clipped and with their candidates."""
        deepest, closed = int(batch.boxes.depth.max()), batch.boxes.depth[batch.refuted]
        left = self._sharpened(batch.select(~batch.refuted))
        closed = np.concatenate([closed, left.boxes.depth[left.refuted]])
        left = left.select(~left.refuted)
        points = self._points(left)
        clipped = self._clipped(left)
        empty: np.ndarray = np.any(clipped.boxes.lower > clipped.boxes.upper, axis=1)
        waiting = self._candidates(clipped.select(~empty))
        divisible: np.ndarray = np.any(waiting.candidates >= 0, axis=1)
        # The least of NaN and a number is NaN: nothing is known then.
        stuck = float(np.min(waiting.bound[~divisible], initial=np.inf)), int(np.sum(~divisible))
        unstable = float(np.mean(np.sum((waiting.below < 0) & (waiting.above > 0), axis=1))) if len(waiting) else 0.0
        closed = np.concatenate([closed, left.boxes.depth[empty]])
        return Step(len(batch.boxes), deepest, closed, waiting.select(divisible), stuck, points, unstable)

    def _sharpened(self, batch: Batch) -> Batch:
        """Open boxes with planes whose slopes were optimised, which pays for them alone."""
        boxes = batch.boxes
        if self.dear or not len(boxes) or not self.neurons.total:
            return batch
        rows = self.targets.rows(self.graph, self.arrays, boxes.disjunct)
        box = boxes.lower, boxes.upper, boxes.below, boxes.above
        schedule = _TOUCHING if self.smooth else _SHARPENING
        dual = optimised_rows(self.neurons, self.arrays, self.fast, self.weights, rows, *box, schedule)
        bounds, offsets = (self.targets.add_constant(to_numpy(a), boxes.disjunct) for a in (dual.lower, dual.offset))
        higher = bounds > batch.bounds
        planes = np.where(higher[:, :, None], to_numpy(dual.coefficients), batch.planes)
        bounds, offsets = np.where(higher, bounds, batch.bounds), np.where(higher, offsets, batch.offsets)
        known = replace(boxes, bound=np.maximum(boxes.bound, bounds.max(axis=1)))
        refuted = self.targets.refuted(bounds, boxes.disjunct)
        better = self._together(batch._replace(boxes=known, bounds=bounds, planes=planes, offsets=offsets, refuted=refuted))
        left, lost = np.flatnonzero(~better.refuted), np.zeros_like(boxes.lower)
        if len(left):
            q = {n: to_numpy(values)[left] for n, values in dual.q.items()}
            lost[left] = input_scores(self.neurons, q, bounds[left], *(ends[left] for ends in box))
        return better._replace(lost=lost)

    def _together(self, batch: Batch) -> Batch:
        """Refuted as well where planes together exclude a counterexample."""
        rest, boxes = np.flatnonzero(~batch.refuted), batch.boxes
        planes, constants = batch.all_planes()
        refuted = batch.refuted.copy()
        refuted[rest] = refuted_together(boxes.lower[rest], boxes.upper[rest], planes[rest], constants[rest])
        return batch._replace(refuted=refuted)

    def _points(self, batch: Batch) -> Points:
        """The corners that minimise each box's best plane, and the centres."""
        boxes = batch.boxes
        if not len(boxes):
            return Points(boxes.lower, boxes.disjunct, boxes.bound)
        plane = batch.planes[np.arange(len(boxes)), batch.bounds.argmax(axis=1)]
        x = np.concatenate([minimisers(self.graph, plane, boxes.lower, boxes.upper), 0.5 * (boxes.lower + boxes.upper)])
        which = np.concatenate([boxes.disjunct, boxes.disjunct])
        return Points(x, which, self.targets.margins(x, self.graph.evaluate(x), which)).best(_POINTS)

    def bound(self, boxes: Boxes, widest: int | None = None) -> Batch:
        """Bounds of boxes, in chunks on all cores; widest: as of `bound_boxes`."""
        if not self.dear:
            return self._in_chunks(boxes, self.chunk, widest)
        # No core should wait for another, and forms have as many columns as the most inputs that vary in a box of the chunk.
        order = np.argsort(varying(boxes.lower, boxes.upper).sum(axis=1), kind="stable")
        found = self._in_chunks(boxes.select(order), min(self.chunk, -(-len(boxes) // self.context.workers.cores)), widest)
        return found.select(np.argsort(order))

    def _in_chunks(self, boxes: Boxes, chunk: int, widest: int | None) -> Batch:
        parts = [boxes.select(slice(i, i + chunk)) for i in range(0, len(boxes), chunk)]
        batches = [b for part in self.context.workers.map(partial(within_memory, partial(self._bound_chunk, widest)), parts) for b in part]
        return Batch.concatenate(batches)

    def _bound_chunk(self, widest: int | None, boxes: Boxes) -> Batch:
        if self.context.out_of_time():
            raise Late
        rows = self.targets.rows(self.graph, self.arrays, boxes.disjunct)
        ends = boxes.lower, boxes.upper, boxes.below, boxes.above
        found = bound_boxes(self.neurons, self.heads, self.arrays, self.weights, rows, *ends, self.most, widest)
        bounds = self.targets.add_constant(found.lower, boxes.disjunct)
        offsets = self.targets.add_constant(found.offset, boxes.disjunct)
        known = replace(boxes, below=found.below, above=found.above, bound=np.maximum(boxes.bound, bounds.max(axis=1)))
        batch = Batch(
            known,
            bounds,
            found.coefficients,
            offsets,
            found.infeasible | self.targets.refuted(bounds, boxes.disjunct),
            np.full(len(boxes), -1),
            np.zeros_like(boxes.lower),
            np.abs(found.coefficients).max(axis=1, initial=0.0),
            np.full(len(boxes), found.spared),
        )
        batch = self._together(batch)
        return batch._replace(neuron=self._best_neuron(batch, found))

    def _best_neuron(self, batch: Batch, found: BoxBounds) -> np.ndarray:
        """(B,): the neuron to split in open boxes with few unstable ones, -1 in others."""
        boxes = batch.boxes
        best = np.full(len(boxes), -1)
        count = sum((~operator.linear(boxes.below[:, s], boxes.above[:, s])).sum(axis=1) for operator, s in self.neurons.functions)
        few = np.flatnonzero(~batch.refuted & (count > 0) & (count <= _FEW))
        if len(few):
            row = batch.bounds[few].argmax(axis=1)
            q = {n: values[few, row] for n, values in found.q.items()}
            low, high = (np.concatenate(pair, axis=1)[few] for pair in ((boxes.below, boxes.lower), (boxes.above, boxes.upper)))
            score = neuron_scores(self.neurons, q, low, high)
            # The first layer first: with its phases fixed, the planes of the next one's neurons are exact.
            for s in self.neurons.slices.values():
                neuron = s.start + score[:, s].argmax(axis=1)
                here = (best[few] < 0) & (score[np.arange(len(few)), neuron] > 0)
                best[few] = np.where(here, neuron, best[few])
        return best

    def _halved(self, boxes: Boxes) -> Batch:
        """Both halves of every box, in the candidate whose halves have the best bounds."""
        several = (boxes.candidates >= 0).sum(axis=1) > 1
        parts = [] if several.all() else [self.bound(self._halves(some := boxes.select(~several), some.candidates[:, 0]))]
        if several.any():
            found = self._best_halves(boxes.select(several))
            rest = found.spared & ~found.refuted
            parts.append(found.select(~rest))
            if rest.any():
                parts.append(self.bound(found.boxes.select(rest)))
        return Batch.concatenate(parts)

    def _best_halves(self, boxes: Boxes) -> Batch:
        """The same by bounds for which few neurons get rows."""
        count, most = boxes.candidates.shape
        owner, place = np.nonzero(boxes.candidates >= 0)
        batch = self.bound(self._halves(boxes.select(owner), boxes.candidates[owner, place]), _RANKING)
        values = np.full((count, most, 2), -np.inf)
        # A refuted half is worth all that was needed, whatever its number says.
        values[owner, place] = np.where(batch.refuted, np.inf, batch.bounds.max(axis=1)).reshape(2, len(owner)).T
        index = np.full((count, most), -1)
        index[owner, place] = np.arange(len(owner))
        gains = gain(boxes.bound[:, None, None], values).mean(axis=2)
        chosen = index[np.arange(count), best_split(boxes.candidates >= 0, gains)]
        if (chosen < 0).any():
            raise InternalError("the halves of a box are lost")
        return batch.select(np.concatenate([chosen, chosen + len(owner)]))

    def _halves(self, boxes: Boxes, candidate: np.ndarray) -> Boxes:
        """The lower halves (or the ones above the neuron's point) of all boxes, then the others."""
        if (candidate < 0).any():
            raise InternalError("a box is halved in nothing")
        n = boxes.lower.shape[1]
        by_input, by_neuron = np.flatnonzero(candidate < n), np.flatnonzero(candidate >= n)
        first = {name: getattr(boxes, name).copy() for name in ("lower", "upper", "below", "above", "cuts")}
        if len(by_neuron):
            first["cuts"] = np.concatenate([np.zeros((len(boxes), 1, n + 1)), first["cuts"]], axis=1)[:, :_MOST_CUTS]
        second = {name: values.copy() for name, values in first.items()}
        dimension = candidate[by_input]
        middle = 0.5 * boxes.lower[by_input, dimension] + 0.5 * boxes.upper[by_input, dimension]
        first["upper"][by_input, dimension] = second["lower"][by_input, dimension] = middle
        if len(by_neuron):
            neuron, some = candidate[by_neuron] - n, boxes.select(by_neuron)
            point = split_points(self.neurons, some.below, some.above)[np.arange(len(some)), neuron]
            first["below"][by_neuron, neuron] = second["above"][by_neuron, neuron] = point
            a, c = neuron_planes(
                self.neurons, self.heads, self.arrays, self.weights, some.lower, some.upper, some.below, some.above, neuron
            )
            # z >= point needs  -(a_1 x + c_1) >= point;  z <= point needs  a_0 x + c_0 <= point. One rounding each.
            first["cuts"][by_neuron, 0] = np.concatenate([a[:, 1], np.nextafter(c[:, 1] + point, -np.inf)[:, None]], axis=1)
            second["cuts"][by_neuron, 0] = np.concatenate([a[:, 0], np.nextafter(c[:, 0] - point, -np.inf)[:, None]], axis=1)
        deeper = replace(boxes, depth=boxes.depth + 1, before=boxes.bound)
        return Boxes.concatenate([replace(deeper, **first), replace(deeper, **second)])

    def _clipped(self, batch: Batch) -> Batch:
        """Boxes without the parts that some row's plane excludes; where ends cross, nothing is left."""
        lower, upper = clip(batch.boxes.lower, batch.boxes.upper, *batch.all_planes(), 2)
        return batch._replace(boxes=replace(batch.boxes, lower=lower, upper=upper))

    def _candidates(self, batch: Batch) -> Boxes:
        """The boxes with the inputs worth halving, best first, or with the neuron to split; with none where nothing can be."""
        boxes = batch.boxes
        state = boxes.lower, boxes.upper, boxes.depth, paid_off(boxes.before, boxes.bound)
        chosen = input_candidates(batch.lost, batch.steepest, *state, self.look_ahead, self.smooth)
        by_neuron = batch.neuron >= 0
        chosen[by_neuron] = -1
        chosen[by_neuron, 0] = boxes.lower.shape[1] + batch.neuron[by_neuron]
        return replace(boxes, candidates=chosen)
