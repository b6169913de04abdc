"""onnxruntime on the file's own bytes: the judge of counterexamples, and the check of the conversion at every load."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from verifier.errors import Location, ModelError, SelfCheckError
from verifier.graph.ir import Node
from verifier.graph.onnx_reader import Model
from verifier.operators.affine import Conv, Linear
from verifier.operators.base import Affine, Elementwise, Input


class Evaluator(Protocol):
    """What confirms counterexamples."""

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Replay.run`."""
        ...


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
        except _faults() as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ModelError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ModelError(f"onnxruntime refuses the network: {reason}", code="V115", location=Location(self._model.file))

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
        except _faults() as error:
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

    return (RuntimeError, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented,
            state.RuntimeException, state.NoSuchFile, state.NoModel, state.EPFail, state.ModelLoaded)


@dataclass(frozen=True)
class Agreement:
    """The largest difference found, and the bound at the same place; `samples` points were compared."""

    samples: int
    difference: float
    bound: float


def self_check(model: Model, replay: Replay, lower: np.ndarray, upper: np.ndarray, seed: int = 0) -> Agreement:
    """Compares the graph with onnxruntime at up to 64 points and corners of the box lower, upper (n,).

    The allowed difference is the rounding error of an evaluation in the network's precision, with its sums in any order, fused or
    not, plus that of the float64 evaluation (`_rounding`). Large networks are compared at fewer points, at least 4.

    Raises:
        SelfCheckError: V401 with the output, both numbers and the bound.
        ModelError: V115 where onnxruntime refuses the network.
    """
    work = sum(_work(n) for n in model.graph.nodes)
    count = int(np.clip(_WORK // max(work, 1), 4, 64))
    x, theirs = replay.run(_points(np.asarray(lower, np.float64), np.asarray(upper, np.float64), count, seed))
    step = int(np.clip(_WORK // 4 // max(work, 1), 1, count))
    worst = Agreement(count, 0.0, 0.0)
    for start in range(0, count, step):
        part = slice(start, start + step)
        ours, bound = _rounding(model, np.asarray(x[part], np.float64))
        difference = np.abs(ours - np.asarray(theirs[part], np.float64))
        bad = ~(difference <= bound)
        if bad.any():
            i, j = np.unravel_index(int(np.argmax(np.where(bad, 1.0, 0.0))), bad.shape)
            raise _disagreement(model, int(j), float(ours[i, j]), float(theirs[part][i, j]), float(bound[i, j]))
        i, j = np.unravel_index(int(np.argmax(difference)), bad.shape)
        if difference[i, j] >= worst.difference:
            worst = Agreement(count, float(difference[i, j]), float(bound[i, j]))
    return worst


_WORK = 150_000_000
"""Multiplications of one evaluation times the points compared: about 0.3 s with the error bound in numpy."""


def _work(node: Node) -> int:
    op = node.operator
    if isinstance(op, Linear):
        return node.size * op.weight.shape[0]
    if isinstance(op, Conv):  # unfolding costs more than multiplying
        patches = math.prod(op.shape_in[:2]) * math.prod(op.weight.shape[2:]) * node.shape[2] * node.shape[3]
        return node.size * math.prod(op.weight.shape[1:]) + 8 * patches
    return node.size


def _points(lower: np.ndarray, upper: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Both extreme corners, random corners (a quarter), the rest uniform."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(count, lower.size))
    corners = max(2, count // 4)
    share[:corners] = share[:corners] > 0.5
    share[0], share[1] = 0.0, 1.0
    return lower * (1 - share) + upper * share


def _rounding(model: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (N, m) in float64, and how far any evaluation in the network's precision u may be from them.

    With v the computed values and e bounds of their error: an affine node of k terms has
    e = |J| e_p + g_k (|J| (|v_p| + e_p) + |F(0)|), where g_k = k u / (1 - k u) and k has 8 roundings more than the node's own terms
    (fused normalisation, converted constants); an elementwise one e = L e_p + r u |s|, with L the steepest slope on [v - e, v + e].
    Libraries approximate smooth functions to a few units of the largest value, so these get r u times that as well.
    Underflow adds a subnormal unit a node.
    """
    u, tiny = (2.0**-24, 2.0**-120) if model.single_precision else (2.0**-53, 2.0**-960)
    values: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    for node in model.graph.nodes:
        op = node.operator
        if isinstance(op, Input):
            value, error = x, np.zeros_like(x)
        elif isinstance(op, Affine):
            k = op.terms + 8
            g = k * (u + 2.0**-53) / (1 - 2 * k * u)
            value = op.forward(len(x), *(values[p] for p in node.inputs))
            error = op.absolute(len(x), *(errors[p] + g * (np.abs(values[p]) + errors[p]) for p in node.inputs)) + tiny
            if op.offset_magnitude is not None:
                error = error + g * op.offset_magnitude
        elif isinstance(op, Elementwise):
            v, e = values[node.inputs[0]], errors[node.inputs[0]]
            value = op.function(v)
            steepest = np.maximum(*map(np.abs, op.slope_range(v - e, v + e))) * (1 + 1e-6)
            approximate = op.function_ulps > 2
            error = steepest * e + 32 * u * (np.abs(value) + (op.offset_scale if approximate else 0.0)) + tiny
        else:
            raise TypeError(f"operator {op!r} has no error bound")
        values.append(value)
        errors.append(error)
    return values[-1], errors[-1] * (1 + 1e-6)


def _disagreement(model: Model, index: int, ours: float, theirs: float, bound: float) -> SelfCheckError:
    ends = np.cumsum([math.prod(s) for s in model.output_shapes])
    part = int(np.searchsorted(ends, index, side="right"))
    name, first = model.output_names[part], index - int(ends[part] - math.prod(model.output_shapes[part]))
    return SelfCheckError(
        f"output Y_{index} is {ours!r} by the own evaluation and {theirs!r} by onnxruntime; rounding explains {bound:.3g} at most",
        location=Location(model.file, detail=f"output {name!r}, element {first}"),
        hint="the network was not understood correctly, or onnxruntime computes it inaccurately: please report it")
