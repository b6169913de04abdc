"""A network of two neurons and queries about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QUERY = """
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (>= X_0 -1.0))
(assert (<= X_0 1.0))
(assert (>= X_1 0.25))
(assert (<= X_1 0.5))
(assert (>= Y_0 3.0))
"""


def model(tmp_path: Path, function: str = "Relu") -> Path:
    """y = w . f(x): over QUERY's box the first neuron is unstable, the second is not."""
    weights = numpy_helper.from_array(np.array([[1.0], [2.0]], np.float32), "w")
    nodes = [helper.make_node(function, ["x"], ["h"], name="f"), helper.make_node("MatMul", ["h", "w"], ["y"], name="m")]
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("x", 2), ("y", 1))]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], [weights])
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
