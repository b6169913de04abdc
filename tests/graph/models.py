"""Small ONNX models for the tests of the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str] | None],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 13,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    proto = onnx.ModelProto(ir_version=min(10, onnx.IR_VERSION), opset_import=[helper.make_opsetid("", opset)])
    proto.graph.name = "g"
    proto.graph.node.extend(nodes)
    proto.graph.input.extend(helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items())
    proto.graph.output.extend(helper.make_tensor_value_info(n, kind, None) for n in outputs)
    proto.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in (constants or {}).items())
    return proto.SerializeToString()


def one(
    op: str,
    shape: Sequence[int],
    constants: Sequence[np.ndarray] = (),
    *,
    opset: int = 13,
    outputs: int = 1,
    kind: int = TensorProto.FLOAT,
    **attributes: object,
) -> bytes:
    """A network of one node; its first input is the network's, the others are constants."""
    names = [f"c{i}" for i in range(len(constants))]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, ["x", *names], results, name="the_node", **attributes)
    return model([node], {"x": shape}, results, dict(zip(names, constants)), opset=opset, kind=kind)


def f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)
