"""ONNX tensors as exact numpy arrays: floating point as float64, integers as int64, booleans as bool."""

from __future__ import annotations

import math

import numpy as np
import onnx

from verifier.errors import Location, ModelError

LARGEST = 1 << 28
"""Elements that one tensor may have: a guard against shapes that only a broken file holds."""
MOST_AXES = 32

_T = onnx.TensorProto
_RAW: dict[int, str] = {
    _T.FLOAT: "<f4", _T.DOUBLE: "<f8", _T.FLOAT16: "<f2", _T.INT64: "<i8", _T.INT32: "<i4", _T.INT16: "<i2", _T.INT8: "i1",
    _T.UINT8: "u1", _T.UINT16: "<u2", _T.UINT32: "<u4", _T.UINT64: "<u8", _T.BOOL: "?",
}
_FIELDS: dict[int, str] = {
    _T.FLOAT: "float_data", _T.DOUBLE: "double_data", _T.INT64: "int64_data", _T.UINT32: "uint64_data", _T.UINT64: "uint64_data",
}
REAL = (_T.FLOAT, _T.DOUBLE)
"""Element types that inputs, outputs and variable values may have."""


def type_name(element: int) -> str:
    return _T.DataType.Name(element) if element in _T.DataType.values() else f"type {element}"


def decode(tensor: onnx.TensorProto, file: str, name: str | None = None) -> np.ndarray:
    """The value of `tensor`, exact, in float64, int64 or bool.

    Raises:
        ModelError: V104 external data; V109 an element type or value that is not supported; V103 a wrong number of bytes.
    """
    name = name or tensor.name or "(unnamed)"
    where = Location(file, detail=f"tensor {name!r}")
    if tensor.data_location == _T.EXTERNAL or tensor.external_data:
        raise ModelError(f"tensor {name!r} keeps its data in another file", code="V104", location=where,
                         hint="save the model as one file (onnx.save_model(..., save_as_external_data=False))")
    if tensor.data_type not in _RAW or tensor.HasField("segment"):
        raise ModelError(f"tensor {name!r} has element type {type_name(tensor.data_type)}, which is not supported", code="V109",
                         location=where, hint="supported: float16, float, double, integers of up to 64 bits, bool")
    shape = tuple(tensor.dims)
    if len(shape) > MOST_AXES or any(n < 0 for n in shape) or math.prod(shape) > LARGEST:
        raise ModelError(f"tensor {name!r} has the impossible shape {shape}", code="V103", location=where)
    values = _elements(tensor)
    if values.size != math.prod(shape):
        raise ModelError(f"tensor {name!r} of shape {shape} holds {values.size} elements instead of {math.prod(shape)}", code="V103",
                         location=where, hint="the file seems to be damaged")
    return checked(values.reshape(shape), file, name)


def _elements(tensor: onnx.TensorProto) -> np.ndarray:
    dtype = np.dtype(_RAW[tensor.data_type])
    raw = tensor.raw_data  # a copy each time that it is asked for
    if raw:
        return np.frombuffer(raw, dtype=dtype, count=len(raw) // dtype.itemsize)
    data = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    if tensor.data_type == _T.FLOAT16:  # the bits, one number an int32
        return (np.array(data, dtype=np.int64) & 0xFFFF).astype(np.uint16).view(np.float16)
    return np.array(data, dtype=np.uint64 if tensor.data_type == _T.UINT64 else np.float64 if dtype.kind == "f" else np.int64).astype(dtype)


def checked(values: np.ndarray, file: str, name: str) -> np.ndarray:
    """`values` widened to float64, int64 or bool; V109 where a number is not finite or does not fit."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ModelError(f"tensor {name!r} holds NaN or infinity", code="V109", location=Location(file, detail=f"tensor {name!r}"),
                             hint="a network with such weights has no real-valued meaning; export it again")
        return values.astype(np.float64)
    if values.dtype.kind == "b":
        return values.astype(bool)
    if values.dtype == np.uint64 and values.size and int(values.max()) >= 1 << 63:
        raise ModelError(f"tensor {name!r} holds integers beyond 64-bit signed ones", code="V109",
                         location=Location(file, detail=f"tensor {name!r}"))
    return values.astype(np.int64)
