"""Sums of products as squares: the same function, what is not exact about it bounded, nearer planes, and never a wrong bound."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests import graphs
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import output_bounds
from verifier.bounds.resources import Resources
from verifier.config import Settings
from verifier.graph import squares
from verifier.graph.ir import Graph, Node
from verifier.graph.squares import with_squares
from verifier.operators.affine import Concat, Linear, ReduceSum, Reshape, Scale
from verifier.operators.base import Input
from verifier.operators.product import Product
from verifier.operators.square import Square
from verifier.parallel import Workers
from verifier.property.disjuncts import Box, Disjunct, Row
from verifier.property.expression import Numbers
from verifier.search.query import Query
from verifier.search.solve import solve

N = 4


def form(matrix: np.ndarray, groups: int = 1, end: Callable[[int], tuple[ReduceSum, tuple[int, ...]]] | None = None) -> Graph:
    """sum_i x_i (x P)_i of the input x, by products in `groups` sums, each an output."""
    count = len(matrix)
    reduced, shape = (ReduceSum((1,), (groups, count // groups)), (groups, 1)) if end is None else end(count)
    return Graph((
        Node(Input(), (), (count,)),
        Node(Linear(matrix), (0,), (count,)),
        Node(Concat(0, (count, count)), (0, 1), (2 * count,)),
        Node(Product((count,), (count,), (count,)), (2,), (count,)),
        Node(Reshape((count,), (groups, count // groups)), (3,), (groups, count // groups)),
        Node(reduced, (4,), shape),
        Node(Reshape(shape, (int(np.prod(shape)),)), (5,), (int(np.prod(shape)),)),
    ))  # fmt: skip


def positive(rng: np.random.Generator, count: int = N) -> np.ndarray:
    root = rng.normal(size=(count, count))
    return np.asarray(root.T @ root + 0.1 * np.eye(count))


def lower_bound(graph: Graph, lower: np.ndarray, upper: np.ndarray, sign: float = 1.0) -> float:
    root, exact, tangents = graphs.root(graph, graphs.EXACT, lower, upper), graphs.EXACT, Schedule(40, slope_step=0.2, decay=0.95)
    low, high = output_bounds(graph, Resources(exact, exact, Workers(1)), lower, upper, root, tangents)
    return float(low[0] if sign > 0 else -high[0])


@pytest.mark.parametrize("seed", range(20))
def test_the_function_stays_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    graph = form(positive(rng), groups)
    lower = rng.normal(size=N)
    upper = lower + rng.uniform(0.1, 2.0, N)
    other = with_squares(graph, lower, upper)
    assert any(isinstance(node.operator, Square) for node in other.nodes) or groups > 1
    x = rng.uniform(lower - 1, upper + 1, (50, N))
    np.testing.assert_allclose(other.evaluate(x), graph.evaluate(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_roundings_cover_the_exact_difference(seed: int) -> None:
    """In fractions: z and the sum of the squares with the stored numbers differ by no more than the roundings say, at any p."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 4))
    mixed = rng.normal(size=(2 * count, 2 * count)) * 10.0 ** rng.integers(-1, 2, 2 * count)
    moves = rng.normal(size=(100, 2 * count)) @ mixed
    deviation = np.sqrt(np.mean(moves * moves, axis=0))
    found = squares._form(np.arange(count), np.arange(count, 2 * count), moves, deviation)
    if found is None:
        pytest.skip("a basis that is not known well enough")
    scale = [Fraction(s) for s in found.scale]
    basis = [[Fraction(t) for t in row] for row in found.basis]
    for _ in range(20):
        p = [Fraction(float(v)) for v in rng.normal(size=2 * count) * 10.0 ** rng.integers(-3, 4, 2 * count)]
        terms = [s * sum(t * v for t, v in zip(row, p)) ** 2 for s, row in zip(scale, basis)]
        exact = sum(p[i] * p[count + i] for i in range(count))
        assert abs(exact - sum(terms)) <= found.roundings * Fraction(1, 2**53) * sum(map(abs, terms))


def test_bounds_hold_and_those_of_convex_forms_have_hardly_a_gap() -> None:
    gaps = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        graph = form(positive(rng))
        lower = rng.normal(size=N)
        upper = lower + rng.uniform(0.1, 2.0, N)
        other = with_squares(graph, lower, upper)
        values = graph.evaluate(graphs.box_points(rng, lower, upper, 5000))[:, 0]
        for sign in (1.0, -1.0):
            assert lower_bound(other, lower, upper, sign) <= (sign * values).min()
        size = values.max() - values.min()
        gaps.append([(values.min() - lower_bound(g, lower, upper)) / size for g in (graph, other)])
    products, found = np.mean(gaps, axis=0)
    assert found < 0.03 and found < 0.2 * products


def test_independent_factors_stay_products() -> None:
    graph = Graph((
        Node(Input(), (), (4,)),
        Node(Product((2,), (2,), (2,)), (0,), (2,)),
    ))  # fmt: skip
    assert with_squares(graph, -np.ones(4), np.ones(4)) is graph


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_product_of_factors_in_proportion_is_a_square(sign: float) -> None:
    matrix = np.array([[1.0, sign * 2.0], [0.0, 1e-3]])
    graph = Graph((Node(Input(), (), (2,)), Node(Linear(matrix), (0,), (2,)), Node(Product((1,), (1,), (1,)), (1,), (1,))))
    lower, upper = -np.ones(2), np.ones(2)
    other = with_squares(graph, lower, upper)
    assert other is not graph
    assert lower_bound(other, lower, upper, sign) > 0.2 * lower_bound(graph, lower, upper, sign)
    assert lower_bound(other, lower, upper, sign) <= 0.0


def test_means_keep_their_divisor() -> None:
    rng = np.random.default_rng(0)
    mean = form(positive(rng), end=lambda n: (ReduceSum((1,), (1, n), n), (1, 1)))
    x = rng.normal(size=(20, N))
    np.testing.assert_allclose(with_squares(mean, -np.ones(N), np.ones(N)).evaluate(x), mean.evaluate(x), rtol=1e-7)


@pytest.mark.parametrize("size", [0.0, 1e-60, 1e60, 1e200])
def test_factors_that_do_not_vary_or_vary_too_much_stay_products(size: float) -> None:
    graph = form(size * np.eye(N))
    assert with_squares(graph, -np.ones(N), np.ones(N)) is graph


def test_infinite_boxes_and_large_networks_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = form(positive(np.random.default_rng(1)))
    assert with_squares(graph, np.full(N, -np.inf), np.ones(N)) is graph
    monkeypatch.setattr(squares, "_SIZE", 10)
    assert with_squares(graph, -np.ones(N), np.ones(N)) is graph


def test_a_form_that_is_not_known_well_enough_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = form(positive(np.random.default_rng(2)))
    monkeypatch.setattr(squares, "_ROUNDINGS", 2)
    assert with_squares(graph, -np.ones(N), np.ones(N)) is graph


def test_roundings_reach_the_scale() -> None:
    graph = with_squares(form(positive(np.random.default_rng(3))), -np.ones(N), np.ones(N))
    (scale,) = (node.operator for node in graph.nodes if isinstance(node.operator, Scale))
    assert scale.roundings > 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("violated", [False, True])
def test_queries_about_the_least_value_of_a_form(seed: int, violated: bool) -> None:
    """V(x) = x . P x is least at zero, the middle of the box: V <= -0.01 holds nowhere, V <= 0.01 does, and is never proved not to. By
    products it takes 3,000 to 6,400 boxes."""
    graph = form(positive(np.random.default_rng(seed)))
    box = Box(Numbers.of([b"-1", b"1"], [-1.0, 1.0]), np.array([[0, 1]] * N, dtype=np.int32))
    row = Row({}, {0: Fraction(1)}, Fraction(-1 if violated else 1, 100), False, 1)
    query = Query.narrowed(graph, [Disjunct(box, (row,), 1, 1)])
    assert any(isinstance(node.operator, Square) for node in query.graph.nodes)
    found = solve(query, Settings().with_options({"attack.restarts": 0}), graphs.context(1.0 if violated else 20.0)).outcome
    assert found.proved is not violated and found.witness is None
    assert violated or found.subproblems < 500
