"""Forward affine forms: every node's value as an affine function of the few inputs that vary, and a remainder.

On the box  x = centre + radius * eps,  |eps_j| <= 1, every node is

    value = sum_j eps_j G_j + c + e,    |e| <= r,

with columns G_j, a centre c and a remainder r >= 0 of its own; that of an input that does not vary is what it was rounded by. One pass of
d + 1 points through the affine operators bounds all neurons of d inputs that vary, where rows (bounds/dual.py) take one pass a neuron.
These are the zonotopes of DeepZ (Singh et al. 2018, Fast and Effective Robustness Certification, section 4) with the noise of every
function collected in a box, so that their size stays that of the input; LiRPA (Xu et al. 2020, section 3.1) calls it forward mode.

    affine      G' = J G,  c' = J c + F(0),  r' = |J| r
    nonlinear   between parallel planes  s . p + low <= s(p) <= s . p + high  on [l, u]:
                G' = s . G,  c' = s . c + (low + high) / 2,  r' = |s| . r + (high - low) / 2

Where the range of the function is no wider than r' alone, its interval takes the place of the form.

Rounding. G and c are what was computed, and r covers what they differ by from the exact images of the parents' G and c. With
A = sum_j |G_j|, k = terms of the operator and g = g_{k+d+8} (bounds/rigorous.py), all columns and the centre are off by less than

    affine      g (|J| (A + |c|) + |F(0)|)                   at most k + 2 roundings of every term; A has d more
    nonlinear   g (|s| . (A + |c|) + |low| + |high|) + E     E: how far planes may be on the wrong side (`ErrorWeights.forward`)

so one absolute pass of  r + g (A + |c|)  does for both; its own roundings, relative to a sum of positive numbers, are less than
g_{k+d+16} of it. Every r is at least `_FLOOR`, which exceeds what less than 2^50 products lose below the smallest normal number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from verifier.arrays import Array, namespace, varying
from verifier.bounds.cost import row_cost
from verifier.bounds.dual import Interval
from verifier.bounds.rigorous import ErrorWeights, gamma
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Input, Nonlinear

_FLOOR = 1e-300
_FAR_LESS = 8
_ROWS = 1.0
"""Time of rows against that of forms. Halving boxes costs forms only, but rows close larger boxes."""
_COPIES = 16
"""Points of the largest node that are alive at a time: one a tap of a kernel of 3 x 3, parents, results."""
_CACHED = 1 << 17
"""Numbers that an operation on points takes at once, where several follow one another."""
_ALIVE, _MEMORY, _BLOCK = 4, 3 << 30, 1 << 30
"""Forms of the largest node that are alive at a time; bytes that those of one box, and what an operator makes of some points, may take."""


def forms_pay(graph: Graph, varying: int) -> bool:
    """Whether one pass of forms fits into memory and costs far less than two rows for every neuron."""
    if _ALIVE * 8 * (varying + 1) * max(node.size for node in graph.nodes) > _MEMORY:
        return False
    return _FAR_LESS * forms_cost(graph, varying) < sum(2 * graph.nodes[p].size * row_cost(graph, p) for p in graph.preactivations)


def forms_cost(graph: Graph, varying: int) -> float:
    """Time of one pass, as `row_cost`: of the points and the remainder, and of the interval beside them."""
    return (varying + 3) * row_cost(graph)


def forms_memory(graph: Graph, varying: int) -> int:
    """Bytes of one box, about: of the points of the largest nodes, which a convolution unfolds."""
    return 8 * (varying + 3) * _COPIES * max(node.size for node in graph.nodes)


def rows_beside_forms(graph: Graph, varying: int) -> dict[int, int]:
    """Neurons of every pre-activation that get two rows each, which together take about as long as the forms of the whole graph."""
    share = _ROWS * forms_cost(graph, varying) / max(1, len(graph.deep))
    return {p: int(share / (2 * row_cost(graph, p) + 1)) for p in graph.preactivations}


class Form(NamedTuple):
    """points (B, d + 1, size): the columns, then the centre, or (B, 1, size) where nothing depends on an input that varies: all columns
    are zero; remainder (B, size)."""

    points: Array
    remainder: Array

    def spread(self) -> Array:
        """The sum of |columns| (B, size)."""
        xp, columns = namespace(self.points), self.points[:, :-1]
        parts = [xp.sum(xp.abs(columns[:, block]), axis=1) for block in _blocks(columns)]
        return sum(parts[1:], parts[0])

    def last(self, count: int) -> Array:
        """The last `count` of the points; columns that are not there are zero."""
        missing = count - self.points.shape[1]
        if missing <= 0:
            return self.points[:, -count:]
        xp = namespace(self.points)
        shape = self.points.shape[0], missing, self.points.shape[2]
        return xp.concat([xp.zeros(shape, dtype=self.points.dtype, device=self.points.device), self.points], axis=1)

    def slack(self, g: float) -> Array:
        """The remainder with what rounding of relative size g takes from columns and centre, (B, 1, size)."""
        xp = namespace(self.points)
        return (self.remainder + g * (self.spread() + xp.abs(self.points[:, -1])))[:, None]

    def within(self, known: Interval) -> Interval:
        """`known` intersected with what the form encloses; where the form overflowed, it says nothing."""
        xp, g = namespace(self.points), gamma(self.points.shape[1] + 8)
        centre, radius = self.points[:, -1], self.spread() + self.remainder
        radius = radius + g * (radius + xp.abs(centre))
        low, high = centre - radius, centre + radius
        usable = (xp.abs(centre) < xp.inf) & (radius < xp.inf)
        lower = xp.where(usable & (low > known.lower), low, known.lower)
        return Interval(lower, xp.where(usable & (high < known.upper), high, known.upper))


class Forms:
    """Forms of the nodes of `graph` over the boxes lower, upper (B, n), each node once and in order, so that enclosures may be improved
    on the way. graph and boxes in the same float64 arrays."""

    def __init__(self, graph: Graph, lower: Array, upper: Array):
        xp = namespace(lower)
        self._graph, self._lower, self._upper = graph, lower, upper
        vary = varying(lower, upper)
        most = int(xp.max(xp.sum(xp.astype(vary, xp.int64), axis=1)))
        # (B, d): the inputs that vary in each box, and others, whose columns are zero, in those where fewer do.
        self._varying = xp.argsort(xp.where(vary, 0, 1), axis=1, stable=True)[:, :most]
        # (1, size) of every node: 0 for the elements that depend on no input that varies in some box.
        self._moving: dict[int, Array] = {0: xp.astype(xp.any(vary, axis=0)[None], lower.dtype)}
        self._forms: dict[int, Form] = {}
        self._done: set[int] = set()

    def extend(self, node: int, enclosures: Mapping[int, Interval], weights: ErrorWeights) -> Form:
        """Go on up to `node`. enclosures: of all nodes below, (B or 1, size)."""
        graph = self._graph
        for n in graph.ancestors(node):
            if n in self._done:
                continue
            if n not in self._moving:
                self._moving[n] = self._movement(n)
            self._forms[n] = self._form(n, enclosures, weights)
            self._done.add(n)
            for p in graph.nodes[n].inputs:
                if self._done.issuperset(graph.consumers[p]):
                    self._forms.pop(p, None)
        return self._forms[node]

    def _form(self, n: int, enclosures: Mapping[int, Interval], weights: ErrorWeights) -> Form:
        node = self._graph.nodes[n]
        if isinstance(node.operator, Input):
            return self._input()
        if isinstance(node.operator, Affine):
            return self._affine(n, node.operator)
        if isinstance(node.operator, Nonlinear):
            return self._nonlinear(n, node.operator, enclosures, weights.forward[n])
        raise TypeError(f"operator {node.operator!r} has no affine form")

    def _movement(self, n: int) -> Array:
        """Of node n, all of it where a function is concerned."""
        node, xp = self._graph.nodes[n], namespace(self._lower)
        parents = [self._moving[p] for p in node.inputs]
        if isinstance(node.operator, Affine):
            shapes = (self._graph.nodes[p].shape for p in node.inputs)
            reached = node.operator.absolute(1, *(xp.reshape(moving, (1, *shape)) for moving, shape in zip(parents, shapes)))
            return xp.astype(xp.reshape(reached, (1, -1)) != 0, self._lower.dtype)
        return xp.broadcast_to(xp.max(parents[0], axis=1, keepdims=True), (1, node.size))

    def _input(self) -> Form:
        """Exact: the radius is rounded upward, so eps stays within its bounds. What does not vary is a number that was rounded outward."""
        xp, size = namespace(self._lower), self._lower.shape[1]
        centre = 0.5 * self._lower + 0.5 * self._upper
        radius = xp.maximum(self._upper - centre, centre - self._lower)
        radius = xp.where(radius > 0, radius * (1.0 + 2.0**-50) + _FLOOR, radius)
        unit = xp.astype(self._varying[:, :, None] == xp.arange(size, device=centre.device), centre.dtype)
        vary = varying(self._lower, self._upper)
        columns, rest = xp.where(vary, radius, 0.0), xp.where(vary, 0.0, radius) + _FLOOR
        return Form(xp.concat([unit * columns[:, None], centre[:, None]], axis=1), rest)

    def _affine(self, n: int, operator: Affine) -> Form:
        graph, xp = self._graph, namespace(self._lower)
        parents, shapes = [self._forms[p] for p in graph.nodes[n].inputs], [graph.nodes[p].shape for p in graph.nodes[n].inputs]
        shape, count = graph.nodes[n].shape, self._lower.shape[0]
        points = self._varying.shape[1] + 1 if bool(xp.any(self._moving[n] > 0)) else 1
        g = gamma(operator.terms + self._varying.shape[1] + 8)
        flat = [xp.reshape(form.last(points), (count * points, *s)) for form, s in zip(parents, shapes)]
        if operator.moves and operator.offset is None:  # a view, as a rule
            moved = operator.forward(count * points, *flat)
        else:
            most = max(1, _BLOCK // (8 * _COPIES * max([graph.nodes[n].size, *(form.remainder.shape[1] for form in parents)])))
            moved = xp.empty((count * points, *shape), dtype=self._lower.dtype, device=self._lower.device)
            for i in range(0, count * points, most):
                b = slice(i, min(i + most, count * points))
                moved[b] = operator.homogeneous.forward(b.stop - b.start, *(x[b] for x in flat))
        moved = xp.reshape(moved, (count, points, -1))
        remainder = xp.reshape(
            operator.absolute(count, *(xp.reshape(form.slack(g), (count, *s)) for form, s in zip(parents, shapes))), (count, -1)
        )
        if operator.offset is not None:
            offset, magnitude = (
                xp.reshape(xp.broadcast_to(b, shape), (-1,)) for b in (operator.offset, operator.offset_magnitude)
            )
            moved[:, -1] += offset
            remainder = remainder + g * magnitude
        return Form(moved, _upward(remainder, operator.terms + self._varying.shape[1] + 1))

    def _nonlinear(self, n: int, operator: Nonlinear, enclosures: Mapping[int, Interval], error: Array) -> Form:
        """The interval of node n in place of the form, without columns, where the remainder alone is as wide or is no number."""
        xp, (p,) = namespace(self._lower), self._graph.nodes[n].inputs
        form, points = self._forms[p], self._forms[p].points.shape[1]
        slopes, low, high = operator.band(enclosures[p].lower[:, None], enclosures[p].upper[:, None])
        g = gamma(operator.terms + points + 7)
        remainder = operator.along(xp.abs(slopes), form.slack(g)) + (0.5 * high - 0.5 * low) + g * (xp.abs(low) + xp.abs(high)) + error
        remainder = _upward(remainder[:, 0], operator.terms + points)
        lower, upper = (xp.broadcast_to(side, remainder.shape) for side in enclosures[n])
        centre = 0.5 * lower + 0.5 * upper
        radius = xp.maximum(upper - centre, centre - lower) * (1.0 + 2.0**-50) + _FLOOR
        narrower = ~(remainder < radius)
        moved = xp.empty((remainder.shape[0], points, remainder.shape[1]), dtype=remainder.dtype, device=remainder.device)
        some = bool(xp.any(narrower))
        for block in _blocks(moved):
            image = operator.along(slopes, form.points[:, block])
            moved[:, block] = xp.where(narrower[:, None], 0.0, image) if some else image
        moved[:, -1] = xp.where(narrower, centre, moved[:, -1] + (0.5 * low + 0.5 * high)[:, 0])
        return Form(moved, xp.where(narrower, radius, remainder))


def _blocks(points: Array) -> list[slice]:
    """Parts of the points (B, P, size) that stay in a core's cache while several operations go over them."""
    count = points.shape[1]
    some = max(1, _CACHED // max(1, points.shape[0] * points.shape[2]))
    return [slice(i, min(i + some, count)) for i in range(0, count, some)] or [slice(0, 0)]


def _upward(remainder: Array, terms: int) -> Array:
    return remainder * (1.0 + gamma(terms + 16)) + _FLOOR
