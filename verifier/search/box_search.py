"""Neuron splits over one box: bounds of the root, better ones as long as a search without them would take longer, the search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from verifier.arrays import Arrays, to_numpy
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import RootBounds, root_bounds, unstable
from verifier.bounds.reduction import Reduction, reduce_graph, row_cost
from verifier.config import Settings
from verifier.errors import InternalError
from verifier.graph.ir import Graph
from verifier.parallel import Late
from verifier.search import neuron_split
from verifier.search.attack_rounds import AttackRounds
from verifier.search.events import Event
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.query import Query
from verifier.search.refinement import Refinement
from verifier.search.splits import Splits
from verifier.search.subproblems import Step, advance
from verifier.search.tightening import Tightening
from verifier.search.tree import Tree

ROW_ITERATIONS = 20
"""Steps of ascent for the rows of unstable neurons at the root, at most: there are thousands of them."""

_SMALL = 256
"""Unstable neurons up to which a subproblem gets `_MUCH` effort: bounds are cheap there, the scores a poor guide, and the last splits
need good multipliers. On safenlp medical 2445: 45,000 subproblems with 24 candidates, not done after 115,000 with 8."""
_MUCH, _LITTLE = (24, 20), (16, 8)
"""(candidates, iterations). On oval21 base img876: 5,000 subproblems with 16 and 8, 7,900 with 8 and 20, in 1.5 times the work."""
_ROWS, _REFINING, _TIGHTENING = 0.2, 0.4, 0.3
"""Parts of the time left that optimised rows at the root may take, refinement, and rounds with the query's own rows."""
_FIRST, _FACTOR = 16, 4
"""Subproblems of a neuron's own tree in the first sweep, and how many times more in each further one."""
_PAYS = 0.1
"""Part of the gap that a sweep has to close to be followed by a larger one."""


@dataclass(frozen=True, eq=False)
class Search:
    """For the disjuncts `group` of `query`, which share a box. batch: subproblems bounded at once."""

    query: Query
    exact: Arrays
    fast: Arrays
    settings: Settings
    context: Context
    batch: int
    attack: AttackRounds
    group: np.ndarray

    @cached_property
    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        return self.query.lower[self.group[0]], self.query.upper[self.group[0]]

    def run(self, known: RootBounds | None) -> tuple[Outcome, tuple[int, ...]]:
        """(outcome, unstable neurons of every pre-activation at the root).

        Cheap bounds first: most queries that hold at the root hold by plain CROWN. Then optimised slopes, then the search.
        known: optimised bounds over a box that contains this one, used in place of bounds of its own.
        """
        context, group = self.context, self.group
        limit, optimised = self._part(_ROWS), self.settings.bounds.root_iterations
        root = known or self._bounds(Schedule(0), context.out_of_time)
        for schedule, last in ((Schedule(0), False), (Schedule(optimised), True)):
            if schedule.iterations and known is None:
                late = lambda: context.out_of_time() or context.clock() > limit  # noqa: E731
                root = self._bounds(Schedule(min(ROW_ITERATIONS, optimised)), late, root)
            loose = self._loose(root)
            if context.out_of_time():
                return Outcome.late(), loose
            # A single pass at the root would not pay for a reduction.
            tree, step = self._rooted(root, group, schedule, reduced=schedule.iterations > 0, last=last)
            outcome = self._decided(tree, step, Progress(context, 1.0))
            if outcome is not None:
                return outcome, loose
            group = step.open.disjunct
        return self._search(tree, step.open), loose

    def _part(self, share: float) -> float:
        """The moment when this part of the time left is over."""
        now = self.context.clock()
        return now + share * (self.context.deadline - now)

    def _bounds(
        self, schedule: Schedule, late: Callable[[], bool], start: RootBounds | None = None, refine: Refinement | None = None
    ) -> RootBounds:
        workers = self.context.workers
        return root_bounds(self.query.graph, self.exact, *self._box, schedule, late, self.fast, workers, start, refine)

    def _loose(self, root: RootBounds) -> tuple[int, ...]:
        return tuple(int(to_numpy(unstable(self.query.graph, p, b)).sum()) for p, b in sorted(root.preactivations.items()))

    def _rooted(self, root: RootBounds, group: np.ndarray, schedule: Schedule, reduced: bool, last: bool) -> tuple[Tree, Step]:
        """The tree over `root`, and bounds of disjuncts `group` in it. last: their next splits are chosen with care."""
        query, context = self.query, self.context
        reduction = Reduction.none(query.graph)
        if reduced:
            reduction = reduce_graph(query.graph, root.preactivations, *self._box, self.fast, context.workers, context.out_of_time)
        tree = Tree.of(query.graph, reduction, self.exact, self.fast, root, query.targets, *self._box)
        splits = tree.start(group, np.full(len(group), -np.inf), tree.initial())
        step = advance(tree, splits, schedule, self._effort(tree)[0] if last else 1, context)
        event = Event("R", context.clock(), open=len(step.open), unstable=sum(self._loose(root)), lower_bound=step.lowest)
        context.report(event)
        return tree, step

    def _decided(self, tree: Tree, step: Step, progress: Progress) -> Outcome | None:
        """Where nothing is left open, or a counterexample is found on the way."""
        nodes = progress.nodes + len(step.closed)
        if not len(step.open):
            return Outcome(True, None, nodes, step.lowest, 1.0)
        witness = neuron_split.attack(tree, step, self.context, progress)
        return None if witness is None else Outcome(False, witness, nodes, step.lowest, 0.0)

    def _search(self, tree: Tree, start: Splits) -> Outcome:
        """Splits alone for as long as better enclosures of the root would take; then what is open goes on within them."""
        search, sweep = self._by_splits(tree, start), _FIRST * sum(_work(tree).values())
        outcome = search.run(splits_alone=lambda disjuncts: min(sweep or np.inf, search.tightening.expected(disjuncts)))
        if outcome is not None:
            return outcome
        unfinished = start.select(np.isin(start.disjunct, search.open_disjuncts))
        try:
            for better, step in self._refined(tree, unfinished, search.seconds):
                outcome = self._decided(better, step, search.progress)
                if outcome is not None:
                    return outcome
                unfinished, nodes = step.open, search.progress.nodes + len(step.closed)
                search = self._by_splits(better, unfinished)
                search.progress.nodes = nodes
            step = search.tightening.root(unfinished, self._part(_TIGHTENING))
        except Late:
            return search.late()
        outcome = search.resumed(step.open)
        if outcome is None:
            raise InternalError("a search ended although subproblems are open")
        return outcome

    def _refined(self, tree: Tree, start: Splits, seconds: float) -> Iterator[tuple[Tree, Step]]:
        """The tree over better and better bounds of the root, and the bounds of the open subproblems `start`, which have no splits.

        Each sweep over the layers has larger trees than the last; layers that would take too long are left as they are. seconds: of one
        subproblem of `tree`.
        """
        context, root = replace(self.context, deadline=self._part(_REFINING)), tree.root
        schedule, size, gap = Schedule(min(ROW_ITERATIONS, self.settings.bounds.root_iterations)), _FIRST, float(-start.bound.min())
        while True:
            expected = {p: seconds * size * count for p, count in _work(tree).items()}
            begin = context.clock()
            layers = [p for p, total in zip(expected, np.cumsum(list(expected.values()))) if begin + total < context.deadline]
            if not layers:
                return
            refinement = Refinement(self.query.graph, self.exact, self.fast, *self._box, context, size, frozenset(layers))
            root = self._bounds(schedule, context.out_of_time, root, refinement)
            seconds *= (context.clock() - begin) / sum(expected[p] for p in layers)
            tree, step = self._rooted(root, start.disjunct, Schedule(self.settings.bounds.root_iterations), reduced=True, last=True)
            yield tree, step
            start, size, before, gap = step.open, size * _FACTOR, gap, float(-step.open.bound.min())
            if gap > (1.0 - _PAYS) * before:
                return

    def _by_splits(self, tree: Tree, start: Splits) -> neuron_split.Search:
        look_ahead, iterations = self._effort(tree)
        schedule = Schedule(iterations)
        tightening = Tightening(tree, schedule, look_ahead, self.context)
        return neuron_split.Search(tree, start, self.context, self.batch, schedule, look_ahead, tightening, self.attack)

    def _effort(self, tree: Tree) -> tuple[int, int]:
        """(candidates, iterations) of a subproblem."""
        candidates, iterations = _MUCH if tree.neurons.total <= _SMALL else _LITTLE
        wanted = self.settings.search.candidates, self.settings.bounds.iterations
        return candidates if wanted[0] is None else wanted[0], iterations if wanted[1] is None else wanted[1]


def _work(tree: Tree) -> dict[int, float]:
    """Pre-activation of the network with loose neurons below it -> subproblems of the whole tree that one of each of its neurons' own
    trees takes the time of."""
    graph, found = tree.graph, {}
    for p in graph.preactivations:
        below = Graph(tuple(graph.nodes[n] for n in graph.ancestors(p)))
        if below.nonlinear:
            found[tree.original(p)] = 2.0 * graph.nodes[p].size * row_cost(below) / row_cost(graph)
    return found
