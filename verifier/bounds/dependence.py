"""Neurons that rows depend on: what lost against another value in a maximum, or is read by inactive neurons alone, is not among them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verifier.arrays import Array, namespace
from verifier.bounds.dual import Interval, Problem, Relaxation, evaluate
from verifier.graph.ir import Graph
from verifier.operators.base import Nonlinear


def dependence(graph: Graph, rows: Mapping[int, Array], lower: Array, upper: Array, known: Mapping[int, Interval]) -> dict[int, Array]:
    """Pre-activation -> (B, size): neurons that the rows (node -> (B, R, *shape)) depend on where all is linear that is stable by the
    enclosures `known` over the boxes lower, upper (B, n).

    One row goes back with slopes drawn between those of planes, so that what cancels out for all slopes is all that does.
    No bound rests on it, only the choice of enclosures that are worth tightening.
    """
    xp, rng = namespace(lower), np.random.default_rng(0)

    def drawn(*shape: int) -> Array:
        return xp.asarray(rng.uniform(0.25, 0.75, shape), dtype=lower.dtype, device=lower.device)

    relaxations = {}
    for n in graph.nonlinear:
        operator, (below, above) = graph.nodes[n].operator, (side[:, None] for side in known[graph.nodes[n].inputs[0]])
        if not isinstance(operator, Nonlinear):
            raise TypeError(f"operator {operator!r} has no planes")
        least, greatest = operator.parameter_range(below, above)
        parameter = least + drawn(least.shape[-1]) * (greatest - least)
        slopes = operator.plane(parameter, below, above, "lower")[0], operator.plane(parameter, below, above, "upper")[0]
        relaxations[n] = Relaxation(*slopes, None, None)
    one = {n: xp.sum(row * drawn(row.shape[1], *(1,) * (row.ndim - 2)), axis=1, keepdims=True) for n, row in rows.items()}
    found: dict[int, Array] = {}
    for n, q in evaluate(graph, one, Problem(lower, upper, known, relaxations, {}), None, keep=True).q.items():
        p = graph.nodes[n].inputs[0]
        # A function of several values has fewer elements than it reads.
        here = q[:, 0] != 0 if q.shape[2] == graph.nodes[p].size else xp.ones_like(known[p].lower, dtype=bool)
        found[p] = found[p] | here if p in found else here
    return found
