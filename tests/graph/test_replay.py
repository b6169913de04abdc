"""onnxruntime as the judge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.graph.models import i64, model
from verifier.errors import ModelError
from verifier.graph.onnx_reader import Model, read_bytes
from verifier.graph.replay import Replay

RNG = np.random.default_rng(11)


def node(op: str, inputs: str, outputs: str, **attributes: object):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"n_{outputs.split()[0]}", **attributes)


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


def test_refused_by_onnxruntime() -> None:
    m = small()
    with pytest.raises(ModelError) as e:
        Replay(replace(m, data=b"\x08\x08:\x00")).run(np.zeros((1, 4)))
    assert e.value.code == "V115"
