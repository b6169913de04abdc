"""onnxruntime on the file's own bytes: the judge of counterexamples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from verifier.errors import Location, ModelError
from verifier.graph.onnx_reader import Model


class Evaluator(Protocol):
    """What confirms counterexamples."""

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Replay.run`."""
        ...


class Session:
    """onnxruntime with the tensors `outputs` of the file `data` of `model`, on the CPU with one thread; it starts at the first run.

    plain: every node is computed as it stands, none fused or folded.
    """

    def __init__(self, model: Model, data: bytes, outputs: Sequence[str], plain: bool = False):
        self._model, self._data, self._outputs, self._plain = model, data, list(outputs), plain

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if self._plain:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        onnxruntime.set_default_logger_severity(3)
        try:
            return onnxruntime.InferenceSession(self._data, options, providers=["CPUExecutionProvider"])
        except _faults() as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ModelError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ModelError(f"onnxruntime refuses the network: {reason}", code="V115", location=Location(self._model.file))

    def cast(self, x: np.ndarray) -> np.ndarray:
        """Points (N, n) in the input type of the model; in float64 where its inputs have several types, each rounded to its own."""
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

    def run(self, x: np.ndarray, count: int = 1) -> list[np.ndarray]:
        """The tensors at points x (count, n) that were `cast`, as onnxruntime gives them. ModelError V115 where it cannot run."""
        feed, start = {}, 0
        for name, shape, dtype in zip(self._model.input_names, self._model.input_shapes, self._model.input_dtypes):
            size = math.prod(shape)
            feed[name] = x[:, start : start + size].reshape((count, *shape[1:]) if count > 1 else shape).astype(dtype, copy=False)
            start += size
        try:
            results: list[np.ndarray] = self._session.run(self._outputs, feed)
        except _faults() as error:
            raise self._refused(error) from error
        return results


class Replay:
    """The network of `model` as it is used: the file's own bytes, with onnxruntime's own optimisations."""

    def __init__(self, model: Model):
        self._model = model
        self._session = Session(model, model.data, model.output_names)

    @cached_property
    def _batched(self) -> bool:
        """Whether many points may run at once: the file leaves the batch open, and a trial shows that points do not mix."""
        if not self._model.symbolic_batch:
            return False
        x = np.random.default_rng(0).uniform(-1, 1, (2, self._model.graph.input_size))
        try:
            together = self._call(self._session.cast(x), 2)
        except ModelError:
            return False
        apart = np.concatenate([self._call(self._session.cast(p[None]), 1) for p in x])
        return together.shape == apart.shape and bool(np.allclose(together, apart, rtol=1e-3, atol=1e-5, equal_nan=True))

    def _call(self, x: np.ndarray, count: int) -> np.ndarray:
        results = self._session.run(x, count)
        if any(r.size != count * math.prod(s) for r, s in zip(results, self._model.output_shapes)):
            raise ModelError("onnxruntime returns outputs of other shapes", code="V115", location=Location(self._model.file))
        return np.concatenate([r.reshape(count, -1) for r in results], axis=1)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, n) -> the points in the network's input type (N, n), its outputs (N, m) in its output type.

        Raises:
            ModelError: V115 where onnxruntime cannot load or run the network.
        """
        x = self._session.cast(x)
        if len(x) > 1 and self._batched:
            return x, self._call(x, len(x))
        outputs = [self._call(p[None], 1) for p in x]
        return x, np.concatenate(outputs) if outputs else np.zeros((0, self._model.graph.output_size), dtype=np.float32)


def _faults() -> tuple[type[Exception], ...]:
    """onnxruntime's own exceptions; some of them derive from Exception alone."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        RuntimeError,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
        state.NoSuchFile,
        state.NoModel,
        state.EPFail,
        state.ModelLoaded,
    )
