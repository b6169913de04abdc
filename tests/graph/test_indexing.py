"""Elements that constant indices gather or replace, variables and constants alike, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from tests.graph.models import f32, i64, model, one
from verifier.errors import ModelError
from verifier.graph.onnx_reader import read_bytes
from verifier.graph.replay import Replay

NETWORKS = {
    "elements": one("GatherElements", [3, 4], [i64(0, -1, 2, 1, 1, 0).reshape(2, 3)], axis=1),
    "tuples": one("GatherND", [3, 4, 2], [i64(0, -1, 2, 1).reshape(2, 2)]),
    "tuples in batches": one("GatherND", [2, 3, 2], [i64(1, 0, -1, 1).reshape(2, 1, 2)], batch_dims=1, opset=13),
    "replaced elements": one("ScatterElements", [3, 4], [i64(0, -1, 2, 1).reshape(2, 2), f32(5, 6, 7, 8).reshape(2, 2)], axis=1),
    "replaced rows": one("ScatterND", [3, 4], [i64(2, 0).reshape(2, 1), np.arange(8, dtype=np.float32).reshape(2, 4)]),
    "variable updates": model([helper.make_node("ScatterND", ["c", "i", "x"], ["y"])], {"x": [2]}, ["y"],
                              {"c": f32(1, 2, 3, 4), "i": i64(3, 1).reshape(2, 1)}),
    "logarithms of sums": model(
        [helper.make_node("ReduceLogSumExp", ["x"], ["a"], axes=[0, 2], keepdims=0), helper.make_node("Exp", ["x"], ["e"]),
         helper.make_node("ReduceLogSum", ["e"], ["b"], axes=[0, 2], keepdims=0), helper.make_node("Mean", ["a", "b", "a"], ["y"])],
        {"x": [2, 3, 2]}, ["y"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_those_of_onnxruntime(name: str) -> None:
    network = read_bytes(NETWORKS[name])
    x = np.random.default_rng(3).normal(size=(20, network.graph.input_size)).astype(np.float32).astype(np.float64)
    assert np.allclose(network.graph.evaluate(x), Replay(network).run(x)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (one("ScatterND", [3], [i64(1, -2).reshape(2, 1), f32(1, 2)]), "the same element"),
        (one("ScatterND", [3], [i64(1, 2).reshape(2, 1), f32(1, 2)], reduction="add", opset=16), "reduction"),
        (one("GatherElements", [3], [i64(3)]), "outside"),
        (one("GatherND", [3, 2], [i64(0, 1, 0).reshape(1, 3)]), "do not fit"),
    ],
    ids=["twice", "reduction", "outside", "too many"],
)
def test_refused(data: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_bytes(data)
