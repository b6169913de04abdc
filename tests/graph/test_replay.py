"""onnxruntime as the judge, and the self-check: it accepts every correct reading and finds faults of one weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.graph.models import f32, i64, model, one
from verifier.errors import ModelError, SelfCheckError
from verifier.graph.ir import Graph
from verifier.graph.onnx_reader import Model, read_bytes
from verifier.graph.replay import Replay, self_check

RNG = np.random.default_rng(11)


def node(op: str, inputs: str, outputs: str, **attributes: object):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"n_{outputs.split()[0]}", **attributes)


def check(data: bytes, width: float = 1.0, seed: int = 0) -> None:
    m = read_bytes(data)
    n = m.graph.input_size
    self_check(m, Replay(m), np.full(n, -width), np.full(n, width), seed)


def small(batch: int | str = 1) -> Model:
    w = [RNG.normal(size=s).astype(np.float32) for s in ((4, 6), (6, 2))]
    nodes = [node("MatMul", "x w0", "a"), node("Add", "a b", "h"), node("Tanh", "h", "r"), node("MatMul", "r w1", "y")]
    return read_bytes(model(nodes, {"x": [batch, 4]}, ["y"], {"w0": w[0], "w1": w[1], "b": RNG.normal(size=6).astype(np.float32)}))


@pytest.mark.parametrize("batch", [1, "N"])
def test_run(batch: int | str) -> None:
    m = small(batch)
    x = RNG.normal(size=(7, 4))
    cast, y = Replay(m).run(x)
    assert cast.dtype == y.dtype == np.float32 and cast.shape == (7, 4) and y.shape == (7, 2)
    np.testing.assert_array_equal(cast, x.astype(np.float32))
    np.testing.assert_allclose(y, m.graph.evaluate(cast.astype(np.float64)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([Replay(m).run(p[None])[1] for p in x]), y, rtol=1e-5, atol=1e-6)
    assert Replay(m)._batched == (batch == "N")


def test_a_batch_that_mixes_points_runs_point_by_point() -> None:
    m = read_bytes(model([node("ReduceMean", "x", "y", axes=[0])], {"x": ["N", 2]}, ["y"]))
    x = RNG.normal(size=(5, 2))
    np.testing.assert_allclose(Replay(m).run(x)[1], x, rtol=1e-6)
    m = read_bytes(model([node("Reshape", "x s", "r"), node("Relu", "r", "y")], {"x": ["N", 2]}, ["y"], {"s": i64(1, 2)}))
    np.testing.assert_allclose(Replay(m).run(x)[1], np.maximum(x, 0), rtol=1e-6)


def test_several_inputs_outputs_and_doubles() -> None:
    nodes = [node("Add", "a b", "s"), node("Transpose", "b", "t", perm=[1, 0])]
    m = read_bytes(model(nodes, {"a": [2, 3], "b": [2, 3]}, ["t", "s"], kind=TensorProto.DOUBLE))
    x, y = Replay(m).run(RNG.normal(size=(3, 12)))
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, m.graph.evaluate(x))
    self_check(m, Replay(m), np.zeros(12), np.ones(12), 0)


def test_refused_by_onnxruntime() -> None:
    m = small()
    with pytest.raises(ModelError) as e:
        Replay(replace(m, data=b"\x08\x08:\x00")).run(np.zeros((1, 4)))
    assert e.value.code == "V115"


@pytest.mark.parametrize("fault", ["weight", "bias", "sign"])
def test_self_check_finds_faults(fault: str) -> None:
    m = small()
    lower, upper = np.full(4, -1.0), np.full(4, 1.0)
    found = self_check(m, Replay(m), lower, upper, 0)
    assert found.difference <= found.bound < 1e-4 and found.samples == 64
    nodes = list(m.graph.nodes)
    at = next(i for i, n in enumerate(nodes) if type(n.operator).__name__ == "Linear")
    op = nodes[at].operator
    w, b = op.weight.copy(), op.bias.copy()  # type: ignore[attr-defined]
    if fault == "weight":
        w[0, 0] *= 1.01
    elif fault == "bias":
        b[0] += 0.01
    else:
        b = -b
    nodes[at] = replace(nodes[at], operator=replace(op, weight=w, bias=b))
    with pytest.raises(SelfCheckError) as e:
        self_check(replace(m, graph=Graph(tuple(nodes))), Replay(m), lower, upper, 0)
    assert e.value.code == "V401" and "Y_" in e.value.message and "onnxruntime" in e.value.message


# -- random graphs against onnxruntime --


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


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
        (f"conv {auto}", one("Conv", [2, 2, 7, 6], [weights(3, 2, 3, 2), weights(3)], auto_pad=auto, strides=[2, 3]))
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
