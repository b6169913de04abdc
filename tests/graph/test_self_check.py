"""The self-check: it accepts every correct reading and finds a fault of any layer, however deep the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.graph.models import f32, i64, model, one
from verifier.errors import ModelError, SelfCheckError
from verifier.graph.ir import Graph, Node
from verifier.graph.onnx_reader import Model, read_bytes
from verifier.graph.self_check import Agreement, self_check
from verifier.operators.affine import Conv, Linear, Scale

RNG = np.random.default_rng(11)


def node(op: str, inputs: str, outputs: str, **attributes: object):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"n_{outputs.split()[0]}", **attributes)


def check(data: bytes, width: float = 1.0, seed: int = 0) -> Agreement:
    m = read_bytes(data)
    n = m.graph.input_size
    return self_check(m, np.full(n, -width), np.full(n, width), seed)


def deep(layers: int = 12, seed: int = 0) -> Model:
    """Convolutions that are not symmetric and square matrices, each with a normalisation: rounding grows tenfold a layer."""
    rng = np.random.default_rng(seed)
    nodes, constants, value = [], {}, "x"

    def emit(op: str, *arrays: np.ndarray, **attributes: object) -> None:
        nonlocal value
        names = [f"c{len(constants) + i}" for i in range(len(arrays))]
        constants.update(zip(names, arrays))
        nodes.append(helper.make_node(op, [value, *names], [f"v{len(nodes)}"], **attributes))
        value = nodes[-1].output[0]

    def normal(*size: int) -> np.ndarray:
        return rng.normal(size=size).astype(np.float32)

    def normalised(channels: int) -> None:
        emit("BatchNormalization", 1 + normal(channels) / 4, normal(channels), normal(channels), 1 + np.abs(normal(channels)))

    for _ in range(layers):
        emit("Conv", normal(4, 4, 3, 3), normal(4), pads=[1, 0, 1, 2])
        normalised(4)
        emit("Relu")
    emit("Flatten")
    for _ in range(layers):
        emit("Gemm", normal(64, 64), normal(64), transB=1)
        normalised(64)
        emit("Relu")
    return read_bytes(model(nodes, {"x": [1, 4, 4, 4]}, [value], constants))


def changed(m: Model, which: Callable[[Node], bool], change: Callable[[Any], Any]) -> Model:
    """The first node that is meant has another operator."""
    at = next(i for i, n in enumerate(m.graph.nodes) if which(n))
    nodes = list(m.graph.nodes)
    nodes[at] = replace(nodes[at], operator=change(nodes[at].operator))
    return replace(m, graph=Graph(tuple(nodes)))


def is_a(*kinds: type) -> Callable[[Node], bool]:
    return lambda n: isinstance(n.operator, kinds)


FAULTS: dict[str, tuple[Callable[[Node], bool], Callable[[Any], Any]]] = {
    "padding on the other side": (is_a(Conv), lambda op: replace(op, padding=(1, 2, 1, 0))),
    "kernel upside down": (is_a(Conv), lambda op: replace(op, weight=op.weight[:, :, ::-1])),
    "bias lost": (is_a(Conv), lambda op: replace(op, bias=None)),
    "square matrix transposed": (is_a(Linear), lambda op: replace(op, weight=np.ascontiguousarray(op.weight.T))),
    "one weight": (is_a(Linear), lambda op: replace(op, weight=op.weight + 1e-3 * (np.arange(64 * 64) == 77).reshape(64, 64))),
    "epsilon lost": (is_a(Scale), lambda op: replace(op, scale=op.scale * (1 + 5e-6))),
    "mean lost": (is_a(Scale), lambda op: replace(op, shift=None)),
}


def test_a_deep_network_agrees_within_the_rounding_of_a_layer() -> None:
    m = deep()
    found = self_check(m, -np.ones(64), np.ones(64), 0)
    assert found.nodes > 40 and found.samples > 10
    assert found.difference <= found.bound < 1e-4 * float(np.abs(m.graph.values(np.ones((1, 64)))[-1]).max())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_layer_is_found_in_a_deep_network(fault: str) -> None:
    with pytest.raises(SelfCheckError) as e:
        self_check(changed(deep(), *FAULTS[fault]), -np.ones(64), np.ones(64), 0)
    assert e.value.code == "V401" and "tensor" in e.value.message and "onnxruntime" in e.value.message
    assert e.value.location is not None and "node" in str(e.value.location.detail)


def test_a_fault_of_the_output_is_found() -> None:
    """Two outputs in the wrong order: no tensor of the file is the joint output."""
    m = read_bytes(model([node("Relu", "x", "a"), node("Neg", "x", "b")], {"x": [3]}, ["a", "b"]))
    with pytest.raises(SelfCheckError, match="the output"):
        self_check(replace(m, output_names=("b", "a")), np.zeros(3), np.ones(3), 0)


def test_every_tensor_that_is_a_node_is_compared() -> None:
    """What merging leaves of a layer is compared with the last tensor that went into it."""
    m = deep(2)
    assert {n.tensor for n in m.graph.nodes} >= {f"v{i}" for i in range(6)} | {f"v{i}" for i in range(7, 13)}


def test_points_that_overflow_are_left_alone() -> None:
    """2 x is infinite in float32 near 3e38; the check goes on where it is not, and a fault there is found."""
    m = read_bytes(model([node("Mul", "x two", "h"), node("Mul", "h half", "y")], {"x": [1]}, ["y"], {"two": f32(2), "half": f32(0.5)}))
    assert self_check(m, np.array([2e38]), np.array([3e38]), 0).difference <= 0
    wrong = changed(m, is_a(Scale), lambda op: replace(op, scale=1.5 * op.scale))
    with pytest.raises(SelfCheckError):
        self_check(wrong, np.array([0.0]), np.array([3e38]), 0)


def test_large_networks_are_compared_at_two_points_or_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    m = deep(2)
    monkeypatch.setattr("verifier.graph.self_check._WORK", 1000)
    for looks, samples in ((0, 0), (1, 0), (2, 1), (1000, 2)):
        left = iter(range(looks))
        assert self_check(m, -np.ones(64), np.ones(64), 0, lambda left=left: next(left, None) is None).samples == samples


def test_refused_by_onnxruntime() -> None:
    with pytest.raises(ModelError) as e:
        m = read_bytes(one("Relu", [2]))
        self_check(replace(m, data=m.data.replace(b"Relu", b"Rule")), np.zeros(2), np.ones(2), 0)
    assert e.value.code == "V115"


# -- random graphs against onnxruntime --


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def resized(mode: str, coordinates: str) -> bytes:
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "nearest_mode": "floor"}
    constants = {"s": np.array([1, 1, 2, 0.5], np.float32)}
    return model([helper.make_node("Resize", ["x", "", "s"], ["y"], **attributes)], {"x": [1, 2, 3, 4]}, ["y"], constants)


OPERATORS: list[tuple[str, bytes]] = [
    ("gemm", one("Gemm", [2, 3], [weights(4, 3), weights(4)], transB=1, alpha=0.7, beta=1.3)),
    ("gemm A", one("Gemm", [3, 2], [weights(3, 4), weights(2, 1)], transA=1)),
    ("gemm constant A", model([node("Gemm", "w x c", "y", transA=1)], {"x": [3, 2]}, ["y"], {"w": weights(3, 4), "c": weights(1, 2)})),
    ("gemm without C", one("Gemm", [2, 3], [weights(3, 4)], alpha=0.3)),
    ("gemm variable C", model([node("Gemm", "x w x", "y", beta=0.5)], {"x": [2, 2]}, ["y"], {"w": weights(2, 2)})),
    ("matmul vector", one("MatMul", [3], [weights(3, 4)])),
    ("matmul to vector", one("MatMul", [2, 3], [weights(3)])),
    ("matmul vectors", one("MatMul", [3], [weights(3)])),
    ("matmul left", model([node("MatMul", "w x", "y")], {"x": [3, 2]}, ["y"], {"w": weights(5, 3)})),
    ("matmul left vector", model([node("MatMul", "w x", "y")], {"x": [3]}, ["y"], {"w": weights(5, 3)})),
    ("matmul vector left", model([node("MatMul", "w x", "y")], {"x": [3, 2]}, ["y"], {"w": weights(3)})),
    ("matmul stack", one("MatMul", [2, 4, 3], [weights(2, 3, 5)])),
    ("matmul stacks", one("MatMul", [2, 1, 4, 3], [weights(3, 3, 5)])),
    ("matmul stack of one", one("MatMul", [4, 3], [weights(1, 1, 3, 5)])),
    ("matmul left stack", model([node("MatMul", "w x", "y")], {"x": [3, 2]}, ["y"], {"w": weights(4, 5, 3)})),
    ("matmul vector stack", one("MatMul", [3], [weights(2, 3, 5)])),
    ("add broadcast", one("Add", [3, 1], [weights(2, 1, 4)])),
    ("sub", model([node("Sub", "c x", "y")], {"x": [2, 3]}, ["y"], {"c": weights(3)})),
    ("variables", model([node("Mul", "x a", "p"), node("Sub", "p x", "y")], {"x": [2, 3]}, ["y"], {"a": weights(2, 2, 1)})),
    ("product", model([node("Mul", "x z", "y")], {"x": [2, 1, 3], "z": [4, 1]}, ["y"])),
    ("square", model([node("Mul", "x x", "y")], {"x": [2, 3]}, ["y"])),
    ("matrix product", model([node("MatMul", "x z", "y")], {"x": [2, 1, 4, 3], "z": [3, 3, 5]}, ["y"])),
    ("product of vectors", model([node("MatMul", "x z", "y")], {"x": [3], "z": [3]}, ["y"])),
    ("variable Gemm", model([node("Gemm", "x z x", "y", transB=1, alpha=0.5)], {"x": [2, 2], "z": [2, 2]}, ["y"])),
    (
        "products of functions",
        model(
            [
                node("Sigmoid", "x", "s"),
                node("Mul", "x s", "p"),
                node("MatMul", "p x", "m"),
                node("Mul", "m s", "q"),
                node("Mul", "q m", "y"),
            ],
            {"x": [3, 3]},
            ["y"],
        ),
    ),
    *[(op, one(op, [3, 4])) for op in ("Exp", "Sin", "Cos", "Softplus", "Softsign", "Erf", "Sign", "Floor", "Ceil", "Round")],
    *[(op, one(op, [3, 4], opset=18)) for op in ("HardSwish", "Mish", "HardSigmoid", "Selu")],
    *[
        (
            f"{op} of positive",
            model([node("Abs", "x", "a"), node("Add", "a c", "b"), node(op, "b", "y")], {"x": [9]}, ["y"], {"c": f32(0.03)}),
        )
        for op in ("Log", "Sqrt", "Reciprocal")
    ],
    ("elu", one("Elu", [9], alpha=0.7)),
    ("celu", one("Celu", [9], opset=12, alpha=1.7)),
    ("gelu", one("Gelu", [9], opset=20)),
    ("gelu tanh", one("Gelu", [9], opset=20, approximate="tanh")),
    ("silu", model([node("Sigmoid", "x", "s"), node("Mul", "s x", "y")], {"x": [2, 3]}, ["y"])),
    ("powers", one("Pow", [2, 4], [np.array([3, 0, 2, 1], np.float32)])),
    ("power of four", one("Pow", [5], [i64(4)])),
    (
        "powers of positive",
        model(
            [node("Abs", "x", "a"), node("Add", "a c", "b"), node("Pow", "b e", "y")],
            {"x": [2, 3]},
            ["y"],
            {"c": f32(0.1), "e": np.array([0.5, -1, 2.5], np.float32)},
        ),
    ),
    ("quotient", model([node("Exp", "z", "e"), node("Div", "x e", "y")], {"x": [2, 3], "z": [3]}, ["y"])),
    ("constant quotient", model([node("Exp", "x", "e"), node("Div", "c e", "y")], {"x": [2, 3]}, ["y"], {"c": weights(3)})),
    ("softmax", one("Softmax", [2, 3, 5], axis=1)),
    ("softmax 11", one("Softmax", [2, 3, 4], opset=11)),
    ("softmax of two", one("Softmax", [4, 2], axis=-1)),
    (
        "attention",
        model(
            [node("MatMul", "x z", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p x", "y")],
            {"x": [2, 4, 3], "z": [3, 4]},
            ["y"],
        ),
    ),
    (
        "attention over columns",
        model(
            [node("MatMul", "x z", "s"), node("Softmax", "s", "p", axis=1), node("MatMul", "p x", "y")],
            {"x": [2, 4, 3], "z": [3, 4]},
            ["y"],
        ),
    ),
    ("log softmax", one("LogSoftmax", [2, 5], axis=-1)),
    ("layer norm", one("LayerNormalization", [2, 3, 4], [weights(3, 4), weights(3, 4)], opset=17, axis=1)),
    ("instance norm", one("InstanceNormalization", [2, 3, 4, 2], [weights(3), weights(3)])),
    ("reduce l1", one("ReduceL1", [2, 3], axes=[1])),
    ("reduce sum square", one("ReduceSumSquare", [2, 3], axes=[0], keepdims=0)),
    ("cumsum", one("CumSum", [2, 4], [np.array(1)], reverse=1, exclusive=1)),
    ("tile", one("Tile", [2, 3], [i64(2, 3)])),
    ("depth to space", one("DepthToSpace", [1, 8, 2, 3], blocksize=2)),
    ("depth to space crd", one("DepthToSpace", [1, 8, 2, 3], blocksize=2, mode="CRD")),
    ("space to depth", one("SpaceToDepth", [1, 2, 4, 6], blocksize=2)),
    ("upsample 9", one("Upsample", [1, 2, 3, 3], [np.array([1, 1, 2, 2], np.float32)], opset=9)),
    ("upsample linear", one("Upsample", [1, 2, 3, 3], [np.array([1, 1, 2, 4], np.float32)], opset=9, mode="linear")),
    *[
        (f"resize {mode} {kind}", resized(mode, kind))
        for mode in ("nearest", "linear")
        for kind in ("half_pixel", "asymmetric", "pytorch_half_pixel")
    ],
    *[
        (
            f"transposed {auto} {groups}",
            one("ConvTranspose", [1, 4, 3, 5], [weights(4, 2, 3, 2), weights(2 * groups)], strides=[2, 2], group=groups, auto_pad=auto),
        )
        for auto in ("VALID", "SAME_UPPER", "SAME_LOWER")
        for groups in (1, 2)
    ],
    (
        "transposed padded",
        one(
            "ConvTranspose", [2, 2, 4, 3], [weights(2, 3, 3, 3)], strides=[2, 1], pads=[1, 0, 0, 2], output_padding=[1, 0], dilations=[1, 2]
        ),
    ),
    ("transposed 1d", one("ConvTranspose", [1, 2, 5], [weights(2, 3, 4), weights(3)], strides=[3], pads=[1, 2])),
    ("where", model([node("Where", "c x z", "y")], {"x": [2, 3], "z": [3]}, ["y"], {"c": np.array([[True], [False]])})),
    ("trilu", one("Trilu", [3, 4], [np.array(1)], opset=14, upper=0)),
    ("root of a constant", model([node("Sqrt", "c", "r"), node("Div", "x r", "y")], {"x": [3]}, ["y"], {"c": f32(64)})),
    *[
        (f"max pool {auto}", one("MaxPool", [1, 2, 7, 6], kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto))
        for auto in ("VALID", "SAME_UPPER", "SAME_LOWER")
    ],
    *[
        (f"max pool ceil={ceil}", one("MaxPool", [2, 1, 8, 9], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2], ceil_mode=ceil))
        for ceil in (0, 1)
    ],
    ("max pool 1d", one("MaxPool", [1, 2, 9], kernel_shape=[4], strides=[3], pads=[2, 1], opset=8)),
    ("max pool 3d", one("MaxPool", [1, 1, 4, 4, 4], kernel_shape=[2, 2, 2], strides=[2, 2, 2])),
    ("max pool dilated", one("MaxPool", [1, 1, 9, 9], kernel_shape=[3, 2], dilations=[2, 3])),
    ("global max pool", one("GlobalMaxPool", [2, 3, 4, 5])),
    ("max", model([node("Max", "x a z b", "y")], {"x": [2, 3], "z": [2, 1]}, ["y"], {"a": weights(3), "b": f32(0.1)})),
    ("min", model([node("Min", "a x b z x", "y")], {"x": [2, 3], "z": [3]}, ["y"], {"a": weights(2, 1), "b": f32(-0.1)})),
    ("max of one", one("Max", [3])),
    ("reduce max 11", one("ReduceMax", [2, 3, 5], opset=11, axes=[-1, 0], keepdims=0)),
    ("reduce max all", one("ReduceMax", [2, 3, 4], keepdims=0)),
    ("reduce min 18", one("ReduceMin", [2, 3, 4], [i64(1, 2)], opset=18)),
    ("prelu", one("PRelu", [1, 3, 2, 2], [np.array([[[0.3]], [[-0.5]], [[1.7]]], np.float32)])),
    ("sum", model([node("Sum", "x a x b", "y")], {"x": [2, 3]}, ["y"], {"a": weights(3), "b": weights(2, 1)})),
    ("div", one("Div", [2, 3], [weights(3) + 3])),
    ("neg", one("Neg", [3])),
    ("bn", one("BatchNormalization", [2, 3, 4], [weights(3), weights(3), weights(3), np.abs(weights(3))], opset=9, epsilon=0.01)),
    ("bn 2", one("BatchNormalization", [1, 3], [weights(3), weights(3), weights(3), np.abs(weights(3))], opset=15)),
    (
        "conv bn",
        model(
            [node("Conv", "x w", "h"), node("BatchNormalization", "h a a a v", "y")],
            {"x": [1, 2, 5, 5]},
            ["y"],
            {"w": weights(3, 2, 3, 3), "a": weights(3), "v": np.abs(weights(3))},
        ),
    ),
    ("conv 1d", one("Conv", [1, 2, 9], [weights(4, 1, 3), weights(4)], group=2, strides=[2], pads=[1, 2], dilations=[2])),
    *[
        (f"conv {auto}", one("Conv", [2, 2, 8, 6], [weights(3, 2, 3, 2), weights(3)], auto_pad=auto, strides=[2, 3]))
        for auto in ("VALID", "SAME_UPPER", "SAME_LOWER")
    ],
    *[
        (
            f"pool {auto} {include}",
            one("AveragePool", [1, 2, 7, 6], kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto, count_include_pad=include),
        )
        for auto in ("VALID", "SAME_UPPER", "SAME_LOWER")
        for include in (0, 1)
    ],
    *[
        (
            f"pool ceil={ceil} {include}",
            one(
                "AveragePool",
                [1, 2, 8, 9],
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1, 1, 1, 1],
                ceil_mode=ceil,
                count_include_pad=include,
            ),
        )
        for ceil in (0, 1)
        for include in (0, 1)
    ],
    ("pool 1d", one("AveragePool", [1, 2, 9], kernel_shape=[4], strides=[3], pads=[2, 1])),
    ("pool power of two", one("AveragePool", [1, 2, 8, 8], kernel_shape=[2, 2], strides=[2, 2])),
    ("pool dilated", one("AveragePool", [1, 1, 9, 9], kernel_shape=[3, 2], dilations=[2, 3], opset=19)),
    ("global pool", one("GlobalAveragePool", [2, 3, 4, 5])),
    ("pad 10", one("Pad", [2, 3], opset=10, pads=[1, 0, 2, -1], value=0.3)),
    ("pad 13", one("Pad", [2, 3], [i64(0, 1, 1, 2), np.float32(-2).reshape(())])),
    ("pad axes", one("Pad", [2, 3], [i64(1, 2), np.float32(0).reshape(()), i64(-1)], opset=18)),
    ("pad reflect", one("Pad", [2, 4], [i64(0, 2, 1, 3)], mode="reflect")),
    ("pad edge", one("Pad", [2, 4], [i64(2, 1, 0, 3)], mode="edge")),
    ("slice 9", one("Slice", [4, 5], opset=9, starts=[1, -3], ends=[100, -1], axes=[0, 1])),
    ("slice back", one("Slice", [4, 5], [i64(-1, 3), i64(-(1 << 62), 0), i64(0, -1), i64(-2, -1)])),
    (
        "split 11",
        model([node("Split", "x", "a b", axis=-1, split=[1, 3]), node("Concat", "b a", "y", axis=1)], {"x": [2, 4]}, ["y"], opset=11),
    ),
    ("split 18", model([node("Split", "x", "a b c", num_outputs=3), node("Concat", "c a", "y", axis=0)], {"x": [5, 2]}, ["y"], opset=18)),
    ("gather", one("Gather", [3, 4], [np.array([[0, -1], [2, 2]])], axis=1)),
    ("gather one", one("Gather", [3, 4], [np.array(-2)], axis=0)),
    ("concat constant", model([node("Concat", "x c x", "y", axis=-1)], {"x": [2, 2]}, ["y"], {"c": weights(2, 3)})),
    ("expand", one("Expand", [3, 1], [i64(2, 1, 4)])),
    ("reduce 11", one("ReduceSum", [2, 3, 4], opset=11, axes=[-1, 0], keepdims=0)),
    ("reduce 13", one("ReduceSum", [2, 3, 4], [i64(1)])),
    ("reduce all", one("ReduceMean", [2, 3, 4], keepdims=0)),
    ("reduce mean", one("ReduceMean", [2, 3, 4], [i64(1, 2)], opset=18)),
    ("noop", one("ReduceSum", [2, 3], noop_with_empty_axes=1)),
    ("squeeze", one("Squeeze", [1, 3, 1], opset=11)),
    ("unsqueeze", one("Unsqueeze", [3], [i64(-1, 0)])),
    ("transpose", one("Transpose", [2, 3, 4])),
    ("flatten", one("Flatten", [2, 3, 4], axis=-1)),
    ("clip 10", one("Clip", [5], opset=10, min=-0.25)),
    ("clip 13", model([node("Clip", "x lo hi", "y")], {"x": [5]}, ["y"], {"lo": np.float32(-0.1), "hi": np.float32(0.6)})),
    ("leaky", one("LeakyRelu", [5])),
    ("abs sigmoid tanh", model([node("Abs", "x", "a"), node("Sigmoid", "a", "b"), node("Tanh", "b", "y")], {"x": [5]}, ["y"])),
    ("constants", model([node("Div", "c d", "q"), node("Mul", "x q", "y")], {"x": [2]}, ["y"], {"c": f32(3), "d": f32(4)})),
    (
        "inexact constants",
        model([node("Div", "c d", "q"), node("Sigmoid", "q", "s"), node("Add", "x s", "y")], {"x": [2]}, ["y"], {"c": f32(1), "d": f32(3)}),
    ),
    (
        "shape chain",
        model(
            [
                node("Shape", "x", "s"),
                node("Gather", "s zero", "n"),
                node("Unsqueeze", "n axis", "u"),
                node("Concat", "u m", "t", axis=0),
                node("Reshape", "x t", "y"),
            ],
            {"x": [2, 3, 2]},
            ["y"],
            {"zero": np.array(0), "axis": i64(0), "m": i64(-1)},
        ),
    ),
]


@pytest.mark.parametrize("data", [d for _, d in OPERATORS], ids=[n for n, _ in OPERATORS])
def test_operator_agrees_with_onnxruntime(data: bytes) -> None:
    check(data, 2.0)


@pytest.mark.parametrize("seed", range(25))
def test_random_networks(seed: int) -> None:
    """Layers of random kinds on an image, a residual connection, a dense head."""
    rng = np.random.default_rng(seed)
    nodes, constants, value, shape = [], {}, "x", [1, int(rng.integers(1, 4)), int(rng.integers(5, 9)), int(rng.integers(5, 9))]
    first = list(shape)

    def emit(op: str, *arrays: np.ndarray, **attributes: object) -> None:
        nonlocal value
        names = [f"c{len(constants) + i}" for i in range(len(arrays))]
        constants.update(zip(names, arrays))
        nodes.append(helper.make_node(op, [value, *names], [f"v{len(nodes)}"], **attributes))
        value = nodes[-1].output[0]

    def normal(*size: int) -> np.ndarray:
        return rng.normal(size=size).astype(np.float32)

    for _ in range(int(rng.integers(2, 6))):
        kind = rng.choice(["conv", "bn", "relu", "leaky", "sigmoid", "tanh", "residual", "scale", "pad", "clip", "abs"])
        channels = shape[1]
        if kind == "conv":
            out = int(rng.integers(1, 5))
            emit("Conv", normal(out, channels, 3, 3) / 3, normal(out), pads=[1, 1, 1, 1])
            shape[1] = out
        elif kind == "bn":
            emit("BatchNormalization", normal(channels), normal(channels), normal(channels), np.abs(normal(channels)) + np.float32(0.1))
        elif kind == "residual":
            before = value
            emit("Conv", normal(channels, channels, 1, 1))
            emit("Relu")
            nodes.append(helper.make_node("Add", [value, before], [f"v{len(nodes)}"]))
            value = nodes[-1].output[0]
        elif kind == "scale":
            emit(str(rng.choice(["Mul", "Sub", "Add"])), normal(channels, 1, 1))
        elif kind == "pad":
            emit("Pad", i64(0, 0, 1, 0, 0, 0, 0, 2))
            shape[2], shape[3] = shape[2] + 1, shape[3] + 2
        elif kind == "clip":
            emit("Clip", np.float32(-1).reshape(()), np.float32(2).reshape(()))
        else:
            emit({"relu": "Relu", "leaky": "LeakyRelu", "sigmoid": "Sigmoid", "tanh": "Tanh", "abs": "Abs"}[str(kind)])
    emit("Flatten")
    emit("Gemm", normal(int(np.prod(shape)), 5), normal(5))
    check(model(nodes, {"x": first}, [value], constants), seed=seed)
