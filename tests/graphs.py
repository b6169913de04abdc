"""Random graphs, boxes and points, and adapters to the bounds and searches: what the soundness tests need of the package.

Signatures of `verifier.bounds` and `verifier.search` are used here and nowhere else in these tests.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from unittest.mock import patch

import numpy as np

from verifier.arrays import Arrays, cuda_devices, numpy_arrays, to_numpy, torch_arrays
from verifier.bounds import interval, recorded
from verifier.bounds.ascent import Ascent, Schedule, initial_parameters, problem_of
from verifier.bounds.batch import BoxBounds, Neurons, bound_boxes, make_heads, neuron_planes, optimised_rows
from verifier.bounds.dual import Dual, Interval, Problem, Relaxation, evaluate, relax
from verifier.bounds.intermediate import RootBounds, root_bounds
from verifier.bounds.reduction import Reduction
from verifier.bounds.resources import Resources
from verifier.bounds.rigorous import ErrorWeights, error_weights
from verifier.bounds.targets import Targets
from verifier.config import Settings
from verifier.graph.ir import Graph, Node
from verifier.operators import affine, exponential, gated, periodic, piecewise_linear, smooth, steps
from verifier.operators.base import Elementwise, Input, Lines, Operator
from verifier.operators.power import Power
from verifier.operators.product import Product
from verifier.operators.sparse import Sparse
from verifier.operators.square import Square
from verifier.parallel import Workers
from verifier.search import box_search, solve
from verifier.search.outcome import Context, Outcome
from verifier.search.plan import Plan
from verifier.search.query import Query
from verifier.search.refinement import Refinement
from verifier.search.splits import Splits
from verifier.search.subproblems import Effort
from verifier.search.tightening import Tightening
from verifier.search.tree import Tree

Bounds = tuple[np.ndarray, np.ndarray]

EXACT = numpy_arrays()
SINGLE = numpy_arrays(single=True)
PIECEWISE = (
    piecewise_linear.Relu(),
    piecewise_linear.LeakyRelu(0.1),
    piecewise_linear.Abs(),
    piecewise_linear.Clip(-0.5, 0.75),
    piecewise_linear.Clip(0.0, float("inf")),
    piecewise_linear.Clip(0.25, 0.25),
)
SMOOTH = (smooth.Sigmoid(), smooth.Tanh())
CURVED = (
    smooth.Softsign(),
    smooth.Erf(),
    exponential.Exp(),
    exponential.Log(),
    exponential.Softplus(),
    exponential.Elu(1.0),
    exponential.Elu(1.6732632, 1.0507010),
    exponential.Elu(0.5, 1.0, 0.75),
    *(Power(a) for a in (0.5, 1.5, 3.0, 4.0, -1.0, -2.0, -3.0, -0.3)),
    periodic.Sin(),
    periodic.Cos(),
    gated.Silu(),
    gated.Gelu(),
    gated.GeluTanh(),
    gated.Mish(),
    gated.HardSwish(),
)
STEPS = (steps.Sign(), steps.Positive(), steps.Floor(), steps.Round())
"""Not among the operators of random graphs that are evaluated in float64: rounding may move a value over a jump."""
_MOST_QUADRATIC = 2
"""Products and squares of one random graph: the degree of what it computes stays low."""


DEVICES = ("cpu", "cuda") if cuda_devices() else ("cpu",)
"""Of torch on this machine; tests/test_cuda.py says so where there is no CUDA device."""


def torch64(device: str = "cpu") -> Arrays:
    return torch_arrays(device, single=False)


def torch64_in_turn(number: int) -> Arrays:
    """On every device in turn."""
    return torch64(DEVICES[number % len(DEVICES)])


# Graphs


@dataclass
class Builder:
    """Nodes in the order of their addition; node 0 is the input."""

    size: int
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes.append(Node(Input(), (), (self.size,)))

    def add(self, operator: Operator, inputs: tuple[int, ...], shape: tuple[int, ...]) -> int:
        self.nodes.append(Node(operator, inputs, tuple(shape)))
        return len(self.nodes) - 1

    def shape(self, node: int) -> tuple[int, ...]:
        return self.nodes[node].shape

    def linear(self, node: int, weight: np.ndarray, bias: np.ndarray | None = None) -> int:
        weight, bias = np.asarray(weight, dtype=float), None if bias is None else np.asarray(bias, dtype=float)
        few = np.mean(weight != 0) < 0.5
        return self.add(
            Sparse.of(weight, bias) if few else affine.Linear(weight, bias), (node,), (*self.shape(node)[:-1], weight.shape[1])
        )

    def apply(self, operator: Elementwise, node: int) -> int:
        return self.add(operator, (node,), self.shape(node))

    def apply_within(self, operator: Elementwise, node: int) -> int:
        """The same, with arguments brought to where the function has moderate values."""
        limits = _limits(operator)
        return self.apply(operator, self.apply(piecewise_linear.Clip(*limits), node) if limits else node)

    def relu(self, node: int) -> int:
        return self.apply(piecewise_linear.Relu(), node)

    def product(self, a: int, b: int) -> int:
        """a * b with broadcasting."""
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        left, right = ((1,) * (len(shape) - len(self.shape(n))) + self.shape(n) for n in (a, b))
        return self.add(Product(left, right, shape), (self.concat(self.flat(a), self.flat(b)),), shape)

    def concat(self, *nodes: int) -> int:
        """Vectors (n_i,) joined."""
        sizes = tuple(self.nodes[n].size for n in nodes)
        return self.add(affine.Concat(0, sizes), nodes, (sum(sizes),))

    def flat(self, node: int) -> int:
        shape = self.shape(node)
        return node if len(shape) == 1 else self.add(affine.Reshape(shape, (self.nodes[node].size,)), (node,), (self.nodes[node].size,))

    def graph(self) -> Graph:
        """Without the nodes that the last one does not depend on, as the readers make it."""
        live = [0]
        wanted = {len(self.nodes) - 1}
        for i in range(len(self.nodes) - 1, 0, -1):
            if i in wanted:
                live.insert(1, i)
                wanted.update(self.nodes[i].inputs)
        position = {old: new for new, old in enumerate(live)}
        return Graph(tuple(replace(self.nodes[i], inputs=tuple(position[p] for p in self.nodes[i].inputs)) for i in live))


def _limits(operator: Elementwise) -> tuple[float, float] | None:
    if isinstance(operator, exponential.Exp):
        return -6.0, 2.0
    if isinstance(operator, exponential.Log):
        return 0.1, 20.0
    if isinstance(operator, Power):
        return (-2.0, 1.5) if operator.exponent > 0 and operator.exponent == round(operator.exponent) else (0.3, 4.0)
    return (-9.0, 20.0) if isinstance(operator, periodic.Periodic) else None


def dense(weights: list[np.ndarray], biases: list[np.ndarray], operator: Elementwise | None = None) -> Graph:
    """Linear layers w (n, m), b (m,) with `operator` (Relu if None) between them."""
    b = Builder(weights[0].shape[0])
    node = 0
    for i, (w, c) in enumerate(zip(weights, biases)):
        node = b.linear(node, w, c)
        if i + 1 < len(weights):
            node = b.apply(operator or piecewise_linear.Relu(), node)
    return b.graph()


def random_dense(rng: np.random.Generator, sizes: list[int], operator: Elementwise | None = None) -> Graph:
    return dense(
        [rng.normal(size=(n, m)) / np.sqrt(n) * 1.5 for n, m in itertools.pairwise(sizes)],
        [0.5 * rng.normal(size=m) for m in sizes[1:]],
        operator,
    )


def random_graph(rng: np.random.Generator, steps: int = 9, operators: tuple[Elementwise, ...] = PIECEWISE + SMOOTH + CURVED) -> Graph:
    """A graph over all operators: parallel branches, residuals, shared pre-activations, constants, nonlinear nodes on the input."""
    b = Builder(int(rng.integers(1, 6)))
    pool = [0]
    for _ in range(steps):
        # Recent nodes are picked more often, so that depth grows; old ones again, so that there are branches.
        node = pool[-1] if rng.random() < 0.45 else int(rng.choice(pool))
        pool += _random_step(b, rng, node, pool, operators)
    ends = [pool[-1], *(int(n) for n in rng.choice(pool, size=int(rng.integers(0, 3))))]
    last = b.concat(*(b.flat(n) for n in dict.fromkeys(ends)))
    kind = rng.random()
    if kind < 0.7:
        last = _linear(b, rng, last, int(rng.integers(1, 4)))
    elif kind < 0.85:
        b.apply_within(operators[int(rng.integers(len(operators)))], last)
    return b.graph()


def _random_step(b: Builder, rng: np.random.Generator, node: int, pool: list[int], operators: tuple[Elementwise, ...]) -> list[int]:
    kinds = {
        "linear": 4,
        "conv": 2,
        "scale": 1,
        "add": 2,
        "broadcast": 1,
        "reshape": 1,
        "transpose": 1,
        "take": 1,
        "concat": 1,
        "pad": 1,
        "expand": 1,
        "sum": 1,
        "constant": 1,
        "nonlinear": 6,
        "shared": 1,
        "quadratic": 2,
    }
    weights = np.array(list(kinds.values()), dtype=float)
    kind = str(rng.choice(list(kinds), p=weights / weights.sum()))
    return [n for n in _STEPS[kind](b, rng, node, pool, operators) if b.nodes[n].size <= 48]


def _linear(b: Builder, rng: np.random.Generator, node: int, size: int) -> int:
    n = b.shape(node)[-1]
    weight = rng.normal(size=(n, size)) / np.sqrt(n)
    if n * size % 4 == 0:  # few entries in every row and column
        weight = 1.5 * weight * ((np.arange(n)[:, None] + np.arange(size)) % 3 == 0)
    return b.linear(node, weight, rng.normal(size=size) * 0.5 if rng.random() < 0.7 else None)


def _conv(b: Builder, rng: np.random.Generator, node: int) -> int:
    size = b.nodes[node].size
    groups, outputs = int(rng.integers(1, 3)), 2 * int(rng.integers(1, 3))
    height, width = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    need = 2 * height * width
    flat = b.flat(node)
    if size != need:
        flat = b.add(affine.Take(0, rng.integers(0, size, need), (size,)), (flat,), (need,))
    shape = (1, 2, height, width)
    image = b.add(affine.Reshape((need,), shape), (flat,), shape)
    kernel, stride, padding = (
        (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        (int(rng.integers(1, 3)), 1),
        tuple(int(p) for p in rng.integers(0, 2, 4)),
    )
    dilation = (1, int(rng.integers(1, 3)))
    spans = (padding[0] + padding[2], padding[1] + padding[3])
    out = tuple((n + p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip((height, width), spans, dilation, kernel, stride))
    if min(out) < 1:
        return image
    w = rng.normal(size=(outputs, 2 // groups, *kernel)) * 0.6
    bias = rng.normal(size=outputs) * 0.3 if rng.random() < 0.7 else None
    return b.add(affine.Conv(w, bias, shape, (1, outputs, *out), stride, padding, dilation, groups), (image,), (1, outputs, *out))


def _scale(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape = b.shape(node)
    part = tuple(n if rng.random() < 0.6 else 1 for n in shape)
    scale = rng.normal(size=part) if rng.random() < 0.7 else None
    shift = rng.normal(size=shape[-1:]) if scale is None or rng.random() < 0.6 else None
    return b.add(affine.Scale(scale, shift), (node,), shape)


def _add(b: Builder, rng: np.random.Generator, node: int, pool: list[int]) -> int:
    shape = b.shape(node)
    alike = [n for n in pool if b.shape(n) == shape]
    count = int(rng.integers(2, 4))
    parents = [node] + [int(rng.choice(alike)) if rng.random() < 0.6 else _linear(b, rng, node, shape[-1]) for _ in range(count - 1)]
    return b.add(affine.Add(tuple(int(s) for s in rng.choice([1, -1], count))), tuple(parents), shape)


def _broadcast(b: Builder, rng: np.random.Generator, node: int) -> int:
    """x + sum(x) / n, by ReduceSum and Expand."""
    shape = b.shape(node)
    axes = tuple(i for i in range(len(shape)) if rng.random() < 0.6) or (0,)
    small = tuple(1 if i in axes else n for i, n in enumerate(shape))
    divisor = int(np.prod([shape[a] for a in axes]))
    mean = b.add(affine.ReduceSum(axes, shape, divisor), (node,), small)
    return b.add(affine.Add((1, -1)), (node, b.add(affine.Expand(small, shape), (mean,), shape)), shape)


def _pad(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape = b.shape(node)
    before, after = ([int(rng.integers(-1, 3)) if n > 2 else int(rng.integers(0, 2)) for n in shape] for _ in range(2))
    out = tuple(n + p + q for n, p, q in zip(shape, before, after))
    value = 0.0 if rng.random() < 0.5 else float(rng.normal())
    return b.add(affine.Pad(tuple(before), tuple(after), shape, value), (node,), out)


def _take(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape = b.shape(node)
    axis, count = int(rng.integers(len(shape))), int(rng.integers(1, 5))
    out = (*shape[:axis], count, *shape[axis + 1 :])
    return b.add(affine.Take(axis, rng.integers(0, shape[axis], count), shape), (node,), out)


def _reshape(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape, size = b.shape(node), b.nodes[node].size
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    d = int(rng.choice(divisors))
    return b.add(affine.Reshape(shape, (d, size // d)), (node,), (d, size // d))


def _transpose(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape = b.shape(node)
    order = tuple(int(i) for i in rng.permutation(len(shape)))
    return b.add(affine.Transpose(order), (node,), tuple(shape[i] for i in order))


def _expand(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape = b.shape(node)
    out = (int(rng.integers(1, 4)), *(n if n > 1 else int(rng.integers(1, 4)) for n in shape))
    return b.add(affine.Expand(shape, out), (node,), out)


def _sum(b: Builder, rng: np.random.Generator, node: int) -> int:
    shape = b.shape(node)
    axes = tuple(i for i in range(len(shape)) if rng.random() < 0.5) or (len(shape) - 1,)
    return b.add(affine.ReduceSum(axes, shape, int(rng.choice([1, 3]))), (node,), tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _constant(b: Builder, rng: np.random.Generator, node: int) -> list[int]:
    shape = b.shape(node)
    c = b.add(affine.Constant(rng.normal(size=shape)), (), shape)
    return [c, b.add(affine.Add((1, 1)), (node, c), shape)]


def _concat(b: Builder, rng: np.random.Generator, node: int, pool: list[int]) -> int:
    return b.concat(b.flat(node), b.flat(int(rng.choice(pool))))


def _shared(b: Builder, rng: np.random.Generator, node: int, operators: tuple[Elementwise, ...]) -> list[int]:
    """Two nonlinear nodes on one pre-activation, which the next step may read as well."""
    first, second = (operators[int(i)] for i in rng.integers(0, len(operators), 2))
    return [node, b.apply_within(first, node), b.apply_within(second, node)]


def _quadratic(b: Builder, rng: np.random.Generator, node: int, pool: list[int]) -> list[int]:
    """A square, or a product of two values one of which is repeated along some axes."""
    if sum(isinstance(n.operator, Product | Square) for n in b.nodes) >= _MOST_QUADRATIC:
        return []
    if rng.random() < 0.3:
        return [b.apply(Square(), node)]
    shape = b.shape(node)
    small = tuple(n if rng.random() < 0.6 else 1 for n in shape)
    alike = [n for n in pool if b.shape(n) in (shape, shape[1:], small)]
    other = int(rng.choice(alike))
    if b.shape(other) != small and rng.random() < 0.4:
        axes = tuple(i for i, n in enumerate(small) if n == 1)
        other = b.add(affine.ReduceSum(axes, shape), (node,), small) if axes else node
    return [b.product(other, node) if rng.random() < 0.5 else b.product(node, other)]


_STEPS = {
    "linear": lambda b, rng, node, pool, operators: [_linear(b, rng, node, int(rng.integers(1, 7)))],
    "conv": lambda b, rng, node, pool, operators: [_conv(b, rng, node)],
    "scale": lambda b, rng, node, pool, operators: [_scale(b, rng, node)],
    "add": lambda b, rng, node, pool, operators: [_add(b, rng, node, pool)],
    "broadcast": lambda b, rng, node, pool, operators: [_broadcast(b, rng, node)],
    "reshape": lambda b, rng, node, pool, operators: [_reshape(b, rng, node)],
    "transpose": lambda b, rng, node, pool, operators: [_transpose(b, rng, node)],
    "take": lambda b, rng, node, pool, operators: [_take(b, rng, node)],
    "concat": lambda b, rng, node, pool, operators: [_concat(b, rng, node, pool)],
    "pad": lambda b, rng, node, pool, operators: [_pad(b, rng, node)],
    "expand": lambda b, rng, node, pool, operators: [_expand(b, rng, node)],
    "sum": lambda b, rng, node, pool, operators: [_sum(b, rng, node)],
    "constant": lambda b, rng, node, pool, operators: _constant(b, rng, node),
    "nonlinear": lambda b, rng, node, pool, operators: [b.apply_within(operators[int(rng.integers(len(operators)))], node)],
    "shared": lambda b, rng, node, pool, operators: _shared(b, rng, node, operators),
    "quadratic": lambda b, rng, node, pool, operators: _quadratic(b, rng, node, pool),
}


# Boxes and points


def random_box(rng: np.random.Generator, n: int) -> Bounds:
    """Wide, usual, tiny and one-sided boxes, with some inputs fixed."""
    centre = rng.normal(size=n)
    radius = rng.uniform(0.1, 1.0, n) * float(rng.choice([1.0, 1.0, 1.0, 0.1, 1e-8, 50.0]))
    lower, upper = centre - radius, centre + radius
    kind = rng.random()
    if kind < 0.15:
        lower = np.zeros(n)
        upper = np.abs(upper)
    fixed = rng.random(n) < (1.0 if kind > 0.95 else 0.15)
    return lower, np.where(fixed, lower, upper)


def inner_box(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray) -> Bounds:
    """A random box inside."""
    t = np.sort(rng.random((2, len(lower))), axis=0)
    t = np.where(rng.random(len(lower)) < 0.3, np.array([[0.0], [1.0]]), t)
    low, high = (np.clip(lower + s * (upper - lower), lower, upper) for s in t)
    return low, np.maximum(low, high)


def box_points(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray, count: int = 200) -> np.ndarray:
    """(N, n): uniform points, corners, points with some coordinates at a side, the centre."""
    n = len(lower)
    share = rng.random((count, n))
    share = np.concatenate(
        [share, np.clip(np.round(3 * share - 1), 0, 1) * (rng.random((count, n)) < 0.8) + 0 * share, np.full((1, n), 0.5)]
    )
    corners = np.array(list(itertools.islice(itertools.product((0.0, 1.0), repeat=n), 64)))
    share = np.concatenate([share, corners])
    return np.clip(lower + share * (upper - lower), lower, upper)


def extreme_points(
    rng: np.random.Generator,
    graph: Graph,
    lower: np.ndarray,
    upper: np.ndarray,
    x: np.ndarray,
    functionals: list[tuple[int, int, float]],
    rounds: int = 12,
) -> np.ndarray:
    """Points that push sign * value(node)[index] down: shrinking random steps from the best of x, all functionals side by side."""
    values = flat_values(graph, x)
    best = np.stack([x[np.argmin(sign * values[node][:, i])] for node, i, sign in functionals])
    score = np.array([(sign * values[node][:, i]).min() for node, i, sign in functionals])
    scale = 0.5
    for _ in range(rounds):
        tried = np.clip(best[:, None] + scale * (upper - lower) * rng.uniform(-1, 1, (len(best), 24, len(lower))), lower, upper)
        values = flat_values(graph, tried.reshape(-1, len(lower)))
        found = np.stack([(sign * values[node][:, i]).reshape(len(best), -1)[k] for k, (node, i, sign) in enumerate(functionals)])
        at = found.argmin(axis=1)
        better = found[np.arange(len(best)), at] < score
        best = np.where(better[:, None], tried[np.arange(len(best)), at], best)
        score = np.where(better, found[np.arange(len(best)), at], score)
        scale *= 0.6
    return best


def flat_values(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    """Value (N, size) of every node."""
    return [np.asarray(v).reshape(len(x), -1) for v in graph.values(x)]


def magnitude(values: list[np.ndarray]) -> float:
    return 1.0 + max(float(np.abs(v).max(initial=0.0)) for v in values)


# Adapters


def interval_bounds(
    graph: Graph,
    arrays: Arrays,
    lower: np.ndarray,
    upper: np.ndarray,
    weights: ErrorWeights | None = None,
    known: Mapping[int, Bounds] | None = None,
) -> dict[int, Bounds]:
    """Enclosure (size,) of every node below some output, by the interval pass alone."""
    weights = (weights or error_weights(graph, lower, upper, {})).to(arrays)
    known = {n: Interval(arrays.asarray(low[None]), arrays.asarray(high[None])) for n, (low, high) in (known or {}).items()}
    found: dict[int, Interval] = {}
    for node in range(len(graph.nodes)):
        found = interval.propagate(graph.to(arrays), arrays.asarray(lower[None]), arrays.asarray(upper[None]), known, weights, node, found)
    return {n: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for n, b in found.items()}


def root(
    graph: Graph,
    arrays: Arrays,
    lower: np.ndarray,
    upper: np.ndarray,
    iterations: int = 0,
    proposals: Arrays | None = None,
    threads: int = 1,
    start: RootBounds | None = None,
) -> RootBounds:
    with Workers(threads) as workers:
        return root_bounds(graph, Resources(arrays, proposals or arrays, workers), lower, upper, Schedule(iterations), start)


def refined_root(
    graph: Graph, arrays: Arrays, lower: np.ndarray, upper: np.ndarray, start: RootBounds, subproblems: int, proposals: Arrays | None = None
) -> RootBounds:
    """Bounds `start` after one sweep of refinement of all layers."""
    with Workers(1) as workers:
        ctx, fast = context(60.0, workers=workers), proposals or arrays
        refinement = Refinement(graph, arrays, fast, lower, upper, ctx, dict.fromkeys(graph.preactivations, subproblems))
        return root_bounds(graph, Resources(arrays, fast, workers), lower, upper, Schedule(0), start, refinement)


def enclosures(bounds: RootBounds) -> dict[int, Bounds]:
    return {p: (to_numpy(b.lower)[0], to_numpy(b.upper)[0]) for p, b in bounds.preactivations.items()}


def exact_root(graph: Graph, lower: np.ndarray, upper: np.ndarray, given: Mapping[int, Bounds]) -> RootBounds:
    """Root bounds from given enclosures (size,)."""
    return RootBounds({p: Interval(low[None], high[None]) for p, (low, high) in given.items()}, error_weights(graph, lower, upper, given))


def row_bounds(
    graph: Graph,
    arrays: Arrays,
    bounds: RootBounds,
    rows: Mapping[int, np.ndarray],
    lower: np.ndarray,
    upper: np.ndarray,
    slopes: Mapping[int, Bounds] | None = None,
    multipliers: Mapping[int, np.ndarray] | None = None,
    rigorous: bool = True,
    given: Mapping[int, Bounds] | None = None,
) -> Dual:
    """Dual of one box for rows node -> (S, size), in numpy. slopes: nonlinear node -> (lower, upper), each (S, size);
    multipliers: (S, size).

    given: enclosures (size,) in place of the root's (inside them).
    """
    moved = graph.to(arrays)
    known = {p: Interval(arrays.asarray(low[None]), arrays.asarray(high[None])) for p, (low, high) in (given or enclosures(bounds)).items()}
    relaxations: dict[int, Relaxation] = {}
    for n in graph.nonlinear:
        lines = None if slopes is None or n not in slopes else Lines(*(arrays.asarray(s[None]) for s in slopes[n]))
        relaxations[n] = relax(moved.nodes[n].operator, known[graph.nodes[n].inputs[0]], lines)
    shaped = {n: arrays.asarray(r.reshape(1, len(r), *graph.nodes[n].shape)) for n, r in rows.items()}
    problem = Problem(
        arrays.asarray(lower[None]),
        arrays.asarray(upper[None]),
        known,
        relaxations,
        {p: arrays.asarray(m[None]) for p, m in (multipliers or {}).items()},
    )
    dual = evaluate(moved, shaped, problem, bounds.weights.to(arrays) if rigorous else None)
    return Dual(to_numpy(dual.lower)[0], to_numpy(dual.coefficients)[0], to_numpy(dual.offset)[0], {})


def optimised_row_bounds(
    graph: Graph, arrays: Arrays, bounds: RootBounds, rows: Mapping[int, np.ndarray], lower: np.ndarray, upper: np.ndarray, iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """(first, best) values (S,) of the ascent over the output rows; not rigorous."""
    moved = graph.to(arrays)
    known = {p: Interval(arrays.asarray(b.lower), arrays.asarray(b.upper)) for p, b in bounds.preactivations.items()}
    shaped = {n: arrays.asarray(r.reshape(1, len(r), *graph.nodes[n].shape)) for n, r in rows.items()}
    low, high = arrays.asarray(lower[None]), arrays.asarray(upper[None])
    start = initial_parameters(moved, graph.output, known)
    first = evaluate(moved, shaped, problem_of(moved, low, high, known, start), None).lower
    never = lambda value: value > np.inf  # noqa: E731
    best, _ = Ascent(moved, shaped, low, high, known, start, {}, Schedule(iterations)).run(never, lambda: False)
    return to_numpy(first)[0], to_numpy(best.lower)[0]


def targets_of(outputs: np.ndarray, constant: np.ndarray | float = 0.0, inputs: np.ndarray | None = None, strict: bool = False) -> Targets:
    """One disjunct of rows outputs (R, m), constant (R,), inputs (R, n)."""
    count = len(outputs)
    return Targets(
        np.asarray(outputs, float)[None],
        None if inputs is None else np.asarray(inputs, float)[None],
        np.broadcast_to(np.asarray(constant, float), (count,))[None].copy(),
        np.full((1, count), strict),
    )


def flat_enclosures(graph: Graph, bounds: RootBounds) -> Bounds:
    """(total,) each."""
    parts = [enclosures(bounds)[p] for p in graph.preactivations]
    below, above = (np.concatenate([np.zeros(0), *(part[side] for part in parts)]) for side in (0, 1))
    return below, above


def box_bounds(
    graph: Graph,
    arrays: Arrays,
    bounds: RootBounds,
    targets: Targets,
    lower: np.ndarray,
    upper: np.ndarray,
    inherited: Bounds | None = None,
    most: int | None = None,
    widest: int | None = None,
) -> BoxBounds:
    """`bound_boxes` over boxes (B, n) of disjunct 0; inherited: enclosures (B, total), the root's if None; most: rows of a layer beside
    forms; widest: of a layer in any case."""
    neurons, count = Neurons(graph), len(lower)
    below, above = inherited or tuple(np.repeat(b[None], count, axis=0) for b in flat_enclosures(graph, bounds))
    weights = bounds.weights.to(arrays)
    which = np.zeros(count, np.int64)
    heads, rows = make_heads(neurons, arrays, weights), targets.rows(graph, arrays, which)
    limits = None if most is None else dict.fromkeys(graph.preactivations, most)
    return bound_boxes(neurons, heads, arrays, weights, rows, lower, upper, below, above, limits, widest)


def optimised_box_bounds(
    graph: Graph, arrays: Arrays, bounds: RootBounds, targets: Targets, lower: np.ndarray, upper: np.ndarray, found: BoxBounds
) -> Dual:
    """Rows of boxes (B, n) with the enclosures of `found`, their slopes improved by a few steps in float32 (where `arrays` is numpy)."""
    weights, rows = bounds.weights.to(arrays), targets.rows(graph, arrays, np.zeros(len(lower), int))
    proposals = SINGLE if arrays is EXACT else arrays
    below, above = found.below, np.maximum(found.below, found.above)
    return optimised_rows(Neurons(graph), arrays, proposals, weights, rows, lower, upper, below, above, Schedule(3, slope_step=0.4))


def planes_of_neurons(
    graph: Graph,
    arrays: Arrays,
    bounds: RootBounds,
    lower: np.ndarray,
    upper: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
    neuron: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Planes a (k, 2, n), c (k, 2) of the neurons (k,) over one box (n,) with enclosures (total,)."""
    neurons, weights = Neurons(graph), bounds.weights.to(arrays)
    repeated = [np.repeat(b[None], len(neuron), axis=0) for b in (lower, upper, below, above)]
    return neuron_planes(neurons, make_heads(neurons, arrays, weights), arrays, weights, *repeated, neuron)


class NoGate:
    """Confirms nothing."""

    def first(self, x: np.ndarray, which: np.ndarray, margins: np.ndarray, most: int = 8) -> None:
        return None

    def confirm(self, x: np.ndarray, which: int) -> None:
        return None


class Found(Exception):
    """A counterexample came to the gate."""


class FloatGate:
    """Raises Found with the point where the float64 network violates by `slack` at least."""

    def __init__(self, slack: float = 0.0):
        self.slack = slack

    def first(self, x: np.ndarray, which: np.ndarray, margins: np.ndarray, most: int = 8) -> None:
        i = int(np.argmin(np.where(np.isnan(margins), np.inf, margins)))
        if margins[i] <= -self.slack:
            raise Found(x[i])


def context(seconds: float, gate: object | None = None, workers: Workers | None = None) -> Context:
    start = time.monotonic()
    return Context(
        lambda: time.monotonic() - start,
        seconds,
        lambda: False,
        gate or NoGate(),
        lambda event: None,
        np.random.default_rng(0),
        workers or Workers(1),
    )


def ticking(looks: int) -> Context:
    """A clock that every look advances by a second, and a deadline after `looks`."""
    ticks = itertools.count()
    return replace(context(float(looks)), clock=lambda: float(next(ticks)))


def tree(
    graph: Graph,
    bounds: RootBounds,
    targets: Targets,
    lower: np.ndarray,
    upper: np.ndarray,
    exact: Arrays = EXACT,
    proposals: Arrays | None = None,
    clips: bool = False,
) -> Tree:
    return Tree.of(graph, Reduction.none(graph), exact, proposals or exact, bounds, targets, lower, upper, clips)


def start_splits(t: Tree, disjuncts: np.ndarray | None = None) -> Splits:
    which = np.zeros(1, np.int64) if disjuncts is None else disjuncts
    known = {p: Interval(t.proposals.asarray(b.lower), t.proposals.asarray(b.upper)) for p, b in t.root.preactivations.items()}
    parameters = initial_parameters(t.graph.to(t.proposals), t.graph.output, known)
    return t.start(which, np.full(len(which), -np.inf), parameters)


def search(
    method: Literal["input split", "neuron split"],
    graph: Graph,
    targets: Targets,
    lower: np.ndarray,
    upper: np.ndarray,
    seconds: float = 10.0,
    gate: object | None = None,
    backend: Literal["numpy", "torch"] = "numpy",
    iterations: int = 5,
    batch: int = 32,
    threads: int = 1,
    ctx: Context | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Outcome:
    """`solve` with the plan forced, without the first attack, with plain bounds at the root and none of its halves, so that the search has
    work.

    lower, upper: one box for all disjuncts (n,), or one each (K, n).
    """
    count = len(targets.constant)
    query = Query(graph, targets, *(np.broadcast_to(b, (count, graph.input_size)).copy() for b in (lower, upper)))
    settings = Settings().with_options({"attack.restarts": 0, "bounds.iterations": iterations, "bounds.root_iterations": 0})
    plan = Plan(method, backend, batch, "forced", device)
    with Workers(threads) as workers, patch.object(solve, "make_plan", lambda *args: plan), patch.object(box_search, "INPUTS", 0):
        return solve.solve(query, settings, ctx or context(seconds, gate, workers)).outcome


@contextmanager
def narrowing(always: bool) -> Iterator[None]:
    """Enclosures are narrowed wherever that is possible: at once at the root, and after every fourth split."""
    if not always:
        yield
        return
    worth = lambda self, rate, bound, gain, seconds: np.isfinite(rate)  # noqa: E731
    with patch.object(Tightening, "expected", lambda self, count: 1.0), patch.object(Tightening, "_worth", worth):
        yield


def narrowed_root(t: Tree, splits: Splits) -> bool:
    """Whether rounds at the root close everything."""
    left = Tightening(t, Effort(1, Schedule(5)), context(20.0)).root(splits, 10.0)
    return not len(left)


def search_inputs(*args: Any, **options: Any) -> Outcome:
    return search("input split", *args, **options)


def search_neurons(*args: Any, **options: Any) -> Outcome:
    return search("neuron split", *args, **options)


def search_narrowed(*args: Any, **options: Any) -> Outcome:
    with narrowing(True):
        return search_neurons(*args, **options)


def eager_record(made: list[int]) -> Callable[[Callable[[], Any]], tuple[Any, Callable[[], object]]]:
    """In place of a recording of a device (verifier/bounds/recorded.py): computes anew, into the arrays that it returned first. made: one
    entry for each."""

    def record(function: Callable[[], Any]) -> tuple[Any, Callable[[], object]]:
        made.append(len(made))
        first = recorded._mapped(lambda a: a + 0.0, function())

        def replay() -> None:
            for old, new in zip(recorded._leaves(first), recorded._leaves(function())):
                old[...] = new

        return first, replay

    return record
