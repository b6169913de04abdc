"""What the values of nodes can be at all, whatever the input: x^2 + 1 is at least 1.

Bounds over a box are narrower, but rounded. Here 0 and 1 stay what they are, so that the argument of a root is known not to be negative,
and a share not to be above 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import numpy as np

from verifier.graph.ir import Graph, Node
from verifier.operators import affine
from verifier.operators.base import Nonlinear
from verifier.operators.exponential import Log
from verifier.operators.power import Power

_U = 2.0**-53


class Span(NamedTuple):
    """Ends (*shape) of what contains all values of a node; infinite where nothing is known."""

    lower: np.ndarray
    upper: np.ndarray


def spans(graph: Graph) -> list[Span]:
    """Of all nodes."""
    found: list[Span] = []
    for node in graph.nodes:
        found.append(_span(node, [found[p] for p in node.inputs]))
    return found


def outputs(graph: Graph) -> Span:
    return spans(graph)[graph.output]


def with_least_arguments(graph: Graph) -> Graph:
    """Roots, logarithms and powers told how small their arguments can be."""
    known: list[Span] | None = None
    nodes = list(graph.nodes)
    for i, node in enumerate(nodes):
        op = node.operator
        if isinstance(op, Power | Log) and op.least == -inf:
            known = spans(graph) if known is None else known
            nodes[i] = replace(node, operator=replace(op, least=float(np.min(known[node.inputs[0]].lower))))
    return graph if known is None else Graph(tuple(nodes))


def _span(node: Node, parents: Sequence[Span]) -> Span:
    """The rule of the operator; nothing is known of those without one."""
    op, shape = node.operator, node.shape
    if isinstance(op, Nonlinear):
        return Span(np.full(shape, op.image[0]), np.full(shape, op.image[1]))
    if isinstance(op, affine.Constant):
        return Span(op.value, op.value)
    if isinstance(op, affine.Reshape | affine.Transpose | affine.Take | affine.Concat | affine.Expand):  # values are moved, not computed
        return Span(*(op.forward(1, *(p[side][None] for p in parents))[0] for side in (0, 1)))
    if isinstance(op, affine.ReduceSum):
        lower, upper = (np.sum(end, axis=op.axes, keepdims=True) for end in parents[0])
        return _total(lower, upper, op.terms + 1, parents, op.divisor)
    if isinstance(op, affine.Add):
        ends = [p if sign > 0 else Span(-p.upper, -p.lower) for p, sign in zip(parents, op.signs)]
        lower, upper = (np.sum(np.stack(side), axis=0) for side in zip(*ends))
        return _total(lower, upper, len(ends), ends)
    if isinstance(op, affine.Scale) and not op.roundings and op.shift_magnitude is None:
        return _scaled(op, parents[0], shape)
    return _unknown(shape)


def _total(lower: np.ndarray, upper: np.ndarray, terms: int, parts: Sequence[Span], divisor: int = 1) -> Span:
    """Of sums of whole numbers; of rounded sums of numbers of one sign, which are off by no more than a share of themselves."""
    if all(np.all(p.lower >= 0) for p in parts) or all(np.all(p.upper <= 0) for p in parts):
        if divisor == 1 and all(map(_whole, (lower, upper, *(end for p in parts for end in p)))):
            return Span(lower, upper)
        return Span(_less(lower, divisor, terms), -_less(-upper, divisor, terms))
    return _unknown(lower.shape)


def _whole(numbers: np.ndarray) -> bool:
    """Whole and small: of one sign, a sum like that was not rounded on the way."""
    return bool(np.all((np.rint(numbers) == numbers) & (np.abs(numbers) < 2.0**52)))


def _less(total: np.ndarray, divisor: int, terms: int) -> np.ndarray:
    """A lower bound of what was summed to `total`, over divisor; a sum that overflowed is at least the largest float."""
    finite = np.clip(total, -inf, np.finfo(np.float64).max)
    lowered = (finite - 2 * terms * _U * np.where(np.isfinite(total), np.abs(finite), 0.0)) / divisor
    return np.where(total == 0, 0.0, np.nextafter(lowered, -inf))


def _scaled(op: affine.Scale, parent: Span, shape: tuple[int, ...]) -> Span:
    """Every rounding widens, but for those that change nothing."""
    lower, upper = (np.broadcast_to(end, shape) for end in parent)
    if op.scale is not None:
        scale = np.broadcast_to(op.scale, shape)
        exact = (scale == 0) | (np.abs(scale) == 1.0)
        with np.errstate(invalid="ignore", over="ignore"):
            ends = [_widened(np.where(scale == 0, 0.0, scale * end), exact | (end == 0)) for end in (lower, upper)]
        lower, upper = np.minimum(ends[0].lower, ends[1].lower), np.maximum(ends[0].upper, ends[1].upper)
    if op.shift is not None:
        ends = [_widened(end + op.shift, _sum_is_exact(end, op.shift)) for end in (lower, upper)]
        lower, upper = ends[0].lower, ends[1].upper
    return Span(lower, upper)


def _widened(end: np.ndarray, exact: np.ndarray) -> Span:
    """Around what was rounded once."""
    return Span(np.where(exact, end, np.nextafter(end, -inf)), np.where(exact, end, np.nextafter(end, inf)))


def _sum_is_exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where a + b is not rounded (Knuth's two-sum), or a is infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        total = a + b
        part = total - a
        return ((a - (total - part)) + (b - part) == 0) | np.isinf(a)


def _unknown(shape: tuple[int, ...]) -> Span:
    return Span(np.full(shape, -inf), np.full(shape, inf))
