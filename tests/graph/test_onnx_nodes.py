"""The node tests of the onnx package: whatever is accepted agrees with the expected outputs, and what is refused is listed here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from verifier.errors import ModelError
from verifier.graph.ir import Graph
from verifier.graph.lowering import Builder, constant, lower_node
from verifier.graph.onnx_reader import Model, read_bytes, supported_operators
from verifier.graph.tensors import checked
from verifier.operators.base import Input

# Cases of supported operators that are refused, by a part of their name, and why.
REFUSED = {
    "test_averagepool_3d": "three spatial dimensions",
    "test_conv3d": "three spatial dimensions",
    "test_batchnorm_epsilon_training_mode": "training",
    "test_batchnorm_example_training_mode": "training",
    "test_training_dropout": "training",
    "test_dropout_default_mask": "the mask is an output",
    "test_identity_opt": "optional types",
    "test_identity_sequence": "sequences",
    "test_cast_": "casts to and from types other than float and double",
    "test_range_float_type": "a real range",
    "test_range_float16_type": "a real range",
    "test_range_bfloat16_type": "a real range of bfloat16",
    "test_clip_min_greater_than_max": "contradicting bounds",
    "test_equal_string": "strings",
    "test_slice_start_out_of_bounds": "an empty result",
    "test_split_zero_size_splits": "empty results",
    "test_maxpool_with_argmax": "indices are an output",
    "bool_inputs": "booleans",
    "test_reduce_max_empty_set": "an empty axis",
    "test_reduce_min_empty_set": "an empty axis",
    "test_reduce_sum_empty_set": "an empty input",
    "test_reshape_allowzero_reordered": "an empty input",
    "float16": "inputs in half precision",
    "cubic": "cubic interpolation",
    "antialias": "antialiasing",
    "half_pixel_symmetric": "coordinates",
    "tf_crop_and_resize": "coordinates",
    "nearest_axes": "axes of a Resize",
    "nearest_not": "aspect ratios",
    "test_resize_downsample_scales_linear": "interpolation with rounded weights",
    "test_resize_downsample_sizes_linear": "interpolation with rounded weights",
    "test_resize_upsample_scales_linear_align_corners": "interpolation with rounded weights",
    "test_convtranspose_3d": "three spatial dimensions",
    "test_reduce_l1_empty_set": "an empty input",
    "test_reduce_l2_empty_set": "an empty input",
    "test_reduce_sum_square_empty_set": "an empty input",
    "test_reduce_log_sum_empty_set": "an empty input",
    "test_einsum_batch_diagonal": "a diagonal",
    "test_reduce_log_sum_exp_empty_set": "an empty input",
    "test_scatter_elements_with_duplicate_indices": "a reduction",
    "test_scatter_elements_with_reduction": "a reduction",
    **dict.fromkeys(("test_scatternd_add", "test_scatternd_max", "test_scatternd_min", "test_scatternd_multiply"), "a reduction"),
}
EITHER = ("_expanded",)
"""Compositions that the package generates; some use operators in a form that is refused."""
INTEGER_NAMES = ("_int8", "_int16", "_uint8", "_uint16", "_uint32", "_uint64", "_int32", "_int64")


def collected() -> dict[str, Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    supported, newest = set(supported_operators()), onnx.defs.onnx_opset_version()
    return {
        c.name: c
        for c in cases
        if c.model is not None
        and {n.op_type for n in c.model.graph.node} <= supported
        and all(o.domain == "" and 7 <= o.version <= newest for o in c.model.opset_import)
    }


CASES = collected()


def in_half_precision(data: list[Any]) -> bool:
    return any(isinstance(v, np.ndarray) and v.dtype == np.float16 for v in data)


def variants(case: Any) -> Iterator[tuple[Model | ModelError, list[int]]]:
    """The model with some float inputs left variable and the rest made initialisers: all, then each one alone."""
    data = case.data_sets[0][0]
    if in_half_precision(data):
        return
    names = [i.name for i in case.model.graph.input]
    data = [np.asarray(v) if isinstance(v, np.generic) else v for v in data]
    floats = [k for k, v in enumerate(data) if isinstance(v, np.ndarray) and v.dtype in (np.float32, np.float64) and v.size]
    for free in [floats, *([k] for k in floats if len(floats) > 1)]:
        proto = onnx.ModelProto()
        proto.CopyFrom(case.model)
        for k, (name, value) in enumerate(zip(names, data)):
            if k not in free:
                if not isinstance(value, np.ndarray):
                    return
                proto.graph.initializer.append(numpy_helper.from_array(value, name))
        try:
            yield read_bytes(proto.SerializeToString(), case.name), free
        except ModelError as error:
            yield error, free


def folded(case: Any, reasons: list[str]) -> int:
    """The nodes with every input constant: 1 if that is accepted and the result is the expected one."""
    builder = Builder(case.name)
    builder.add(Input(), (), (1,), "")
    data, expected = case.data_sets[0]
    if in_half_precision(data):
        return 0
    try:
        known = {
            i.name: constant(checked(np.asarray(v), case.name, i.name))
            for i, v in zip(case.model.graph.input, data)
            if np.asarray(v).dtype.kind in "fib" and not isinstance(v, list)
        }
        if len(known) < len(data):
            return 0
        for node in case.model.graph.node:
            known.update(zip(node.output, lower_node(node, known, case.model.opset_import[0].version, builder)))
    except ModelError as error:
        reasons.append(str(error))
        return 0
    values = Graph(tuple(builder.nodes)).values(np.zeros((1, 1)))
    for output, truth in zip(case.model.graph.output, expected):
        value = known.get(output.name)
        if value is None:
            return 0
        ours = values[value.node][0] if value.data is None else value.data
        assert ours.shape == value.shape == truth.shape
        digits = 1e-3 if "last_window_starts_on_pad" in case.name else 1e-5
        np.testing.assert_allclose(ours.astype(np.float64), truth.astype(np.float64), rtol=digits, atol=1e-6)
    return 1


def expectation(name: str) -> bool | None:
    """True: must be accepted in some variant; False: must be refused; None: either."""
    if any(name.endswith(s) or s + "_" in name for s in INTEGER_NAMES):
        return None
    if any(part in name for part in EITHER):
        return None
    return not any(part in name for part in REFUSED)


@pytest.mark.parametrize("name", sorted(CASES))
def test_node(name: str) -> None:
    case = CASES[name]
    data, expected = case.data_sets[0]
    accepted, reasons = 0, []
    for model, free in variants(case):
        if isinstance(model, ModelError):
            assert model.code.startswith("V1") and model.location is not None
            reasons.append(str(model))
            continue
        accepted += 1
        x = np.concatenate([np.asarray(data[k], np.float64).reshape(-1) for k in free])[None]
        assert model.output_shapes == tuple(e.shape for e in expected)
        y = np.concatenate([np.asarray(e, np.float64).reshape(-1) for e in expected])
        digits = 1e-3 if "last_window_starts_on_pad" in name else 1e-5  # that case is written with four digits
        np.testing.assert_allclose(model.graph.evaluate(x)[0], y, rtol=digits, atol=1e-6)
    constants, wanted = folded(case, reasons), expectation(name)
    if wanted is False:
        assert not accepted
    elif wanted:
        assert accepted or constants, reasons


def test_enough_cases_are_accepted() -> None:
    assert sum(expectation(n) is True for n in CASES) >= 150
