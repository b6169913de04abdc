"""Convolution and average pooling in one and two dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.arrays import convolved_size
from verifier.graph.lowering.arithmetic import scaled
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.movement import reshaped
from verifier.operators import affine


@dataclass(frozen=True)
class Window:
    """Kernel positions on one axis; `extra`: zeros after the declared padding that only ceil_mode reads."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    extra: int
    count: int

    def positions(self) -> np.ndarray:
        """(count, kernel): the elements that each window meets, outside 0 ... size - 1 in the padding."""
        return np.arange(self.count)[:, None] * self.stride + np.arange(self.kernel)[None, :] * self.dilation - self.before

    def covered(self, include_padding: bool) -> np.ndarray:
        """How many elements each position averages over (count,)."""
        start = self.positions()
        low, high = (-self.before, self.size + self.after) if include_padding else (0, self.size)
        return ((start >= low) & (start < high)).sum(axis=1)


def make_windows(call: Call, size: Sequence[int], kernel: Sequence[int], ceil: bool, dilates: bool = True) -> list[Window]:
    """The windows of a convolution or pooling on every spatial axis, from the node's attributes."""
    rank = len(size)
    strides = call.integers("strides") or [1] * rank
    dilations = (call.integers("dilations") if dilates else None) or [1] * rank
    declared = call.integers("pads")
    pads = declared or [0] * (2 * rank)
    auto = call.text("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        call.fail(f"auto_pad = {auto!r} is not supported", hint="supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        call.fail("kernel, strides, dilations or pads do not fit the input's dimensions", code="V114")
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0 or max(*kernel, *strides, *dilations, *pads) > 1 << 20:
        call.fail("kernel, strides, dilations or pads are out of range", code="V114")
    if auto != "NOTSET" and any(pads):
        call.fail(f"pads and auto_pad = {auto} contradict each other")
    return [_window(call, n, k, s, d, (pads[i], pads[rank + i]), auto, ceil)
            for i, (n, k, s, d) in enumerate(zip(size, kernel, strides, dilations))]


def _window(call: Call, size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], auto: str, ceil: bool) -> Window:
    span = dilation * (kernel - 1) + 1
    before, after = pads
    if auto.startswith("SAME"):
        count = -(-size // stride)
        total = max(0, (count - 1) * stride + span - size)
        before = total // 2 if auto == "SAME_UPPER" else total - total // 2
        return Window(size, kernel, stride, dilation, before, total - before, 0, count)
    free = size + before + after - span
    if free < 0:
        call.fail(f"a kernel that spans {span} does not fit a padded length of {size + before + after}", code="V114")
    count = (-(-free // stride) if ceil else free // stride) + 1
    if ceil and (count - 1) * stride >= size + before:  # a last window that starts in the padding is left out
        count -= 1
    return Window(size, kernel, stride, dilation, before, after, max(0, (count - 1) * stride + span - (size + before + after)), count)


def _correlate(call: Call, x: Value, w: np.ndarray, windows: list[Window], groups: int, bias: np.ndarray | None = None) -> Value:
    """x (N, C, *size) with w (O, C/groups, *kernel); one-dimensional ones as two-dimensional with height 1."""
    if len(windows) == 1:
        windows = [Window(1, 1, 1, 1, 0, 0, 0, 1), windows[0]]
    rank = x.rank
    height, width = windows
    shape_in = (x.shape[0], x.shape[1], height.size, width.size)
    shape_out = (x.shape[0], w.shape[0], height.count, width.count)
    kernel = np.ascontiguousarray(w.reshape(*w.shape[:2], height.kernel, width.kernel))
    padding = (height.before, width.before, height.after + height.extra, width.after + width.extra)
    stride, dilation = (height.stride, width.stride), (height.dilation, width.dilation)
    if convolved_size(shape_in[2:], kernel.shape[2:], stride, padding, dilation) != shape_out[2:]:
        call.fail("padding wider than the kernel is not supported together with ceil_mode")
    operator_ = affine.Conv(kernel, bias, shape_in, shape_out, stride, padding, dilation, groups)
    y = call.emit(operator_, reshaped(call, x, shape_in), shape=shape_out)
    return reshaped(call, y, shape_out if rank == 4 else (*shape_out[:2], shape_out[3]))


def _planar(call: Call, x: Value) -> None:
    if x.rank not in (3, 4):
        call.fail(f"an input of shape {x.shape} is not supported", hint="supported: one and two spatial dimensions")


@operator("Conv", 2, 3)
def conv(call: Call) -> Value:
    x = call.variable(call.input(0))
    w = call.data(1, "the weight")
    _planar(call, x)
    groups = call.integer("group", 1)
    kernel = call.integers("kernel_shape")
    if w.ndim != x.rank or (kernel is not None and tuple(kernel) != w.shape[2:]) or w.dtype.kind != "f":
        call.fail(f"a weight of shape {w.shape} does not fit the input {x.shape} or kernel_shape {kernel}", code="V114")
    if groups < 1 or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups or not w.size:
        call.fail(f"a weight of shape {w.shape} does not fit {x.shape[1]} channels in {groups} groups", code="V114")
    bias = None if call.optional(2) is None else call.data(2, "the bias")
    if bias is not None and (bias.shape != (w.shape[0],) or bias.dtype.kind != "f"):
        call.fail(f"a bias of shape {bias.shape} does not fit {w.shape[0]} channels", code="V114")
    return _correlate(call, x, w, make_windows(call, x.shape[2:], w.shape[2:], False), groups, bias)


@operator("AveragePool", 1)
def average_pool(call: Call) -> Value:
    """Sums by a kernel of ones, exact, then a product with 1 / count: one rounding unless the counts are powers of two."""
    x = call.variable(call.input(0))
    _planar(call, x)
    kernel = call.integers("kernel_shape")
    if kernel is None:
        call.fail("kernel_shape is missing", code="V114")
    include = call.flag("count_include_pad", False)
    ceil = call.opset >= 10 and call.flag("ceil_mode", False)
    windows = make_windows(call, x.shape[2:], kernel, ceil, dilates=call.opset >= 19)
    channels = x.shape[1]
    counts = np.ones((1,) * x.rank)
    for i, window in enumerate(windows):
        covered = window.covered(include)
        covered = covered[:1] if np.all(covered == covered[0]) else covered
        counts = counts * covered.reshape([-1 if a == i + 2 else 1 for a in range(x.rank)])
    if np.any(counts == 0):
        call.fail("a window lies in the padding altogether")
    powers = bool(np.all(np.frexp(counts)[0] == 0.5))
    if powers and counts.size == 1:
        return _correlate(call, x, np.full((channels, 1, *kernel), 1.0 / counts.reshape(-1)[0]), windows, channels)
    total = _correlate(call, x, np.ones((channels, 1, *kernel)), windows, channels)
    return scaled(call, total, 1.0 / counts, 0 if powers else 1)


@operator("GlobalAveragePool", 1)
def global_average_pool(call: Call) -> Value:
    x = call.variable(call.input(0))
    if x.rank < 3:
        call.fail(f"an input of shape {x.shape} has no spatial dimensions", code="V114")
    axes = tuple(range(2, x.rank))
    return averaged(call, x, axes, math.prod(x.shape[2:]))


def averaged(call: Call, x: Value, axes: tuple[int, ...], divisor: int) -> Value:
    """Sum over `axes`, kept with length 1, divided by `divisor`."""
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    if shape == x.shape:
        return x
    return call.emit(affine.ReduceSum(axes, x.shape, divisor), x, shape=shape)


def reduction_axes(call: Call, x: Value, since: int) -> tuple[tuple[int, ...], bool]:
    """(the axes to reduce, whether they are kept with length 1); axes are an attribute before opset `since`, then an input."""
    keep = call.flag("keepdims", True)
    if call.opset < since:
        if call.count > 1:
            call.fail(f"axes as an input exist from opset {since} on", code="V114")
        axes = call.integers("axes")
        nothing = False
    else:
        axes = None if call.optional(1) is None else call.list_of_integers(1, "axes")
        nothing = call.flag("noop_with_empty_axes", False)
    if not axes and nothing:
        return (), True
    return call.axes(axes, x.rank) if axes else tuple(range(x.rank)), keep


def _reduce(call: Call, since: int, mean: bool) -> Value:
    x = call.input(0)
    found, keep = reduction_axes(call, x, since)
    if not found:
        return x
    shape = [n for i, n in enumerate(x.shape) if i not in found]
    if x.data is not None and x.data.dtype.kind == "i":
        return _reduce_integers(call, x.data, found, keep, mean)
    x, count = call.variable(x), math.prod(x.shape[a] for a in found)
    y = averaged(call, x, found, count if mean else 1)
    y = y if keep else reshaped(call, y, shape)
    return call.whole(y, x.kind, x.largest * count) if x.kind != "f" else y


def _reduce_integers(call: Call, data: np.ndarray, axes: tuple[int, ...], keep: bool, mean: bool) -> Value:
    if mean:
        call.fail("the mean of integers is not supported", code="V109")
    if data.size and int(np.abs(data).max()) * data.size >= 1 << 62:
        call.fail("integers are too large", code="V109")
    return constant(np.asarray(data.sum(axis=axes, keepdims=keep, dtype=np.int64)))


@operator("ReduceSum", 1, 2, own=True)
def reduce_sum(call: Call) -> Value:
    return _reduce(call, 13, False)


@operator("ReduceMean", 1, 2)
def reduce_mean(call: Call) -> Value:
    return _reduce(call, 18, True)
