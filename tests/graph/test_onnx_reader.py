"""Reading: what a file gets wrong is refused with its code and name, damaged bytes included; what is right is read in full."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.graph.models import f32, i64, model, one
from verifier.bounds.rigorous import error_weights
from verifier.errors import ModelError
from verifier.graph.onnx_reader import OLDEST_OPSET, read, read_bytes, supported_operators

RNG = np.random.default_rng(7)


def node(op: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"n_{outputs.split()[0]}", **attributes)


def dense() -> bytes:
    w, b = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    return model([node("MatMul", "x w", "h"), node("Add", "h b", "p"), node("Relu", "p", "y")], {"x": ["N", 3]}, ["y"], {"w": w, "b": b})


def test_model_fields(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(dense())
    m = read(path)
    assert (m.input_names, m.input_shapes, m.input_dtypes) == (("x",), ((1, 3),), ("float32",))
    assert (m.output_names, m.output_shapes) == (("y",), ((1, 4),))
    assert m.opset == 13 and m.parameters == 16 and dict(m.operators) == {"MatMul": 1, "Add": 1, "Relu": 1}
    assert m.data == path.read_bytes() and len(m.sha256) == 64 and m.path == path and m.symbolic_batch and m.single_precision
    assert [type(n.operator).__name__ for n in m.graph.nodes] == ["Input", "Reshape", "Linear", "Relu", "Reshape"]
    assert m.graph.nodes[2].origin == ("n_h", "n_p")


def test_gzip_with_and_without_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "net.onnx.gz").write_bytes(gzip.compress(dense()))
    packed = read(tmp_path / "net.onnx.gz")
    assert packed.data == read(tmp_path / "net.onnx").data == gzip.decompress((tmp_path / "net.onnx.gz").read_bytes())
    assert packed.sha256 == hashlib.sha256((tmp_path / "net.onnx.gz").read_bytes()).hexdigest()  # of the file as it lies on the disk
    for bad in (gzip.compress(dense())[:-9], gzip.compress(dense()) + b"x", b"no gzip", b""):
        (tmp_path / "bad.onnx.gz").write_bytes(bad)
        with pytest.raises(ModelError) as e:
            read(tmp_path / "bad.onnx.gz")
        assert e.value.code == "V103" and "bad.onnx.gz" in e.value.render()


def test_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier.graph.onnx_reader._FREE", 1000)
    (tmp_path / "bomb.onnx.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(ModelError) as e:
        read(tmp_path / "bomb.onnx.gz")
    assert e.value.code == "V105"


def test_several_inputs_and_outputs() -> None:
    nodes = [node("Add", "a b", "s"), node("Transpose", "b", "t", perm=[1, 0])]
    m = read_bytes(model(nodes, {"a": [2, 3], "b": [2, 3]}, ["t", "s"]))
    a, b = RNG.normal(size=(2, 2, 3))
    y = m.graph.evaluate(np.concatenate([a.ravel(), b.ravel()])[None])[0]
    np.testing.assert_array_equal(y, np.concatenate([b.T.ravel(), (a + b).ravel()]))
    assert m.output_shapes == ((3, 2), (2, 3))


@pytest.mark.parametrize("outputs", [["x"], ["x", "x2"], ["c"], ["y"]])
def test_outputs_that_are_inputs_or_constants(outputs: list[str]) -> None:
    m = read_bytes(model([node("Identity", "x", "x2"), node("Relu", "x", "y")], {"x": [3]}, outputs, {"c": f32(1, 2)}))
    values = {"x": [-1.0, 2.0, 3.0], "x2": [-1.0, 2.0, 3.0], "c": [1.0, 2.0], "y": [0.0, 2.0, 3.0]}
    assert m.graph.output > 0
    np.testing.assert_array_equal(m.graph.evaluate(np.array([values["x"]]))[0], np.concatenate([values[o] for o in outputs]))


def test_initialisers_listed_as_inputs_are_constants() -> None:
    m = read_bytes(model([node("Mul", "x c", "y")], {"x": [2], "c": [2]}, ["y"], {"c": f32(2, 3)}))
    assert m.input_names == ("x",)


def test_nodes_out_of_order_and_dead_nodes() -> None:
    m = read_bytes(model([node("Relu", "h", "y"), node("Neg", "x", "h"), node("NonMaxSuppression", "x", "dead")], {"x": [2]}, ["y"]))
    np.testing.assert_array_equal(m.graph.evaluate(np.array([[-1.0, 2.0]])), [[1.0, 0.0]])


def test_shapes() -> None:
    body = [node("Relu", "x", "y")]
    assert read_bytes(model(body, {"x": ["N", 3]}, ["y"])).input_shapes == ((1, 3),)
    assert read_bytes(model(body, {"x": [None, "K"]}, ["y"]), shapes={"x": (1, 5)}).input_shapes == ((1, 5),)
    assert read_bytes(model(body, {"x": None}, ["y"]), shapes={"x": (4,)}).input_shapes == ((4,),)
    for declared, given in [
        (["N", "K"], None),
        (["N"], None),
        (None, None),
        ([1, 3], {"x": (1, 4)}),
        ([1, 3], {"x": (3,)}),
        ([1, 3], {"z": (1, 3)}),
        (["N", 3], {"x": (0, 3)}),
    ]:
        with pytest.raises(ModelError) as e:
            read_bytes(model(body, {"x": declared}, ["y"]), shapes=given)
        assert e.value.code == "V108"
        assert e.value.hint is None or "--" not in e.value.hint  # no option that does not exist


def test_number_formats() -> None:
    half = np.array([0.1, 65504, 6e-8], dtype=np.float16)
    m = read_bytes(model([node("Cast", "c", "d", to=1), node("Mul", "x d", "y")], {"x": [3]}, ["y"], {"c": half}))
    np.testing.assert_array_equal(m.graph.evaluate(np.ones((1, 3)))[0], half.astype(np.float64))
    raw = numpy_helper.from_array(f32(0.1, 2, 3), "c")
    typed = helper.make_tensor("c", TensorProto.FLOAT, [3], [0.1, 2, 3])
    bits = helper.make_tensor("c", TensorProto.FLOAT16, [3], half.tolist())
    from verifier.graph.tensors import decode

    np.testing.assert_array_equal(decode(raw, "f"), decode(typed, "f"))
    np.testing.assert_array_equal(decode(bits, "f"), half.astype(np.float64))
    double = read_bytes(model([node("Mul", "x c", "y")], {"x": [1]}, ["y"], {"c": np.array([0.1])}, kind=TensorProto.DOUBLE))
    assert double.input_dtypes == ("float64",) and not double.single_precision and double.graph.evaluate(np.ones((1, 1)))[0, 0] == 0.1


def external() -> bytes:
    proto = onnx.load_from_string(dense())
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "weights.bin")
    proto.graph.initializer[0].ClearField("raw_data")
    return proto.SerializeToString()


def with_opsets(*pairs: tuple[str, int]) -> bytes:
    proto = onnx.load_from_string(dense())
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid(*p) for p in pairs)
    return proto.SerializeToString()


def truncated_tensor() -> bytes:
    proto = onnx.load_from_string(dense())
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-3]
    return proto.SerializeToString()


def branch() -> bytes:
    body = helper.make_graph([], "b", [], [])
    return model([node("If", "c", "y", then_branch=body, else_branch=body)], {"x": [1]}, ["y"], {"c": np.array(True)})


W2, ONE = np.eye(2, dtype=np.float32), f32(1)
NEWEST = onnx.defs.onnx_opset_version()
REFUSED: list[tuple[str, bytes, str, str]] = [
    ("empty", b"", "V103", "empty"),
    ("text", b"not a model at all", "V103", ""),
    ("no graph", onnx.ModelProto(ir_version=8).SerializeToString(), "V103", "no ONNX graph"),
    ("external", external(), "V104", "'w'"),
    ("short tensor", truncated_tensor(), "V103", "'w'"),
    ("old opset", with_opsets(("", 6)), "V106", "opset 6"),
    ("new opset", with_opsets(("", NEWEST + 1)), "V106", f"{OLDEST_OPSET} to {NEWEST}"),
    ("no opset", with_opsets(("ai.onnx.ml", 2)), "V106", "0 opset"),
    ("two opsets", with_opsets(("", 8), ("ai.onnx", 9)), "V106", "2 opset"),
    ("cycle", model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a", "y")], {"x": [1]}, ["y"]), "V107", "'n_a'"),
    ("duplicate", model([node("Relu", "x", "y"), node("Neg", "x", "y")], {"x": [1]}, ["y"]), "V107", "'y'"),
    ("input redefined", model([node("Relu", "x", "x")], {"x": [1]}, ["x"]), "V107", "'x'"),
    ("dangling", model([node("Add", "x nowhere", "y")], {"x": [1]}, ["y"]), "V107", "'nowhere'"),
    ("dangling output", model([node("Relu", "x", "y")], {"x": [1]}, ["z"]), "V107", "'z'"),
    ("no output", model([node("Relu", "x", "y")], {"x": [1]}, []), "V107", "no output"),
    ("nan", one("Add", [2], [f32(1, np.nan)]), "V109", "'c0'"),
    ("infinity", one("Add", [2], [f32(1, np.inf)]), "V109", "'c0'"),
    ("integer input", one("Relu", [2], kind=TensorProto.INT64), "V109", "'x'"),
    ("half input", one("Relu", [2], kind=TensorProto.FLOAT16), "V109", "FLOAT16"),
    ("boolean output", model([node("Shape", "x", "s"), node("Equal", "s s", "y")], {"x": [2]}, ["y"]), "V109", "'y'"),
    ("no input", model([node("Relu", "c", "y")], {}, ["y"], {"c": ONE}), "V114", "no input"),
    ("unknown operator", one("Det", [2, 2]), "V110", "'the_node'"),
    ("unknown domain", model([helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft")], {"x": [1]}, ["y"]), "V110", "com.microsoft"),
    ("subgraph", branch(), "V110", "If"),
    ("unknown attribute", one("Relu", [2], beta=1.0), "V111", "'beta'"),
    ("attribute of another opset", one("Squeeze", [1, 2], axes=[0]), "V111", "'axes'"),
    ("attribute type", one("Gemm", [1, 2], [W2], alpha=2), "V114", "'alpha'"),
    ("auto_pad", one("Conv", [1, 1, 3, 3], [np.ones((1, 1, 2, 2), np.float32)], auto_pad="SAME"), "V111", "SAME_UPPER"),
    (
        "auto_pad and pads",
        one("Conv", [1, 1, 3, 3], [np.ones((1, 1, 2, 2), np.float32)], auto_pad="VALID", pads=[1, 1, 1, 1]),
        "V111",
        "contradict",
    ),
    ("3-D", one("Conv", [1, 1, 3, 3, 3], [np.ones((1, 1, 2, 2, 2), np.float32)]), "V111", "spatial"),
    ("groups", one("Conv", [1, 4, 3, 3], [np.ones((4, 1, 2, 2), np.float32)], group=3), "V114", "groups"),
    ("alpha", one("LeakyRelu", [2], alpha=1.5), "V111", "1.5"),
    ("negative alpha", one("LeakyRelu", [2], alpha=-0.5), "V111", "-0.5"),
    ("clip", one("Clip", [2], [np.float32(1).reshape(()), np.float32(0).reshape(())]), "V111", "greater"),
    ("training", one("BatchNormalization", [1, 2], [f32(1, 1)] * 4, opset=15, training_mode=1), "V111", "training"),
    ("variance", one("BatchNormalization", [1, 2], [f32(1, 1)] * 3 + [f32(1, -1)], opset=15), "V111", "variance"),
    ("pad mode", one("Pad", [2], [i64(1, 1)], mode="mirror"), "V111", "mirror"),
    ("products", model([node("Mul", "x z", "y")], {"x": [1, 3000], "z": [3000, 1]}, ["y"]), "V111", "9000000 products"),
    ("variable weight", model([node("Conv", "x x", "y")], {"x": [1, 1, 2, 2]}, ["y"]), "V112", "weight"),
    ("exponent", model([node("Pow", "x x", "y")], {"x": [2]}, ["y"]), "V112", "exponent"),
    ("base", model([node("Pow", "c x", "y")], {"x": [2]}, ["y"], {"c": -ONE}), "V111", "base"),
    ("division by zero", one("Div", [2], [f32(1, 0)]), "V111", "zero"),
    ("indices", model([node("Gather", "c x", "y")], {"x": [2]}, ["y"], {"c": ONE}), "V112", "indices"),
    ("index range", one("Gather", [2], [i64(2)]), "V114", "outside"),
    (
        "inexact cast",
        model([node("Cast", "c", "d", to=1), node("Add", "x d", "y")], {"x": [1]}, ["y"], {"c": np.array([0.1])}),
        "V113",
        "exactly",
    ),
    ("cast to bytes", one("Cast", [2], to=2), "V111", "UINT8"),
    ("shapes", one("Add", [2], [f32(1, 2, 3)]), "V114", "broadcast"),
    ("matrix shapes", one("MatMul", [1, 3], [W2]), "V114", "multiply"),
    ("reshape", one("Reshape", [1, 3], [i64(2, 2)]), "V114", "cannot become"),
    ("axis", one("Flatten", [1, 3], axis=5), "V114", "axis 5"),
    ("too few inputs", one("Gemm", [1, 3]), "V114", "inputs"),
    ("mixed types", one("Add", [2], [i64(1, 2)]), "V114", "types"),
    ("split", one("Split", [5], outputs=2), "V114", "equal"),
    ("mask", model([node("Dropout", "x", "y m"), node("Add", "y m", "z")], {"x": [1]}, ["z"]), "V111", "'m'"),
    (
        "huge",
        model([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], {"x": [1]}, ["y"], {"s": i64(1 << 20, 1 << 20)}),
        "V114",
        "large",
    ),
]


@pytest.mark.parametrize("data,code,text", [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(data: bytes, code: str, text: str) -> None:
    with pytest.raises(ModelError) as e:
        read_bytes(data, "the/file.onnx")
    assert e.value.code == code, e.value.render()
    assert text in e.value.render() and "the/file.onnx" in e.value.render()


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(ModelError) as e:
            read(path)
        assert e.value.code == "V102"


def test_unsupported_operators_name_what_is_supported() -> None:
    with pytest.raises(ModelError) as e:
        read_bytes(one("Det", [2, 2]))
    assert e.value.hint is not None and "Gemm" in e.value.hint and list(supported_operators()) == sorted(supported_operators())


def test_damaged_bytes_raise_typed_errors_only() -> None:
    kernel = RNG.normal(size=(2, 1, 2, 2)).astype(np.float32)
    conv = model(
        [node("Conv", "x w", "h", pads=[1, 0, 1, 0]), node("Flatten", "h", "f"), node("Slice", "f a b", "s"), node("Clip", "s lo", "y")],
        {"x": [1, 1, 3, 3]},
        ["y"],
        {"w": kernel, "a": i64(0), "b": i64(9), "lo": np.float32(0).reshape(())},
    )
    seed = int(RNG.integers(1 << 30))
    print("seed", seed)
    rng = np.random.default_rng(seed)
    outcomes = {"read": 0, "refused": 0}
    for data in (dense(), conv):
        damaged = [data[:n] for n in range(0, len(data), 3)]
        for _ in range(400):
            mutant = bytearray(data)
            for at in rng.integers(0, len(data), rng.integers(1, 4)):
                mutant[at] = rng.integers(0, 256)
            damaged.append(bytes(mutant))
        for mutant in damaged:
            try:
                read_bytes(mutant)
                outcomes["read"] += 1
            except ModelError as error:
                assert error.code.startswith("V1")
                outcomes["refused"] += 1
    assert outcomes["refused"] > 300


def test_importing_the_reader_is_cheap() -> None:
    program = (
        "import sys, verifier.graph.onnx_reader, verifier.graph.replay\n"
        "print([m for m in ('torch', 'onnxruntime', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (one("Clip", [1], opset=10), (-1e39, 1e39)),
        (one("Clip", [1], opset=10, min=-LARGEST, max=LARGEST), (-LARGEST, LARGEST)),
        (one("Clip", [1], opset=10, max=LARGEST), (-1e39, LARGEST)),
        (one("Clip", [1], [np.float32(-LARGEST).reshape(()), np.float32(LARGEST).reshape(())]), (-LARGEST, LARGEST)),
        (one("Clip", [1], [np.float32(0).reshape(())]), (0.0, 1e39)),
    ],
)
def test_a_bound_of_a_clip_is_a_bound_however_large(data: bytes, expected: tuple[float, float]) -> None:
    graph = read_bytes(data).graph
    assert tuple(graph.evaluate(np.array([[x]]))[0, 0] for x in (-1e39, 1e39)) == expected


def test_large_bounds_of_a_clip_cost_no_precision() -> None:
    """Exporters write the largest float32 for no bound: nothing may be lost to rounding on its scale."""
    graph = read_bytes(one("Clip", [1], [np.float32(0).reshape(()), np.float32(LARGEST).reshape(())])).graph
    weights = error_weights(graph, np.array([-1.0]), np.array([1.0]), {})
    assert max(float(w.max()) for w in weights.node.values()) < 1e-12
