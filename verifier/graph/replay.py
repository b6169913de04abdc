"""onnxruntime on the file's own bytes: the judge of counterexamples, and the check of the conversion at every load."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from verifier.errors import Location, ModelError
from verifier.graph.onnx_reader import Model


class Replay:
    """The network of `model` in onnxruntime, on the CPU with one thread. The session starts at the first run."""

    def __init__(self, model: Model):
        self._model = model

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        onnxruntime.set_default_logger_severity(3)
        try:
            return onnxruntime.InferenceSession(self._model.data, options, providers=["CPUExecutionProvider"])
        except (RuntimeError, *_faults()) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ModelError:
        return ModelError(f"onnxruntime refuses the network: {str(error).splitlines()[0]}", code="V115", location=Location(self._model.file))

    @cached_property
    def _batched(self) -> bool:
        """Whether many points may run at once: the file leaves the batch open, and a trial shows that points do not mix."""
        if not self._model.symbolic_batch:
            return False
        x = np.random.default_rng(0).uniform(-1, 1, (2, self._model.graph.input_size))
        try:
            together = self._call(self._cast(x), 2)
        except ModelError:
            return False
        apart = np.concatenate([self._call(self._cast(p[None]), 1) for p in x])
        return together.shape == apart.shape and bool(np.allclose(together, apart, rtol=1e-3, atol=1e-5, equal_nan=True))

    def _cast(self, x: np.ndarray) -> np.ndarray:
        types = {np.dtype(t) for t in self._model.input_dtypes}
        if len(types) == 1:
            return np.ascontiguousarray(x, dtype=types.pop())
        x = np.array(x, dtype=np.float64)
        start = 0
        for shape, dtype in zip(self._model.input_shapes, self._model.input_dtypes):
            part = slice(start, start + math.prod(shape))
            x[:, part] = x[:, part].astype(dtype)
            start = part.stop
        return x

    def _call(self, x: np.ndarray, count: int) -> np.ndarray:
        feed, start = {}, 0
        for name, shape, dtype in zip(self._model.input_names, self._model.input_shapes, self._model.input_dtypes):
            size = math.prod(shape)
            feed[name] = x[:, start : start + size].reshape((count, *shape[1:]) if count > 1 else shape).astype(dtype, copy=False)
            start += size
        try:
            results = self._session.run(list(self._model.output_names), feed)
        except (RuntimeError, *_faults()) as error:
            raise self._refused(error) from error
        if any(r.size != count * math.prod(s) for r, s in zip(results, self._model.output_shapes)):
            raise ModelError("onnxruntime returns outputs of other shapes", code="V115", location=Location(self._model.file))
        return np.concatenate([r.reshape(count, -1) for r in results], axis=1)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, n) -> the points in the network's input type (N, n), its outputs (N, m) in its output type.

        Raises:
            ModelError: V115 where onnxruntime cannot load or run the network.
        """
        x = self._cast(x)
        if len(x) > 1 and self._batched:
            return x, self._call(x, len(x))
        outputs = [self._call(p[None], 1) for p in x]
        return x, np.concatenate(outputs) if outputs else np.zeros((0, self._model.graph.output_size), dtype=np.float32)


def _faults() -> tuple[type[Exception], ...]:
    """onnxruntime's own exceptions; some of them derive from Exception alone."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented, state.RuntimeException,
            state.NoSuchFile, state.NoModel, state.EPFail, state.ModelLoaded)
