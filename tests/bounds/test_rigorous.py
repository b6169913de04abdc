"""The rounding bound: every accepted float64 bound against exact rational values, with zero tolerance."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest

from tests import graphs
from tests.bounds import exact
from verifier.graph.ir import Graph
from verifier.operators import affine, piecewise_linear
from verifier.operators.base import Elementwise
from verifier.operators.square import Square

ONE = np.ones(1)
KINDS = ("plain", "scales", "rows", "columns", "cancel", "huge")


def matrix(rng: np.random.Generator, n: int, m: int, kind: str) -> np.ndarray:
    w = rng.normal(size=(n, m))
    if kind == "scales":
        return w * 2.0 ** rng.integers(-100, 100, (n, m))
    if kind == "rows":
        return w * 2.0 ** rng.integers(-100, 100, (n, 1))
    if kind == "columns":
        return w * 2.0 ** rng.integers(-100, 100, (1, m))
    if kind == "cancel":
        half = (n + 1) // 2
        w[n - half :] = -w[:half] * (1 + 2.0**-50 * rng.integers(-3, 4, (half, m)))
        return w * 10.0 ** rng.integers(0, 20)
    if kind == "huge":
        return w * 10.0 ** rng.uniform(50, 120)
    return w * 10.0 ** rng.uniform(-320, -300) if kind == "denormal" else w


def badly_scaled(rng: np.random.Generator, kinds: tuple[str, ...], operators: tuple[Elementwise, ...] = graphs.PIECEWISE[:4]) -> Graph:
    depth = int(rng.integers(1, 5))
    sizes = [int(rng.integers(1, 6)) for _ in range(depth + 1)]
    b, node = graphs.Builder(sizes[0]), 0
    for i in range(depth):
        shape = (sizes[i + 1],)
        bias = None if rng.random() < 0.3 else rng.normal(size=shape) * 10.0 ** rng.integers(-5, 25) * (rng.random() < 0.7)
        new = b.linear(node, matrix(rng, sizes[i], sizes[i + 1], str(rng.choice(kinds))), bias)
        if rng.random() < 0.3:
            new = b.add(affine.Scale(rng.normal(size=shape) * 2.0 ** rng.integers(-60, 60, shape), rng.normal(size=shape)), (new,), shape)
        if rng.random() < 0.2:
            mean = b.add(affine.ReduceSum((0,), shape, 3), (new,), (1,))
            new = b.add(affine.Add((1, -1)), (new, b.add(affine.Take(0, np.zeros(shape, np.int64), (1,)), (mean,), shape)), shape)
        if i + 1 < depth or rng.random() < 0.3:
            new = b.apply_within(operators[int(rng.integers(len(operators)))], new)
        # Not together with smooth functions, whose exact values take long for arguments of many digits.
        if i + 1 < depth and operators[0] in graphs.PIECEWISE and rng.random() < 0.2:
            other = b.add(affine.Take(0, rng.integers(0, sizes[i], shape), (sizes[i],)), (node,), shape)
            new = b.product(new, other) if rng.random() < 0.7 else b.apply(Square(), new)
        if rng.random() < 0.3 and b.shape(new) == b.shape(node):
            new = b.add(affine.Add((1, int(rng.choice([1, -1])))), (new, node), shape)
        node = new
    return b.graph()


def box_and_points(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Half of the boxes are points: there the bounds are exact but for rounding."""
    centre = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)
    radius = np.zeros(n) if rng.random() < 0.5 else np.abs(centre) * 10.0 ** rng.uniform(-18, 0)
    lower, upper = centre - radius, centre + radius
    inside = [np.clip(lower + rng.random(n) * (upper - lower), lower, upper) for _ in range(3 if radius.any() else 0)]
    return lower, upper, [lower, upper, *inside]


def assert_encloses(found: dict[int, graphs.Bounds], points: list[list[np.ndarray]], what: str) -> None:
    for node, (low, high) in found.items():
        if np.isnan(low).any() or np.isnan(high).any():  # refutes nothing
            continue
        for values in points:
            v = values[node].reshape(-1)
            assert exact.at_most(low, v).all() and exact.at_most(-high, -v).all(), (
                f"{what}: node {node} misses {list(map(float, v))}: {low} {high}"
            )


def assert_below(bound: np.ndarray, value: np.ndarray, what: str) -> None:
    ok = exact.at_most(np.where(np.isnan(bound), -np.inf, bound), value)
    assert ok.all(), f"{what}: bounds {bound} of {[float(v) if abs(v) < 10**300 else v for v in value]}"


def check_network(seed: int, kinds: tuple[str, ...], operators: tuple[Elementwise, ...] = graphs.PIECEWISE[:4]) -> int:
    rng = np.random.default_rng(seed)
    graph = badly_scaled(rng, kinds, operators)
    lower, upper, points = box_and_points(rng, graph.input_size)
    values = [exact.values(graph, x) for x in points]
    assert_encloses(graphs.interval_bounds(graph, graphs.EXACT, lower, upper), values, f"seed {seed}, interval")
    bounds = graphs.root(graph, graphs.EXACT, lower, upper)
    assert_encloses(graphs.enclosures(bounds), values, f"seed {seed}, CROWN")
    rows = rng.normal(size=(3, graph.output_size))
    multipliers = {p: rng.normal(size=(3, graph.nodes[p].size)) * 10.0 ** rng.integers(-5, 20) for p in graph.preactivations}
    plain = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, lower, upper)
    other = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, lower, upper, None, multipliers)
    targets, most = graphs.targets_of(rows), [None, 0, 1][seed % 3]
    boxes = graphs.box_bounds(graph, graphs.EXACT, bounds, targets, lower[None], upper[None], most=most)
    assert not boxes.infeasible.any()
    slices = graphs.Neurons(graph).slices
    assert_encloses({p: (boxes.below[0, s], boxes.above[0, s]) for p, s in slices.items()}, values, f"seed {seed}, boxes")
    for found in values:
        v = exact.fractions(rows).dot(found[-1].reshape(-1))
        for bound, what in ((plain.lower, "rows"), (other.lower, "rows with multipliers"), (boxes.lower[0], "rows of boxes")):
            assert_below(bound, v, f"seed {seed}, {what}")
    for x, found in zip(points, values):
        plane = (
            exact.fractions(plain.coefficients).dot(exact.fractions(x)) + exact.fractions(plain.offset)
            if np.isfinite(plain.offset).all()
            else None
        )
        if plane is not None:
            assert (plane <= exact.fractions(rows).dot(found[-1].reshape(-1))).all(), f"seed {seed}: a plane is above its row"
    if boxes.below.size and not np.isnan(boxes.below).any() and not np.isnan(boxes.above).any():
        neurons = np.arange(boxes.below.shape[1])
        a, c = graphs.planes_of_neurons(graph, graphs.EXACT, bounds, lower, upper, boxes.below[0], boxes.above[0], neurons)
        for x, found in zip(points, values):
            z = np.concatenate([found[p].reshape(-1) for p in graph.preactivations])
            for side, sign in ((0, 1), (1, -1)):
                usable = np.isfinite(c[:, side]) & np.isfinite(a[:, side]).all(axis=1)
                plane = exact.fractions(a[usable, side]).dot(exact.fractions(x)) + exact.fractions(c[usable, side])
                assert (plane <= sign * z[usable]).all(), f"seed {seed}: a plane of a neuron is on the wrong side"
    return 9 * len(points)


def test_badly_scaled_networks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert sum(check_network(seed, KINDS) for seed in range(250)) > 5000


def test_rows_of_inputs_alone() -> None:
    """No node but the input: only the rounding of the minimum over the box is left."""
    rng = np.random.default_rng(2)
    graph = graphs.dense([np.ones((30, 1))], [np.zeros(1)])
    for _ in range(60):
        x = rng.normal(size=30) * 10.0 ** rng.integers(-4, 5, 30)
        rows = rng.normal(size=(8, 30))
        rows[:, 15:] = -rows[:, :15] * x[:15] / x[15:]  # cancels
        found = graphs.row_bounds(graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, x, x), {0: rows}, x, x).lower
        assert_below(found, exact.fractions(rows).dot(exact.fractions(x)), "rows")


def test_smooth_networks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for seed in range(70):
            check_network(seed, ("plain", "plain", "cancel"), (*graphs.SMOOTH, *graphs.PIECEWISE[:2]))


def test_networks_of_other_functions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for seed in range(100):
            check_network(seed, ("plain", "plain", "cancel"), (*graphs.CURVED, *graphs.STEPS, *graphs.PIECEWISE[:2]))


@pytest.mark.parametrize("kinds", [("plain",), ("plain", "cancel"), KINDS])
def test_networks_that_jump(kinds: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for seed in range(60):
            check_network(seed, kinds, (*graphs.STEPS, *graphs.STEPS, piecewise_linear.Relu()))


@pytest.mark.parametrize(
    "operator", [*graphs.PIECEWISE[:4], *graphs.SMOOTH, *graphs.CURVED, *graphs.STEPS, Square()], ids=lambda op: type(op).__name__
)
def test_functions_of_exact_arguments(operator: Elementwise) -> None:
    """The input is a point and goes straight into the function: nothing but the function's own rounding widens the bounds."""
    rng = np.random.default_rng(5)
    b = graphs.Builder(40)
    b.apply(operator, 0)
    graph = b.graph()
    for scale in (1e-300, 1e-8, 1.0, 10.0, 800.0):
        x = rng.normal(size=40) * scale
        for fallback in (np.abs(x), np.full(40, 1.5)):
            defined = operator.defined(x, x)
            x = x if defined is None else np.where(defined, x, fallback)
        value = exact.values(graph, x)
        assert_encloses(graphs.interval_bounds(graph, graphs.EXACT, x, x), [value], "interval")
        for sign in (1.0, -1.0):
            found = graphs.row_bounds(graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, x, x), {1: sign * np.eye(40)}, x, x).lower
            assert_below(found, int(sign) * value[1], "rows")


def test_products_of_exact_arguments() -> None:
    """Points and narrow boxes that go straight into products, with parameters at both ends and between."""
    rng = np.random.default_rng(6)
    b = graphs.Builder(40)
    b.product(*(b.add(affine.Take(0, np.arange(i, i + 20), (40,)), (0,), (20,)) for i in (0, 20)))
    graph, rows = b.graph(), np.concatenate([np.eye(20), -np.eye(20)])
    for scale in (1e-160, 1e-30, 1.0, 1e8, 1e150):
        for width in (0.0, 1e-15, 1.0):
            lower = rng.normal(size=40) * scale
            upper = lower + width * np.abs(lower)
            bounds = graphs.root(graph, graphs.EXACT, lower, upper)
            corners = [np.where(rng.random(40) < 0.5, lower, upper) for _ in range(4)]
            values = [exact.values(graph, x) for x in corners]
            assert_encloses(graphs.interval_bounds(graph, graphs.EXACT, lower, upper), values, "interval")
            for r in (np.zeros((40, 20)), np.ones((40, 20)), rng.random((40, 20))):
                found = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, lower, upper, {graph.output: (r, r)}).lower
                for v in values:
                    assert_below(found, exact.fractions(rows).dot(v[-1]), f"scale {scale}, width {width}")


def test_sums_of_products() -> None:
    """Matrix products of badly scaled values: one factor is collected from many products that cancel."""
    rng = np.random.default_rng(7)
    for _ in range(40):
        n, m = int(rng.integers(1, 4)), int(rng.integers(2, 12))
        b = graphs.Builder(n + n * m)
        x = b.add(affine.Reshape((n,), (n, 1)), (b.add(affine.Take(0, np.arange(n), (b.size,)), (0,), (n,)),), (n, 1))
        y = b.add(affine.Reshape((n * m,), (n, m)), (b.add(affine.Take(0, np.arange(n, b.size), (b.size,)), (0,), (n * m,)),), (n, m))
        b.flat(b.product(x, y))
        graph = b.graph()
        lower = rng.normal(size=graph.input_size) * 10.0 ** rng.integers(-8, 9, graph.input_size)
        bounds = graphs.root(graph, graphs.EXACT, lower, lower)
        rows = rng.normal(size=(6, graph.output_size)) * 10.0 ** rng.integers(-8, 9, (6, graph.output_size))
        rows[:, 1::2] = -rows[:, : graph.output_size - 1 : 2][:, : rows[:, 1::2].shape[1]] * (1 + 2.0**-50)
        found = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, lower, lower).lower
        assert_below(found, exact.fractions(rows).dot(exact.values(graph, lower)[-1]), "rows")


def test_networks_with_denormals() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for seed in range(100):
            check_network(seed, ("denormal", "plain", "cancel"))


def test_underflow_makes_no_proof() -> None:
    """p = 1e200 * relu(1e-400) - 0.5 = 0.5 at most; with the product rounded to zero the neuron looks inactive."""
    weights = [np.array([[w]]) for w in (1e-200, 1e-200, 1e200, 1e200, -1.0)]
    graph = graphs.dense(weights, [np.zeros(1), np.zeros(1), np.zeros(1), np.array([-0.5]), np.array([0.1])])
    value = exact.values(graph, ONE)[-1][0]
    assert value < -Fraction(1, 3)
    bounds = graphs.root(graph, graphs.EXACT, ONE, ONE)
    assert_below(graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: np.ones((1, 1))}, ONE, ONE).lower, np.array([value]), "row")


def test_values_below_the_smallest_float_round_too() -> None:
    """x 2^-1080, whose magnitude is a zero in float64, through 100 factors 1 - u and back to 2^-80: every product loses up to u of
    it, all in one direction. The other branch is exact, and what is left of their difference is of the size of the roundings."""
    b = graphs.Builder(1)
    node = b.linear(b.linear(0, [[2.0**-600]]), [[2.0**-480]])
    for _ in range(100):
        node = b.linear(node, [[1 - 2.0**-53]])
    above_one = 1 + 2.0**-40  # half an ulp and a little more is taken off, and a whole one goes
    b.concat(b.linear(node, [[2.0**1000 * above_one]]), b.linear(0, [[2.0**-80 * above_one]]))
    graph = b.graph()
    bounds = graphs.root(graph, graphs.EXACT, ONE, ONE)
    for sign in (1.0, -1.0):
        rows = np.array([[sign, -sign]])
        found = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, ONE, ONE).lower
        assert_below(found, exact.fractions(rows).dot(exact.values(graph, ONE)[-1]), "row")


def test_overflow_makes_no_proof() -> None:
    """1.7e308 + 1.7e308 - 1.7e308 - 1.75e308 < 0, but its first sum is infinite."""
    b = graphs.Builder(1)
    b.concat(*(b.linear(0, [[1.0]], [v]) for v in (-1.75e303, -1.7e303, 1.7e303, 1.7e303)))
    graph = b.graph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds = graphs.root(graph, graphs.EXACT, ONE, ONE)
        dual = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: np.full((1, 4), 1e5)}, ONE, ONE)
    assert not graphs.targets_of(np.ones((1, 4))).refuted(dual.lower[None], np.zeros(1, np.int64)).any()


@pytest.mark.parametrize("count", [100, 400])
def test_many_consumers(count: int) -> None:
    """lam of the input is 1e20 - 8000 - ... - 8000 - 1e20: the small parts vanish in the large one."""
    b = graphs.Builder(1)
    b.concat(*(b.linear(0, [[w]]) for w in (1e20, *[-8000.0] * (count - 2), -1e20)))
    graph = b.graph()
    rows = np.ones((1, count))
    dual = graphs.row_bounds(graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, ONE, ONE), {graph.output: rows}, ONE, ONE)
    assert_below(dual.lower, np.array([exact.values(graph, ONE)[-1].sum()]), "row")


@pytest.mark.parametrize("chained", [False, True])
def test_many_additions_to_the_constant(chained: bool) -> None:
    """Every branch adds three times -0.99 to a constant of 1e16, where it is lost, and what makes up for two of them comes back in one sum.
    chained: no node has more than two consumers."""
    b = graphs.Builder(1)
    inner, x = [], 0
    for _ in range(120):
        x = b.linear(x, [[1.0]]) if chained else x
        inner.append(b.apply(piecewise_linear.Clip(-0.495, 0.495), b.linear(x, [[-2.0, 2.0]])))
    b.concat(*inner, b.add(affine.Constant(np.array([1e16])), (), (1,)))
    graph = b.graph()
    rows = np.ones((1, graph.output_size))
    rows[0, 1:-1:2] = -1.0
    multipliers = {p: np.array([[-0.495, 0.495]]) for p in graph.preactivations}
    dual = graphs.row_bounds(
        graph, graphs.EXACT, graphs.root(graph, graphs.EXACT, ONE, ONE), {graph.output: rows}, ONE, ONE, None, multipliers
    )
    assert_below(dual.lower, np.array([exact.fractions(rows[0]).dot(exact.values(graph, ONE)[-1])]), "row")


def normalised(rng: np.random.Generator) -> tuple[Graph, int, Fraction, Fraction]:
    """x -> Relu -> batch normalisation (the node) -> Relu -> y; its true shift and scale. The stored shift is rounded from terms of
    1e8, and `shift_magnitude` says so."""
    scale, mean = rng.normal(), 1e8 * rng.normal()
    beta = float(mean * scale) + 1e-9 * rng.normal()
    b = graphs.Builder(1)
    operator = affine.Scale(np.array([scale]), np.array([beta - mean * scale]), np.array([abs(beta) + abs(mean * scale)]))
    node = b.add(operator, (b.relu(b.linear(0, [[1.0]], [0.0])),), (1,))
    b.linear(b.relu(node), [[1.0]], [0.0])
    return b.graph(), node, Fraction(beta) - Fraction(mean) * Fraction(scale), Fraction(scale)


def test_rounded_coefficients_right_below_a_neuron() -> None:
    """Enclosures and rows hold for the network that was meant, not for the rounded one."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        graph, node, shift, scale = normalised(rng)
        bounds = graphs.root(graph, graphs.EXACT, -ONE, ONE)
        low, high = graphs.enclosures(bounds)[node]
        for value in (shift, shift + scale):
            assert Fraction(float(low[0])) <= value <= Fraction(float(high[0]))
        for x in (-ONE, ONE):
            p = shift + scale * max(0, int(x[0]))
            y = np.array([max(p, Fraction(0)), -max(p, Fraction(0))])
            at = graphs.root(graph, graphs.EXACT, x, x)
            assert_below(graphs.row_bounds(graph, graphs.EXACT, at, {graph.output: np.array([[1.0], [-1.0]])}, x, x).lower, y, "rows")


def test_multipliers_of_rounded_coefficients() -> None:
    """A split says p <= point of the meant p; the multiplier is paid with the rounded one."""
    rng = np.random.default_rng(1)
    for _ in range(40):
        graph, node, shift, scale = normalised(rng)
        p = shift + scale
        point = float(p)
        for sign in (1.0, -1.0):
            while (Fraction(point) - p) * int(sign) < 0:
                point = float(np.nextafter(point, sign * np.inf))
            bounds = graphs.root(graph, graphs.EXACT, ONE, ONE)
            given = {n: (b[0].copy(), b[1].copy()) for n, b in graphs.enclosures(bounds).items()}
            given[node][1 if sign > 0 else 0][:] = point
            found = graphs.row_bounds(
                graph, graphs.EXACT, bounds, {graph.output: np.zeros((1, 1))}, ONE, ONE, None, {node: np.array([[sign * 1e6]])}, given=given
            )
            assert_below(found.lower, np.zeros(1, dtype=object) + Fraction(0), "row of zeros")


def stable_network(rng: np.random.Generator, sizes: list[int], lower: np.ndarray, upper: np.ndarray) -> Graph:
    """Biases are chosen so that no neuron changes its sign on the box: the dual is exact there but for rounding."""
    weights, biases = [], []
    low, high = lower, upper
    for n, m in zip(sizes, sizes[1:]):
        w = rng.normal(size=(n, m)) * 10.0 ** rng.integers(-3, 4, (1, m))
        centre, radius = (0.5 * low + 0.5 * high) @ w, (0.5 * high - 0.5 * low) @ np.abs(w)
        b = -centre + np.where(rng.random(m) < 0.75, 1.001, -1.001) * radius
        weights.append(w)
        biases.append(b)
        low, high = (np.maximum(centre + s * radius + b, 0.0) for s in (-1.0, 1.0))
    return graphs.dense(weights, biases)


def test_wide_boxes_without_unstable_neurons() -> None:
    """The network is affine on the box, so its minimum is at the corner of its exact plane."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        lower = rng.normal(size=3) * 10.0 ** rng.integers(-2, 3, 3)
        upper = lower + np.abs(rng.normal(size=3)) * 10.0 ** rng.integers(-2, 3, 3)
        graph = stable_network(rng, [3, 5, 5, 2], lower, upper)
        bounds = graphs.root(graph, graphs.EXACT, lower, upper)
        rows = rng.normal(size=(4, 2))
        found = graphs.row_bounds(graph, graphs.EXACT, bounds, {graph.output: rows}, lower, upper).lower
        corners = np.stack([np.where(np.array(bits), upper, lower) for bits in np.ndindex(2, 2, 2)])
        values = np.stack([exact.fractions(rows).dot(exact.values(graph, x)[-1]) for x in corners])
        least = values.min(axis=0)
        assert_below(found, least, f"seed {seed}")
        size = np.array([float(max(abs(v) for v in values[:, r])) for r in range(4)])
        assert (np.array(list(map(float, least))) - found <= 1e-9 * (size + 1e6)).all(), "the dual is exact here: a looser bound is a fault"
