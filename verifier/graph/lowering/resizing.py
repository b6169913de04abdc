"""Resize and Upsample, axis by axis, and the rearrangements of blocks of channels.

Positions are computed in exact fractions. Nearest neighbours are a selection of elements; linear interpolation is a product with a
matrix, where all of its weights are exact in float64: runtimes round others in single precision, and so do not compute the function
that the standard describes.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.movement import permuted, reshaped, taken
from verifier.operators import affine

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def interpolated(call: Call, x: Value, axis: int, weights: np.ndarray) -> Value:
    """x times weights (length of the axis, new length) along `axis`."""
    shape = call.check_size((*x.shape[:axis], weights.shape[1], *x.shape[axis + 1 :]))
    order = [*(i for i in range(x.rank) if i != axis), axis]
    rows = permuted(call, call.variable(x), order)
    y = call.emit(affine.Linear(weights), rows, shape=(*rows.shape[:-1], weights.shape[1]))
    return reshaped(call, permuted(call, y, [int(i) for i in np.argsort(order)]), shape)


def _positions(mode: str, size: int, length: int, scale: Fraction) -> list[Fraction]:
    """Where in the input each of `length` outputs lies."""
    if mode == "align_corners":
        return [Fraction(i * (size - 1), length - 1) if length > 1 else Fraction(0) for i in range(length)]
    if mode == "pytorch_half_pixel" and length == 1:
        return [Fraction(0)]
    if mode == "asymmetric":
        return [i / scale for i in range(length)]
    return [(i + Fraction(1, 2)) / scale - Fraction(1, 2) for i in range(length)]


def _nearest(mode: str, position: Fraction) -> int:
    half = Fraction(1, 2)
    if mode == "floor":
        return math.floor(position)
    if mode == "ceil":
        return math.ceil(position)
    return math.ceil(position - half) if mode == "round_prefer_floor" else math.floor(position + half)


def _linear(call: Call, size: int, positions: list[Fraction]) -> np.ndarray:
    weights = np.zeros((size, len(positions)))
    for j, at in enumerate(positions):
        first = math.floor(at)
        share = at - first
        if share.denominator & (share.denominator - 1) or share.denominator > 1 << 12:
            call.fail("linear interpolation whose weights are no short binary fractions is not supported", hint="powers of two as scales")
        for i, weight in ((first, 1 - share), (first + 1, share)):
            weights[min(max(i, 0), size - 1), j] += float(weight)
    return weights


def _resized(call: Call, x: Value, scales: list[Fraction], lengths: list[int], mode: str, coordinates: str, nearest: str) -> Value:
    call.check_size(lengths)
    if any(n < 1 for n in (*lengths, *x.shape)):
        call.fail(f"shape {x.shape} cannot become {tuple(lengths)}", code="V114")
    for axis, (scale, length) in enumerate(zip(scales, lengths)):
        size = x.shape[axis]
        if length == size and scale == 1:
            continue
        if coordinates == "align_corners" and scale * size != length:
            call.fail("align_corners with a length that is rounded is not supported")
        positions = _positions(coordinates, size, length, scale)
        if mode == "nearest":
            x = taken(call, x, axis, np.array([min(max(_nearest(nearest, p), 0), size - 1) for p in positions], dtype=np.int64))
        else:
            x = interpolated(call, x, axis, _linear(call, size, positions))
    return x


def _scales(call: Call, x: Value, values: np.ndarray) -> tuple[list[Fraction], list[int]]:
    if values.shape != (x.rank,) or values.dtype.kind != "f" or np.any(values <= 0):
        call.fail(f"scales {values.tolist()} do not fit a value of {x.rank} dimensions", code="V114")
    scales = [Fraction(float(v)) for v in values]
    return scales, [math.floor(n * s) for n, s in zip(x.shape, scales)]


def _mode(call: Call) -> str:
    mode = call.text("mode", "nearest")
    if mode not in ("nearest", "linear"):
        call.fail(f"mode = {mode!r} is not supported", hint="supported: nearest, linear")
    return mode


@operator("Upsample", 1, 2)
def upsample(call: Call) -> Value:
    x, mode = call.input(0), _mode(call)
    if call.opset >= 10:
        call.fail("operator does not exist from opset 10 on", code="V110")
    if call.opset < 9:
        found = call.reals("scales")
        values = np.array([] if found is None else found)
    else:
        values = call.data(1, "the scales")
    return _resized(call, x, *_scales(call, x, values), mode, "asymmetric", "floor")


@operator("Resize", 1, 4, since=10)
def resize(call: Call) -> Value:
    x, mode = call.input(0), _mode(call)
    if call.opset < 11:
        return _resized(call, x, *_scales(call, x, call.data(1, "the scales")), mode, "asymmetric", "floor")
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    nearest = call.text("nearest_mode", "round_prefer_floor")
    call.real("cubic_coeff_a", -0.75)
    call.real("extrapolation_value", 0.0)
    if coordinates not in _COORDINATES or nearest not in _NEAREST:
        call.fail(f"coordinates {coordinates!r} with {nearest!r} are not supported", hint=", ".join((*_COORDINATES, *_NEAREST)))
    if call.flag("exclude_outside", False) or (call.opset >= 18 and call.flag("antialias", False)):
        call.fail("exclude_outside and antialias are not supported")
    if call.opset >= 18 and (call.has("axes") or call.text("keep_aspect_ratio_policy", "stretch") != "stretch"):
        call.fail("axes and other aspect ratios than stretch are not supported")
    if call.optional(3) is not None:
        lengths = call.list_of_integers(3, "the sizes")
        if len(lengths) != x.rank or min(lengths) < 1:
            call.fail(f"sizes {lengths} do not fit a value of {x.rank} dimensions", code="V114")
        scales = [Fraction(n, max(1, size)) for n, size in zip(lengths, x.shape)]
    else:
        scales, lengths = _scales(call, x, call.data(2, "the scales"))
    return _resized(call, x, scales, lengths, mode, coordinates, nearest)


@operator("DepthToSpace", 1)
def depth_to_space(call: Call) -> Value:
    x, block = call.input(0), call.integer("blocksize", 0)
    mode = call.text("mode", "DCR") if call.opset >= 11 else "DCR"
    if x.rank != 4 or block < 1 or x.shape[1] % (block * block) or mode not in ("DCR", "CRD"):
        call.fail(f"blocks of {block} in mode {mode!r} do not fit the shape {x.shape}", code="V114")
    n, channels, height, width = x.shape
    depth = channels // (block * block)
    if mode == "DCR":
        y = permuted(call, reshaped(call, x, (n, block, block, depth, height, width)), (0, 3, 4, 1, 5, 2))
    else:
        y = permuted(call, reshaped(call, x, (n, depth, block, block, height, width)), (0, 1, 4, 2, 5, 3))
    return reshaped(call, y, (n, depth, height * block, width * block))


@operator("SpaceToDepth", 1)
def space_to_depth(call: Call) -> Value:
    x, block = call.input(0), call.integer("blocksize", 0)
    if x.rank != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block:
        call.fail(f"blocks of {block} do not fit the shape {x.shape}", code="V114")
    n, channels, height, width = x.shape
    y = reshaped(call, x, (n, channels, height // block, block, width // block, block))
    mode = call.text("mode", "DCR") if call.has("mode") else "DCR"
    if mode not in ("DCR", "CRD"):
        call.fail(f"mode = {mode!r} is not supported", hint="supported: DCR, CRD")
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return reshaped(call, permuted(call, y, order), (n, channels * block * block, height // block, width // block))


@operator("CumSum", 2, since=11)
def cumulative_sum(call: Call) -> Value:
    x, axis = call.input(0), call.axis(int(call.integer_data(1, "the axis").reshape(-1)[0]), call.input(0).rank)
    exclusive, reverse = call.flag("exclusive", False), call.flag("reverse", False)
    ones = np.triu(np.ones((x.shape[axis], x.shape[axis])), int(exclusive))
    if x.data is not None and x.data.dtype.kind == "i":
        return constant(np.asarray(np.moveaxis(np.moveaxis(x.data, axis, -1) @ (ones.T if reverse else ones).astype(np.int64), -1, axis)))
    return interpolated(call, x, axis, np.ascontiguousarray(ones.T) if reverse else ones)
