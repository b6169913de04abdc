"""From boxes and rows to an outcome: root bounds, attack, and the search that the plan names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import Arrays, cuda_devices, numpy_arrays, to_numpy, torch_arrays
from verifier.bounds.ascent import Schedule
from verifier.bounds.batch import Neurons
from verifier.bounds.intermediate import RootBounds, Undefined, root_bounds
from verifier.bounds.resources import Resources
from verifier.bounds.stability import unstable
from verifier.config import Settings
from verifier.graph.ir import Graph
from verifier.parallel import Late, Workers
from verifier.search import box_search, input_split
from verifier.search.attack_rounds import AttackRounds, Violated
from verifier.search.box_search import Searched
from verifier.search.boxes import Boxes
from verifier.search.events import Event
from verifier.search.halving import Halving
from verifier.search.outcome import Context, Outcome, joined
from verifier.search.plan import Plan, make_plan, with_rows
from verifier.search.query import Query

_LOOK_AHEAD_INPUTS = 6
"""Inputs of a box whose halves are bounded before one is chosen. On ACAS Xu 4_9 prop_1: 1,100 boxes instead of over 20,000."""
_LOOK_AHEAD_FORMS = 1
"""There the same work is better spent on more boxes."""
_ROOT_ROWS = 3e10
"""Time of the rows of one pre-activation at the root, as `row_cost`, from which on boxes alone are left to narrow it: about a second."""


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
            root = known or _around_all(query, exact, fast, plan, context)
            left, loose = context.deadline - context.clock(), _loose(query.graph, root)
            if plan.forms and not worst_first:
                plan = with_rows(plan, query.graph, loose, len(query.boxes()), left, context.workers.cores, settings.search.batch)
        if plan.method == "input split":
            return _by_inputs(query, exact, fast, plan, context, attack, worst_first, root)
        return _by_neurons(query, exact, fast, plan, settings, context, attack, known)
    except Late:
        return Solved(Outcome.late(), plan, ())
    except Undefined as what:
        return Solved(Outcome.late()._replace(exhausted=True, undefined=str(what)), plan, ())


def arrays_of(plan: Plan) -> tuple[Arrays, Arrays]:
    """(float64 for acceptance, float32 for proposals)."""
    if plan.backend == "numpy":
        return numpy_arrays(), numpy_arrays(single=True)
    return torch_arrays(plan.device, single=False), torch_arrays(plan.device, single=True)


def _around_all(query: Query, exact: Arrays, fast: Arrays, plan: Plan, context: Context) -> RootBounds:
    """Plain bounds over the smallest box around the boxes of all disjuncts."""
    lower, upper = query.lower.min(axis=0), query.upper.max(axis=0)
    most = _ROOT_ROWS if plan.forms else np.inf
    return root_bounds(query.graph, Resources(exact, fast, context.workers, context.out_of_time), lower, upper, Schedule(0), most=most)


def _loose(graph: Graph, root: RootBounds) -> dict[int, int]:
    """Pre-activation -> how many of its neurons are unstable."""
    return {p: int(to_numpy(unstable(graph, p, root.preactivations[p])).sum()) for p in graph.preactivations}


def _by_inputs(
    query: Query,
    exact: Arrays,
    fast: Arrays,
    plan: Plan,
    context: Context,
    attack: AttackRounds,
    worst_first: bool,
    root: RootBounds,
) -> Solved:
    """One search over the boxes of all disjuncts; they start from the bounds `root` over the smallest box around all of them."""
    neurons, count = Neurons(query.graph), len(query.lower)
    below, above = (
        np.repeat(
            np.concatenate([np.zeros(0), *(to_numpy(root.preactivations[p][side])[0] for p in query.graph.preactivations)])[None], count, 0
        )
        for side in (0, 1)
    )
    loose = tuple(_loose(query.graph, root).values())
    context.report(Event("R", context.clock(), open=count, unstable=sum(loose)))
    boxes = Boxes.roots(query.lower, query.upper, below, above, np.arange(count))
    if neurons.total and not (np.isfinite(below) & np.isfinite(above)).all():
        return Solved(Outcome(False, None, 0, -np.inf, 0.0, exhausted=True), plan, loose)
    look_ahead = _LOOK_AHEAD_FORMS if plan.forms else _LOOK_AHEAD_INPUTS
    halving = Halving.of(query, exact, fast, root.weights, context, look_ahead, plan.forms)
    search = input_split.Search(query, halving, fast, plan.batch, attack, worst_first)
    return Solved(search.run(boxes), plan, loose)


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
    results: list[Searched] = []
    for group in groups:
        now = context.clock()
        share = replace(context, deadline=now + (context.deadline - now) / (len(groups) - len(results)))
        try:
            results.append(box_search.Search(query, exact, fast, settings, share, plan.batch, attack, group).run(known))
        except Late:
            results.append(Searched(Outcome.late(), (), in_float64=False))
        except Violated as found:
            results.append(Searched(Outcome(False, found.witness, 0, -np.inf, 0.0), (), in_float64=False))
        if results[-1].outcome.witness is not None or context.out_of_time():
            break
    if any(result.in_float64 for result in results):
        plan = replace(plan, reason=f"{plan.reason}; proposals in float64, as float32 is off by a part of what is missing")
    return Solved(joined([result.outcome for result in results], len(groups)), plan, results[0].unstable)
