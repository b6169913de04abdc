"""A counterexample as serialised ONNX tensors, one file a declared variable."""

from __future__ import annotations

from pathlib import Path

from verifier.verdict import Assignment, Counterexample

_REAL = "DOUBLE"
"""The tensors' type for variables that are declared as real: it holds the values of every supported network."""
_TYPES = {"real": _REAL, "float32": "FLOAT", "float64": "DOUBLE"}


def write(counterexample: Counterexample, folder: Path) -> None:
    """FOLDER/VARIABLE.pb, an onnx.TensorProto of the declared type and shape; OSError where that cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    for variable in counterexample.variables:
        (folder / f"{variable.name}.pb").write_bytes(_tensor(variable))


def _tensor(variable: Assignment) -> bytes:
    from onnx import TensorProto, helper

    kind = TensorProto.DataType.Value(_TYPES.get(variable.dtype, variable.dtype.upper()))
    values = [int(v) if "int" in variable.dtype else float(v) for v in variable.values]
    return bytes(helper.make_tensor(variable.name, kind, list(variable.shape), values).SerializeToString())
