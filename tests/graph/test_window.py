"""A window computes the same values as the whole graph, in every one of its nodes, and holds no more than it must."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests import graphs
from verifier.graph.ir import Graph, Node
from verifier.graph.parts import Region, around, elements_of, whole
from verifier.graph.window import window, with_outputs
from verifier.operators.affine import Add, Constant, Conv, ConvTranspose, Pad, Reshape, Scale, Take, Transpose
from verifier.operators.base import Input, Operator
from verifier.operators.piecewise_linear import Relu
from verifier.property.disjuncts import Box, Disjunct, Row
from verifier.property.expression import Numbers
from verifier.search.query import Query


def agree(graph: Graph, node: int, region: Region, rng: np.random.Generator) -> Graph:
    x = rng.normal(size=(3, graph.input_size))
    found = window(graph, node, region)
    values, parts = graph.values(x), found.graph.values(x)
    for n, (p, elements) in found.origin.items():
        np.testing.assert_allclose(parts[n].reshape(3, -1), values[p].reshape(3, -1)[:, elements], rtol=1e-12, atol=1e-12)
    p, there = found.origin[found.graph.output]
    elements = np.arange(graph.nodes[node].size).reshape(graph.nodes[node].shape)[np.ix_(*region)].reshape(-1) if region else np.arange(1)
    np.testing.assert_array_equal(elements, elements_of(graph.nodes[node].shape, region))
    assert p == node and set(elements) <= set(there) and np.array_equal(there[found.position(elements)], elements)
    return found.graph


def spans(*ends: tuple[int, int]) -> Region:
    return tuple(np.arange(*e) for e in ends)


def some_region(rng: np.random.Generator, shape: tuple[int, ...]) -> Region:
    """Intervals, or indices with holes between them."""
    if rng.integers(2):
        return spans(*(sorted(map(int, rng.choice(n + 1, 2, replace=False))) for n in shape))  # type: ignore[arg-type]
    return tuple(np.sort(rng.choice(n, rng.integers(1, n + 1), replace=False)) for n in shape)


@pytest.mark.parametrize("seed", range(150))
def test_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng)
    for _ in range(4):
        node = int(rng.integers(1, len(graph.nodes)))
        agree(graph, node, some_region(rng, graph.nodes[node].shape), rng)


Step = Callable[[tuple[int, ...]], tuple[Operator, tuple[int, ...]]]


def image(rng: np.random.Generator, *steps: Step | Relu) -> Graph:
    """Steps on an image of 2 x 16 x 16."""
    shape: tuple[int, ...] = (1, 2, 16, 16)
    nodes = [Node(Input(), (), (512,)), Node(Reshape((512,), shape), (0,), shape)]
    for step in steps:
        operator, shape = (step, shape) if isinstance(step, Relu) else step(shape)
        nodes.append(Node(operator, (len(nodes) - 1,), shape))
    return Graph(tuple(nodes))


def conv(
    rng: np.random.Generator,
    outputs: int,
    kernel: int,
    stride: int = 1,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: int = 1,
    groups: int = 1,
) -> Step:
    def step(shape: tuple[int, ...]) -> tuple[Operator, tuple[int, ...]]:
        sides = (shape[2] + padding[0] + padding[2], shape[3] + padding[1] + padding[3])
        after = (1, outputs, *((side - dilation * (kernel - 1) - 1) // stride + 1 for side in sides))
        weight = rng.normal(size=(outputs, shape[1] // groups, kernel, kernel))
        return Conv(weight, rng.normal(size=outputs), shape, after, (stride, stride), padding, (dilation, dilation), groups), after

    return step


@pytest.mark.parametrize("seed", range(12))
def test_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    halves: list[Step] = [lambda s: (Take(2, np.arange(0, s[2], 2), s), (1, s[1], len(range(0, s[2], 2)), s[3]))]
    edges: list[Step] = [lambda s: (Pad((0, 0, 1, 2), (0, 0, 2, 1), s, 0.5), (1, s[1], s[2] + 3, s[3] + 3))]
    swapped: list[Step] = [
        lambda s: (Transpose((0, 2, 3, 1)), (1, s[2], s[3], s[1])),
        lambda s: (Transpose((0, 3, 1, 2)), (1, s[3], s[1], s[2])),
    ]
    graph = image(
        rng,
        conv(rng, 4, 3, padding=(1, 1, 1, 1)),
        lambda s: (Scale(rng.normal(size=(4, 1, 1)), rng.normal(size=s[1:])), s),
        Relu(),
        *(halves, edges, swapped)[seed % 3],
        conv(rng, 6, 3, stride=2, padding=(0, 1, 2, 1), groups=2),
        Relu(),
        conv(rng, 2, 3, dilation=2, padding=(2, 2, 2, 2)),
        Relu(),
        conv(rng, 2, 1, padding=(2, 0, 0, 0)),
    )
    for node in range(2, len(graph.nodes)):
        shape = graph.nodes[node].shape
        for _ in range(6):
            agree(graph, node, some_region(rng, shape), rng)
        agree(graph, node, whole(shape), rng)


@pytest.mark.parametrize("kernel, stride, dilation", [(3, 1, 1), (4, 2, 1), (2, 2, 1), (3, 2, 2), (1, 1, 1), (2, 3, 1)])
@pytest.mark.parametrize("padding, more", [((0, 0, 0, 0), 0), ((1, 0, 2, 1), 0), ((1, 1, 1, 1), 1)])
def test_transposed_convolutions(
    kernel: int, stride: int, dilation: int, padding: tuple[int, int, int, int], more: int
) -> None:
    """more: rows and columns of the result behind those that a kernel reaches."""
    rng = np.random.default_rng(0)
    width = dilation * (kernel - 1)
    if more >= stride or max(padding) > width:
        return

    def transposed(shape: tuple[int, ...]) -> tuple[Operator, tuple[int, ...]]:
        sides = ((n - 1) * stride + width + 1 - padding[i] - padding[i + 2] + more for i, n in enumerate(shape[2:]))
        after = (1, 4, *sides)
        weight = rng.normal(size=(shape[1], 4, kernel, kernel))
        return ConvTranspose(weight, rng.normal(size=4), shape, after, (stride, stride), padding, (dilation, dilation), 1), after

    graph = image(rng, transposed, Relu(), conv(rng, 2, 3, padding=(1, 1, 1, 1)))
    for node in range(2, 5):
        for _ in range(20):
            agree(graph, node, some_region(rng, graph.nodes[node].shape), rng)


def test_a_neuron_sees_a_small_window() -> None:
    rng = np.random.default_rng(0)
    graph = image(rng, conv(rng, 3, 3, padding=(1, 1, 1, 1)), Relu(), conv(rng, 3, 3, padding=(1, 1, 1, 1)))
    inner = agree(graph, 4, spans((0, 1), (1, 2), (8, 9), (8, 9)), rng)
    assert [node.shape for node in inner.nodes if not isinstance(node.operator, Input | Reshape)] == [
        (1, 2, 5, 5),
        (1, 3, 3, 3),
        (1, 3, 3, 3),
        (1, 3, 1, 1),
    ]
    corner = agree(graph, 4, spans((0, 1), (1, 2), (0, 1), (15, 16)), rng)
    assert corner.nodes[-2].shape == (1, 3, 2, 2)


def test_values_that_two_read_are_cropped_for_each() -> None:
    rng = np.random.default_rng(0)
    graph = image(rng, conv(rng, 3, 3, padding=(1, 1, 1, 1)), Relu(), conv(rng, 3, 3, padding=(1, 1, 1, 1)))
    residual = Graph((*graph.nodes, Node(Add((1, -1)), (4, 3), (1, 3, 16, 16))))
    found = agree(residual, 5, spans((0, 1), (0, 3), (4, 6), (4, 6)), rng)
    assert sorted(n.shape for n in found.nodes if isinstance(n.operator, Pad)) == [(1, 2, 6, 6), (1, 3, 2, 2)]


@pytest.mark.parametrize("seed", range(6))
def test_some_outputs_of_an_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = image(rng, conv(rng, 3, 3, padding=(1, 1, 1, 1)), Relu(), conv(rng, 3, 3, stride=2))
    size = graph.nodes[-1].size
    flat = Graph((*graph.nodes, Node(Reshape(graph.nodes[-1].shape, (size,)), (4,), (size,))))
    elements = rng.choice(49, 3, replace=False) + 49 * rng.integers(0, 3, 3)
    part, x = with_outputs(flat, elements), rng.normal(size=(4, 512))
    assert part.output_size == 3 and part.input_size == 512
    np.testing.assert_allclose(part.evaluate(x), flat.evaluate(x)[:, elements], rtol=1e-12, atol=1e-12)
    corner = with_outputs(flat, np.array([0, 8]))
    assert sum(n.size for n in corner.nodes[2:]) < 0.2 * sum(n.size for n in flat.nodes[2:])
    assert with_outputs(flat, np.arange(size)) is flat


def test_a_query_about_some_outputs_is_asked_of_them() -> None:
    rng = np.random.default_rng(0)
    graph = image(rng, conv(rng, 3, 3), Relu(), conv(rng, 2, 3))
    size = graph.nodes[-1].size
    flat = Graph((*graph.nodes, Node(Reshape(graph.nodes[-1].shape, (size,)), (4,), (size,))))
    numbers = Numbers.of([b"-1", b"1"], [-1.0, 1.0])
    box = Box(numbers, np.array([[0, 1]] * 512, dtype=np.int32))
    disjuncts = [Disjunct(box, (Row({0: Fraction(1)}, {j: Fraction(k)}, Fraction(1), False, 1),), size, 1) for j, k in ((150, 1), (7, -2))]
    narrowed, query, x = Query.narrowed(flat, disjuncts), Query.of(flat, disjuncts), rng.normal(size=(6, 512))
    assert narrowed.graph.output_size == 2
    which = np.arange(6) % 2
    margins = [q.targets.margins(x, q.graph.evaluate(x), which) for q in (narrowed, query)]
    np.testing.assert_allclose(*margins, rtol=1e-12, atol=1e-12)


def test_the_input_stays() -> None:
    constant = Node(Constant(np.arange(16.0).reshape(1, 1, 4, 4)), (), (1, 1, 4, 4))
    graph = Graph((Node(Input(), (), (5,)), constant, Node(Relu(), (1,), (1, 1, 4, 4))))
    found = agree(graph, 2, spans((0, 1), (0, 1), (1, 2), (1, 3)), np.random.default_rng(0))
    assert isinstance(found.nodes[0].operator, Input) and found.input_size == 5


def test_a_small_region_around_elements() -> None:
    """Indices far apart stay alone."""
    image = around((1, 3, 4, 4), np.array([16 + 5, 16 + 10, 32 + 6]))
    assert [axis.tolist() for axis in image] == [[0], [1, 2], [1, 2], [1, 2]]
    assert [axis.tolist() for axis in around((40,), np.array([31, 3, 2, 33]))] == [[2, 3, 31, 33]]
    assert [axis.tolist() for axis in around((40,), np.array([3, 8, 1, 6]))] == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert around((), np.array([0])) == ()
