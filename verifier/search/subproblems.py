"""A batch of subproblems of the neuron-split search: their bounds, and the next split of those that stay open.

The enclosures of the tree are clamped by the splits; only the property's rows are bounded, with slopes and split
multipliers improved from the parent's by a few steps of ascent in `proposals` (may be float32). A subproblem that looks
refuted is evaluated once more by the rigorous float64 rule, and only that closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import to_numpy
from verifier.attack.gradient import minimisers
from verifier.bounds.ascent import Ascent, Parameters, Schedule, problem_of
from verifier.bounds.dual import Dual, evaluate
from verifier.search.branching.lookahead import best_split
from verifier.search.branching.scores import candidates
from verifier.search.outcome import Context
from verifier.search.splits import Splits
from verifier.search.tree import Tree


@dataclass(frozen=True, eq=False)
class Bounded:
    """A chunk after bounding: row bounds with constants (B, R), q and planes of the proposals, enclosures, closed (B,)."""

    splits: Splits
    bounds: np.ndarray
    dual: Dual
    low: np.ndarray
    high: np.ndarray
    closed: np.ndarray


@dataclass(frozen=True, eq=False)
class Step:
    """What a batch has become. closed (B,); open: the others, each with its next split; lowest: least row bound.

    points, which: the minimisers of the open ones' planes (k, n) and their disjuncts, candidates for the attack.
    """

    closed: np.ndarray
    open: Splits
    lowest: float
    points: np.ndarray
    which: np.ndarray
    unstable: float


def advance(tree: Tree, splits: Splits, schedule: Schedule, look_ahead: int, context: Context) -> Step:
    """Bound a batch and choose the next splits, in chunks on all cores."""
    size = max(1, min(tree.chunk, -(-len(splits) // context.workers.cores)))
    chunks = [splits.select(slice(i, i + size)) for i in range(0, len(splits), size)]

    def work(chunk: Splits) -> Step:
        found = bound(tree, chunk, schedule, context)
        chosen = _chosen(tree, found, look_ahead, context)
        lowest = float(found.bounds.max(axis=1).min())
        return Step(found.closed, chosen, lowest, _corners(tree, found), chosen.disjunct, _unstable_count(tree, found))

    steps = context.workers.map(work, chunks)
    return Step(
        np.concatenate([s.closed for s in steps]),
        Splits.concatenate([s.open for s in steps]),
        min(s.lowest for s in steps),
        np.concatenate([s.points for s in steps]),
        np.concatenate([s.which for s in steps]),
        float(np.mean([s.unstable for s in steps])),
    )


def bound(tree: Tree, splits: Splits, schedule: Schedule, context: Context) -> Bounded:
    """Improve and evaluate the rows of a batch; what the rigorous evaluation refutes is closed."""
    low, high = tree.enclosures(splits)
    empty: np.ndarray = np.any(low > high, axis=1)
    high = np.maximum(low, high)
    total = tree.neurons.total
    fast = tree.proposals
    known = tree.neurons.split(fast.asarray(low[:, :total]), fast.asarray(high[:, :total]))
    rows = tree.targets.rows(tree.graph, fast, splits.disjunct)
    constant, strict = fast.asarray(tree.targets.constant[splits.disjunct]), tree.targets.strict[splits.disjunct]
    ascent = Ascent(
        tree.graph.to(fast),
        rows,
        fast.asarray(low[:, total:]),
        fast.asarray(high[:, total:]),
        known,
        tree.parameters(splits, known, fast),
        tree.signs(splits, fast),
        schedule,
    )
    # One refuted row closes a subproblem, so all its rows are done.
    closed = lambda lower: fast.xp.broadcast_to(fast.xp.any(lower + constant > 0, axis=1, keepdims=True), lower.shape)  # noqa: E731
    dual, parameters = ascent.run(closed, context.out_of_time)
    bounds = tree.targets.add_constant(to_numpy(dual.lower).astype(np.float64), splits.disjunct)
    promising = ((bounds > 0) | (strict & (bounds >= 0))).any(axis=1) & ~empty
    if bounds.shape[1] > 1:  # rows that refute together may each look hopeless
        promising = ~empty
    refuted: np.ndarray = empty.copy()
    if promising.any():
        refuted[promising] = tree.refuted(splits.select(promising), parameters, promising)
    improved = replace(
        splits,
        slopes=tree.packed(parameters),
        multiplier=_gathered(tree, splits, parameters),
        bound=np.maximum(splits.bound, bounds.max(axis=1)),
    )
    return Bounded(improved, bounds, dual, low, high, refuted)


def _gathered(tree: Tree, splits: Splits, parameters: Parameters) -> np.ndarray:
    """Multipliers (B, R, D) of the splits, from the dense ones."""
    found, first = np.zeros(splits.multiplier.shape, np.float32), (splits.side != 0) & ~splits.repeated
    for p, s in tree.neurons.slices.items():
        if p not in parameters.multipliers:
            continue
        mine = (splits.neuron >= s.start) & (splits.neuron < s.stop) & first
        if mine.any():
            dense = to_numpy(parameters.multipliers[p])
            index = np.where(mine, splits.neuron - s.start, 0)
            found = np.where(mine[:, None], np.take_along_axis(dense, np.broadcast_to(index[:, None], found.shape), axis=2), found)
    return found


def _chosen(tree: Tree, found: Bounded, most: int, context: Context) -> Splits:
    """The open subproblems of a chunk, each with the neuron to split next: the best of `most` candidates."""
    keep = np.flatnonzero(~found.closed)
    splits = found.splits.select(keep)
    if not len(keep):
        return splits
    dual = found.dual.select(tree.proposals.indices(keep))
    neuron, point = candidates(tree.graph, tree.neurons, dual, found.bounds[keep], found.low[keep], found.high[keep], most)
    best = np.zeros(len(keep), np.int64)
    if neuron.shape[1] > 1:
        best = _look_ahead(tree, splits, found.bounds[keep].max(axis=1), neuron, point, context)
    at = np.arange(len(keep))
    return replace(splits, choice=neuron[at, best], choice_point=point[at, best])


def _look_ahead(tree: Tree, splits: Splits, parent: np.ndarray, neuron: np.ndarray, point: np.ndarray, context: Context) -> np.ndarray:
    """Index (B,) of the candidate (B, K) whose children have the best bounds."""
    batch, most = neuron.shape
    repeated = splits.select(np.repeat(np.arange(batch), most))
    # A missing candidate repeats the first, whose bounds may come out a rounding apart: it is kept from winning below.
    missing = neuron < 0
    neuron, point = np.where(neuron < 0, neuron[:, :1], neuron), np.where(neuron < 0, point[:, :1], point)
    possible = neuron[:, 0] >= 0
    children = replace(repeated, choice=np.maximum(neuron, 0).reshape(-1), choice_point=point.reshape(-1)).children()
    bounds = np.full(len(children), -np.inf)
    for i in range(0, len(children), 4 * tree.chunk):
        if context.out_of_time():
            return np.zeros(batch, np.int64)
        bounds[i : i + 4 * tree.chunk] = _quick_bounds(tree, children.select(slice(i, i + 4 * tree.chunk)))
    children_bounds = bounds.reshape(2, batch, most).transpose(1, 2, 0)
    return np.where(possible, best_split(parent, np.where(missing[:, :, None], -np.inf, children_bounds)), 0)


def _quick_bounds(tree: Tree, splits: Splits) -> np.ndarray:
    """Best row bound (B,) with the slopes as they are: a proposal, not rigorous."""
    fast, total = tree.proposals, tree.neurons.total
    low, high = tree.enclosures(splits)
    high = np.maximum(low, high)
    known = tree.neurons.split(fast.asarray(low[:, :total]), fast.asarray(high[:, :total]))
    problem = problem_of(
        tree.graph.to(fast), fast.asarray(low[:, total:]), fast.asarray(high[:, total:]), known, tree.parameters(splits, known, fast)
    )
    dual = evaluate(tree.graph.to(fast), tree.targets.rows(tree.graph, fast, splits.disjunct), problem, None)
    return (to_numpy(dual.lower) + tree.targets.constant[splits.disjunct]).max(axis=1)


def _corners(tree: Tree, found: Bounded) -> np.ndarray:
    """(k, n): the minimiser of the best row's plane of every open subproblem."""
    keep = np.flatnonzero(~found.closed)
    best = found.bounds[keep].argmax(axis=1)
    plane = to_numpy(found.dual.coefficients)[keep, best]
    total = tree.neurons.total
    return minimisers(tree.graph, plane, found.low[keep, total:], found.high[keep, total:])


def _unstable_count(tree: Tree, found: Bounded) -> float:
    keep = ~found.closed
    if not keep.any():
        return 0.0
    total = tree.neurons.total
    return float(np.mean(np.sum((found.low[keep, :total] < 0) & (found.high[keep, :total] > 0), axis=1)))
