"""Interval bounds of every node, rounded outward (Gowal et al. 2018): centre and radius through affine nodes."""

from __future__ import annotations

from collections.abc import Mapping

from verifier.arrays import Array, namespace
from verifier.bounds.dual import Interval
from verifier.bounds.rigorous import ErrorWeights, U
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Input, Nonlinear


def propagate(
    graph: Graph,
    lower: Array,
    upper: Array,
    known: Mapping[int, Interval],
    weights: ErrorWeights,
    target: int,
    start: Mapping[int, Interval] | None = None,
) -> dict[int, Interval]:
    """Enclosures (B, size) of the ancestors of `target` over the boxes lower, upper (B, n).

    known: enclosures to intersect with, (B or 1, size). start: results of an earlier call with the same boxes, reused.
    """
    xp = namespace(lower)
    count = lower.shape[0]
    found: dict[int, Interval] = dict(start or {})
    for n in graph.ancestors(target):
        if n in found:
            continue
        node = graph.nodes[n]
        op = node.operator
        if isinstance(op, Input):
            low, high = lower, upper
        elif isinstance(op, Nonlinear):
            low, high = op.range(*found[node.inputs[0]])
            if op.function_ulps > 1:
                margin = (2 * op.function_ulps + 2) * U
                low, high = low - margin * xp.abs(low) - 1e-300, high + margin * xp.abs(high) + 1e-300
        elif isinstance(op, Affine) and op.moves:
            shapes = [graph.nodes[p].shape for p in node.inputs]
            ends = (
                op.forward(count, *(xp.reshape(found[p][side], (count, *s)) for p, s in zip(node.inputs, shapes))) for side in (0, 1)
            )
            first, second = (xp.reshape(end, (count, node.size)) for end in ends)
            low, high = xp.minimum(first, second), xp.maximum(first, second)
        elif isinstance(op, Affine):
            shapes = [graph.nodes[p].shape for p in node.inputs]
            centres = [xp.reshape(0.5 * found[p].lower + 0.5 * found[p].upper, (count, *s)) for p, s in zip(node.inputs, shapes)]
            radii = [xp.reshape(0.5 * found[p].upper - 0.5 * found[p].lower, (count, *s)) for p, s in zip(node.inputs, shapes)]
            centre = xp.reshape(op.forward(count, *centres), (count, node.size))
            radius = xp.reshape(op.absolute(count, *radii), (count, node.size)) + weights.forward[n]
            low, high = centre - radius, centre + radius
        else:
            raise TypeError(f"operator {op!r} has no interval")
        if n in known:
            low, high = xp.maximum(low, known[n].lower), xp.minimum(high, known[n].upper)
        found[n] = Interval(low, high)
    return found
