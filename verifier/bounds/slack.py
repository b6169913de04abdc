"""What the bound of a row says of its neurons where the row is not positive (Lagrangian variable bounds; Gleixner et al. 2017, "Three
enhancements for optimization-based bound tightening", section 2; in mixed-integer programming, reduced cost tightening).

The evaluator adds up the least values of blocks, one a neuron, and each can be exceeded by no more than the whole bound lacks: with a
lower bound L <= 0 of the row,

    sum of the blocks' values at x  <=  row(x) - L,   so  row(x) <= 0   =>   q s(p) - nu p - h(q, nu)  <=  -L    for every neuron,

and for a multiplier m at an enclosed node, whose term may be no more than that either,  m (u - p) <= -L  where m > 0 and
|m| (p - l) <= -L  where m < 0. Only what an evaluation has at hand is used.

Rounding: the bound subtracted for it holds at every point of the enclosures, so L may be taken for exact, and so may q, the slopes and
m; what is computed from them here is rounded outward.
"""

from __future__ import annotations

import numpy as np

from verifier.arrays import Array, namespace
from verifier.bounds.dual import Dual, Interval, Problem
from verifier.graph.ir import Graph
from verifier.operators.base import Elementwise

_UP = 1.0 + 2.0**-50
"""Covers four roundings."""


def enclosures(graph: Graph, dual: Dual, bounds: Array, problem: Problem) -> dict[int, Interval]:
    """Enclosures (B, size) of pre-activations wherever none of a subproblem's rows is positive; infinite where they say nothing.

    dual: from `evaluate(..., keep=True)` with rounding bounds; bounds (B, S): of the rows, with their constants.
    """
    xp, found = namespace(bounds), dict[int, Interval]()
    lacking = xp.where(bounds <= 0, -bounds, xp.inf)[..., None]  # a bound that is NaN says nothing
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for n, q in dual.q.items():
            operator, p = graph.nodes[n].operator, graph.nodes[n].inputs[0]
            if isinstance(operator, Elementwise):
                gap = xp.where(q > 0, lacking / q * _UP + 1e-300, xp.inf)
                low, high = operator.near(problem.relaxations[n].slope_lower, gap)
                _add(found, p, low, high)
        for p, m in problem.multipliers.items():
            lower, upper = (side[:, None] for side in problem.preactivations[p])
            gap = lacking / xp.abs(m) * _UP + 1e-300
            low = xp.where(m > 0, upper - gap - 2.0**-52 * (xp.abs(upper) + gap), -xp.inf)
            high = xp.where(m < 0, lower + gap + 2.0**-52 * (xp.abs(lower) + gap), xp.inf)
            _add(found, p, low, high)
    return found


def _add(found: dict[int, Interval], p: int, low: Array, high: Array) -> None:
    """Keep what holds of p as well, (B, S, size): each row says something."""
    xp = namespace(low)
    lower, upper = xp.max(xp.where(low == low, low, -xp.inf), axis=1), xp.min(xp.where(high == high, high, xp.inf), axis=1)
    if p in found:
        lower, upper = xp.maximum(lower, found[p].lower), xp.minimum(upper, found[p].upper)
    found[p] = Interval(lower, upper)
