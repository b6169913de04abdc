"""Projected gradient descent on the largest row of a disjunct, many points at once (Madry et al. 2018).

Gradients come from the transpose pass of the graph: no autograd. Points that look like counterexamples are candidates
only; `witness` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from verifier.arrays import Array, Arrays, namespace, to_numpy
from verifier.bounds.targets import Targets
from verifier.graph.ir import Graph
from verifier.operators.base import Affine, Input, Nonlinear

_COOLED = 0.1
"""What is left of the temperature at the last step. On reach_prob_density robot_0 5 of 3,000 starts lead to a counterexample, none with the
gradient of the largest row alone."""


@dataclass(frozen=True)
class Steps:
    """How many, and the sizes of the first and the last one as parts of the box's width; those between fall geometrically."""

    count: int
    first: float = 0.2
    last: float = 0.01

    def size(self, i: int) -> float:
        return self.first * (self.last / self.first) ** (i / max(1, self.count))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Points x (N, n) float64 of disjuncts which (N,) with their margins (N,), most promising first."""

    x: np.ndarray
    which: np.ndarray
    margin: np.ndarray


def starting_points(lower: np.ndarray, upper: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, n) inside the box: the centre, corners for every third, uniform points for the rest."""
    share = rng.random((count, len(lower)))
    share[1::3] = np.round(share[1::3])
    share[0] = 0.5
    return lower + share * (upper - lower)


def minimisers(graph: Graph, plane: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Points (N, n) of the boxes lower, upper (N, n) where planes (N, n) are least, about; within the ball of the input if it has one."""
    if graph.ball is None:
        return np.where(plane > 0, lower, upper)
    return np.clip(graph.ball.minimiser(plane), lower, upper)


def descend(
    graph: Graph,
    arrays: Arrays,
    targets: Targets,
    x: np.ndarray,
    which: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    steps: Steps,
    stop: Callable[[], bool],
    enough: float = 0.0,
) -> Candidates:
    """Minimise the margin from x (N, n) in boxes lower, upper (N, n) or (n,); the best point of every start.

    Adam directions on the box scaled to 1; ends early when a margin is less than `enough` or `stop()`.
    """
    moved, xp = graph.to(arrays), arrays.xp
    low, high = arrays.asarray(np.broadcast_to(lower, x.shape)), arrays.asarray(np.broadcast_to(upper, x.shape))
    width = high - low
    outputs, constant = arrays.asarray(targets.outputs[which]), arrays.asarray(targets.constant[which])
    inputs = None if targets.inputs is None else arrays.asarray(targets.inputs[which])
    point = arrays.asarray(x) if moved.ball is None else moved.ball.project(arrays.asarray(x))
    best, best_margin = point, None
    first, second = xp.zeros_like(point), xp.zeros_like(point)
    for i in range(steps.count + 1):
        values = moved.values(point)
        rows = xp.sum(outputs * values[-1][:, None], axis=-1) + constant
        if inputs is not None:
            rows = rows + xp.sum(inputs * point[:, None], axis=-1)
        margin = xp.max(rows, axis=1)
        if best_margin is None:
            best_margin = margin
        else:
            better = margin < best_margin
            best, best_margin = xp.where(better[:, None], point, best), xp.minimum(margin, best_margin)
        if i == steps.count or bool(xp.any(best_margin < enough)) or stop():
            break
        weight = _weights(rows, _COOLED ** (i / max(1, steps.count)))
        gradient = _transposed(moved, values, xp.sum(weight[..., None] * outputs, axis=1))
        if inputs is not None:
            gradient = gradient + xp.sum(weight[..., None] * inputs, axis=1)
        scaled = gradient * width
        scaled = scaled / (xp.max(xp.abs(scaled), axis=1, keepdims=True) + 1e-30)
        first, second = 0.7 * first + 0.3 * scaled, 0.9 * second + 0.1 * scaled * scaled
        point = xp.minimum(xp.maximum(point - steps.size(i) * width * first / (xp.sqrt(second) + 1e-8), low), high)
        point = point if moved.ball is None else moved.ball.project(point)
    margins = to_numpy(best_margin).astype(np.float64)
    order = np.argsort(margins, kind="stable")
    return Candidates(to_numpy(best).astype(np.float64)[order], which[order], margins[order])


def _weights(rows: Array, heat: float) -> Array:
    """Of rows (N, R) in the gradient: those of a soft maximum, at a temperature of `heat` times the rows' mean size (N,). The largest row
    alone, which changes from step to step, would lead to and fro across the others."""
    xp = namespace(rows)
    temperature = heat * xp.mean(xp.abs(rows), axis=1, keepdims=True) + 1e-30
    weight = xp.exp((rows - xp.max(rows, axis=1, keepdims=True)) / temperature)
    return weight / xp.sum(weight, axis=1, keepdims=True)


def _transposed(graph: Graph, values: list[Array], output_gradient: Array) -> Array:
    """Gradient (N, n) of output_gradient . y in the input."""
    gradients: dict[int, Array] = {graph.output: output_gradient}
    for n in range(len(graph.nodes) - 1, 0, -1):
        if n not in gradients:
            continue
        node, g = graph.nodes[n], gradients.pop(n)
        if isinstance(node.operator, Nonlinear):
            parts: tuple[Array, ...] = (node.operator.pullback(values[node.inputs[0]], g),)
        elif isinstance(node.operator, Input):
            break
        elif isinstance(node.operator, Affine):
            parts = node.operator.transpose(g)
        else:
            raise TypeError(f"operator {node.operator!r} has no gradient")
        for p, part in zip(node.inputs, parts):
            gradients[p] = gradients[p] + part if p in gradients else part
    return gradients.get(0, 0.0 * values[0])
