"""Does the graph compute what the file says? Every layer against onnxruntime, at points of the box.

onnxruntime runs the model with the tensors inside it as outputs. A node of the graph is evaluated from onnxruntime's own values of
what it reads, so that the difference may be the rounding of one layer and not what a deep network makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from verifier.errors import Location, SelfCheckError
from verifier.graph.ir import Node
from verifier.graph.onnx_reader import Model
from verifier.graph.replay import Session
from verifier.operators.affine import Conv, ConvTranspose
from verifier.operators.base import Affine, Input, Nonlinear

_WORK = 100_000_000
"""Multiplications of one evaluation times the points compared: about 0.2 s with the error bound in numpy."""
_LEAST, _MOST = 2, 32
_HUGE = 1e15


@dataclass(frozen=True)
class Agreement:
    """The largest difference found anywhere, and the bound at the same place; `samples` points were compared in `nodes` nodes."""

    samples: int
    nodes: int
    difference: float
    bound: float


def self_check(model: Model, lower: np.ndarray, upper: np.ndarray, seed: int = 0, stop: Callable[[], bool] = lambda: False) -> Agreement:
    """Compares the graph with onnxruntime at 2 to 32 points and corners of the box lower, upper (n,), fewer in large networks.

    The allowed difference is the rounding error of the layers between two tensors of the file in the network's precision, with
    their sums in any order, fused or not, plus that of the float64 evaluation (`_step`). Bounds beyond 1e15 are brought in, as
    float32 overflows there; a point where a layer may overflow is left alone from there on. Ends early where `stop()`.

    Raises:
        SelfCheckError: V401 with the tensor, both numbers and the bound.
        ModelError: V115 where onnxruntime refuses the network.
    """
    graph = model.graph
    count = int(np.clip(_WORK // max(sum(map(_work, graph.nodes)), 1), _LEAST, _MOST))
    names = list(dict.fromkeys((*(n.tensor for n in graph.nodes if n.tensor), *model.output_names)))
    worst = Agreement(0, 0, 0.0, 0.0)
    if stop():
        return worst
    session = Session(model, _with_outputs(model, names), names, plain=True)
    # So many points at a time that their values fit a cache: a handful in small networks.
    step = int(np.clip(_WORK // 400 // max(sum(n.size for n in graph.nodes), 1), 1, count))
    points = session.cast(_points(lower, upper, count, seed))
    for start in range(0, count, step):
        if stop():
            break
        x = points[start : start + step]
        results = [[r.reshape(-1) for r in session.run(p[None])] for p in x]
        tensors = {n: np.stack(r).astype(np.float64) for n, r in zip(names, zip(*results))}
        found = _compared(model, x.astype(np.float64), tensors, stop)
        greatest = max((worst.difference, worst.bound), (found.difference, found.bound))
        worst = Agreement(worst.samples + len(x), found.nodes, *greatest)
    return worst


def _with_outputs(model: Model, names: list[str]) -> bytes:
    """The file with the tensors `names` as outputs, in this order."""
    proto = onnx.ModelProto.FromString(model.data)
    known = {o.name: o for o in proto.graph.output}
    outputs = [known.get(name, onnx.ValueInfoProto(name=name)) for name in names]
    outputs = [onnx.ValueInfoProto.FromString(o.SerializeToString()) for o in outputs]
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    return bytes(proto.SerializeToString())


def _work(node: Node) -> int:
    op, work = node.operator, node.size + node.multiplications
    if isinstance(op, Conv):  # unfolding costs more than multiplying
        work += 8 * math.prod(op.shape_in[:2]) * math.prod(op.weight.shape[2:]) * node.shape[2] * node.shape[3]
    if isinstance(op, ConvTranspose):
        work += 8 * math.prod(op.shape_in) * math.prod(op.weight.shape[1:])
    return work


def _points(lower: np.ndarray, upper: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Both extreme corners, random corners (a quarter), the rest uniform."""
    lower, upper = (
        np.where(lower < -_HUGE, np.minimum(upper, 0.0) - 1.0, lower),
        np.where(upper > _HUGE, np.maximum(lower, 0.0) + 1.0, upper),
    )
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(count, lower.size))
    corners = max(2, count // 4)
    share[:corners] = share[:corners] > 0.5
    share[0], share[1] = 0.0, 1.0
    return lower * (1 - share) + upper * share


def _compared(model: Model, x: np.ndarray, tensors: Mapping[str, np.ndarray], stop: Callable[[], bool]) -> Agreement:
    """All nodes at the points x (N, n), with onnxruntime's tensors (N, size); the first of them where `stop()`."""
    graph = model.graph
    u, tiny = (2.0**-24, 2.0**-120) if model.single_precision else (2.0**-53, 2.0**-960)
    largest = float(np.finfo(np.float32 if model.single_precision else np.float64).max)
    alive = np.full(len(x), True)
    values: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    checked, worst = 0, (0.0, 0.0)
    for i, node in enumerate(graph.nodes):
        if checked and stop():
            break
        with np.errstate(over="ignore", invalid="ignore"):  # only at points that are not alive
            value, error, reach = _step(node, x, [values[p] for p in node.inputs], [errors[p] for p in node.inputs], u, tiny)
        alive &= (reach < largest).all(axis=1)
        theirs = np.concatenate([tensors[n] for n in model.output_names], axis=1) if i == graph.output else tensors.get(node.tensor)
        if theirs is not None:
            checked += 1
            found = value.reshape(len(x), -1)
            with np.errstate(invalid="ignore"):
                difference, bound = np.abs(found - theirs), error.reshape(len(x), -1)
            bad = ~(difference <= bound) & alive[:, None]
            if bad.any():
                at = np.unravel_index(int(np.argmax(bad)), bad.shape)
                raise _disagreement(model, node, int(at[1]), float(found[at]), float(theirs[at]), float(bound[at]))
            difference = np.where(alive[:, None], difference, -1.0)
            at = np.unravel_index(int(np.argmax(difference)), bad.shape)
            worst = max(worst, (float(difference[at]), float(bound[at])))
            value, error = theirs.reshape(value.shape), np.zeros(value.shape)
        values.append(value)
        errors.append(error)
    return Agreement(len(x), checked, *worst)


def _step(
    node: Node, x: np.ndarray, values: list[np.ndarray], errors: list[np.ndarray], u: float, tiny: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One node in float64 from computed values v of its parents and bounds e of their error: its value, how far any evaluation
    in the precision u may be from it, and what no partial sum exceeds (N, size).

    An affine node of k terms has  e' = |J| e + g_k (|J| (|v| + e) + |F(0)|)  with g_k = k u / (1 - k u), where k has 8 roundings more
    than the node's own terms (fused normalisation, converted constants); a nonlinear one  e' = d + 32 u |s|  with d how far s moves
    on [v - e, v + e]. Libraries approximate smooth functions to a few units of the largest value, so these get 32 u times that as
    well. Underflow adds a subnormal unit a node.
    """
    op, count = node.operator, len(x)
    if isinstance(op, Input):
        return x, np.zeros_like(x), np.abs(x)
    if isinstance(op, Affine):
        k = op.terms + 8
        g = k * (u + 2.0**-53) / (1 - 2 * k * u)
        error = op.absolute(count, *(e + g * (np.abs(v) + e) for v, e in zip(values, errors))) + tiny
        if op.offset_magnitude is not None:
            error = error + g * op.offset_magnitude
        return op.forward(count, *values), error * (1 + 1e-6), error.reshape(count, -1) / g
    if isinstance(op, Nonlinear):
        (v,), (e,) = values, errors
        value = op.function(v).reshape(count, *node.shape)
        scale = np.abs(value) + (op.offset_scale if op.function_ulps > 2 else 0.0)
        error = (op.moved(v, e).reshape(value.shape) + 32 * u * scale + tiny) * (1 + 1e-6)
        return value, error, (np.abs(value) + error).reshape(count, -1)
    raise TypeError(f"operator {op!r} has no error bound")


def _disagreement(model: Model, node: Node, index: int, ours: float, theirs: float, bound: float) -> SelfCheckError:
    name = f"tensor {node.tensor!r}" if node.tensor else "the output"
    return SelfCheckError(
        f"element {index} of {name} is {ours!r} by the own evaluation and {theirs!r} by onnxruntime; rounding explains {bound:.3g} at most",
        location=Location(model.file, detail=", ".join(f"node {o!r}" for o in node.origin) or name),
        hint="the network was not understood correctly, or onnxruntime computes it inaccurately: please report it",
    )
