"""From boxes and rows to an outcome: root bounds, attack, and the search that the plan names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import Arrays, cuda_devices, numpy_arrays, to_numpy, torch_arrays
from verifier.bounds.ascent import Parameters, Schedule, initial_parameters
from verifier.bounds.batch import Neurons
from verifier.bounds.intermediate import RootBounds, Undefined, root_bounds, unstable
from verifier.bounds.reduction import Reduction, reduce_graph
from verifier.config import Settings
from verifier.errors import InternalError
from verifier.parallel import Late, Workers
from verifier.search import input_split, neuron_split
from verifier.search.attack_rounds import AttackRounds
from verifier.search.boxes import Boxes
from verifier.search.events import Event
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.plan import Plan, make_plan
from verifier.search.query import Query
from verifier.search.splits import Splits
from verifier.search.subproblems import advance
from verifier.search.tightening import Tightening
from verifier.search.tree import Tree

_LOOK_AHEAD_INPUTS = 6
"""Inputs of a box whose halves are bounded before one is chosen. On ACAS Xu 4_9 prop_1: 1,100 boxes instead of over 20,000."""


ROW_ITERATIONS = 20
"""Steps of ascent for the rows of unstable neurons at the root, at most: there are thousands of them."""


_SMALL = 256
"""Unstable neurons up to which a subproblem gets `_MUCH` effort: bounds are cheap there, the scores a poor guide, and the last splits
need good multipliers. On safenlp medical 2445: 45,000 subproblems with 24 candidates, not done after 115,000 with 8."""
_MUCH, _LITTLE = (24, 20), (16, 8)
"""(candidates, iterations). On oval21 base img876: 5,000 subproblems with 16 and 8, 7,900 with 8 and 20, in 1.5 times the work."""
_TIGHTENING = 0.3
"""Part of the time left that narrower enclosures at the root may take."""


_LATE = Outcome(False, None, 0, -np.inf, 0.0)
"""Of a search whose time ran out before it knew anything, or whose last batch did not end in time."""


@dataclass(frozen=True, eq=False)
class Solved:
    """unstable: unstable neurons of every pre-activation at the root."""

    outcome: Outcome
    plan: Plan
    unstable: tuple[int, ...]


def solve(query: Query, settings: Settings, context: Context, worst_first: bool = False, known: RootBounds | None = None) -> Solved:
    """worst_first: where inputs are split, an outcome that is not decided has an `open_bound` as good as the time allows.

    known: optimised bounds over a box that contains those of the query, used in place of bounds of its own.
    """
    plan = make_plan(query.graph, query.lower, query.upper, settings.search.batch, settings.search.device, cuda_devices)
    exact, fast = arrays_of(plan)
    if plan.backend == "torch":  # it has threads of its own, and neither they nor a CUDA context survive a fork
        context = replace(context, workers=Workers(1))
    for arrays in (exact, fast):  # before the first fork, so that children find the constants moved
        query.graph.to(arrays)
    attack = AttackRounds(query, fast, settings, context)
    witness = attack.run_if_due()
    if witness is not None:
        return Solved(Outcome(False, witness, 0, -np.inf, 0.0), plan, ())
    try:
        if plan.method == "input split":
            return _by_inputs(query, exact, fast, plan, context, attack, worst_first, known)
        return _by_neurons(query, exact, fast, plan, settings, context, attack, known)
    except Late:
        return Solved(_LATE, plan, ())
    except Undefined as what:
        return Solved(_LATE._replace(exhausted=True, undefined=str(what)), plan, ())


def arrays_of(plan: Plan) -> tuple[Arrays, Arrays]:
    """(float64 for acceptance, float32 for proposals)."""
    if plan.backend == "numpy":
        return numpy_arrays(), numpy_arrays(single=True)
    return torch_arrays(plan.device, single=False), torch_arrays(plan.device, single=True)


def _by_inputs(
    query: Query,
    exact: Arrays,
    fast: Arrays,
    plan: Plan,
    context: Context,
    attack: AttackRounds,
    worst_first: bool,
    known: RootBounds | None,
) -> Solved:
    """One search over the boxes of all disjuncts; they start from the bounds over the smallest box around all of them."""
    lower, upper = query.lower.min(axis=0), query.upper.max(axis=0)
    root = known or root_bounds(query.graph, exact, lower, upper, Schedule(0), context.out_of_time, fast, context.workers)
    neurons, count = Neurons(query.graph), len(query.lower)
    below, above = (
        np.repeat(
            np.concatenate([np.zeros(0), *(to_numpy(root.preactivations[p][side])[0] for p in query.graph.preactivations)])[None], count, 0
        )
        for side in (0, 1)
    )
    loose = tuple(int(to_numpy(unstable(query.graph, p, root.preactivations[p])).sum()) for p in query.graph.preactivations)
    context.report(Event("R", context.clock(), open=count, unstable=sum(loose)))
    boxes = Boxes(
        query.lower,
        query.upper,
        below,
        above,
        np.arange(count),
        np.full(count, -np.inf),
        np.zeros(count, np.int64),
        np.zeros((count, 0), np.int64),
        np.zeros((count, 0, query.graph.input_size + 1)),
    )
    if neurons.total and not (np.isfinite(below) & np.isfinite(above)).all():
        return Solved(Outcome(False, None, 0, -np.inf, 0.0, exhausted=True), plan, loose)
    search = input_split.Search.of(query, exact, fast, root.weights, context, _LOOK_AHEAD_INPUTS)
    return Solved(search.run(boxes, plan.batch, attack, worst_first), plan, loose)


def _by_neurons(
    query: Query,
    exact: Arrays,
    fast: Arrays,
    plan: Plan,
    settings: Settings,
    context: Context,
    attack: AttackRounds,
    known: RootBounds | None,
) -> Solved:
    """One tree for each box, one after another; the time left is shared out among the trees that are left."""
    groups = query.boxes()
    results: list[tuple[Outcome, tuple[int, ...]]] = []
    for group in groups:
        now = context.clock()
        share = replace(context, deadline=now + (context.deadline - now) / (len(groups) - len(results)))
        try:
            results.append(_one_tree(query, group, exact, fast, plan, settings, share, attack, known))
        except Late:
            results.append((_LATE, ()))
        if results[-1][0].witness is not None or context.out_of_time():
            break
    outcomes = [outcome for outcome, _ in results]
    finished = len(outcomes) == len(groups) and all(o.proved or o.exhausted for o in outcomes)
    total = Outcome(
        proved=finished and all(o.proved for o in outcomes),
        witness=outcomes[-1].witness,
        subproblems=sum(o.subproblems for o in outcomes),
        lower_bound=min(o.lower_bound for o in outcomes),
        proved_share=sum(o.proved_share for o in outcomes) / len(groups),
        exhausted=finished and any(o.exhausted for o in outcomes),  # a tree that ran out of time may have ended well with more
    )
    return Solved(total, plan, results[0][1])


def _one_tree(
    query: Query,
    group: np.ndarray,
    exact: Arrays,
    fast: Arrays,
    plan: Plan,
    settings: Settings,
    context: Context,
    attack: AttackRounds,
    known: RootBounds | None,
) -> tuple[Outcome, tuple[int, ...]]:
    """(outcome, unstable neurons of every pre-activation at the root) for disjuncts `group` of one box.

    Cheap bounds first: most queries that hold at the root hold by plain CROWN. Then optimised slopes, within a fifth of
    the time, then the search.
    """
    lower, upper = query.lower[group[0]], query.upper[group[0]]
    limit = context.clock() + 0.2 * (context.deadline - context.clock())
    optimised = settings.bounds.root_iterations
    root = known or root_bounds(query.graph, exact, lower, upper, Schedule(0), context.out_of_time, fast, context.workers)
    for schedule, last in ((Schedule(0), False), (Schedule(optimised), True)):
        if schedule.iterations and known is None:
            rows = Schedule(min(ROW_ITERATIONS, optimised))
            late = lambda: context.out_of_time() or context.clock() > limit  # noqa: E731
            root = root_bounds(query.graph, exact, lower, upper, rows, late, fast, context.workers, root)
        loose = tuple(int(to_numpy(unstable(query.graph, p, root.preactivations[p])).sum()) for p in query.graph.preactivations)
        if context.out_of_time():
            return _LATE, loose
        reduced = Reduction.none(query.graph)
        if schedule.iterations:  # a single pass at the root would not pay for it
            reduced = reduce_graph(query.graph, root.preactivations, lower, upper, fast, context.workers, context.out_of_time)
        tree = Tree.of(query.graph, reduced, exact, fast, root, query.targets, lower, upper)
        splits = tree.start(group, np.full(len(group), -np.inf), _initial(tree, fast))
        step = advance(tree, splits, schedule, _effort(tree, settings)[0] if last else 1, context)
        context.report(Event("R", context.clock(), open=len(step.open), unstable=sum(loose), lower_bound=step.lowest))
        if not len(step.open):
            return Outcome(True, None, len(group), step.lowest, 1.0), loose
        group = step.open.disjunct
        witness = neuron_split.attack(tree, step, context, Progress(context, 1.0))
        if witness is not None:
            return Outcome(False, witness, len(group), step.lowest, 0.0), loose
    return _search(tree, step.open, settings, context, plan.batch, attack), loose


def _search(tree: Tree, start: Splits, settings: Settings, context: Context, batch: int, attack: AttackRounds) -> Outcome:
    """Splits alone for as long as narrowing the enclosures of the root would take once; then what is open goes on within better ones."""
    look_ahead, iterations = _effort(tree, settings)
    schedule = Schedule(iterations)
    tightening = Tightening(tree, schedule, look_ahead, context)
    search = neuron_split.Search(tree, start, context, batch, schedule, look_ahead, tightening, attack)
    outcome = search.run(splits_alone=True)
    if outcome is not None:
        return outcome
    unfinished = start.select(np.isin(start.disjunct, search.open_disjuncts))
    try:
        step = tightening.root(unfinished, context.clock() + _TIGHTENING * (context.deadline - context.clock()))
    except Late:
        return search.late()
    outcome = search.resumed(step.open)
    if outcome is None:
        raise InternalError("a search ended although subproblems are open")
    return outcome


def _effort(tree: Tree, settings: Settings) -> tuple[int, int]:
    """(candidates, iterations) of a subproblem."""
    candidates, iterations = _MUCH if tree.neurons.total <= _SMALL else _LITTLE
    wanted = settings.search.candidates, settings.bounds.iterations
    return candidates if wanted[0] is None else wanted[0], iterations if wanted[1] is None else wanted[1]


def _initial(tree: Tree, arrays: Arrays) -> Parameters:
    below, above = (arrays.asarray(flat[None, : tree.neurons.total]) for flat in (tree.below, tree.above))
    return initial_parameters(tree.graph.to(arrays), tree.graph.output, tree.neurons.split(below, above))
