"""Sums of products as sums and differences of squares, for factors that depend on each other.

A sum of products z = sum_i x_i y_i of the values p = (x, y) is a quadratic form p . M p, so that with any basis in which it is diagonal

    z = sum_k s_k e_k^2,        e = T p.

Below z, a square with s_k > 0 is replaced by a tangent, which wherever it touches has no gap there, and one with s_k < 0 by its chord,
which has a gap of |s_k| w^2 / 4 for e_k within an interval of width w. Of all bases, that is taken in which the e_k vary independently
of each other in the box: if z is convex in the network's input, even though it is not in x and y, the squares that are subtracted do
not vary then. Planes for every product by itself (McCormick 1976) are off by the widths of its factors, as if x and y were
independent. The Lyapunov function x . P x of a controller and its decrease along a trajectory are such sums.

T and s are computed in float64, so that they belong to a form near M. Bounds on the difference are kept as roundings of s: with
p = X e, |p . D p| <= sum_k g_k e_k^2, where g are the row sums of |X|^T |D| |X|.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Linear, ReduceSum, Reshape, Scale
from verifier.operators.product import Product
from verifier.operators.square import Square

_POINTS, _NEAR = 128, 0.125
"""Pairs of points between which values are compared, and how far apart they are at most, as a part of the box."""
_SIZE, _WORK = 30_000, 3_000_000
"""Values and multiplications of a network that is evaluated there: 60 MB, a tenth of a second."""
_LEAST = 1e-3
"""What every value of p is taken to vary by itself, as a part of its variance: no basis is known for what does not vary."""
_LARGEST, _MOST = 32, 512
"""Values of p in one sum, and in all sums of a node: each gives a square, and a neuron to bound."""
_WORTH = 0.7
"""Gap of the squares against that of the products, at most."""
_FAR = 1e50
"""Values that vary by more, or by less than its inverse, are left alone: their products could overflow, or lose all digits."""
_ROUNDINGS = 1_000_000
"""Roundings of s at most: about 1e-10."""
_U = 2.0**-53


class _Form(NamedTuple):
    """One sum: positions (k,) of p; T (k, k), s (k,), and what is not exact about s, in units of 2^-53."""

    values: np.ndarray
    basis: np.ndarray
    scale: np.ndarray
    roundings: int


@dataclass(frozen=True, eq=False)
class _Sums:
    """The sums that end in node `end`, of products of values of node `factors`: of each (size,), the positions x and y of its factors and
    the sum that it is part of."""

    factors: int
    end: int
    x: np.ndarray
    y: np.ndarray
    group: np.ndarray


def with_squares(graph: Graph, lower: np.ndarray, upper: np.ndarray, seed: int = 0) -> Graph:
    """`graph` with squares in place of the products for which they are nearer in the box lower, upper (n,); itself if there are none."""
    sums = [
        _sums(graph, i, node.operator)
        for i, node in enumerate(graph.nodes)
        if isinstance(node.operator, Product) and graph.nodes[node.inputs[0]].size <= _MOST
    ]
    large = sum(node.size for node in graph.nodes) > _SIZE or sum(node.multiplications for node in graph.nodes) > _WORK
    if not sums or large or not (np.isfinite(lower) & np.isfinite(upper)).all():
        return graph
    moves = _moves(graph, [s.factors for s in sums], lower, upper, seed)
    found = {s.end: forms for s in sums if (forms := _forms(s, moves[s.factors])) is not None}
    return _rebuilt(graph, {s.end: s.factors for s in sums if s.end in found}, found)


def _sums(graph: Graph, product: int, operator: Product) -> _Sums:
    (factors,) = graph.nodes[product].inputs
    x, y = operator.factors(np.arange(graph.nodes[factors].size))
    at = product
    while len(graph.consumers[at]) == 1:
        (after,) = graph.consumers[at]
        following = graph.nodes[after].operator
        if isinstance(following, ReduceSum) and following.divisor == 1:
            (group,) = following.transpose(np.arange(graph.nodes[after].size).reshape(1, *graph.nodes[after].shape))
            return _Sums(factors, after, x, y, group.reshape(-1))
        if not isinstance(following, Reshape):
            break
        at = after
    return _Sums(factors, product, x, y, np.arange(len(x)))


def _moves(graph: Graph, wanted: list[int], lower: np.ndarray, upper: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """(pairs, size) of the nodes `wanted`: by how much they differ between points that are near each other."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(_POINTS, len(lower)))
    near = np.clip(share + rng.uniform(-_NEAR, _NEAR, size=share.shape), 0.0, 1.0)
    with np.errstate(all="ignore"):
        x = lower + np.concatenate([share, near]) * (upper - lower)
        values = graph.values(np.clip(x, lower, upper))
        return {p: (v := values[p].reshape(2, _POINTS, -1))[1] - v[0] for p in wanted}


def _forms(sums: _Sums, moves: np.ndarray) -> list[_Form] | None:
    """Of every sum; None where products do as well, or squares are not known well enough."""
    with np.errstate(all="ignore"):
        x, y, deviation = sums.x, sums.y, np.sqrt(np.mean(moves * moves, axis=0))
    if not (deviation < _FAR).all():  # or no number
        return None
    forms, gaps = [], np.zeros(3)
    for group in range(sums.group.max() + 1):
        own = sums.group == group
        found = _form(x[own], y[own], moves, deviation)
        if found is None:
            return None
        forms.append(found)
        variance = np.mean((moves[:, found.values] @ found.basis.T) ** 2, axis=0)
        above, below = (float(np.maximum(sign * found.scale, 0.0) @ variance) for sign in (1, -1))
        gaps += [below, above, 0.5 * deviation[x[own]] @ deviation[y[own]]]
    return forms if min(gaps[:2]) < _WORTH * gaps[2] else None


def _form(x: np.ndarray, y: np.ndarray, moves: np.ndarray, deviation: np.ndarray) -> _Form | None:
    """sum_i p[x_i] p[y_i] in the basis in which both it and the covariance of the moves are diagonal."""
    values = np.unique(np.concatenate([x, y]))
    if len(values) > _LARGEST or deviation[values].min() < 1.0 / _FAR:
        return None
    form = np.zeros((len(values), len(values)))
    at = np.searchsorted(values, x), np.searchsorted(values, y)
    np.add.at(form, at, 0.5)
    np.add.at(form, at[::-1], 0.5)
    unit = deviation[values]
    moves = moves[:, values] / unit
    covariance = moves.T @ moves / len(moves) + _LEAST * np.eye(len(values))
    root = np.linalg.cholesky(covariance)
    scale, turn = np.linalg.eigh(root.T @ (unit[:, None] * form * unit) @ root)
    inverse = unit[:, None] * (root @ turn)
    basis = np.linalg.inv(inverse)
    roundings = _roundings(form, basis, scale, inverse)
    return None if roundings is None else _Form(values, basis, scale, roundings)


def _roundings(form: np.ndarray, basis: np.ndarray, scale: np.ndarray, inverse: np.ndarray) -> int | None:
    """How many roundings of `scale` cover that  p . form p  is not quite  sum_k scale_k (basis p)_k^2; None if too many."""
    size, tiny = len(scale), (len(scale) + 4) * _U * (1 + 1e-6)
    product = np.abs(basis.T) @ (np.abs(scale)[:, None] * np.abs(basis))
    off = np.abs(form - basis.T @ (scale[:, None] * basis)) + tiny * (np.abs(form) + product)
    # p = inverse e + (1 - inverse basis) p, so |p| <= |inverse| |e| + rest |p|.
    rest = np.abs(np.eye(size) - inverse @ basis) + tiny * (np.abs(inverse) @ np.abs(basis) + 1.0)
    through, norm = np.abs(inverse), float(np.max(np.sum(rest, axis=1)))
    if not norm < 0.1:
        return None
    through = through + norm / (1 - norm) * through.max(axis=0)
    difference = through.T @ off @ through
    difference = 0.5 * (difference.sum(axis=0) + difference.sum(axis=1))  # |e_k e_l| <= (e_k^2 + e_l^2) / 2
    with np.errstate(all="ignore"):
        roundings = float(np.max(difference / np.abs(scale))) / _U * (1 + 1e-6)
    return math.ceil(roundings) + 1 if roundings < _ROUNDINGS else None


def _rebuilt(graph: Graph, factors: Mapping[int, int], forms: Mapping[int, list[_Form]]) -> Graph:
    """factors, forms: of the nodes in whose place the sums of squares come."""
    nodes: list[Node] = []
    position: dict[int, int] = {}
    for i, node in enumerate(graph.nodes):
        moved = replace(node, inputs=tuple(position[p] for p in node.inputs))
        if i in forms:
            read = factors[i]
            nodes += _squares(len(nodes), position[read], graph.nodes[read].size, forms[i], node.origin)
            moved = replace(moved, operator=Reshape((len(forms[i]),), node.shape), inputs=(len(nodes) - 1,))
        position[i] = len(nodes)
        nodes.append(moved)
    return Graph(tuple(nodes)).alive()[0] if forms else graph


def _squares(first: int, factors: int, size: int, forms: list[_Form], origin: tuple[str, ...]) -> list[Node]:
    """Nodes from `first` on, of all forms of the node `factors` with `size` values."""
    ends = np.cumsum([0, *(len(f.values) for f in forms)])
    basis, total = np.zeros((size, ends[-1])), np.zeros((ends[-1], len(forms)))
    for i, form in enumerate(forms):
        basis[form.values, ends[i] : ends[i + 1]] = form.basis.T
        total[ends[i] : ends[i + 1], i] = 1.0
    scale = Scale(np.concatenate([f.scale for f in forms]), roundings=max(f.roundings for f in forms))
    count = (int(ends[-1]),)
    operators = (Linear(basis), count), (Square(), count), (scale, count), (Linear(total), (len(forms),))
    return [Node(op, (factors if i == 0 else first + i - 1,), shape, origin) for i, (op, shape) in enumerate(operators)]
