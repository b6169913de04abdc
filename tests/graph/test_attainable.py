"""What the values of nodes can be at all: on random graphs, at the ends that matter, and what follows for roots and for queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests import graphs
from tests.graph.models import f32, model
from verifier.config import Settings
from verifier.engine import verify
from verifier.graph.attainable import outputs, spans
from verifier.graph.onnx_reader import read_bytes
from verifier.operators import affine
from verifier.operators.base import OPERATORS, Nonlinear
from verifier.operators.power import Power
from verifier.verdict import Status


@pytest.mark.parametrize("seed", range(60))
def test_values_of_random_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng, 12, graphs.PIECEWISE + graphs.SMOOTH + graphs.CURVED + graphs.STEPS)
    x = np.concatenate([rng.normal(size=(100, graph.input_size)) * scale for scale in (0.1, 1.0, 30.0)])
    with np.errstate(all="ignore"):
        values = graph.values(x)
    for node, value, span in zip(graph.nodes, values, spans(graph)):
        finite = np.where(np.isfinite(value), value, np.clip(0.0, span.lower, span.upper))
        room = 1e-12 * np.abs(finite)  # the evaluation rounds, and so do sums of what it computed
        assert (finite >= span.lower - room).all() and (finite <= span.upper + room).all(), f"seed {seed}, {node.operator}"


def test_ends_that_are_exact() -> None:
    """1 - sigmoid(x) is a share; 2 sigmoid(x) + 0.1 has rounded ends, outside of the exact ones; a mean of squares is no less than 0."""
    b = graphs.Builder(2)
    s = b.apply(OPERATORS["Sigmoid"](), 0)  # type: ignore[arg-type]
    b.add(affine.Scale(-np.ones(1), np.ones(1)), (s,), (2,))
    assert [float(end[0]) for end in outputs(b.graph())] == [0.0, 1.0]
    b = graphs.Builder(2)
    s = b.apply(OPERATORS["Sigmoid"](), 0)  # type: ignore[arg-type]
    b.add(affine.Scale(None, np.array([0.1])), (s,), (2,))
    low, high = outputs(b.graph())
    assert low[0] == 0.1 and high[0] > 1.1 and high[0] - 1.1 < 1e-15
    b = graphs.Builder(2)
    s = b.apply(OPERATORS["Square"](), 0)  # type: ignore[arg-type]
    b.add(affine.ReduceSum((0,), (2,), 3), (s,), (1,))
    assert [float(end[0]) for end in outputs(b.graph())] == [0.0, np.inf]


def test_nothing_is_known_of_sums_that_cancel() -> None:
    """1e16 + 1 - 1e16 is 0 in float64."""
    b = graphs.Builder(1)
    c = b.add(affine.Constant(np.array([1e16, 1.0, -1e16])), (), (3,))
    b.add(affine.ReduceSum((0,), (3,)), (c,), (1,))
    low, high = outputs(b.graph())
    assert low[0] <= 1 <= high[0]


def test_images_hold_the_values() -> None:
    p = np.concatenate([np.linspace(-700, 700, 20001), np.geomspace(1e-300, 1e100, 500), -np.geomspace(1e-300, 1e100, 500)])
    for operator in (*graphs.PIECEWISE, *graphs.SMOOTH, *graphs.CURVED, *graphs.STEPS):
        with np.errstate(all="ignore"):
            values = operator.function(p)
        values = values[np.isfinite(values)]
        assert isinstance(operator, Nonlinear)
        assert (values >= operator.image[0]).all() and (values <= operator.image[1]).all(), operator


SUMS = {
    "ReduceSumSquare": [helper.make_node("ReduceSumSquare", ["x"], ["s"], keepdims=0)],
    "Mul": [helper.make_node("Mul", ["x", "x"], ["q"]), helper.make_node("ReduceSum", ["q"], ["s"], keepdims=0)],
    "Pow": [helper.make_node("Pow", ["x", "two"], ["q"]), helper.make_node("ReduceSum", ["q"], ["s"], keepdims=0)],
    "Abs": [helper.make_node("Abs", ["x"], ["q"]), helper.make_node("Add", ["q", "q"], ["d"]),
            helper.make_node("ReduceMean", ["d"], ["s"], keepdims=0)],
    "Relu": [helper.make_node("Relu", ["x"], ["q"]), helper.make_node("Mul", ["q", "two"], ["d"]),
             helper.make_node("ReduceSum", ["d"], ["s"], keepdims=0)],
}


@pytest.mark.parametrize("sum_", SUMS)
def test_roots_of_what_is_not_negative(tmp_path: Path, sum_: str) -> None:
    """Around zero, where rounded bounds of the sum are below it."""
    nodes = [*SUMS[sum_], helper.make_node("Sqrt", ["s"], ["r"]), helper.make_node("Reshape", ["r", "one"], ["y"])]
    data = model(nodes, {"x": [3]}, ["y"], {"two": f32(2.0).reshape(()), "one": np.array([1])})
    roots = [n.operator for n in read_bytes(data).graph.nodes if isinstance(n.operator, Power)]
    assert [r.least for r in roots] == [0.0]
    (tmp_path / "f.onnx").write_bytes(data)
    text = "(vnnlib-version <2.0>)(declare-network f (declare-input X float32 [3]) (declare-output Y float32 [1]))"
    box = "".join(f"(assert (and (>= X[{i}] -0.5) (<= X[{i}] 0.25)))" for i in range(3))
    (tmp_path / "q.vnnlib").write_text(f"{text}{box}(assert (> Y[0] 1.8))")
    assert verify(tmp_path / "f.onnx", tmp_path / "q.vnnlib", Settings()).status is Status.UNSAT


@pytest.mark.parametrize(("assertion", "status"), [("(< Y[0] 0.0)", Status.UNSAT), ("(> Y[0] 1.0)", Status.UNSAT),
                                                   ("(> (+ Y[0] (* X[0] 0.001)) 1.01)", Status.UNSAT), ("(> Y[0] 0.5)", Status.SAT)])
def test_queries_about_values_that_an_operator_does_not_have(tmp_path: Path, assertion: str, status: Status) -> None:
    (tmp_path / "f.onnx").write_bytes(model([helper.make_node("Sigmoid", ["x"], ["y"])], {"x": [1]}, ["y"]))
    text = "(vnnlib-version <2.0>)(declare-network f (declare-input X real [1]) (declare-output Y real [1]))"
    (tmp_path / "q.vnnlib").write_text(f"{text}(assert (and (>= X[0] -1000.0) (<= X[0] 9.0)))(assert {assertion})")
    assert verify(tmp_path / "f.onnx", tmp_path / "q.vnnlib", Settings()).status is status
