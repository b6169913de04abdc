"""A torch module as the bytes of an ONNX model."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from verifier.errors import Location, ModelError

if TYPE_CHECKING:
    import torch

OPSET = 17


def export(module: torch.nn.Module, shape: tuple[int, ...]) -> tuple[bytes, list[str]]:
    """(bytes, warnings for the user) of `module` in evaluation mode for one input tensor of `shape`.

    Exported by tracing: what the module computes for an example is what is verified. Where torch warns that the computation depends
    on the example's values, so does the second result. Raises ModelError V117 where the export fails.
    """
    import torch

    where = next(module.parameters(), torch.zeros(0))
    example = torch.zeros(shape, dtype=where.dtype, device=where.device)
    buffer = io.BytesIO()
    export: Any = torch.onnx.export  # its annotations lack files in memory
    options: dict[str, Any] = {"dynamo": False, "opset_version": OPSET, "input_names": ["input"], "output_names": ["output"]}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            export(module, (example,), buffer, **options)
        except (RuntimeError, TypeError, ValueError, IndexError, torch.onnx.errors.OnnxExporterError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            hint = f"the module was called with an input of shape {list(shape)}; or export it yourself and give the ONNX model"
            raise _refused(module, f"torch cannot export the module: {reason}", hint) from error
    traced = [str(w.message).splitlines()[0] for w in said if issubclass(w.category, torch.jit.TracerWarning)]
    return buffer.getvalue(), [f"torch, of the export to ONNX: {text}" for text in traced]


def _refused(module: torch.nn.Module, message: str, hint: str) -> ModelError:
    return ModelError(message, code="V117", location=Location(f"<{type(module).__name__}>"), hint=hint)
