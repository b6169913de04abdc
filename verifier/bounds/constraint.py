"""What a counterexample must satisfy, as a node of the graph that bounds may lean on.

The rows of a query become the last node t of the graph; at a counterexample of a disjunct its part of t is not positive. So t
is enclosed like a split neuron, and its multipliers in the evaluator are the gamma of INVPROP (Kotha et al. 2023).
"""

from __future__ import annotations

import numpy as np

from verifier.arrays import Array, Arrays
from verifier.bounds.dual import Interval
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Add, Linear


def with_rows(graph: Graph, targets: Targets) -> Graph:
    """`graph` with the rows of all disjuncts (K * R,), constants included, in place of its output."""
    count = targets.constant.size
    rows = Linear(targets.outputs.reshape(count, -1).T.copy(), targets.constant.reshape(-1).copy())
    nodes = [*graph.nodes, Node(rows, (graph.output,), (count,))]
    if targets.inputs is not None:
        nodes.append(Node(Linear(targets.inputs.reshape(count, -1).T.copy()), (0,), (count,)))
        nodes.append(Node(Add((1, 1)), (len(nodes) - 2, len(nodes) - 1), (count,)))
    return Graph(tuple(nodes))


def satisfied(values: Interval, mine: np.ndarray, arrays: Arrays) -> Interval:
    """The enclosure (B, K * R) of t where the rows `mine` (B, K * R) of each subproblem are met, from one (1, K * R) of its values."""
    least = arrays.xp.minimum(values.upper, 0.0 * values.upper)
    return Interval(values.lower + 0.0 * least, arrays.xp.where(arrays.asarray(mine) > 0, least, values.upper))


def own_rows(targets: Targets, disjuncts: np.ndarray) -> np.ndarray:
    """(B, K * R) True at the rows of disjuncts (B,)."""
    own = np.arange(targets.constant.shape[0]) == disjuncts[:, None]
    return np.repeat(own, targets.constant.shape[1], axis=1)


def signs(mine: np.ndarray, arrays: Arrays) -> Array:
    """(B, 1, K * R): multipliers of met rows may be positive, all others are zero (see Ascent)."""
    return arrays.asarray(mine[:, None].astype(np.float64))
