"""The evaluator: every bound of this verifier is a value of this one function.

For rows c the Lagrangian dual of  min sum_n c_n . value(n)  over the graph is evaluated at the given multipliers
(design notation: lam_n is the coefficient on node n):

    affine node      lam_p += J_p^T lam_n                     const += lam_n . F(0)
    nonlinear node   lam_p += nu                              const += h(lam_n, nu),  h(q, nu) = min_{l<=p<=u} q s(p) - nu . p
    enclosed node    lam_p += m, any m                        const -= m . (u where m > 0, l elsewhere)      (l <= p <= u)
    input            const += min_{lo<=x<=hi} lam_x . x       or its minimum over a ball of the norm l1 or l2, if that is larger

nu is given by planes: nu = q * slopes, with one plane (slopes and the intercept that belongs to them) for q > 0 and one for
q < 0; an elementwise function's plane is a line in its one argument.
Weak duality: the result is a lower bound whatever the planes and m are, as long as l, u enclose the values meant.
With slopes alone this is CROWN (Zhang et al. 2018); optimised slopes give alpha-CROWN (Xu et al. 2021), m on the split
neurons beta-CROWN (Wang et al. 2021), m on what the query says of the outputs INVPROP (Kotha et al. 2023): an enclosed node
may come after the rows' own.

Shapes: rows (B, S, *node shape); everything that belongs to neurons is flat, (B or 1, S or 1, size). B subproblems,
S rows of each. Results are lower bounds only: upper(c) = -lower(-c).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from verifier.arrays import Array, at_least, at_most, namespace
from verifier.bounds.rigorous import ErrorWeights
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Input, Lines, Nonlinear


class Interval(NamedTuple):
    """Enclosure of one node's values: lower, upper (B or 1, size)."""

    lower: Array
    upper: Array


class Relaxation(NamedTuple):
    """Planes of one nonlinear node: slopes as its `along` and `back` take them, (B or 1, S or 1, size) where it is elementwise;
    intercepts (B or 1, S or 1, size), None for zero."""

    slope_lower: Array
    slope_upper: Array
    intercept_lower: Array | None
    intercept_upper: Array | None


@dataclass(frozen=True, eq=False)
class Problem:
    """What a batch of rows is bounded over.

    lower, upper: the input box (B or 1, n). preactivations: enclosures of every node with planes or multipliers, below the
    rows or not. relaxations: planes of every nonlinear node below a row or a multiplier. multipliers: m, (B, S, size).
    """

    lower: Array
    upper: Array
    preactivations: Mapping[int, Interval]
    relaxations: Mapping[int, Relaxation]
    multipliers: Mapping[int, Array]


class Dual(NamedTuple):
    """Lower bounds (B, S); the plane  coefficients . x + offset  (B, S, n), (B, S) below the rows on the box; q of the
    nonlinear nodes where asked for, (B, S, size)."""

    lower: Array
    coefficients: Array
    offset: Array
    q: dict[int, Array]

    def select(self, index: Array) -> Dual:
        """Subproblems by index."""
        return Dual(self.lower[index], self.coefficients[index], self.offset[index], {n: q[index] for n, q in self.q.items()})


def relax(operator: Nonlinear, interval: Interval, parameters: Lines | None = None) -> Relaxation:
    """Planes over `interval` with the given parameters ((B, S, size) each, clipped to what is sound and useful) or the initial ones.

    Above a convex function the initial one, the chord of this interval, is the best, whatever is given.
    """
    xp = namespace(interval.lower)
    lower, upper = interval.lower[:, None], interval.upper[:, None]
    initial = operator.initial(lower, upper) if parameters is None or operator.convex else parameters
    if parameters is None:
        parameters = initial
    else:
        least, greatest = operator.parameter_range(lower, upper)
        clipped = (xp.minimum(xp.maximum(s, least), greatest) for s in (parameters.lower, initial.upper))
        parameters = Lines(*clipped)
    slope_below, below = operator.plane(parameters.lower, lower, upper, "lower")
    slope_above, above = operator.plane(parameters.upper, lower, upper, "upper")
    return Relaxation(slope_below, slope_above, below, above)


def evaluate(graph: Graph, rows: Mapping[int, Array], problem: Problem, weights: ErrorWeights | None, keep: bool = False) -> Dual:
    """Lower bounds of  sum_n rows[n] . value(n).

    rows: node -> (B, S, *shape). weights: rounding bounds of the float64 evaluation, subtracted from the result, which
    is then rigorous; None for proposals. keep: return q for the gradient.
    """
    first = next(iter(rows.values()))
    batch, count = first.shape[0], first.shape[1]
    xp = namespace(first)
    coefficients: dict[int, Array] = {n: xp.reshape(c, (batch * count, *graph.nodes[n].shape)) for n, c in rows.items()}
    constant = 0.0 * first.reshape((batch, count, -1))[:, :, 0]
    error = constant
    kept: dict[int, Array] = {}
    for n in range(max((*rows, *problem.multipliers)), -1, -1):  # not the ancestors of one node: parallel branches have others
        if n not in coefficients and n not in problem.multipliers:
            continue
        node, lam = graph.nodes[n], coefficients.pop(n, None)
        if n in problem.multipliers:
            flat, constant, error = _multiplier_step(lam, problem, n, constant, error, weights)
            lam = xp.reshape(flat, (batch * count, *node.shape))
        else:
            flat = xp.reshape(lam, (batch, count, node.size))
        if isinstance(node.operator, Nonlinear):
            if keep:
                kept[n] = flat
            weight = None if weights is None else weights.node[n]
            nu, constant, error = _nonlinear_step(node.operator, flat, problem.relaxations[n], constant, error, weight)
            parts: tuple[Array, ...] = (xp.reshape(nu, (batch * count, *graph.nodes[node.inputs[0]].shape)),)
        elif isinstance(node.operator, Affine):
            constant = constant + _offset_product(flat, node.operator.offset, node.shape)
            if weights is not None and (n in weights.node or n in rows):  # what was merged into a consumer is missing where rows begin
                error = error + _dot(xp.abs(flat), weights.node[n] if n in weights.node else weights.multiplier[n])
            parts = node.operator.transpose(lam)
        elif isinstance(node.operator, Input):
            coefficients[n] = flat
            break
        else:
            raise TypeError(f"operator {node.operator!r} has no rule")
        for p, part in zip(node.inputs, parts):
            coefficients[p] = coefficients[p] + part if p in coefficients else part
    plane = coefficients.get(0)
    if plane is None:  # the rows do not depend on the input
        plane = xp.zeros_like(xp.broadcast_to(problem.lower[:1, None], (batch, count, graph.input_size))) + 0.0
    lowest = _least(graph, problem, plane)
    if weights is not None:
        constant, lowest = _accepted(plane, constant, lowest, error, weights)
    return Dual(constant + lowest, plane, constant, kept)


def _least(graph: Graph, problem: Problem, plane: Array) -> Array:
    """The least value (B, S) of the plane over the box, or over the ball that the input lies in, whichever is larger."""
    xp = namespace(plane)
    positive = at_least(plane, 0.0)
    over_box = _dot(positive, problem.lower[:, None]) + _dot(plane - positive, problem.upper[:, None])
    return over_box if graph.ball is None else xp.maximum(over_box, graph.ball.least(plane))


def _accepted(plane: Array, constant: Array, lowest: Array, error: Array, weights: ErrorWeights) -> tuple[Array, Array]:
    """The plane's constant and least value with all rounding taken off."""
    xp = namespace(plane)
    error = error + _dot(xp.abs(plane), weights.node[0])
    constant = constant - (1.0 + 1e-9) * error - weights.underflow
    # A sum that overflowed says nothing, whatever its sign.
    return xp.where(constant < xp.inf, constant, -xp.inf), xp.where(lowest < xp.inf, lowest, -xp.inf)


def _multiplier_step(
    lam: Array | None, problem: Problem, n: int, constant: Array, error: Array, weights: ErrorWeights | None
) -> tuple[Array, Array, Array]:
    """(lam (B, S, size), constant, error) after m has been added at node n; lam is None above the rows."""
    m, (lower, upper) = problem.multipliers[n], problem.preactivations[n]
    xp = namespace(m)
    constant = constant - _dot(at_least(m, 0.0), upper[:, None]) - _dot(at_most(m, 0.0), lower[:, None])
    if weights is not None:
        error = error + _dot(xp.abs(m), weights.multiplier[n])
    return m if lam is None else xp.reshape(lam, m.shape) + m, constant, error


def _nonlinear_step(
    operator: Nonlinear, q: Array, planes: Relaxation, constant: Array, error: Array, weight: Array | None
) -> tuple[Array, Array, Array]:
    """(nu, constant, error) after one nonlinear node; q (B, S, size), nu (B, S, size of its parent).

    One of max(q, 0) and min(q, 0) is zero, so each plane meets the rows that it bounds without a masked choice, which
    would take most of the time of the hot loop.
    """
    positive, negative = at_least(q, 0.0), at_most(q, 0.0)
    if planes.intercept_upper is not None:
        constant = constant + _dot(negative, planes.intercept_upper)
    if planes.intercept_lower is not None:
        constant = constant + _dot(positive, planes.intercept_lower)
    if weight is not None:
        error = error + _dot(positive - negative, weight)
    nu = operator.back(planes.slope_lower, positive)
    nu += operator.back(planes.slope_upper, negative)
    return nu, constant, error


def _dot(a: Array, b: Array) -> Array:
    """Sum over the last axis of a (B, S, n) times b, where b is (B or 1, S or 1, n) or (n,)."""
    if b.ndim == 1 or (b.shape[0] == 1 and b.shape[1] == 1):
        return a @ namespace(a).reshape(b, (a.shape[-1],))
    return namespace(a).vecdot(a, b)


def _offset_product(flat: Array, offset: Array | None, shape: tuple[int, ...]) -> Array | float:
    if offset is None:
        return 0.0
    xp = namespace(flat)
    return _dot(flat, xp.reshape(xp.broadcast_to(offset, shape), (flat.shape[-1],)))


def relaxed_point(graph: Graph, dual: Dual, rows: Mapping[int, Array], problem: Problem) -> dict[int, Array]:
    """The minimiser of the relaxed problem: values (B, S, size) of the nodes below the rows, the input at 0.

    By the envelope theorem  d bound / d parameter = q * (d plane / d parameter at p)  on the side that q selects (p - p* for a
    slope) and  d bound / d m = p - (u or l): the gradient needs no graph of operations. Requires `dual` from `evaluate(..., keep=True)`.
    """
    xp = namespace(dual.lower)
    batch, count = dual.lower.shape
    values: dict[int, Array] = {}
    for n in graph.ancestors(max((*rows, *problem.multipliers))):
        node = graph.nodes[n]
        if isinstance(node.operator, Input):
            y = xp.where(dual.coefficients >= 0, problem.lower[:, None], problem.upper[:, None])
            if graph.ball is not None:
                over_box = xp.sum(dual.coefficients * y, axis=-1, keepdims=True)
                y = xp.where(graph.ball.least(dual.coefficients)[..., None] > over_box, graph.ball.minimiser(dual.coefficients), y)
        elif isinstance(node.operator, Nonlinear):
            if n not in dual.q:
                continue
            y = _on_plane(node.operator, dual.q[n], problem.relaxations[n], values[node.inputs[0]])
        elif isinstance(node.operator, Affine):
            if any(p not in values for p in node.inputs):
                continue
            parents = [xp.reshape(values[p], (batch * count, *graph.nodes[p].shape)) for p in node.inputs]
            y = node.operator.forward(batch * count, *parents)
        else:
            raise TypeError(f"operator {node.operator!r} has no value")
        values[n] = xp.reshape(y, (batch, count, node.size))
    return values


def _on_plane(operator: Nonlinear, q: Array, planes: Relaxation, p: Array) -> Array:
    """Where the plane that q selects takes p: upper + (q > 0) * (lower - upper), which is faster than a masked choice."""
    upper, y = operator.along(planes.slope_upper, p), operator.along(planes.slope_lower, p)
    if planes.intercept_upper is not None:
        upper += planes.intercept_upper
    if planes.intercept_lower is not None:
        y += planes.intercept_lower
    y -= upper
    y *= q > 0
    y += upper
    return y
