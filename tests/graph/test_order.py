"""Ends that keep the order of outputs are cut off, others are not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from onnx import helper

from tests.graph import models
from verifier.graph import onnx_reader
from verifier.graph.ir import Graph
from verifier.graph.order import differences, without_ordered_end
from verifier.graph.simplify import condense
from verifier.operators.power import Power
from verifier.property.disjuncts import Box, Disjunct, Row
from verifier.property.expression import Numbers
from verifier.search.query import Query

RNG = np.random.default_rng(0)


def network(*ends: tuple[str, dict[str, object]], classes: int = 4, shape: tuple[int, ...] | None = None) -> Graph:
    """A hidden layer, `classes` values as `shape`, and nodes of one input each."""
    constants = {"w": RNG.normal(size=(3, 6)).astype(np.float32), "v": RNG.normal(size=(6, classes)).astype(np.float32)}
    hidden = [("MatMul", ["x", "w"], "h"), ("Relu", ["h"], "r"), ("MatMul", ["r", "v"], "z")]
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in hidden]
    if shape is not None:
        constants["shape"] = np.array(shape)
        nodes.append(helper.make_node("Reshape", ["z", "shape"], ["s"]))
    for i, (kind, attributes) in enumerate(ends):
        nodes.append(helper.make_node(kind, [nodes[-1].output[0]], [f"y{i}"], **attributes))
    return condense(onnx_reader.read_bytes(models.model(nodes, {"x": (1, 3)}, [nodes[-1].output[0]], constants)).graph)


@pytest.mark.parametrize("classes", [3, 4, 10, 70])
@pytest.mark.parametrize(
    "ends",
    [
        [("Softmax", {})],
        [("LogSoftmax", {})],
        [("Sigmoid", {})],
        [("Softmax", {}), ("Softmax", {})],
        [("Tanh", {}), ("Softmax", {}), ("Exp", {}), ("Flatten", {})],
    ],
)
def test_ordered_ends_are_cut_off(classes: int, ends: list[tuple[str, dict[str, object]]]) -> None:
    graph = network(*ends, classes=classes)
    cut = without_ordered_end(graph)
    assert [type(cut.nodes[n].operator).__name__ for n in cut.nonlinear] == ["Relu"] and cut.output_size == classes
    x = RNG.normal(size=(40, 3))
    y, z = graph.evaluate(x), cut.evaluate(x)
    order = np.sign(y[:, :, None] - y[:, None])
    clear = np.abs(z[:, :, None] - z[:, None]) > 1e-9
    assert np.array_equal(order[clear], np.sign(z[:, :, None] - z[:, None])[clear])


@pytest.mark.parametrize(
    ("ends", "shape"),
    [
        ([("Relu", {})], None),  # not strictly increasing
        ([("Neg", {})], None),
        ([("Softmax", {"axis": 2})], (1, 2, 2)),  # shares of two wholes
        ([("Softmax", {"axis": 0})], (2, 2)),
        ([("Softmax", {}), ("Neg", {})], None),
        ([("Reciprocal", {})], None),
    ],
)
def test_others_are_left_alone(ends: list[tuple[str, dict[str, object]]], shape: tuple[int, ...] | None) -> None:
    graph = network(*ends, shape=shape)
    assert without_ordered_end(graph) is graph


@pytest.mark.parametrize("axis", [1, 2])
def test_sums_of_other_differences_are_no_softmax(axis: int) -> None:
    """The right differences, but n - 1 that do not belong together are added for each output; along the other axis they do."""
    shape = np.array([1, 3, 4] if axis == 1 else [1, 4, 3])
    constants = {"d": differences(4).astype(np.float32), "shape": shape, "axes": np.array([axis]), "one": np.ones(1, np.float32)}
    steps = [("MatMul", ["x", "d"], "a"), ("Exp", ["a"], "b"), ("Reshape", ["b", "shape"], "c"), ("ReduceSum", ["c", "axes"], "e")]
    steps += [("Add", ["e", "one"], "f"), ("Reciprocal", ["f"], "g")]
    nodes = [helper.make_node(kind, inputs, [output], **({"keepdims": 0} if kind == "ReduceSum" else {})) for kind, inputs, output in steps]
    graph = condense(onnx_reader.read_bytes(models.model(nodes, {"x": (1, 4)}, ["g"], constants)).graph)
    assert (without_ordered_end(graph) is graph) == (axis == 1)


def test_the_root_of_the_sum_falls() -> None:
    graph = network(("Softmax", {}))
    nodes = [replace(n, operator=Power(0.5)) if isinstance(n.operator, Power) else n for n in graph.nodes]
    assert without_ordered_end(rooted := Graph(tuple(nodes))) is rooted


def test_differences() -> None:
    assert differences(3).T.tolist() == [[-1, 1, 0], [-1, 0, 1], [1, -1, 0], [0, -1, 1], [1, 0, -1], [0, 1, -1]]


@pytest.mark.parametrize("constant", [0, 1])
def test_a_query_that_only_compares_is_asked_of_the_logits(constant: int) -> None:
    graph = network(("Softmax", {}))
    numbers = Numbers.of([b"-1", b"1"], [-1.0, 1.0])
    row = Row({}, {0: Fraction(1), 2: Fraction(-1)}, Fraction(constant), False, 1)
    box = Box(numbers, np.array([[0, 1]] * 3, dtype=np.int32))
    query = Query.narrowed(graph, [Disjunct(box, (row,), 4, 1)])
    assert (len(query.graph.nonlinear) == 1) == (constant == 0)
    assert Query.of(graph, [Disjunct(box, (row,), 4, 1)]).graph is graph
