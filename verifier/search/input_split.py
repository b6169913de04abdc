"""Branch and bound on the input box, for networks with few inputs that vary.

A batch of boxes is bounded (every layer re-bounded), refuted boxes leave, counterexamples are tried, the rest is clipped
with the planes of its rows and halved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping, NamedTuple

import numpy as np

from verifier.arrays import Arrays
from verifier.attack.witness import Witness
from verifier.bounds.batch import BoxBounds, Head, Neurons, bound_boxes, make_heads
from verifier.bounds.rigorous import ErrorWeights
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.search.boxes import Boxes
from verifier.search.clipping import clip
from verifier.search.frontier import Frontier
from verifier.search.outcome import Context, Outcome, Progress


_CHUNK = 48
"""Boxes bounded together: their rows should stay in a core's cache. Chunks of a batch run on all cores: the array
operations release the interpreter lock."""


class Batch(NamedTuple):
    """Bounded boxes: row bounds with constants (B, R), planes a (B, R, n), c (B, R)."""

    boxes: Boxes
    bounds: np.ndarray
    planes: np.ndarray
    offsets: np.ndarray


def search(graph: Graph, arrays: Arrays, weights: ErrorWeights, targets: Targets, roots: Boxes, context: Context, batch_size: int) -> Outcome:
    """Close every box of `roots` or find a counterexample. `arrays` is float64."""
    neurons = Neurons(graph)
    on_device = weights.to(arrays)
    heads = make_heads(neurons, arrays, on_device)
    frontier = Frontier(roots)
    progress = Progress(context, float(np.sum(0.5 ** roots.depth.astype(float))))
    stuck = 0
    while frontier.count:
        if context.out_of_time():
            return Outcome(False, None, progress.nodes, frontier.worst_bound(), progress.share)
        boxes = frontier.pop(batch_size)
        batch = _bound(graph, neurons, heads, arrays, on_device, targets, boxes, progress, context)
        witness = _attack(graph, targets, batch, context, progress)
        if witness is not None:
            return Outcome(False, witness, progress.nodes, float(batch.bounds.max(axis=1).min()), progress.share)
        batch, stuck_now = _splittable(_clipped(targets, batch, progress))
        stuck += stuck_now
        if len(batch.boxes):
            frontier.push(_halves(batch))
        unstable = np.mean(np.sum((boxes.below < 0) & (boxes.above > 0), axis=1))
        progress.batch(frontier.count, unstable, frontier.worst_bound())
    return Outcome(stuck == 0, None, progress.nodes, 0.0, progress.share, exhausted=stuck > 0)


def _bound(graph: Graph, neurons: Neurons, heads: Mapping[int, Head], arrays: Arrays, weights: ErrorWeights, targets: Targets, boxes: Boxes,
           progress: Progress, context: Context) -> Batch:
    """Bounds of a batch; boxes that are refuted are gone from the result."""
    parts = [boxes.select(slice(i, i + _CHUNK)) for i in range(0, len(boxes), _CHUNK)]
    work = lambda part: bound_boxes(neurons, heads, arrays, weights, targets.rows(graph, arrays, part.disjunct),  # noqa: E731
                                    part.lower, part.upper, part.below, part.above)
    results = context.workers.map(work, parts)
    found = BoxBounds(*(np.concatenate(field) for field in zip(*results)))
    bounds = targets.add_constant(found.lower, boxes.disjunct)
    offsets = targets.add_constant(found.offset, boxes.disjunct)
    refuted = found.infeasible | targets.refuted(bounds, boxes.disjunct)
    progress.iteration += 1
    progress.nodes += len(boxes)
    progress.depth = max(progress.depth, int(boxes.depth.max()))
    progress.closed(boxes.depth[refuted])
    kept = replace(boxes, below=found.below, above=found.above, bound=np.maximum(boxes.bound, bounds.max(axis=1))).select(~refuted)
    return Batch(kept, bounds[~refuted], found.coefficients[~refuted], offsets[~refuted])


def _attack(graph: Graph, targets: Targets, batch: Batch, context: Context, progress: Progress) -> Witness | None:
    """The corner that minimises each box's best plane, and the centre, on the real network."""
    boxes = batch.boxes
    if not len(boxes):
        return None
    best = batch.bounds.argmax(axis=1)
    plane = batch.planes[np.arange(len(boxes)), best]
    x = np.concatenate([np.where(plane > 0, boxes.lower, boxes.upper), 0.5 * (boxes.lower + boxes.upper)])
    which = np.concatenate([boxes.disjunct, boxes.disjunct])
    margins = targets.margins(x, graph.evaluate(x), which)
    progress.attack_gap = min(progress.attack_gap, float(margins.min()))
    return context.gate.first(x, which, margins)


def _clipped(targets: Targets, batch: Batch, progress: Progress) -> Batch:
    boxes = batch.boxes
    lower, upper = clip(boxes.lower, boxes.upper, batch.planes, batch.offsets, 2)
    empty = (lower > upper).any(axis=1)
    progress.closed(boxes.depth[empty])
    smaller = replace(boxes, lower=lower, upper=upper).select(~empty)
    return Batch(smaller, batch.bounds[~empty], batch.planes[~empty], batch.offsets[~empty])


def _splittable(batch: Batch) -> tuple[Batch, int]:
    """Without the boxes that float64 cannot halve any more, and how many those are: they stay undecided."""
    lower, upper = batch.boxes.lower, batch.boxes.upper
    middle = 0.5 * lower + 0.5 * upper
    keep = ((middle > lower) & (middle < upper)).any(axis=1)
    return Batch(batch.boxes.select(keep), batch.bounds[keep], batch.planes[keep], batch.offsets[keep]), int(np.sum(~keep))


def _halves(batch: Batch) -> Boxes:
    """Two children of each box: halved in the input whose plane coefficient times width is largest."""
    boxes = batch.boxes
    width = boxes.upper - boxes.lower
    score = (np.abs(batch.planes) * width[:, None]).max(axis=1)
    middles = 0.5 * boxes.lower + 0.5 * boxes.upper
    wide = (middles > boxes.lower) & (middles < boxes.upper)
    # Where no plane depends on an input that can be halved, the widest side is.
    score = np.where(wide, score, 0.0)
    score = np.where(score.max(axis=1, keepdims=True) > 0, score, np.where(wide, width, 0.0))
    at, dimension = np.arange(len(boxes)), score.argmax(axis=1)
    middle = middles[at, dimension]
    left_upper, right_lower = boxes.upper.copy(), boxes.lower.copy()
    left_upper[at, dimension] = right_lower[at, dimension] = middle
    depth = boxes.depth + 1
    return Boxes.concatenate([replace(boxes, upper=left_upper, depth=depth), replace(boxes, lower=right_lower, depth=depth)])
