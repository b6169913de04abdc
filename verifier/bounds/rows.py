"""Rows of a node's own elements: CROWN for what is unstable, optimised slopes for what is left, every result rigorous.

Neurons of an image depend on a window of it: rows of those that lie together are evaluated on that part of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from verifier.arrays import Array, Arrays, to_numpy
from verifier.bounds.ascent import Ascent, Schedule, initial_parameters, problem_of
from verifier.bounds.dual import Interval, evaluate
from verifier.bounds.resources import Resources
from verifier.bounds.rigorous import ErrorWeights
from verifier.bounds.stability import unstable
from verifier.bounds.tiles import seen, tiles, within
from verifier.graph.ir import Graph

_CHUNK_WORK = 500_000_000
"""Multiplications of the rows of one chunk in one pass: about 0.1 s on one core."""
_MANY, _SAMPLE, _STEPS, _PLAIN, _OPTIMISED = 256, 64, 5, 0.95, 0.985
"""Of so many elements about so many are bounded first, with so many steps at most: where their enclosures together get no narrower than by
this factor, by plain rows or by optimised ones, the rest is left as it is. Forms bound the products of a small transformer as well as rows
do, in a hundredth of the time, and slopes make those of vit ibp_3_3_8 narrower by 0.2 % in 17 s. Other slopes do little for first layers,
too, but what they do adds up."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Bounds of the elements of `node` over the box low, high (1, n), by rows of their own. known: enclosures of the pre-activations
    below, and of `node` where it is one."""

    graph: Graph
    resources: Resources
    low: Array
    high: Array
    known: Mapping[int, Interval]
    node: int
    weights: ErrorWeights

    def tightened(self, stages: tuple[Schedule, ...]) -> tuple[Interval, bool | None]:
        """Rows for the neurons that are unstable before each stage: plain CROWN, then optimised slopes. And whether the last stage paid for
        the few that it was tried on first; None where it was not."""
        bounds, curved = self.known[self.node], not set(self.graph.nonlinear).isdisjoint(self.graph.ancestors(self.node))
        pays = None
        for i, stage in enumerate(stages):
            todo, pays = np.flatnonzero(to_numpy(unstable(self.graph, self.node, bounds))[0]), None
            if len(todo) == 0 or self.resources.late() or (i > 0 and stage.iterations == 0) or (stage.iterations and not curved):
                break
            # A neuron's row is of no more use once its sign is known.
            bound = partial(self.bounded, enough=lambda lower: lower > 0)
            if len(todo) >= _MANY:
                some, pilot = todo[:: len(todo) // _SAMPLE], replace(stage, iterations=min(_STEPS, stage.iterations))
                before, bounds = bounds, bound(bounds, some, pilot)
                pays = self._pays(before, bounds, some, _OPTIMISED if stage.iterations else _PLAIN)
                todo = todo if stage.iterations else np.setdiff1d(todo, some)
            if pays is not False:
                bounds = bound(bounds, todo, stage)
        return bounds, pays

    def _pays(self, before: Interval, after: Interval, some: np.ndarray, narrower: float) -> bool:
        """Whether rows made some of the elements `some` stable, or their enclosures together narrower than by this factor."""
        stable = ~to_numpy(unstable(self.graph, self.node, after))[0, some]
        old, new = (to_numpy(b.upper - b.lower)[0, some] for b in (before, after))
        return bool(stable.any() or not new.sum() > narrower * old.sum())

    def bounded(
        self,
        bounds: Interval,
        todo: np.ndarray,
        stage: Schedule,
        enough: Callable[[Array], Array],
    ) -> Interval:
        """`bounds` (1, size) with the elements `todo` tightened; `enough` as in `Ascent.run`."""
        parts = [part for tile in tiles(self.graph, self.node, todo) for part in self._chunks(tile, stage)]
        return _merged(self.resources.exact, bounds, parts, self.resources.workers.map(partial(self._bound, stage, enough), parts))

    def _chunks(self, todo: np.ndarray, stage: Schedule) -> list[np.ndarray]:
        here, _ = self._around(todo)
        chunk = max(1, min(here._most(stage), -(-len(todo) // self.resources.workers.cores)))
        return [todo[first : first + chunk] for first in range(0, len(todo), chunk)]

    def _around(self, part: np.ndarray) -> tuple[Rows, np.ndarray]:
        """(the same for what the elements `part` depend on alone, `part` there); as it is where that is most of the graph."""
        there = seen(self.graph, self.node, part)
        if there is None:
            return self, part
        origin = {n: (p, self.resources.exact.indices(elements)) for n, (p, elements) in there.origin.items()}

        def some(values: Mapping[int, Array]) -> dict[int, Array]:
            return {n: values[p][..., i] for n, (p, i) in origin.items() if p in values}

        weights = ErrorWeights(some(self.weights.node), some(self.weights.multiplier), some(self.weights.forward), self.weights.underflow)
        known = within(there, self.known, self.resources.exact)
        return replace(self, graph=there.graph, known=known, node=there.graph.output, weights=weights), there.position(part)

    def _most(self, stage: Schedule) -> int:
        """Neurons in one chunk: what fits in memory, and keeps the time between two looks at the clock short."""
        below = [self.graph.nodes[n] for n in self.graph.ancestors(self.node)]
        arrays = self.resources.exact
        fits = arrays.budget / (8 * sum(node.size for node in below) * (12 if stage.iterations else 5)) / 2
        return int(min(fits, _CHUNK_WORK * arrays.width / max(1, sum(node.multiplications for node in below))))

    def _bound(self, stage: Schedule, enough: Callable[[Array], Array], part: np.ndarray) -> tuple[Array, Array] | None:
        """Rigorous (lower, upper), each (k,), of the elements `part`; None where the deadline has passed."""
        if self.resources.late():
            return None
        here, part = self._around(part)
        return here._evaluated(stage, enough, part)

    def _evaluated(self, stage: Schedule, enough: Callable[[Array], Array], part: np.ndarray) -> tuple[Array, Array]:
        arrays, fast = self.resources.exact, self.resources.proposals
        graph, p, k = self.graph.to(arrays), self.node, len(part)
        shape, start = graph.nodes[p].shape, initial_parameters(graph, p, self.known)
        parameters = start
        below = {n: self.known[n] for n in graph.preactivations if n < p}
        if stage.iterations:
            ascent = Ascent(
                self.graph.to(fast),
                {p: unit_rows(fast, part[None], shape)},
                fast.asarray(self.low),
                fast.asarray(self.high),
                {n: Interval(fast.asarray(b.lower), fast.asarray(b.upper)) for n, b in below.items()},
                start.map(fast.asarray),
                {},
                stage,
            )
            _, parameters = ascent.run(enough, self.resources.late)
            parameters = parameters.map(arrays.asarray)
        problem = problem_of(graph, self.low, self.high, below, parameters)
        result = evaluate(graph, {p: unit_rows(arrays, part[None], shape)}, problem, self.weights).lower[0]
        return result[:k], -result[k:]


def _merged(arrays: Arrays, bounds: Interval, parts: list[np.ndarray], results: list[tuple[Array, Array] | None]) -> Interval:
    lower, upper = arrays.xp.asarray(bounds.lower, copy=True), arrays.xp.asarray(bounds.upper, copy=True)
    for part, result in zip(parts, results):
        if result is not None:
            index = arrays.indices(part)
            lower[0, index] = arrays.xp.maximum(lower[0, index], result[0])
            upper[0, index] = arrays.xp.minimum(upper[0, index], result[1])
    return Interval(lower, upper)


def unit_rows(arrays: Arrays, part: np.ndarray, shape: tuple[int, ...]) -> Array:
    """(B, 2k, *shape): +e_j for every j of part (B, k), then -e_j."""
    (count, k), size = part.shape, int(np.prod(shape))
    rows = arrays.zeros((count * 2 * k, size))
    first = (2 * k * np.arange(count)[:, None] + np.arange(k)).reshape(-1)
    rows[arrays.indices(first), arrays.indices(part.reshape(-1))] = 1.0
    rows[arrays.indices(first + k), arrays.indices(part.reshape(-1))] = -1.0
    return arrays.xp.reshape(rows, (count, 2 * k, *shape))
