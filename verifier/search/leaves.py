"""Subproblems with no neuron left to split: a linear program tells whether they hold a counterexample.

All that they lack is better multipliers, and the best ones are a linear program's duals. It is solved on the network itself: neurons
that are stable at counterexamples alone, as narrowed enclosures say, are merged in the reduced graph, where what their enclosures
say is lost.
"""

from __future__ import annotations

import numpy as np

from verifier.arrays import to_numpy
from verifier.bounds.program import Relaxed, Subproblem
from verifier.search.outcome import Context
from verifier.search.points import Points
from verifier.search.splits import Splits
from verifier.search.tree import Tree

_SECONDS = 5.0
"""For one program, at most."""


def decided(tree: Tree, leaves: Splits, context: Context) -> tuple[np.ndarray, Points]:
    """(closed (B,), by the rigorous rule; where the others' relaxations are least)."""
    closed, points, rows = np.zeros(len(leaves), bool), [Points.none(tree.graph.input_size)], tree.targets.constant.shape[1]
    for b in range(len(leaves)):
        if context.out_of_time():
            break
        leaf = leaves.select(slice(b, b + 1))
        found = _relaxed(tree, leaf, max(0.0, min(_SECONDS, context.deadline - context.clock())))
        if found is None:
            continue
        parameters = found.parameters.map(lambda a: tree.exact.asarray(np.repeat(a, rows, axis=1)))
        closed[b] = tree.excluded(tree.rows_on_network(leaf, parameters), leaf.disjunct)[0]
        if not closed[b]:
            x = found.point[None]
            points.append(Points(x, leaf.disjunct, tree.targets.margins(x, tree.network.neurons.graph.evaluate(x), leaf.disjunct)))
    return closed, Points.joined(points)


def _relaxed(tree: Tree, leaf: Splits, seconds: float) -> Relaxed | None:
    """The program of one leaf; None where there is none, or it is not solved."""
    program, neurons, k = tree.network.program, tree.network.neurons, leaf.disjunct[0]
    low, high = (to_numpy(side)[0] for side in tree.on_network(leaf))
    if program is None or not (np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    known = {p: (low[s], np.maximum(low, high)[s]) for p, s in neurons.slices.items()}
    outputs, constant = tree.targets.outputs[k], tree.targets.constant[k]
    inputs = np.zeros((len(constant), tree.graph.input_size)) if tree.targets.inputs is None else tree.targets.inputs[k]
    return program.relaxed(Subproblem(low[neurons.total :], high[neurons.total :], known, outputs, inputs, constant), seconds)
