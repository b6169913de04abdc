"""Simplification keeps the function, bit for bit where nothing can round, and merges only what is exact."""

from __future__ import annotations

import numpy as np

from verifier.graph.ir import Graph, Node
from verifier.graph.simplify import simplify
from verifier.operators.affine import Add, Conv, Linear, Reshape, Scale, Transpose
from verifier.operators.base import Input
from verifier.operators.piecewise_linear import Relu

RNG = np.random.default_rng(3)


def chain(*steps: tuple[object, tuple[int, ...]], start: tuple[int, ...] = (4,)) -> Graph:
    nodes = [Node(Input(), (), start)]
    for i, (op, shape) in enumerate(steps):
        nodes.append(Node(op, (i,), shape, (f"n{i}",)))  # type: ignore[arg-type]
    return Graph(tuple(nodes))


def names(graph: Graph) -> list[str]:
    return [type(n.operator).__name__ for n in graph.nodes]


def same(a: Graph, b: Graph) -> None:
    x = RNG.normal(size=(5, a.input_size))
    np.testing.assert_allclose(a.evaluate(x), b.evaluate(x), rtol=1e-14, atol=1e-14)


def test_bias_into_linear() -> None:
    w = RNG.normal(size=(4, 3))
    for shift in (RNG.normal(size=3), np.array([0.5])):
        g = chain((Linear(w), (3,)), (Scale(None, shift), (3,)), (Relu(), (3,)))
        s = simplify(g)
        assert names(s) == ["Input", "Linear", "Relu"] and s.nodes[1].origin == ("n0", "n1")
        same(g, s)


def test_bias_is_merged_only_where_the_sum_is_exact() -> None:
    w = np.eye(4)
    assert names(simplify(chain((Linear(w, np.full(4, 0.1)), (4,)), (Scale(None, np.full(4, 0.2)), (4,))))) == ["Input", "Linear", "Scale"]
    assert names(simplify(chain((Linear(w, np.full(4, 0.5)), (4,)), (Scale(None, np.full(4, 0.25)), (4,))))) == ["Input", "Linear"]
    assert names(simplify(chain((Scale(None, np.full(4, 0.1)), (4,)), (Scale(None, np.full(4, 0.2)), (4,))))) == ["Input", "Scale", "Scale"]
    assert names(simplify(chain((Scale(None, np.full(4, 1.5)), (4,)), (Scale(None, np.full(4, 0.5)), (4,))))) == ["Input", "Scale"]


def test_shift_of_rounded_terms_is_left_alone() -> None:
    rounded = Scale(None, np.full(4, 0.5), np.full(4, 8.0))
    assert names(simplify(chain((Linear(np.eye(4)), (4,)), (rounded, (4,))))) == ["Input", "Linear", "Scale"]


def test_bias_into_convolution() -> None:
    conv = Conv(RNG.normal(size=(2, 1, 2, 2)), None, (1, 1, 2, 2), (1, 2, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1)
    for shift, merged in ((RNG.normal(size=(1, 2, 1, 1)), True), (RNG.normal(size=(2, 1, 1)), True), (np.ones((1, 1, 1, 2)), False)):
        out = (1, 2, 1, 1)
        g = chain((Reshape((4,), (1, 1, 2, 2)), (1, 1, 2, 2)), (conv, out), (Scale(None, shift), out if merged else (1, 2, 1, 2)))
        assert ("Scale" in names(simplify(g))) != merged
        if merged:
            same(g, simplify(g))


def test_bias_along_another_axis_is_left_alone() -> None:
    g = chain(
        (Reshape((4,), (2, 2)), (2, 2)),
        (Linear(np.eye(2)), (2, 2)),
        (Scale(None, np.array([[1.0], [2.0]])), (2, 2)),
        (Reshape((2, 2), (4,)), (4,)),
    )
    assert "Scale" in names(simplify(g))
    same(g, simplify(g))


def test_reshapes_and_identities() -> None:
    g = chain(
        (Reshape((4,), (2, 2)), (2, 2)),
        (Transpose((0, 1)), (2, 2)),
        (Reshape((2, 2), (1, 4)), (1, 4)),
        (Scale(np.ones(4)), (1, 4)),
        (Relu(), (1, 4)),
        (Reshape((1, 4), (4,)), (4,)),
    )
    assert names(simplify(g)) == ["Input", "Reshape", "Relu", "Reshape"]
    same(g, simplify(g))
    rounded = chain((Scale(np.ones(4), roundings=1), (4,)), (Relu(), (4,)))
    assert names(simplify(rounded)) == ["Input", "Scale", "Relu"]


def test_shared_values_are_kept() -> None:
    w = RNG.normal(size=(4, 4))
    g = Graph(
        (Node(Input(), (), (4,)), Node(Linear(w), (0,), (4,)), Node(Scale(None, np.ones(4)), (1,), (4,)), Node(Add((1, -1)), (1, 2), (4,)))
    )
    s = simplify(g)
    assert names(s) == names(g)
    same(g, s)


def test_dead_nodes() -> None:
    g = Graph((Node(Input(), (), (4,)), Node(Relu(), (0,), (4,)), Node(Scale(np.full(4, 2.0)), (0,), (4,))))
    assert names(simplify(g)) == ["Input", "Scale"]


def test_identity_network_keeps_an_output_node() -> None:
    g = chain((Reshape((4,), (4,)), (4,)))
    assert names(simplify(g)) == ["Input", "Reshape"]
    assert names(simplify(chain((Relu(), (4,)), (Reshape((4,), (4,)), (4,))))) == ["Input", "Relu"]
