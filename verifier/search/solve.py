"""From boxes and rows to an outcome: root bounds, attack, and the search that the plan names."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import Arrays, cuda_devices, numpy_arrays, to_numpy, torch_arrays
from verifier.bounds.ascent import Parameters, Schedule, initial_parameters
from verifier.bounds.batch import Neurons
from verifier.bounds.intermediate import RootBounds, root_bounds, unstable
from verifier.config import Settings
from verifier.parallel import Workers
from verifier.search import input_split, neuron_split
from verifier.search.attack_rounds import AttackRounds
from verifier.search.boxes import Boxes
from verifier.search.events import Event
from verifier.search.outcome import Context, Outcome, Progress
from verifier.search.plan import Plan, make_plan
from verifier.search.query import Query

_LOOK_AHEAD_INPUTS = 6
"""Inputs of a box whose halves are bounded before one is chosen. On ACAS Xu 4_9 prop_1: 1,100 boxes instead of over 20,000."""


@dataclass(frozen=True, eq=False)
class Solved:
    """unstable: unstable neurons of every pre-activation at the root."""

    outcome: Outcome
    plan: Plan
    unstable: tuple[int, ...]


def solve(query: Query, settings: Settings, context: Context) -> Solved:
    plan = make_plan(query.graph, query.lower, query.upper, settings.search.batch, settings.search.device, cuda_devices)
    exact, fast = _arrays(plan)
    if plan.backend == "torch":  # it has threads of its own, and neither they nor a CUDA context survive a fork
        context = replace(context, workers=Workers(1))
    for arrays in (exact, fast):  # before the first fork, so that children find the constants moved
        query.graph.to(arrays)
    attack = AttackRounds(query, fast, settings, context)
    witness = attack.run_if_due()
    if witness is not None:
        return Solved(Outcome(False, witness, 0, -np.inf, 0.0), plan, ())
    if plan.method == "input split":
        return _by_inputs(query, exact, fast, plan, context, attack)
    return _by_neurons(query, exact, fast, plan, settings, context, attack)


def _arrays(plan: Plan) -> tuple[Arrays, Arrays]:
    """(float64 for acceptance, float32 for proposals)."""
    if plan.backend == "numpy":
        return numpy_arrays(), numpy_arrays(single=True)
    return torch_arrays(plan.device, single=False), torch_arrays(plan.device, single=True)


def _by_inputs(query: Query, exact: Arrays, fast: Arrays, plan: Plan, context: Context, attack: AttackRounds) -> Solved:
    """One search over the boxes of all disjuncts; they start from the bounds over the smallest box around all of them."""
    root = root_bounds(
        query.graph, exact, query.lower.min(axis=0), query.upper.max(axis=0), Schedule(0), context.out_of_time, fast, context.workers
    )
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
    return Solved(search.run(boxes, plan.batch, attack), plan, loose)


def _by_neurons(
    query: Query, exact: Arrays, fast: Arrays, plan: Plan, settings: Settings, context: Context, attack: AttackRounds
) -> Solved:
    """One tree for each box, one after another."""
    total = Outcome(True, None, 0, np.inf, 0.0)
    loose: tuple[int, ...] = ()
    groups = query.boxes()
    for i, group in enumerate(groups):
        share = replace(context, deadline=context.clock() + (context.deadline - context.clock()) / (len(groups) - i))
        outcome, found = _one_tree(query, group, exact, fast, plan, settings, share, attack)
        loose = loose or found
        total = Outcome(
            total.proved and outcome.proved,
            outcome.witness,
            total.subproblems + outcome.subproblems,
            min(total.lower_bound, outcome.lower_bound),
            total.proved_share + outcome.proved_share / len(groups),
            total.exhausted or outcome.exhausted,
        )
        if outcome.witness is not None or context.out_of_time():
            return Solved(replace_proved(total, outcome, i + 1 == len(groups)), plan, loose)
    return Solved(total, plan, loose)


def replace_proved(total: Outcome, last: Outcome, all_done: bool) -> Outcome:
    """A search that ended early has proved nothing unless its last tree was the last one and proved."""
    return total._replace(proved=total.proved and last.proved and all_done)


def _one_tree(
    query: Query, group: np.ndarray, exact: Arrays, fast: Arrays, plan: Plan, settings: Settings, context: Context, attack: AttackRounds
) -> tuple[Outcome, tuple[int, ...]]:
    lower, upper = query.lower[group[0]], query.upper[group[0]]
    start = context.clock()
    limit = start + 0.2 * (context.deadline - start)
    root: RootBounds | None = None
    # Cheap bounds first: most queries that hold at the root hold by plain CROWN.
    for schedule in (Schedule(0), Schedule(settings.bounds.root_iterations)):
        if root is None:
            root = root_bounds(query.graph, exact, lower, upper, schedule, context.out_of_time, fast, context.workers)
        else:
            root = root_bounds(
                query.graph,
                exact,
                lower,
                upper,
                Schedule(min(20, schedule.iterations)),
                lambda: context.out_of_time() or context.clock() > limit,
                fast,
                context.workers,
                root,
            )
        loose = tuple(int(to_numpy(unstable(query.graph, p, root.preactivations[p])).sum()) for p in query.graph.preactivations)
        if context.out_of_time() or len(root.preactivations) < len(query.graph.preactivations):
            return Outcome(False, None, 0, -np.inf, 0.0), loose
        tree = neuron_split.Tree.of(query.graph, exact, fast, root, query.targets, lower, upper)
        splits = tree.start(group, np.full(len(group), -np.inf), _initial(tree, fast))
        step = neuron_split.advance(tree, splits, schedule, settings.search.candidates if schedule.iterations else 1, context)
        context.report(Event("R", context.clock(), open=len(step.open), unstable=sum(loose), lower_bound=step.lowest))
        if not len(step.open):
            return Outcome(True, None, len(group), step.lowest, 1.0), loose
        group = step.open.disjunct
        witness = neuron_split.attack(tree, step, context, Progress(context, 1.0))
        if witness is not None:
            return Outcome(False, witness, len(group), step.lowest, 0.0), loose
    outcome = neuron_split.search(
        tree, step.open, context, plan.batch, Schedule(settings.bounds.iterations), settings.search.candidates, attack
    )
    return outcome, loose


def _initial(tree: neuron_split.Tree, arrays: Arrays) -> Parameters:
    below, above = (arrays.asarray(flat[None, : tree.neurons.total]) for flat in (tree.below, tree.above))
    return initial_parameters(tree.graph.to(arrays), tree.graph.output, tree.neurons.split(below, above))
