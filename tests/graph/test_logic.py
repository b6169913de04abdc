"""Comparisons, Booleans and integers that depend on the input: against onnxruntime, inside their bounds, refused where they may wrap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import graphs
from verifier.arrays import numpy_arrays
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.resources import Resources
from verifier.config import Settings
from verifier.engine import verify
from verifier.errors import ModelError
from verifier.graph.onnx_reader import Model, read_bytes
from verifier.graph.replay import Replay
from verifier.graph.self_check import self_check
from verifier.parallel import Workers
from verifier.verdict import Status

FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
Node = tuple[str, str, str]


def built(nodes: Sequence[tuple[Any, ...]], shape: Sequence[int], to: int = FLOAT, opset: int = 18, **constants: Any) -> bytes:
    """nodes: (operator, "inputs", "outputs", attributes); the input is x, the output y, of type `to`."""
    made = [helper.make_node(op, i.split(), o.split(), **(rest[0] if rest else {})) for op, i, o, *rest in nodes]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", to, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def compared(op: str, **constants: Any) -> bytes:
    """y = the comparison of the halves of x, as reals."""
    return built([("Split", "x", "a b", {"axis": 0, "num_outputs": 2}), (op, "a b", "c"), ("Cast", "c", "y", {"to": FLOAT})], [6])


def joined(op: str) -> bytes:
    """y = (x0 > x1) op (x1 >= x2)."""
    nodes = [
        ("Split", "x", "a b c", {"axis": 0, "num_outputs": 3}),
        ("Greater", "a b", "p"),
        ("GreaterOrEqual", "b c", "q"),
        (op, "p q", "r") if op != "Not" else ("Not", "p", "r"),
        ("Cast", "r", "y", {"to": FLOAT}),
    ]
    return built(nodes, [6])


def index(op: str, last: int = 0, n: int = 3, keep: int = 1) -> bytes:
    attributes = {"axis": 1, "select_last_index": last, "keepdims": keep}
    return built([(op, "x", "i", attributes), ("Cast", "i", "y", {"to": FLOAT})], [2, n])


NETWORKS = {
    **{op: compared(op) for op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal")},
    **{op: joined(op) for op in ("And", "Or", "Xor", "Not", "Equal")},
    **{f"{op}{n}{last}": index(op, last, n) for op in ("ArgMax", "ArgMin") for n in (2, 3, 5) for last in (0, 1)},
    "ArgMax without axis": index("ArgMax", keep=0),
    "ArgMax of one": built([("ArgMax", "x", "i", {"axis": 1}), ("Cast", "i", "c", {"to": FLOAT}), ("Add", "c x", "y")], [3, 1]),
    "truncation": built([("Cast", "x", "i", {"to": INT64}), ("Cast", "i", "y", {"to": FLOAT})], [6]),
    "truth of reals": built([("Cast", "x", "b", {"to": BOOL}), ("Cast", "b", "y", {"to": FLOAT})], [6]),
    "truth of integers": built(
        [("Cast", "x", "i", {"to": INT32}), ("Cast", "i", "b", {"to": BOOL}), ("Cast", "b", "y", {"to": FLOAT})], [6]
    ),
    "integers": built(
        [("Cast", "x", "i", {"to": INT64}), ("Mul", "i c", "j"), ("Sub", "j i", "k"), ("Add", "k d", "y")],
        [6], INT64, c=np.array(3), d=np.arange(6),
    ),
    "sum of integers": built(
        [("Cast", "x", "i", {"to": INT64}), ("Concat", "i c", "j", {"axis": 0}), ("Neg", "j", "k"), ("ReduceSum", "k", "y")],
        [6], INT64, c=np.array([5, -7]),
    ),
    "integers compared": built(
        [("Cast", "x", "i", {"to": INT64}), ("Split", "i", "a b", {"axis": 0, "num_outputs": 2}), ("Less", "a b", "p"),
         ("LessOrEqual", "a c", "q"), ("Equal", "a b", "r"), ("Xor", "p q", "s"), ("Or", "s r", "t"), ("Cast", "t", "y", {"to": FLOAT})],
        [6], c=np.array([0, 1, -1]),
    ),
    "one-hot": built(
        [("Cast", "x", "i", {"to": INT64}), ("OneHot", "i n v", "y", {"axis": 0})],
        [6], n=np.array([4]), v=np.array([-0.5, 2.0], np.float32),
    ),
    "one-hot of a place": built(
        [("ArgMax", "x", "i", {"axis": 1, "keepdims": 0}), ("OneHot", "i n v", "h", {"axis": -1}), ("Equal", "h c", "e"),
         ("Cast", "e", "f", {"to": INT64}), ("ReduceSum", "f", "y", {"keepdims": 0})],
        [4, 3], INT64, n=np.array(3), v=np.array([0, 1]), c=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    ),
    "choice of values": built(
        [("Split", "x", "a b", {"axis": 0, "num_outputs": 2}), ("Greater", "a b", "c"), ("Where", "c a b", "y")], [6]
    ),
    "choice of a value": built(
        [("Split", "x", "a b", {"axis": 0, "num_outputs": 2}), ("Greater", "a t", "c"), ("Where", "c t b", "y")],
        [6], t=np.array([0.5], np.float32),
    ),
    "choice of constants": built(
        [("LessOrEqual", "x t", "c"), ("Where", "c t u", "y")],
        [6], t=np.array([0.5], np.float32), u=np.arange(6, dtype=np.float32),
    ),
    "choice of integers": built(
        [("Cast", "x", "i", {"to": INT64}), ("Less", "x t", "c"), ("Where", "c i j", "y")],
        [6], INT64, t=np.zeros(1, np.float32), j=np.arange(6),
    ),
    "moved": built(
        [("Greater", "x t", "c"), ("Reshape", "c s", "d"), ("Transpose", "d", "e"), ("Gather", "e k", "f", {"axis": 1}),
         ("Cast", "f", "y", {"to": FLOAT})],
        [6], t=np.zeros(1, np.float32), s=np.array([2, 3]), k=np.array([1, 0, 1]),
    ),
    "powers of a constant": built([("Pow", "b x", "y")], [6], b=np.array([2.0, 0.25, 1.0, 1.5, 3.0, 0.9], np.float32)),
    "softmax of two": built([("Softmax", "x", "y", {"axis": 0})], [2, 3]),
}


def model_of(name: str) -> Model:
    return read_bytes(NETWORKS[name])


def points(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Many ties: halves and whole numbers too."""
    x = rng.uniform(lower, upper, (60, len(lower)))
    x[20:40] = np.clip(np.round(2 * x[20:40]) / 2, lower, upper)
    x[40:] = np.clip(np.round(x[40:]), lower, upper)
    return x.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_onnxruntime(name: str) -> None:
    model = model_of(name)
    x = points(np.random.default_rng(0), *np.full((2, model.graph.input_size), 2.5) * [[-1], [1]])
    assert np.allclose(model.graph.evaluate(x), Replay(model).run(x)[1], rtol=1e-5, atol=1e-6)
    assert self_check(model, x.min(axis=0), x.max(axis=0)).nodes


@pytest.mark.parametrize("name", NETWORKS)
def test_values_lie_within_the_bounds(name: str) -> None:
    graph = model_of(name).graph
    for seed in range(12):
        rng = np.random.default_rng(seed)
        lower = np.round(rng.uniform(-2, 1, graph.input_size) * 2) / 2
        upper = lower + rng.choice([0.0, 0.3, 1.0, 2.5], graph.input_size)
        x, arrays = points(rng, lower, upper), numpy_arrays()
        x = np.clip(x, lower, upper)
        values = [v.reshape(len(x), -1) for v in graph.values(x)]
        found = root_bounds(graph, Resources(arrays, arrays, Workers(1)), lower, upper, Schedule(0)).preactivations
        for node, (below, above) in {**found, **graphs.interval_bounds(graph, arrays, lower, upper)}.items():
            size = 1e-9 * (1.0 + np.abs(values[node]))  # of the evaluation, not of the bounds
            assert (below <= values[node] + size).all() and (values[node] - size <= above).all(), f"seed {seed}, node {node}"


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (built([("Cast", "x", "i", {"to": TensorProto.UINT8}), ("Cast", "i", "y", {"to": FLOAT})], [2]), "V111", "UINT8"),
        (built([("Cast", "x", "i", {"to": INT64}), ("Mul", "i i", "y")], [2], INT64), "V109", "too large"),
        (built([("Cast", "x", "i", {"to": INT64}), ("ReduceSum", "i", "y")], [200], INT64), "V109", "too large"),
        (built([("Cast", "x", "i", {"to": INT32}), ("Relu", "i", "y")], [2], INT32), "V109", "depend on the input"),
        (built([("Cast", "x", "i", {"to": INT64}), ("Div", "i c", "y")], [2], INT64, c=np.array(2)), "V109", "depend on the input"),
        (built([("Greater", "x c", "y")], [2], BOOL, c=np.zeros(1, np.float32)), "V109", "no real numbers"),
        (built([("ArgMax", "x", "y", {"axis": 0})], [161], INT64), "V111", "161"),
        (built([("And", "x x", "y")], [2], BOOL), "V114", "Boolean"),
        (built([("Cast", "x", "i", {"to": INT64}), ("Add", "i x", "y")], [2]), "V114", "types"),
    ],
    ids=["bytes", "product", "sum", "relu", "quotient", "Boolean output", "many classes", "no Booleans", "mixed"],
)
def test_refused(data: bytes, code: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        read_bytes(data)
    assert caught.value.code == code


QUERY = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [2,3]) (declare-output Y float32 [2,1]))
{box}(assert {assertion})
"""


@pytest.mark.parametrize(
    ("assertion", "status"),
    [
        ("(>= Y[0,0] 1.5)", Status.SAT),
        ("(and (>= Y[0,0] 1.5) (> X[0,1] (+ X[0,2] 0.01)))", Status.UNSAT),  # the last is not the greatest
        ("(and (<= Y[0,0] 0.5) (> X[0,1] (+ X[0,0] 0.01)))", Status.UNSAT),
        ("(and (== Y[1,0] 1.0) (> X[1,1] 0.9) (> X[1,0] 0.8))", Status.SAT),
        ("(> Y[1,0] 2.0)", Status.UNSAT),
    ],
)
def test_verdicts_about_the_place_of_the_greatest(tmp_path: Path, assertion: str, status: Status) -> None:
    (tmp_path / "f.onnx").write_bytes(NETWORKS["ArgMax30"])
    box = "".join(f"(assert (and (>= X[{i},{j}] -1.0) (<= X[{i},{j}] 1.0)))\n" for i in range(2) for j in range(3))
    (tmp_path / "q.vnnlib").write_text(QUERY.format(box=box, assertion=assertion))
    assert verify(tmp_path / "f.onnx", tmp_path / "q.vnnlib", Settings().with_options({"search.timeout": 20.0})).status is status


def test_what_no_integer_holds_is_not_proved(tmp_path: Path) -> None:
    (tmp_path / "f.onnx").write_bytes(built([("Cast", "x", "i", {"to": INT64}), ("Cast", "i", "y", {"to": FLOAT})], [1]))
    text = "(vnnlib-version <2.0>)(declare-network f (declare-input X float32 [1]) (declare-output Y float32 [1]))"
    box = "(assert (and (>= X[0] 0.0) (<= X[0] 1e10)))(assert (< Y[0] -1.0))"
    (tmp_path / "q.vnnlib").write_text(text + box)
    verdict = verify(tmp_path / "f.onnx", tmp_path / "q.vnnlib", Settings())
    assert verdict.status is Status.UNKNOWN and any("Floor" in line for line in verdict.explanation)

