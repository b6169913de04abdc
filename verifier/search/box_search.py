"""Neuron splits over one box: bounds of the root and of few halves, better ones as long as a search without them would take longer,
the search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from verifier.arrays import Arrays, to_numpy, varying
from verifier.bounds.ascent import Schedule
from verifier.bounds.cost import rows_seconds
from verifier.bounds.intermediate import RootBounds, root_bounds
from verifier.bounds.reduction import Reduction, reduce_graph
from verifier.bounds.resources import Resources
from verifier.bounds.stability import unstable
from verifier.config import Settings
from verifier.errors import InternalError
from verifier.parallel import Late
from verifier.search import neuron_split
from verifier.search.attack_rounds import AttackRounds
from verifier.search.box_halves import INPUTS, Halves, Part, by_halves
from verifier.search.events import Event
from verifier.search.exploration import candidates
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.query import Query
from verifier.search.refinement import Refinement
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort, Step, advance, imprecise, planes
from verifier.search.sweeps import Sweep
from verifier.search.tightening import Tightening
from verifier.search.tree import Tree

ROW_ITERATIONS = 20
"""Steps of ascent for the rows of unstable neurons at the root, at most: there are thousands of them."""
_WORTH = 0.05
"""Part of the gain that the last few steps at the root have to make for there to be more. On cifar10_resnet 4b prop_8 the rows take two
thirds of the time, for a bound of -1.723 in place of -1.716."""

_SMALL = 256
"""Unstable neurons up to which a subproblem gets `_MUCH` effort: bounds are cheap there, the scores a poor guide, and the last splits
need good multipliers. On safenlp medical 2445: 45,000 subproblems with 24 candidates, not done after 115,000 with 8."""
_MUCH, _LITTLE = Effort(24, Schedule(20, slope_step=0.03)), Effort(6, Schedule(4, multiplier_step=0.5))
"""Multipliers start from zero at their split, so that few large steps do as well as many small ones: on oval21 wide img8517, 12,700
subproblems in 10 s with 4, 14,500 in 17 s with 8 of size 0.1; for the last splits of small networks they are too coarse (two equal
networks of 49 inputs are not proved to be equal in 60 s, in 6 s with 20 of size 0.1). Slopes are near their best, and large steps only
come back to it: of 78 subproblems of mnist_fc 256x4 prop_9_0.05 at depth 31, 20 steps of size 0.1 close 11, with 0.03 for slopes 17, for
both 25; but safenlp ruarobot 5967 takes 84,500, 82,400 and 143,500 subproblems. On oval21 base img876, by splits alone: 5,100
subproblems with 6 candidates, 4,950 in half as much more time with 16."""
_ATTEMPT, _ROWS, _REFINING, _TIGHTENING = 0.03, 0.35, 0.5, 0.3
"""Parts of the time left that splits without optimised rows at the root may take, those rows, a sweep of refinement, and rounds with the
query's own rows."""
_BRIEF = 1.0
"""Seconds that optimised rows take at least for splits to be tried without them."""
_LONG = 0.2
"""Part of the time limit after which attacks do not wait for the first bounds any more."""
_PAYS = 0.1
"""Part of the gap that a sweep has to close to be worth another one."""


class Searched(NamedTuple):
    """outcome; unstable: neurons of every pre-activation at the root; in_float64: proposals were, as float32 is not good enough."""

    outcome: Outcome
    unstable: tuple[int, ...]
    in_float64: bool


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

    @property
    def _rows(self) -> Schedule:
        """Of rows of unstable neurons at the root."""
        return replace(self._optimised, iterations=min(ROW_ITERATIONS, self._optimised.iterations))

    @property
    def _optimised(self) -> Schedule:
        """Of the query's rows at the root."""
        return Schedule(self.settings.bounds.root_iterations, worth=_WORTH)

    def run(self, known: RootBounds | None) -> Searched:
        """Cheap bounds first: most queries that hold at the root hold by plain CROWN. Then halves of a box with few inputs, if few of them
        seem to be needed; then few splits, if optimised slopes of neurons would take longer, of which there are thousands; then those, and
        the search.

        known: optimised bounds over a box that contains this one, used in place of bounds of its own.
        """
        whole = self._bounded(known)
        if not whole.imprecise:
            return Searched(*self._continued(whole, known), in_float64=False)
        precise = replace(self, fast=self.exact)
        return Searched(*precise._continued(precise._bounded(whole.root), known), in_float64=True)

    def _continued(self, whole: Part, known: RootBounds | None) -> tuple[Outcome, tuple[int, ...]]:
        """`run` after plain bounds of the whole box: (outcome, unstable neurons)."""
        loose = self._loose(whole.root)
        if whole.outcome is not None:
            return whole.outcome, loose
        outcome, group = by_halves(whole, self._half, self.context) if known is None and self._narrow else Halves(None, whole.open)
        if outcome is not None:
            return outcome, loose
        root, nodes = whole.root, 0
        if known is None:
            outcome, group, nodes = self._attempted(root, group)
            if outcome is not None:
                return outcome, loose
            limit = self._part(_ROWS)
            root = self._bounds(self._rows, lambda: self.context.out_of_time() or self.context.clock() > limit, root)
            loose = self._loose(root)
        if self.context.out_of_time():
            return Outcome.late(), loose
        tree, step = self._rooted(root, group, self._optimised, last=True)
        outcome = self._decided(tree, step, Progress(self.context, 1.0)) or self._search(tree, step.open)
        return outcome._replace(subproblems=outcome.subproblems + nodes), loose

    def _attempted(self, root: RootBounds, group: np.ndarray) -> tuple[Outcome | None, np.ndarray, int]:
        """Splits of disjuncts `group` within the plain enclosures `root`, for no longer than better ones would take: where few are enough,
        those are not worth their time. (outcome, if there is one; disjuncts that are open; subproblems)"""
        seconds = self._rows_seconds(root)
        if seconds < _BRIEF:
            return None, group, 0
        tree, step = self._rooted(root, group, self._optimised, last=True)
        outcome = self._decided(tree, step, Progress(self.context, 1.0))
        if outcome is not None:
            return outcome, group, 0
        search, limit = self._by_splits(tree, step.open), min(seconds, self._part(_ATTEMPT) - self.context.clock())
        outcome = search.run(splits_alone=lambda _: limit / max(search.seconds, 1e-9))
        if outcome is not None and outcome.exhausted:  # what cannot be split may be closed by better enclosures
            outcome = None
        return outcome, search.open_disjuncts, search.progress.nodes

    def _rows_seconds(self, root: RootBounds) -> float:
        """About how long optimised rows of all neurons that are unstable within `root` would take."""
        graph = self.query.graph
        loose = {p: count for p, count in zip(graph.preactivations, self._loose(root)) if p in graph.deep}
        return self._rows.iterations * rows_seconds(graph, loose, self.context.workers.cores)

    @property
    def _narrow(self) -> bool:
        """Few inputs vary."""
        return int(np.sum(varying(*self._box))) <= INPUTS

    def _half(self, lower: np.ndarray, upper: np.ndarray, around: RootBounds, group: np.ndarray) -> Part:
        """Disjuncts `group` in a part of the box. around: enclosures of a box that contains it."""
        shape = self.query.lower.shape
        query = replace(self.query, lower=np.broadcast_to(lower, shape), upper=np.broadcast_to(upper, shape))
        return replace(self, query=query, group=group)._bounded(None, around)

    def _bounded(self, known: RootBounds | None, around: RootBounds | None = None) -> Part:
        """By enclosures that are `known`, or else plain ones within those `around`, and then with better slopes of the query's few rows,
        before any of neurons."""
        begin, group = self.context.clock(), self.group
        root = known or self._bounds(Schedule(0), self.context.out_of_time, around)
        for schedule in (Schedule(0), self._rows) if known is None and self._rows.iterations else (Schedule(0),):
            if self.context.out_of_time():
                raise Late
            tree, step = self._rooted(root, group, schedule, last=False)
            outcome, group = self._decided(tree, step, Progress(self.context, 1.0)), step.open.disjunct
            if outcome is not None:
                break
        nothing = np.zeros((0, self.query.graph.input_size))
        found = planes(tree, step.open) if outcome is None and self._narrow else nothing
        asked = outcome is None and around is None and self.fast is not self.exact  # halves go on as their box does
        rounded = asked and bool(imprecise(tree, _highest(step.open, tree.chunk)).any())
        return Part(*self._box, root, group, step.open.bound, found, self.context.clock() - begin, outcome, rounded)

    def _part(self, share: float) -> float:
        """The moment when this part of the time left is over."""
        now = self.context.clock()
        return now + share * (self.context.deadline - now)

    def _bounds(
        self, schedule: Schedule, late: Callable[[], bool], start: RootBounds | None = None, refine: Refinement | None = None
    ) -> RootBounds:
        resources = Resources(self.exact, self.fast, self.context.workers, late)
        if start is None:
            resources = replace(resources, pause=self._attacked)
        return root_bounds(self.query.graph, resources, *self._box, schedule, start, refine)

    def _attacked(self) -> None:
        """The box, in the middle of its first bounds, which may take all the time that there is."""
        if self.context.clock() >= _LONG * self.context.deadline:
            self.attack.interrupt()

    def _loose(self, root: RootBounds) -> tuple[int, ...]:
        return tuple(int(to_numpy(unstable(self.query.graph, p, b)).sum()) for p, b in sorted(root.preactivations.items()))

    def _rooted(self, root: RootBounds, group: np.ndarray, schedule: Schedule, last: bool) -> tuple[Tree, Step]:
        """The tree over `root`, and bounds of disjuncts `group` in it. last: their next splits are chosen with care, and the
        network is reduced first, for which a few passes would not pay."""
        query, context = self.query, self.context
        reduction = Reduction.none(query.graph)
        if last:
            reduction = reduce_graph(query.graph, root.preactivations, *self._box, self.fast, context.workers, context.out_of_time)
        tree = Tree.of(query.graph, reduction, self.exact, self.fast, root, query.targets, *self._box, clips=True)
        splits = tree.start(group, np.full(len(group), -np.inf), tree.initial())
        step = advance(tree, splits, Effort(self._effort(tree).look_ahead if last else 1, schedule), context)
        event = Event("R", context.clock(), open=len(step.open), unstable=sum(self._loose(root)), lower_bound=step.lowest)
        context.report(event)
        return tree, step

    def _decided(self, tree: Tree, step: Step, progress: Progress) -> Outcome | None:
        """Where nothing is left open, or a counterexample is found on the way."""
        nodes = progress.nodes + len(step.closed)
        if not len(step.open):
            return Outcome(True, None, nodes, step.lowest, 1.0)
        witness = self.context.gate.first(*candidates(tree, step, self.context)) or self.attack.run_if_due()
        return None if witness is None else Outcome(False, witness, nodes, step.lowest, 0.0)

    def _search(self, tree: Tree, start: Splits) -> Outcome:
        """Splits, for as long as narrower enclosures of the root would take; then those, and so on with larger trees of neurons while that
        pays and there is time; then rounds with the query's own rows, and splits to the end. On oval21 img3568 and img8517 a sweep after
        rounds took 16 and 5 s and gained 1 % and nothing."""
        search, sweep, pays = self._by_splits(tree, start), Sweep(), True
        try:
            while pays:
                outcome = search.run(splits_alone=partial(self._instead, search, sweep))
                if outcome is not None:
                    return outcome
                start = start.select(np.isin(start.disjunct, search.open_disjuncts))
                sizes = sweep.sizes(tree, search.seconds, self._refining(tree))
                if not sizes:
                    break
                better, step, sweep = self._swept(tree, start.disjunct, sweep, sizes)
                outcome = self._decided(better, step, search.progress)
                if outcome is not None:
                    return outcome
                pays = bool(step.open.bound.min() >= (1.0 - _PAYS) * start.bound.min())
                nodes = search.progress.nodes + len(start)
                tree, start = better, step.open
                search = self._by_splits(tree, start)
                search.progress.nodes = nodes
            outcome = search.resumed(search.tightening.root(start, self._part(_TIGHTENING)))
        except Late:
            return search.late()
        if outcome is None:
            raise InternalError("a search ended although subproblems are open")
        return outcome

    def _refining(self, tree: Tree) -> float:
        """Seconds that there are for trees of neurons."""
        return self._part(_REFINING) - self.context.clock() - self._rows_seconds(tree.root)

    def _instead(self, search: neuron_split.Search, sweep: Sweep, disjuncts: int) -> float:
        """Subproblems of `search` that take as long as the next sweep would, or rounds where there is no time for one."""
        if not search.seconds:  # as long as nothing is known
            return np.inf
        sizes = sweep.sizes(search.tree, search.seconds, self._refining(search.tree))
        expected = sweep.expected(search.tree, sizes, search.seconds)
        return expected / search.seconds if expected else search.tightening.expected(disjuncts)

    def _swept(self, tree: Tree, group: np.ndarray, sweep: Sweep, sizes: Mapping[int, float]) -> tuple[Tree, Step, Sweep]:
        """(the tree over the root of `tree` with layers refined by trees of these sizes, what is open of disjuncts `group` there, the sweep
        after this one)."""
        context, begin = replace(self.context, deadline=self._part(_REFINING)), self.context.clock()
        subproblems = {p: int(size) for p, size in sizes.items()}
        refinement = Refinement(self.query.graph, self.exact, self.fast, *self._box, context, subproblems)
        root = self._bounds(self._rows, context.out_of_time, tree.root, refinement)
        following = sweep.following(tree, sizes, context.clock() - begin)
        better, step = self._rooted(root, group, self._optimised, last=True)
        return better, step, following

    def _by_splits(self, tree: Tree, start: Splits) -> neuron_split.Search:
        effort = self._effort(tree)
        tightening = Tightening(tree, effort, self.context)
        return neuron_split.Search(tree, start, self.context, self.batch, effort, tightening, self.attack)

    def _effort(self, tree: Tree) -> Effort:
        """Of a subproblem."""
        effort = _MUCH if tree.neurons.total <= _SMALL else _LITTLE
        candidates, iterations = self.settings.search.candidates, self.settings.bounds.iterations
        if candidates is not None:
            effort = replace(effort, look_ahead=candidates)
        if iterations is not None:
            effort = replace(effort, schedule=replace(effort.schedule, iterations=iterations))
        return effort


def _highest(splits: Splits, most: int) -> Splits:
    """At most `most` subproblems, those that seem to be the nearest to a proof."""
    return splits.select(np.argsort(-splits.bound, kind="stable")[:most])

