"""Folding keeps the real function, in fractions, and finds every multiple."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.graph.ir import Graph, Node
from verifier.graph.mirrored import fold
from verifier.graph.simplify import condense, simplify
from verifier.operators.affine import Add, Linear, Reshape
from verifier.operators.base import Input
from verifier.operators.piecewise_linear import Relu


def layers(*linear: Linear) -> Graph:
    """Linear nodes with a Relu between each two."""
    nodes = [Node(Input(), (), (linear[0].weight.shape[0],))]
    for i, op in enumerate(linear):
        if i:
            nodes.append(Node(Relu(), (len(nodes) - 1,), nodes[-1].shape, (f"relu{i}",)))
        nodes.append(Node(op, (len(nodes) - 1,), (op.weight.shape[1],), (f"linear{i}",), f"tensor{i}"))
    return Graph(tuple(nodes))


def neurons(graph: Graph) -> int:
    return sum(graph.nodes[p].size for p in graph.preactivations)


def exact_values(graph: Graph, x: list[Fraction]) -> list[Fraction]:
    """Of the output, without rounding."""
    values: list[list[Fraction]] = []
    for node in graph.nodes:
        op, parents = node.operator, [values[p] for p in node.inputs]
        if isinstance(op, Linear):
            bias = np.zeros(node.size) if op.bias is None else op.bias
            values.append([sum((Fraction(w) * v for w, v in zip(column, parents[0])), Fraction(b)) for column, b in zip(op.weight.T, bias)])
        elif isinstance(op, Relu):
            values.append([max(v, Fraction(0)) for v in parents[0]])
        elif isinstance(op, Add):
            values.append([sum((s * v for s, v in zip(op.signs, column)), Fraction(0)) for column in zip(*parents)])
        else:
            values.append(parents[0] if isinstance(op, Reshape) else x)
    return values[-1]


NUMBERS = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, 3.0, -1.25, 0.1, 2.0**-400, 1e300])


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Two hidden layers whose neurons are multiples of a few."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    width, linear = draw(st.integers(1, 3)), []
    for _ in range(3):
        distinct, count = draw(st.integers(1, 3)), draw(st.integers(1, 6))
        columns = np.array(draw(st.lists(NUMBERS, min_size=distinct * (width + 1), max_size=distinct * (width + 1)))).reshape(width + 1, -1)
        factor = rng.choice([1.0, -1.0, 2.0, -0.5], count)
        chosen = columns[:, rng.integers(0, distinct, count)] * factor
        linear.append(Linear(chosen[:-1], chosen[-1] if draw(st.booleans()) else None))
        width = count
    return layers(*linear)


@given(networks(), st.lists(st.sampled_from([0.0, 1.0, -0.75, 1e-3, 17.0]), min_size=3, max_size=3))
def test_the_function_is_the_same_in_fractions(graph: Graph, point: list[float]) -> None:
    x = [Fraction(v) for v in point[: graph.input_size]]
    for changed in (fold(graph), condense(graph)):
        assert exact_values(changed, x) == exact_values(graph, x)
        assert neurons(changed) <= neurons(graph)


def test_an_absolute_value_needs_one_neuron_and_what_is_passed_on_none() -> None:
    rng = np.random.default_rng(0)
    z, value = rng.normal(size=(4, 3)).astype(np.float32).astype(float), rng.normal(size=(4, 2)).astype(np.float32).astype(float)
    before = Linear(np.concatenate([z, -z, value, -value], axis=1), None)
    after = np.zeros((10, 5))
    after[:3, :3] = after[3:6, :3] = np.eye(3)  # |z|
    after[6:8, 3:], after[8:, 3:] = np.eye(2), -np.eye(2)  # the value
    graph = layers(before, Linear(after, np.ones(5)))
    folded = fold(graph)
    assert neurons(folded) == 3
    assert folded.nodes[-1].tensor == "tensor1" and folded.nodes[-1].origin == ("linear1",)
    x = rng.normal(size=(7, 4))
    truth = np.concatenate([np.abs(x @ z), x @ value], axis=1) + 1.0
    assert np.allclose(folded.evaluate(x), truth, rtol=0, atol=1e-14)
    passed = fold(layers(Linear(np.concatenate([value, -value], axis=1)), Linear(after[6:, 3:], np.ones(2))))
    assert neurons(passed) == 0
    assert np.array_equal(passed.evaluate(x), x @ value + 1.0)


def test_repeated_neurons_are_one() -> None:
    w = np.random.default_rng(0).normal(size=(4, 3))
    folded = fold(layers(Linear(np.concatenate([w, 4 * w], axis=1)), Linear(np.ones((6, 1)))))
    assert neurons(folded) == 3
    x = np.random.default_rng(1).normal(size=(7, 4))
    assert np.allclose(folded.evaluate(x)[:, 0], 5 * np.maximum(x @ w, 0).sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize(
    "before",
    [
        Linear(np.array([[1.0, -1.0], [2.0, 2.0]])),  # opposite in one coefficient alone
        Linear(np.array([[1.0, 3.0], [2.0, 6.0]])),  # a multiple, by no power of two
        Linear(np.array([[1.0, -1.0], [2.0, -2.0]]), np.array([0.5, 0.5])),
        Linear(np.array([[2.0**290, 2.0**290], [2.0**-1000, 2.0**-1010]])),  # the quotients of the small ones by 2^290 are both zero
        Linear(np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([1.0, -1.0])),
    ],
)
def test_others_are_left_alone(before: Linear) -> None:
    graph = layers(before, Linear(np.ones((2, 1))))
    assert fold(graph) is graph and condense(graph) is graph


def test_weights_whose_sum_rounds_are_left_alone() -> None:
    graph = layers(Linear(np.array([[1.0, -1.0]])), Linear(np.array([[1.0], [2.0**-60]])))
    assert fold(graph) is graph


def test_shared_values_are_left_alone() -> None:
    graph = layers(Linear(np.array([[1.0, -1.0]])), Linear(np.ones((2, 1))))
    twice = Graph((*graph.nodes, Node(Linear(np.ones((2, 1))), (2,), (1,)), Node(Add((1, 1)), (3, 4), (1,))))
    assert fold(twice) is twice
    before = Graph((*graph.nodes, Node(Linear(np.ones((2, 1))), (1,), (1,)), Node(Add((1, 1)), (3, 4), (1,))))
    assert fold(before) is before


def lattice(rng: np.random.Generator, functions: int) -> Graph:
    """The least of affine functions of two inputs: min(a, b) = (relu(a + b) - relu(-a - b) - relu(a - b) - relu(b - a)) / 2."""
    linear, count = [Linear(rng.normal(size=(2, functions)).astype(np.float32).astype(float))], functions
    while count > 1:
        pairs = count // 2
        split, joined = np.zeros((count, 4 * pairs)), np.zeros((4 * pairs, pairs))
        for i in range(pairs):
            split[2 * i : 2 * i + 2, 4 * i : 4 * i + 4] = [[1, -1, 1, -1], [1, -1, -1, 1]]
            joined[4 * i : 4 * i + 4, i] = [0.5, -0.5, -0.5, -0.5]
        linear += [Linear(split), Linear(joined)]
        count = pairs
    nodes = [Node(Input(), (), (2,))]
    for i, op in enumerate(linear):
        nodes.append(Node(op, (len(nodes) - 1,), (op.weight.shape[1],)))
        if i % 2:
            nodes.append(Node(Relu(), (len(nodes) - 1,), nodes[-1].shape))
    return Graph(tuple(nodes))


@pytest.mark.parametrize("functions", [4, 16, 256])
def test_a_lattice_has_a_neuron_a_minimum(functions: int) -> None:
    """256 functions make matrices of few entries."""
    graph = simplify(lattice(np.random.default_rng(functions), functions))
    condensed = condense(graph)
    assert neurons(graph) == 4 * (functions - 1) and neurons(condensed) == functions - 1
    x = np.random.default_rng(0).normal(size=(50, 2))
    assert np.allclose(condensed.evaluate(x), graph.evaluate(x), rtol=0, atol=1e-12)
    assert np.allclose(condensed.evaluate(x)[:, 0], (x @ graph.nodes[1].operator.weight).min(axis=1), rtol=0, atol=1e-12)  # type: ignore[attr-defined]
