"""Rounding: how far the float64 evaluation of the dual can be from its exact value, and intervals rounded outward.

With u = 2^-53 and g_k = k u / (1 - k u), a sum of k products in any order, fused or not, is off by at most g_k times the
sum of their absolute values (Higham 2002, section 3.1). The evaluator computes lam with such sums and uses the computed
lam as multipliers, which is allowed; what is left is, for every node n, at most |lam_n| . E_n with

    affine      E_n = g_{k+2+C} M_n + g_{size+N} |F(0)|     M_n = |J| zmax + |F(0)|, k = terms of the operator
    nonlinear   E_n = 2 g_{size+N} T + g_{2 ulps + 15 + k + C} T   T = max |s| + max |slopes| . zmax  (the intercept is at most T)
    every node  + (consumers + 3) u zmax_n                  accumulation of lam_n from several consumers, rows and m
    multiplier  g_{size+N} zmax_n
    input       + g_{n+N} zmax_x                            the minimum over the box

N = 4 * number of nodes + 6 covers the additions of the nodes' contributions to the constant, m's two among them.
C = 2 * (largest number of consumers) + 6 covers sums lam_n of many parts that cancel: their partial sums are bounded by the
parts, not by lam_n, so every consumer pays for its own part, and for the row's or m's, which is the rest. zmax_n bounds
|value(n)|; it comes from one pass of absolute maps. E is taken at the root of the search: values, and with them E, only
shrink in subproblems. Underflow adds less than 2^-1070 a product: `underflow` exceeds all of it together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from verifier.arrays import Array, Arrays, to_numpy
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Elementwise, Input, Nonlinear

U = 2.0**-53
_FLOOR = 1e-300
"""Least zmax of any node. Sums of less than 2^28 products that underflow, 2^-1075 each, stay below it; without it a zmax of zero
would say that nothing is lost in a node whose value is merely too small for a float64."""


def gamma(k: int) -> float:
    """g_k, rounded up by a relative 1e-6 (which also covers computing with it)."""
    return k * U / (1 - k * U) * (1 + 1e-6)


@dataclass(frozen=True, eq=False)
class ErrorWeights:
    """E_n (size,) of every node; the same for m at pre-activations and the output; rounding of each affine node's value when it is
    computed forward from enclosed parents, and how far a nonlinear node's planes may be on the wrong side (`forward`); one number for
    underflow."""

    node: Mapping[int, Array]
    multiplier: Mapping[int, Array]
    forward: Mapping[int, Array]
    underflow: float

    def to(self, arrays: Arrays) -> ErrorWeights:
        return ErrorWeights(
            {n: arrays.asarray(e) for n, e in self.node.items()},
            {n: arrays.asarray(e) for n, e in self.multiplier.items()},
            {n: arrays.asarray(e) for n, e in self.forward.items()},
            self.underflow,
        )


def error_weights(graph: Graph, lower: np.ndarray, upper: np.ndarray, preactivations: Mapping[int, tuple[Array, Array]]) -> ErrorWeights:
    """Weights for every subproblem inside the box lower, upper (n,) and the enclosures (size,) of the pre-activations.

    `graph` in numpy float64; pre-activations that are not given are enclosed by the absolute maps alone.
    """
    magnitudes = Magnitudes(graph, lower, upper)
    magnitudes.extend(graph.output, preactivations)
    return magnitudes.weights(preactivations)


class Magnitudes:
    """zmax and E of the nodes of `graph` (numpy float64) over the box lower, upper (n,), each node once and in order, so that the
    enclosures of pre-activations may be found on the way."""

    def __init__(self, graph: Graph, lower: np.ndarray, upper: np.ndarray):
        self._graph, self._box = graph, np.maximum(np.abs(lower), np.abs(upper))
        self._adds = 4 * len(graph.nodes) + 6
        self._sums = 2 * max(map(len, graph.consumers)) + 6
        self._nodes: list[_Magnitude] = []

    def extend(self, node: int, preactivations: Mapping[int, tuple[Array, Array]]) -> None:
        """Go on up to `node`. preactivations: enclosures (size,), of all nodes below `node` that will ever have one."""
        for n in range(len(self._nodes), node + 1):
            below = [self._largest(p, preactivations) for p in self._graph.nodes[n].inputs]
            self._nodes.append(self._magnitude(n, below, preactivations))

    def weights(self, preactivations: Mapping[int, tuple[Array, Array]]) -> ErrorWeights:
        """Of the nodes so far, for rows that begin at one of them."""
        weights, multiplier, total = {}, {}, 0.0
        for n, found in enumerate(self._nodes):
            z, size = self._largest(n, preactivations), self._graph.nodes[n].size
            weights[n] = found.error + (len(self._graph.consumers[n]) + 3) * U * (1 + 1e-6) * z
            multiplier[n] = gamma(size + self._adds) * z
            total += float(np.sum(z))
        steepest = {n: found.steepest for n, found in enumerate(self._nodes) if found.steepest is not None}
        _merge_into_consumers(self._graph, weights, multiplier, steepest)
        forward = {n: found.forward for n, found in enumerate(self._nodes) if found.forward is not None}
        # An array without a finite bound cannot be accepted; inf makes every result -inf rather than wrong.
        enclosed = [n for n in (*self._graph.preactivations, self._graph.output) if n in multiplier]
        return ErrorWeights(weights, {n: multiplier[n] for n in enclosed}, forward, 1e-300 * (1.0 + total))

    def _largest(self, n: int, preactivations: Mapping[int, tuple[Array, Array]]) -> np.ndarray:
        z = self._nodes[n].largest
        if n in preactivations:
            z = np.minimum(z, np.maximum(*(np.abs(to_numpy(b).reshape(-1)) for b in preactivations[n])))
        return np.maximum(z, _FLOOR)

    def _magnitude(self, n: int, below: list[np.ndarray], preactivations: Mapping[int, tuple[Array, Array]]) -> _Magnitude:
        node, adds, sums = self._graph.nodes[n], self._adds, self._sums
        op = node.operator
        if isinstance(op, Input):
            z = np.maximum(self._box, _FLOOR)
            return _Magnitude(z, gamma(node.size + adds) * z, None)
        if isinstance(op, Nonlinear):
            (p,) = below
            low, high = _enclosure(preactivations, node.inputs[0], p)
            defined = op.defined(low, high)
            if defined is not None and not np.all(defined):  # only where an enclosure is missing: `root_bounds` ends there
                everything = np.full(node.size, np.inf)
                return _Magnitude(everything, everything, everything)
            least, greatest = op.range(low, high)
            z = np.maximum(np.maximum(np.abs(least), np.abs(greatest)) * (1 + 1e-6), _FLOOR)
            relative = 2 * gamma(node.size + adds) + gamma(2 * op.function_ulps + 15 + op.terms + sums)
            steepest = op.steepest(low, high) if isinstance(op, Elementwise) and op.bounded_slopes else None
            parts = z + op.slope_magnitude(low, high, p) + op.offset_scale
            return _Magnitude(z, relative * parts, gamma(2 * op.function_ulps + 15) * parts, steepest)
        if isinstance(op, Affine):
            shapes = [self._graph.nodes[p].shape for p in node.inputs]
            through, ones = op.absolute(2, *(np.stack([p, np.ones_like(p)]).reshape(2, *s) for p, s in zip(below, shapes))).reshape(2, -1)
            constant = op.offset_magnitude
            offset = np.zeros(node.size) if constant is None else np.broadcast_to(constant, node.shape).reshape(-1)
            z = np.maximum((through + offset) * (1 + 1e-6), _FLOOR)
            # Products, and halves of parents, lose up to 1e-322 each below the smallest normal number.
            underflow = ones * (1 + 1e-6) * 1e-322 + (op.terms + 8) * 1e-322
            error = gamma(op.terms + 2 + sums) * z + gamma(node.size + adds) * offset
            return _Magnitude(z, error, gamma(op.terms + 8) * z + underflow)
        raise TypeError(f"operator {op!r} has no rounding bound")


@dataclass(frozen=True, eq=False)
class _Magnitude:
    """Of one node, (size,) each: zmax without its own enclosure, E without the accumulation of lam, `forward` of ErrorWeights, and
    of an elementwise node its steepest slopes, where they are bounded."""

    largest: np.ndarray
    error: np.ndarray
    forward: np.ndarray | None
    steepest: np.ndarray | None = None


def _merge_into_consumers(
    graph: Graph, weights: dict[int, np.ndarray], multiplier: dict[int, np.ndarray], steepest: Mapping[int, np.ndarray]
) -> None:
    """Move E of an affine node read by one elementwise node alone into that node: |lam_p| <= |m| + |q| * steepest slope.

    One product with |q| then does for both, and nodes without rounding of their own leave the map.
    """
    for n, slopes in steepest.items():
        p = graph.nodes[n].inputs[0]
        if isinstance(graph.nodes[p].operator, Affine) and graph.consumers[p] == (n,):
            weights[n] = weights[n] + slopes * weights[p] * (1 + 1e-9)
            multiplier[p] = multiplier[p] + weights.pop(p)


def _enclosure(preactivations: Mapping[int, tuple[Array, Array]], n: int, largest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if n not in preactivations:
        return -largest, largest
    low, high = (to_numpy(b).reshape(-1) for b in preactivations[n])
    return low, high
