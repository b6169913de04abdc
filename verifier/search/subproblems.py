"""A batch of subproblems of the neuron-split search: their bounds, and the next split of those that stay open.

The enclosures of the tree are clamped by the splits; only the property's rows are bounded, with slopes and split
multipliers improved from the parent's by a few steps of ascent in `proposals` (may be float32). A subproblem that looks
refuted is evaluated once more by the rigorous float64 rule, and only that closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from verifier.arrays import Array, Arrays, to_numpy
from verifier.attack.gradient import minimisers
from verifier.bounds.ascent import Ascent, Parameters, Schedule, problem_of
from verifier.bounds.batch import Neurons
from verifier.bounds.dual import Dual, evaluate
from verifier.parallel import within_memory
from verifier.search import narrowing
from verifier.search.branching.lookahead import best_split
from verifier.search.branching.pseudo_costs import Learned, gain
from verifier.search.branching.scores import NOTHING, candidates, neuron_scores, row_weights
from verifier.search.outcome import Context
from verifier.search.splits import Splits, clamped
from verifier.search.tree import Tree

_TELLING = 1e-3
"""Part of the best score from which on something is learned of another."""
_SILENT = 1e-3
"""Part of what a bound lacks, or of `NOTHING`, that some child gains where the bounds of children say something. Of a formula as a network
(see tests/search/formulas.py) all bounds are zero as long as no clause is violated."""
_PROPAGATED = 24
"""Candidates then: formulas of 75 and 100 variables take 4,312 and 16,320 subproblems with 6, in 5.4 and 31 s, 1,590 and 4,258 with 24, in
4.2 and 17 s."""
_LOSSES = 1e-3, 1e3
"""Of the logarithm of what is left of a box: the least and the greatest that tell splits apart. A child that is empty loses all."""
_OFF = 0.1
"""Part of a bound that proposals may be off by. On ml4acopf 14_ieee prop1 float32 has -0.97 and -0.001 for two disjuncts that float64
refutes at the root; in fifty other instances it is off by less than a thousandth."""


@dataclass(frozen=True)
class Effort:
    """What a subproblem gets. look_ahead: candidates for its next split; schedule: steps for its bound."""

    look_ahead: int
    schedule: Schedule


@dataclass(frozen=True, eq=False)
class Bounded:
    """A chunk after bounding: row bounds with constants (B, R), q and planes of the proposals and the dual variables that they come
    from, enclosures (B, T' + n) in `exact`, closed (B,)."""

    splits: Splits
    bounds: np.ndarray
    dual: Dual
    parameters: Parameters
    low: Array
    high: Array
    closed: np.ndarray

    def open(self, arrays: Arrays) -> Bounded:
        """Those that are not closed."""
        return self.select(np.flatnonzero(~self.closed), arrays)

    def select(self, keep: np.ndarray, arrays: Arrays) -> Bounded:
        """Those at `keep`, which rises."""
        if len(keep) == len(self.closed):
            return self
        at = arrays.indices(keep)
        parameters = self.parameters.map(lambda a: a[at] if a.shape[0] == len(self.closed) else a)
        low, high, dual = self.low[at], self.high[at], self.dual.select(at)
        return Bounded(self.splits.select(keep), self.bounds[keep], dual, parameters, low, high, self.closed[keep])


@dataclass(frozen=True, eq=False)
class Step:
    """What a batch has become. closed (B,); open: the others, each with its next split; lowest: least row bound.

    points, which: the minimisers of the open ones' planes (k, n) and their disjuncts, candidates for the attack. learned: what was
    seen of splits.
    """

    closed: np.ndarray
    open: Splits
    lowest: float
    points: np.ndarray
    which: np.ndarray
    unstable: float
    learned: Learned


def advance(tree: Tree, splits: Splits, effort: Effort, context: Context) -> Step:
    """Bound a batch and choose the next splits, in chunks on all cores."""
    size = max(1, min(tree.chunk, -(-len(splits) // context.workers.cores)))
    chunks = [splits.select(slice(i, i + size)) for i in range(0, len(splits), size)]
    costs = tree.costs.of_scores, tree.costs.of_splits

    def work(chunk: Splits) -> Step:
        found = bound(tree, chunk, effort.schedule, context)
        left = found.open(tree.proposals)
        chosen, learned = _chosen(tree, left, *costs, effort.look_ahead, context)
        lowest = float(found.bounds.max(axis=1).min())
        return Step(found.closed, chosen, lowest, _corners(tree, left), chosen.disjunct, _unstable_count(tree, left), learned)

    steps = [s for part in context.workers.map(partial(within_memory, work), chunks) for s in part]
    tree.costs.looked_ahead([s.learned for s in steps])
    return Step(
        np.concatenate([s.closed for s in steps]),
        Splits.concatenate([s.open for s in steps]),
        min(s.lowest for s in steps),
        np.concatenate([s.points for s in steps]),
        np.concatenate([s.which for s in steps]),
        float(np.mean([s.unstable for s in steps])),
        Learned.none(tree.neurons.total),
    )


def learned_gains(tree: Tree, children: Splits, step: Step) -> np.ndarray:
    """(B,): what children, of which `step` came, gained over their parents; all that was needed where they were closed. The tree
    learns from it."""
    after = np.zeros(len(children))
    after[~step.closed] = np.minimum(step.open.bound, 0.0)
    tree.costs.split(children.choice, children.expected, children.bound, after)
    return after - children.bound


def bound(tree: Tree, splits: Splits, schedule: Schedule, context: Context) -> Bounded:
    """Improve and evaluate the rows of a batch, from the dual variables that it holds; what the rigorous evaluation refutes is closed."""
    fast, total, xp = tree.proposals, tree.neurons.total, tree.exact.xp
    low, high = tree.enclosures(splits)
    empty = to_numpy(xp.any(low > high, axis=1))
    high = xp.maximum(low, high)
    near, far = fast.asarray(low), fast.asarray(high)
    known = tree.neurons.split(near[:, :total], far[:, :total])
    rows = tree.targets.rows(tree.graph, fast, splits.disjunct)
    constant, strict = fast.asarray(tree.targets.constant[splits.disjunct]), tree.targets.strict[splits.disjunct]
    ascent = Ascent(
        tree.graph.to(fast),
        rows,
        near[:, total:],
        far[:, total:],
        known,
        tree.parameters(splits, fast),
        tree.signs(splits, fast, everywhere=tree.recorder is not None),
        schedule,
    )
    # One refuted row closes a subproblem, so all its rows are done.
    closed = lambda lower: fast.xp.broadcast_to(fast.xp.any(lower + constant > 0, axis=1, keepdims=True), lower.shape)  # noqa: E731
    found = tree.recorder.run(ascent) if tree.recorder is not None else None
    dual, parameters = found if found is not None else ascent.run(closed, context.out_of_time)
    bounds = tree.targets.add_constant(to_numpy(dual.lower).astype(np.float64), splits.disjunct)
    improved = replace(
        splits,
        slopes=tree.packed(parameters),
        multiplier=_gathered(tree, splits, parameters),
        bound=np.maximum(splits.bound, bounds.max(axis=1)),
    )
    bounded = Bounded(improved, bounds, dual, parameters, low, high, empty)
    # Rows that refute together may each look hopeless.
    hopeful = np.ones(len(splits), bool) if bounds.shape[1] > 1 else ((bounds > 0) | (strict & (bounds >= 0))).any(axis=1)
    clipped = narrowing.promising(dual, bounds, near[:, total:], far[:, total:]) if tree.clips else np.zeros(len(splits), bool)
    return _settled(tree, bounded, np.flatnonzero((hopeful | clipped) & ~empty), bool(clipped.any()))


def _settled(tree: Tree, found: Bounded, pick: np.ndarray, clips: bool) -> Bounded:
    """The same after a rigorous evaluation of those at `pick` (P,): what that refutes is closed, the rest narrowed if `clips`."""
    if not len(pick):
        return found
    splits, closed, xp = found.splits, found.closed.copy(), tree.exact.xp
    rows = tree.exact_rows(splits.select(pick), found.parameters, pick)
    closed[pick] = tree.excluded(rows, splits.disjunct[pick])
    if not clips:
        return replace(found, closed=closed)
    splits = narrowing.narrowed(tree, splits, pick, rows)
    low, high = tree.enclosures(splits)
    closed |= to_numpy(xp.any(low > high, axis=1))
    return replace(found, splits=splits, low=low, high=xp.maximum(low, high), closed=closed)


def _gathered(tree: Tree, splits: Splits, parameters: Parameters) -> np.ndarray:
    """Multipliers (B, R, D) of the splits, from the dense ones."""
    found, first = np.zeros(splits.multiplier.shape, np.float32), (splits.side != 0) & ~splits.repeated
    for p, s in tree.neurons.slices.items():
        if p not in parameters.multipliers:
            continue
        mine = (splits.neuron >= s.start) & (splits.neuron < s.stop) & first
        if mine.any():
            index = tree.proposals.indices(np.broadcast_to(np.where(mine, splits.neuron - s.start, 0)[:, None], found.shape))
            taken = tree.proposals.xp.take_along_axis(parameters.multipliers[p], index, axis=2)
            found = np.where(mine[:, None], to_numpy(taken), found)
    return found


def _chosen(
    tree: Tree, found: Bounded, of_scores: np.ndarray, of_splits: np.ndarray, most: int, context: Context
) -> tuple[Splits, Learned]:
    """Open subproblems, each with the neuron to split next, the best of `most` candidates; and what was seen of those. of_scores,
    of_splits: as of `PseudoCosts`."""
    splits, total, learned = found.splits, tree.neurons.total, Learned.none(tree.neurons.total)
    if not len(splits):
        return splits, learned
    neurons = Neurons(tree.graph.to(tree.exact))
    neuron, point, score = candidates(neurons, tree.exact, found.dual, found.bounds, found.low, found.high, of_scores, most)
    at, best, expected = np.arange(len(splits)), np.zeros(len(splits), np.int64), np.full(neuron.shape, np.nan)
    values = _look_ahead(tree, found, neuron, point, context, _best_bounds) if neuron.shape[1] > 1 else None
    if values is not None:
        expected = gain(found.bounds.max(axis=1)[:, None, None], values).mean(axis=2)
        # A score of next to nothing says no more than that the neuron may be split at all.
        telling = score > _TELLING * score.max(axis=1, keepdims=True)
        learned = Learned.of(total, np.where(telling, neuron, -1), expected - np.log(np.maximum(score, 1e-300)))
        known = np.where((neuron >= 0) & (neuron < total), of_splits[np.clip(neuron, 0, total - 1)], 0.0) if total else 0.0
        best = best_split(neuron >= 0, expected + known)
    chosen = replace(splits, choice=neuron[at, best], choice_point=point[at, best], expected=expected[at, best])
    if values is not None and tree.clips:
        silent = _silent(found.bounds.max(axis=1), values) & (neuron[:, 0] >= 0) & (neuron[:, 0] < total)
        if silent.any():
            left = found.select(np.flatnonzero(silent), tree.proposals)
            chosen.choice[silent], chosen.choice_point[silent] = _by_propagation(tree, left, context)
            chosen.expected[silent] = np.nan
    return chosen, learned


def _silent(before: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(B,) True where bounds (B, K, 2) of children say nothing, as none is better than that of the parent (B,)."""
    rise = values - before[:, None, None]
    return np.asarray((rise <= _SILENT * np.maximum(-before, NOTHING)[:, None, None]).all(axis=(1, 2)))


Measure = Callable[[Tree, Dual, Array, Array, np.ndarray], np.ndarray]
"""(tree, rows of subproblems, their enclosures low and high (C, T' + n) in `exact`, which may cross, disjuncts (C,)) -> (C,)."""


def _look_ahead(
    tree: Tree, found: Bounded, neuron: np.ndarray, point: np.ndarray, context: Context, measure: Measure
) -> np.ndarray | None:
    """A measure (B, K, 2) of the children of all candidates (B, K), -inf where there is none; None where there is no time."""
    parent, place = np.nonzero(neuron >= 0)
    values = np.full((*neuron.shape, 2), -np.inf)
    for side, sign in enumerate((1, -1)):
        for i in range(0, len(parent), 4 * tree.chunk):
            if context.out_of_time():
                return None
            some = parent[i : i + 4 * tree.chunk], place[i : i + 4 * tree.chunk]
            values[(*some, side)] = _of_children(tree, found, some[0], neuron[some], sign, point[some], measure)
    return values


def _of_children(
    tree: Tree, found: Bounded, parent: np.ndarray, neuron: np.ndarray, side: int, point: np.ndarray, measure: Measure
) -> np.ndarray:
    """(C,) of children with the dual variables of their parents (C,): nothing rigorous."""
    fast, total, at = tree.proposals, tree.neurons.total, tree.proposals.indices(parent)
    below, above = clamped(found.low[at], found.high[at], neuron[:, None], np.full((len(parent), 1), side), point[:, None])
    low = fast.asarray(below)
    high = fast.xp.maximum(low, fast.asarray(above))
    known = tree.neurons.split(low[:, :total], high[:, :total])
    parameters = found.parameters.map(lambda a: a[at] if a.shape[0] == len(found.bounds) else a)
    problem = problem_of(tree.graph.to(fast), low[:, total:], high[:, total:], known, parameters)
    disjunct = found.splits.disjunct[parent]
    dual = evaluate(tree.graph.to(fast), tree.targets.rows(tree.graph, fast, disjunct), problem, None)
    return measure(tree, dual, below, above, disjunct)


def _best_bounds(tree: Tree, dual: Dual, low: Array, high: Array, disjunct: np.ndarray) -> np.ndarray:
    """Of the rows."""
    return np.asarray((to_numpy(dual.lower) + tree.targets.constant[disjunct]).max(axis=1))


def _left(tree: Tree, dual: Dual, low: Array, high: Array, disjunct: np.ndarray) -> np.ndarray:
    """Logarithm of the part of the box that is left, about."""
    planes, offsets = (to_numpy(a).astype(np.float64) for a in (dual.coefficients, dual.offset))
    below, above = (np.array(to_numpy(side)) for side in (low, high))
    return narrowing.remaining(tree, below, above, planes, offsets + tree.targets.constant[disjunct])


def _by_propagation(tree: Tree, found: Bounded, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """(neuron, point), (B,) each, to split next where bounds do not tell one from another: both children lose much of their box."""
    neurons, total = Neurons(tree.graph.to(tree.exact)), tree.neurons.total
    every = np.ones(total)
    neuron, point, _ = candidates(neurons, tree.exact, found.dual, found.bounds, found.low, found.high, every, _PROPAGATED)
    at, left = np.arange(len(neuron)), _look_ahead(tree, found, neuron, point, context, _left)
    if left is None:
        return neuron[:, 0], point[:, 0]
    before = _left(tree, found.dual, found.low, found.high, found.splits.disjunct)[:, None, None]
    with np.errstate(invalid="ignore"):
        lost = np.where(left == -np.inf, np.inf, before - left)
    best = best_split(neuron >= 0, np.log(np.clip(lost, *_LOSSES)).mean(axis=2))
    return neuron[at, best], point[at, best]


def sensitivities(tree: Tree, splits: Splits) -> np.ndarray:
    """(B, T'): scores of all neurons for the best row of each subproblem, with the dual variables that it holds."""
    low, high = tree.enclosures(splits)
    high = tree.exact.xp.maximum(low, high)
    dual, best = _best_rows(tree, splits, low, high, keep=True)
    at = tree.proposals.indices(np.arange(len(splits)))
    return to_numpy(neuron_scores(Neurons(tree.graph.to(tree.exact)), {n: q[at, best] for n, q in dual.q.items()}, low, high))


def planes(tree: Tree, splits: Splits) -> np.ndarray:
    """(B, n): coefficients of the plane below the best row of each subproblem, with the dual variables that it holds."""
    dual, best = _best_rows(tree, splits, *tree.enclosures(splits), keep=False)
    return to_numpy(dual.coefficients[tree.proposals.indices(np.arange(len(splits))), best]).astype(np.float64)


def imprecise(tree: Tree, splits: Splits) -> np.ndarray:
    """(B,) True where proposals are off by a noticeable part of a best row's bound: what is refuted may seem to be far from it, where large
    numbers cancel."""
    dual, best = _best_rows(tree, splits, *tree.enclosures(splits), keep=False)
    exact = tree.exact_rows(splits, tree.parameters(splits, tree.proposals), np.arange(len(splits))).bounds
    at, row = np.arange(len(splits)), to_numpy(best)
    seen = (to_numpy(dual.lower).astype(np.float64) + tree.targets.constant[splits.disjunct])[at, row]
    exact = exact[at, row]
    with np.errstate(invalid="ignore"):
        close = np.isfinite(seen) & (np.abs(seen - exact) <= _OFF * np.maximum(np.abs(seen), np.abs(exact)))
    return np.asarray(np.isfinite(exact) & ~close)  # a proposal that overflowed is off


def _best_rows(tree: Tree, splits: Splits, low: Array, high: Array, keep: bool) -> tuple[Dual, Array]:
    """(rows within enclosures low, high (B, T' + n), which (B,) of each subproblem is the best): proposals."""
    fast, total = tree.proposals, tree.neurons.total
    near, far, graph = fast.asarray(low), fast.asarray(high), tree.graph.to(fast)
    known = tree.neurons.split(near[:, :total], far[:, :total])
    problem = problem_of(graph, near[:, total:], far[:, total:], known, tree.parameters(splits, fast))
    dual = evaluate(graph, tree.targets.rows(tree.graph, fast, splits.disjunct), problem, None, keep=keep)
    return dual, fast.indices((to_numpy(dual.lower) + tree.targets.constant[splits.disjunct]).argmax(axis=1))


def _corners(tree: Tree, found: Bounded) -> np.ndarray:
    """(B, n): the minimiser of every subproblem's planes, together."""
    total, weights = tree.neurons.total, tree.proposals.asarray(row_weights(found.bounds))
    plane = to_numpy(tree.proposals.xp.sum(weights[:, :, None] * found.dual.coefficients, axis=1))
    return minimisers(tree.graph, plane, to_numpy(found.low[:, total:]), to_numpy(found.high[:, total:]))


def _unstable_count(tree: Tree, found: Bounded) -> float:
    """Of a subproblem, on average."""
    total = tree.neurons.total
    crossing = (found.low[:, :total] < 0) & (found.high[:, :total] > 0)
    return int(crossing.sum()) / max(1, len(found.splits))
