"""Several networks as one graph: against the networks evaluated apart; what queries declare against what models have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.graph.models import f32, model
from verifier.errors import ModelError, UsageError, VerifierError
from verifier.graph import combine, onnx_reader
from verifier.graph.combine import JointReplay, Part
from verifier.operators.base import Input
from verifier.property import vnnlib2

SEED = 7
HEAD = "(vnnlib-version <2.0>)"


def dense(seed: int, kind: int = TensorProto.FLOAT) -> bytes:
    """x (N, 3) -> h (N, 4) -> y (N, 2)."""
    rng = np.random.default_rng(seed)
    dtype = np.float64 if kind == TensorProto.DOUBLE else np.float32
    w, b, v = (rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (4,), (4, 2)))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    return model(nodes, {"x": ["N", 3]}, ["y"], {"w": w, "b": b, "v": v}, kind=kind)


def several() -> bytes:
    """u (2,), v (1, 2) -> s = u + v, d = u - v, both (1, 2)."""
    nodes = [helper.make_node("Add", ["u", "v"], ["s"]), helper.make_node("Sub", ["u", "v"], ["d"])]
    return model(nodes, {"u": [2], "v": [1, 2]}, ["s", "d"])


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def read(declarations: str, assertions: str = "", paths: Any = None, **files: bytes) -> Any:
        for name, data in files.items():
            (tmp_path / f"{name}.onnx").write_bytes(data)
        query = tmp_path / "query.vnnlib"
        wide = [name for name in ("X", "U") if re.search(rf"-input {name} float(16|64) \[1,3\]", declarations)]
        box = "".join(f"(assert (and (<= {name}[0,{i}] 1.0) (>= {name}[0,{i}] 0.0)))" for name in wide for i in range(3))
        query.write_text(HEAD + declarations + box + assertions)
        prop = vnnlib2.read(query)
        named = {name: tmp_path / f"{name}.onnx" for name in files}
        return prop, combine.load(prop.declarations, named if paths is None else paths(tmp_path))

    return read


F = "(declare-network f (declare-input X float32 [1,3]) (declare-output Y float32 [1,2]))"
G = "(declare-network g %s (declare-input U float32 [1,3]) (declare-output V float32 [1,2]))"
TIES = "".join(f"(assert (== X[0,{i}] U[0,{i}]))" for i in (0, 2))


@pytest.mark.parametrize(("relation", "other"), [("", 2), ("(isomorphic-to f)", 2), ("(equal-to f)", 1)])
@pytest.mark.parametrize("ties", ["", TIES])
def test_the_joint_graph_is_the_networks(load: Any, relation: str, other: int, ties: str) -> None:
    files = {"f": dense(1)} | ({"g": dense(2)} if other == 2 else {})
    prop, joint = load(F + G % relation, ties, **files)
    n = 4 if ties else 6
    assert (joint.graph.input_size, joint.graph.output_size) == (n, 4) == (prop.inputs, prop.outputs)
    assert sum(isinstance(node.operator, Input) for node in joint.graph.nodes) == 1
    x = np.random.default_rng(SEED).normal(size=(20, n)).astype(np.float32).astype(np.float64)
    f, g = (onnx_reader.read_bytes(dense(seed)).graph for seed in (1, other))
    second = np.stack([x[:, 0], x[:, 3], x[:, 2]], axis=1) if ties else x[:, 3:]
    expected = np.concatenate([f.evaluate(x[:, :3]), g.evaluate(second)], axis=1)
    np.testing.assert_allclose(joint.graph.evaluate(x), expected, rtol=1e-12, atol=1e-12)
    points, replayed = JointReplay(joint).run(x)
    assert points.dtype == np.float32 and replayed.shape == (20, 4)
    np.testing.assert_allclose(replayed, expected, rtol=1e-4, atol=1e-5)
    JointReplay(joint).check(np.full(n, -1.0), np.ones(n), 0)
    assert len(joint.files) == len(files)


def test_inputs_of_one_network_may_be_tied(load: Any) -> None:
    prop, joint = load(F, "(assert (== X[0,0] X[0,1]))", f=dense(1))
    x = np.random.default_rng(SEED).normal(size=(5, 2))
    alone = onnx_reader.read_bytes(dense(1)).graph
    np.testing.assert_allclose(joint.graph.evaluate(x), alone.evaluate(x[:, [0, 0, 1]]), rtol=1e-12)
    assert prop.inputs == 2


def test_several_inputs_and_outputs(load: Any) -> None:
    prop, joint = load(
        "(declare-network f (declare-input U float32 [2]) (declare-input V float32 [1,2])"
        "(declare-output S float32 [1,2]) (declare-output D float32 [1,2]))",
        f=several(),
    )
    x = np.array([[1.0, 2.0, 0.25, 0.5]])
    assert joint.graph.evaluate(x).tolist() == JointReplay(joint).run(x)[1].tolist() == [[1.25, 2.5, 0.75, 1.5]]
    assert joint.graph is joint.parts[0].model.graph


HIDDEN = '(declare-network f (declare-input X float32 [1,3]) (declare-hidden H float32 [1,4] "%s") (declare-output Y float32 [1,2]))'


@pytest.mark.parametrize("name", ["a", "h", "p"])
def test_hidden_nodes_are_outputs(load: Any, name: str) -> None:
    _, joint = load(HIDDEN % name, f=dense(1))
    plain = onnx_reader.read_bytes(dense(1))
    assert joint.graph.output_size == 6 and joint.parts[0].model.sha256 == plain.sha256
    x = np.random.default_rng(SEED).normal(size=(8, 3)).astype(np.float32)
    replayed = JointReplay(joint).run(x)[1]
    np.testing.assert_allclose(joint.graph.evaluate(x.astype(np.float64)), replayed, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(joint.graph.evaluate(x)[:, 4:], plain.graph.evaluate(x), rtol=1e-12)


@pytest.mark.parametrize("names", ["y", "h h", "y h y"])
def test_hidden_nodes_may_be_outputs_or_repeat(load: Any, names: str) -> None:
    sizes = {"y": 2, "h": 4}
    nodes = "".join(f'(declare-hidden H{i} float32 [1,{sizes[n]}] "{n}")' for i, n in enumerate(names.split()))
    _, joint = load(F.replace("(declare-output", nodes + "(declare-output"), f=dense(1))
    x = np.random.default_rng(SEED).normal(size=(3, 3)).astype(np.float32)
    values = JointReplay(joint).run(x)[1]
    plain = onnx_reader.read_bytes(dense(1), hidden=["h"]).graph.evaluate(x)
    expected = np.concatenate([{"h": plain[:, :4], "y": plain[:, 4:]}[n] for n in [*names.split(), "y"]], axis=1)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(joint.graph.evaluate(x), expected, rtol=1e-12)


def test_copies_may_have_hidden_nodes_of_their_own(load: Any) -> None:
    node = '(declare-hidden H float32 [1,4] "h") (declare-output V'
    _, joint = load(F + (G % "(equal-to f)").replace("(declare-output V", node), f=dense(1))
    assert joint.graph.output_size == 8 and len(joint.files) == 2


def test_a_point_is_held_by_all_input_types(load: Any) -> None:
    wide = (G % "").replace("float32", "float64")
    _, joint = load(F + wide, f=dense(1), g=dense(2, TensorProto.DOUBLE))
    x, y = JointReplay(joint).run(np.full((1, 6), 0.1))
    assert x.dtype == np.float32 and y.dtype == np.float64
    assert joint.input_dtypes == ("float32", "float64")


def test_open_dimensions_are_fixed_by_the_query(load: Any) -> None:
    data = model([helper.make_node("Mul", ["x", "c"], ["y"])], {"x": ["N", "M"]}, ["y"], {"c": f32(2.0)})
    _, joint = load("(declare-network f (declare-input X float32 [2,3]) (declare-output Y float32 [2,3]))", f=data)
    assert joint.graph.input_size == 6 and joint.parts[0].model.input_shapes == ((2, 3),)


def test_another_arrangement_of_the_elements_is_a_warning(load: Any) -> None:
    _, joint = load(F.replace("[1,3]", "[3]").replace("[1,2]", "[2]"), f=dense(1))
    assert [w.split(":")[0] for w in joint.warnings] == [
        "X has the shape [3] in the query and [1, 3] in the model",
        "Y has the shape [2] in the query and [1, 2] in the model",
    ]


def test_types_of_isomorphic_networks_are_the_models(load: Any) -> None:
    _, joint = load(F + (G % "(isomorphic-to f)").replace("float32", "float16"), f=dense(1), g=dense(2))
    assert len(joint.warnings) == 2 and "the model's type is used" in joint.warnings[0]


def test_a_model_for_an_equal_network(load: Any) -> None:
    _, joint = load(F + G % "(equal-to f)", f=dense(1), g=dense(1))
    assert joint.parts[0].model is joint.parts[1].model and "no model is needed" in joint.warnings[0]


@pytest.mark.parametrize(
    ("declarations", "files", "error", "code", "words"),
    [
        (F + G % "", {"f": 1}, UsageError, "V003", "network g"),
        (F + G % "(isomorphic-to f)", {"f": 1}, UsageError, "V003", "--network f=FILE --network g=FILE"),
        (F, {"f": 1, "h": 1}, UsageError, "V003", "network h"),
        (F + G % "(equal-to f)", {"f": 1, "g": 2}, UsageError, "V003", "differs"),
        (F.replace("float32", "float64"), {"f": 1}, ModelError, "V116", "real everywhere"),
        (F.replace("Y float32", "Y float64"), {"f": 1}, ModelError, "V116", "Y is of type float64"),
        (F.replace("[1,3]", "[1,4]"), {"f": 1}, ModelError, "V108", "(1, 4)"),
        (F.replace("[1,2]", "[1,3]"), {"f": 1}, ModelError, "V116", "[1, 3] in the query and [1, 2]"),
        (F.replace("(declare-output Y", "(declare-output Z float32 [1]) (declare-output Y"), {"f": 1}, ModelError, "V116", "2 outputs"),
        (F.replace("(declare-output Y", "(declare-input Z float32 [1]) (declare-output Y"), {"f": 1}, ModelError, "V116", "1 inputs"),
        (HIDDEN % "nothing", {"f": 1}, ModelError, "V116", "'nothing'"),
        (HIDDEN % "x", {"f": 1}, ModelError, "V116", "'x'"),
    ],
)
def test_refused(load: Any, declarations: str, files: dict[str, int], error: type[VerifierError], code: str, words: str) -> None:
    with pytest.raises(error) as caught:
        load(declarations, **{name: dense(seed) for name, seed in files.items()})
    assert caught.value.code == code and words in caught.value.message + (caught.value.hint or "")


def test_one_unnamed_file(load: Any) -> None:
    _, joint = load(F + G % "(equal-to f)", paths=lambda folder: folder / "f.onnx", f=dense(1))
    assert len(joint.parts) == 2
    with pytest.raises(UsageError, match="2 networks"):
        load(F + G % "", paths=lambda folder: folder / "f.onnx", f=dense(1))


def test_copies_that_read_the_same_are_one(load: Any) -> None:
    ties = "".join(f"(assert (== X[0,{i}] U[0,{i}]))" for i in range(3))
    _, joint = load(F + G % "(equal-to f)", ties, f=dense(1))
    alone = onnx_reader.read_bytes(dense(1)).graph
    assert len(joint.graph.nodes) == len(alone.nodes) + 1
    x = np.random.default_rng(SEED).normal(size=(4, 3))
    assert (joint.graph.evaluate(x) == np.tile(alone.evaluate(x), 2)).all()


def test_bounds_of_a_shared_input_are_not_taken_apart() -> None:
    """f - f over one shared input is zero in every linear bound: the graph reads the same element twice."""
    one = onnx_reader.read_bytes(model([helper.make_node("Mul", ["x", "c"], ["y"])], {"x": [1, 2]}, ["y"], {"c": f32(3.0, -2.0)}))
    graph = combine.join([Part("f", one, np.array([0, 1])), Part("g", one, np.array([0, 1]))], 2)
    rows = np.array([[1.0, 0.0, -1.0, 0.0]])
    gradient = graph.evaluate(np.eye(2)) - graph.evaluate(np.zeros((2, 2)))
    assert (gradient @ rows.T == 0).all()
