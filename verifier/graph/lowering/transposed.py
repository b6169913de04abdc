"""Transposed convolution in one and two dimensions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from verifier.arrays import convolved_size
from verifier.graph.lowering.context import Call, Value, operator
from verifier.graph.lowering.movement import reshaped
from verifier.operators import affine


class _Axis(NamedTuple):
    length: int
    before: int
    after: int
    stride: int
    dilation: int


def _axes(call: Call, size: tuple[int, ...], kernel: tuple[int, ...]) -> list[_Axis]:
    """The result's length and the padding of the convolution back, on every spatial axis."""
    rank = len(size)
    strides, dilations = (call.integers(name) or [1] * rank for name in ("strides", "dilations"))
    extra = call.integers("output_padding") or [0] * rank
    declared, wanted = call.integers("pads"), call.integers("output_shape")
    auto = call.text("auto_pad", "NOTSET")
    pads = declared or [0] * (2 * rank)
    if not len(strides) == len(dilations) == len(extra) == rank or len(pads) != 2 * rank or (wanted and len(wanted) != rank):
        call.fail("strides, dilations, pads or output_shape do not fit the input's dimensions", code="V114")
    if min(*strides, *dilations) < 1 or min(*pads, *extra) < 0 or max(*strides, *dilations, *pads, *extra) > 1 << 20:
        call.fail("strides, dilations or pads are out of range", code="V114")
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") or (auto != "NOTSET" and any(pads)):
        call.fail(f"auto_pad = {auto!r} with pads {pads} is not supported")
    found = []
    for i in range(rank):
        full = strides[i] * (size[i] - 1) + extra[i] + dilations[i] * (kernel[i] - 1) + 1
        length = wanted[i] if wanted else size[i] * strides[i] if auto.startswith("SAME") else full - pads[i] - pads[rank + i]
        before, after = pads[i], pads[rank + i]
        if wanted or auto.startswith("SAME"):
            if not wanted and length > full:
                call.fail(f"auto_pad = {auto} with a kernel shorter than the stride is not supported")
            total = max(0, full - length)
            if total % 2 and not auto.startswith("SAME"):
                call.fail("output_shape with an odd padding and no auto_pad is not supported")
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            after = total - before
        found.append(_Axis(length, before, after, strides[i], dilations[i]))
    return found


@operator("ConvTranspose", 2, 3)
def conv_transpose(call: Call) -> Value:
    x, w, groups = call.variable(call.input(0)), call.data(1, "the weight"), call.integer("group", 1)
    kernel = call.integers("kernel_shape")
    if x.rank not in (3, 4):
        call.fail(f"an input of shape {x.shape} is not supported", hint="supported: one and two spatial dimensions")
    if w.ndim != x.rank or (kernel is not None and tuple(kernel) != w.shape[2:]) or w.dtype.kind != "f" or not w.size:
        call.fail(f"a weight of shape {w.shape} does not fit the input {x.shape} or kernel_shape {kernel}", code="V114")
    if groups < 1 or x.shape[1] != w.shape[0] or w.shape[0] % groups:
        call.fail(f"a weight of shape {w.shape} does not fit {x.shape[1]} channels in {groups} groups", code="V114")
    outputs = w.shape[1] * groups
    bias = None if call.optional(2) is None else call.data(2, "the bias")
    if bias is not None and (bias.shape != (outputs,) or bias.dtype.kind != "f"):
        call.fail(f"a bias of shape {bias.shape} does not fit {outputs} channels", code="V114")
    axes = _axes(call, x.shape[2:], w.shape[2:])
    if x.rank == 3:
        axes = [_Axis(1, 0, 0, 1, 1), *axes]
    height, width = axes
    weight = np.ascontiguousarray(w if x.rank == 4 else w[:, :, None])
    shape_in = x.shape if x.rank == 4 else (*x.shape[:2], 1, x.shape[2])
    shape_out = call.check_size((x.shape[0], outputs, height.length, width.length))
    stride, dilation = (height.stride, width.stride), (height.dilation, width.dilation)
    padding = (height.before, width.before, height.after, width.after)
    back = convolved_size((height.length, width.length), weight.shape[2:], stride, padding, dilation)
    if min(shape_out) < 1 or back != shape_in[2:]:
        call.fail(f"a result of shape {shape_out} is not supported", hint="output_padding below the stride, no larger output_shape")
    map_ = affine.ConvTranspose(weight, bias, shape_in, shape_out, stride, padding, dilation, groups)
    y = call.emit(map_, reshaped(call, x, shape_in), shape=shape_out)
    return y if x.rank == 4 else reshaped(call, y, (*shape_out[:2], shape_out[3]))
