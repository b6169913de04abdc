"""Affine operators: a dozen primitives into which every affine ONNX operator is lowered.

All of them work on arrays with one leading axis N of points in front of the node's shape; `axis` counts without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from verifier.arrays import Array, convolve, convolve_adjoint, is_torch, namespace, scatter_add
from verifier.operators.base import Affine

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Constant(Affine):
    """y = c: a node without parents."""

    value: np.ndarray

    def forward(self, count: int) -> Array:
        return namespace(self.value).broadcast_to(self.value[None], (count, *self.value.shape))

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return ()

    def absolute(self, count: int) -> Array:
        return namespace(self.value).zeros_like(self.forward(count))

    @property
    def offset(self) -> Array:
        return self.value

    @property
    def homogeneous(self) -> Constant:
        return Constant(namespace(self.value).zeros_like(self.value))

    @property
    def terms(self) -> int:
        return 1

    @property
    def moves(self) -> bool:
        return True

    @property
    def sums(self) -> bool:
        return False


@dataclass(frozen=True, eq=False)
class Linear(Affine):
    """y[..., j] = sum_i x[..., i] w[i, j] + b[j]: Gemm, and MatMul with a constant on the right. w (n, m), b (m,) or None."""

    weight: np.ndarray
    bias: np.ndarray | None = None

    def forward(self, count: int, x: Array) -> Array:
        y = _right_product(x, self.weight)
        return y if self.bias is None else y + self.bias

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return (_right_product(y, self.weight.T),)

    def absolute(self, count: int, x: Array) -> Array:
        return _right_product(x, namespace(self.weight).abs(self.weight))

    @property
    def offset(self) -> Array | None:
        return self.bias

    @property
    def homogeneous(self) -> Linear:
        return replace(self, bias=None)

    @property
    def terms(self) -> int:
        return int(max(self.weight.shape)) + 1


def _right_product(x: Array, w: Array) -> Array:
    """x (..., n) @ w (n, m) as one matrix product."""
    xp = namespace(x)
    return xp.reshape(xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])) @ w, (*x.shape[:-1], w.shape[1]))


@dataclass(frozen=True, eq=False)
class Conv(Affine):
    """2-D cross-correlation on (1 or batch, C, H, W) values; w (O, C/groups, kh, kw), padding (top, left, bottom, right)."""

    weight: np.ndarray
    bias: np.ndarray | None
    shape_in: Shape
    shape_out: Shape
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    def forward(self, count: int, x: Array) -> Array:
        y = self._apply(x, self.weight)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _apply(self, x: Array, w: Array) -> Array:
        xp = namespace(x)
        flat = xp.reshape(x, (x.shape[0] * self.shape_in[0], *self.shape_in[1:]))
        return xp.reshape(convolve(flat, w, self.stride, self.padding, self.dilation, self.groups), (x.shape[0], *self.shape_out))

    def transpose(self, y: Array) -> tuple[Array, ...]:
        xp = namespace(y)
        flat = xp.reshape(y, (y.shape[0] * self.shape_out[0], *self.shape_out[1:]))
        size = (self.shape_in[2], self.shape_in[3])
        x = convolve_adjoint(flat, self.weight, size, self.stride, self.padding, self.dilation, self.groups)
        return (xp.reshape(x, (y.shape[0], *self.shape_in)),)

    def absolute(self, count: int, x: Array) -> Array:
        return self._apply(x, namespace(self.weight).abs(self.weight))

    @property
    def offset(self) -> Array | None:
        return None if self.bias is None else self.bias[:, None, None]

    @property
    def homogeneous(self) -> Conv:
        return replace(self, bias=None)

    @property
    def terms(self) -> int:
        outputs, per_group, kh, kw = self.weight.shape
        return int(max(per_group, outputs // self.groups) * kh * kw) + 1


@dataclass(frozen=True, eq=False)
class ConvTranspose(Affine):
    """The adjoint of `Conv`, from (1 or batch, C, H, W) values; w (C, O/groups, kh, kw), the rest as the convolution from the result
    back to the input has it."""

    weight: np.ndarray
    bias: np.ndarray | None
    shape_in: Shape
    shape_out: Shape
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    def forward(self, count: int, x: Array) -> Array:
        y = self._apply(x, self.weight)
        return y if self.bias is None else y + self.bias[:, None, None]

    def _apply(self, x: Array, w: Array) -> Array:
        xp = namespace(x)
        flat = xp.reshape(x, (x.shape[0] * self.shape_in[0], *self.shape_in[1:]))
        size = (self.shape_out[2], self.shape_out[3])
        y = convolve_adjoint(flat, w, size, self.stride, self.padding, self.dilation, self.groups)
        return xp.reshape(y, (x.shape[0], *self.shape_out))

    def transpose(self, y: Array) -> tuple[Array, ...]:
        xp = namespace(y)
        flat = xp.reshape(y, (y.shape[0] * self.shape_out[0], *self.shape_out[1:]))
        x = convolve(flat, self.weight, self.stride, self.padding, self.dilation, self.groups)
        return (xp.reshape(x, (y.shape[0], *self.shape_in)),)

    def absolute(self, count: int, x: Array) -> Array:
        return self._apply(x, namespace(x).abs(self.weight))

    @property
    def offset(self) -> Array | None:
        return None if self.bias is None else self.bias[:, None, None]

    @property
    def homogeneous(self) -> ConvTranspose:
        return replace(self, bias=None)

    @property
    def terms(self) -> int:
        inputs, per_group, kh, kw = self.weight.shape
        return int(max(per_group, inputs // self.groups) * kh * kw) + 1


@dataclass(frozen=True, eq=False)
class Scale(Affine):
    """y = scale * x + shift, elementwise; both broadcast to the node's shape, scale None for 1, shift None for 0.

    `roundings`: roundings in the stored scale, relative; `shift_magnitude`: bound of the terms that shift was rounded from.
    """

    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    shift_magnitude: np.ndarray | None = None
    roundings: int = 0

    def forward(self, count: int, x: Array) -> Array:
        y = x if self.scale is None else x * self.scale
        return y if self.shift is None else y + self.shift

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return (y if self.scale is None else y * self.scale,)

    def absolute(self, count: int, x: Array) -> Array:
        return x if self.scale is None else x * namespace(self.scale).abs(self.scale)

    @property
    def offset(self) -> Array | None:
        return self.shift

    @property
    def homogeneous(self) -> Scale:
        return replace(self, shift=None)

    @property
    def offset_magnitude(self) -> Array | None:
        return super().offset_magnitude if self.shift_magnitude is None else self.shift_magnitude

    @property
    def terms(self) -> int:
        return 2 + self.roundings

    @property
    def sums(self) -> bool:
        return False

    @cached_property
    def moves(self) -> bool:
        """A change of signs."""
        if self.shift is not None or self.roundings or self.scale is None:
            return False
        xp = namespace(self.scale)
        return bool(xp.all(xp.abs(self.scale) == 1.0))


@dataclass(frozen=True, eq=False)
class Add(Affine):
    """y = sum_i c_i x_i with c_i in {1, -1}: Add, Sub and Sum of values of one shape."""

    signs: tuple[int, ...]

    def forward(self, count: int, *parents: Array) -> Array:
        total = parents[0] if self.signs[0] > 0 else -parents[0]
        for sign, x in zip(self.signs[1:], parents[1:]):
            total = total + x if sign > 0 else total - x
        return total

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return tuple(y if sign > 0 else -y for sign in self.signs)

    def absolute(self, count: int, *parents: Array) -> Array:
        total = parents[0]
        for x in parents[1:]:
            total = total + x
        return total

    @property
    def terms(self) -> int:
        return len(self.signs)


class _Rearrangement(Affine, abstract=True):
    """Every output element is one input element or zero: no rounding forward, |J| = J."""

    def absolute(self, count: int, *parents: Array) -> Array:
        return self.forward(count, *parents)

    @property
    def terms(self) -> int:
        return 1

    @property
    def moves(self) -> bool:
        return True

    @property
    def sums(self) -> bool:
        return False


@dataclass(frozen=True, eq=False)
class Reshape(_Rearrangement):
    """The same elements in C order under another shape."""

    shape_in: Shape
    shape_out: Shape

    def forward(self, count: int, x: Array) -> Array:
        return namespace(x).reshape(x, (x.shape[0], *self.shape_out))

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return (namespace(y).reshape(y, (y.shape[0], *self.shape_in)),)


@dataclass(frozen=True, eq=False)
class Transpose(_Rearrangement):
    """Axes permuted: y.shape[i] = x.shape[permutation[i]]."""

    permutation: tuple[int, ...]

    def forward(self, count: int, x: Array) -> Array:
        return namespace(x).permute_dims(x, (0, *(a + 1 for a in self.permutation)))

    def transpose(self, y: Array) -> tuple[Array, ...]:
        inverse = sorted(range(len(self.permutation)), key=self.permutation.__getitem__)
        return (namespace(y).permute_dims(y, (0, *(a + 1 for a in inverse))),)


@dataclass(frozen=True, eq=False)
class Take(_Rearrangement):
    """Slices of one axis at constant indices, repeats allowed: Gather, Slice, Split. indices (k,) int64, all >= 0."""

    axis: int
    indices: np.ndarray
    shape_in: Shape

    def forward(self, count: int, x: Array) -> Array:
        return namespace(x).take(x, self.indices, axis=self.axis + 1)

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return (scatter_add((y.shape[0], *self.shape_in), self.axis + 1, self.indices, y),)

    @property
    def terms(self) -> int:
        return int(self.indices.shape[0])


@dataclass(frozen=True, eq=False)
class Concat(_Rearrangement):
    """Values joined along one axis; sizes[i] is the length of part i."""

    axis: int
    sizes: tuple[int, ...]

    def forward(self, count: int, *parents: Array) -> Array:
        return namespace(parents[0]).concat(list(parents), axis=self.axis + 1)

    def transpose(self, y: Array) -> tuple[Array, ...]:
        parts, start, before = [], 0, (slice(None),) * (self.axis + 1)
        for size in self.sizes:
            parts.append(y[(*before, slice(start, start + size))])
            start += size
        return tuple(parts)


@dataclass(frozen=True, eq=False)
class Pad(_Rearrangement):
    """`value` around the tensor (crops where an amount is negative): before[i], after[i] elements on axis i."""

    before: Shape
    after: Shape
    shape_in: Shape
    value: float = 0.0
    anchor: np.ndarray = field(default_factory=lambda: np.zeros(()))
    """An array field like any other: it tells `offset` where constants live."""

    def forward(self, count: int, x: Array) -> Array:
        y = self._place(x)
        return y if self.value == 0.0 else y + self._border(y)

    def _slices(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Where the kept part lies: in the output and in the input, the point axis first."""
        target, source = [slice(None)], [slice(None)]
        for b, a, n in zip(self.before, self.after, self.shape_in):
            first, last = max(0, -b), n - max(0, -a)
            source.append(slice(first, last))
            target.append(slice(first + b, last + b))
        return tuple(target), tuple(source)

    def _place(self, x: Array) -> Array:
        target, source = self._slices()
        out = _zeros_like(x, (x.shape[0], *(b + n + a for b, n, a in zip(self.before, self.shape_in, self.after))))
        out[target] = x[source]
        return out

    def _border(self, like: Array) -> Array:
        xp = namespace(like)
        inside = self._place(xp.ones_like(_zeros_like(like, (1, *self.shape_in))))
        return self.value * (1.0 - inside)

    def transpose(self, y: Array) -> tuple[Array, ...]:
        target, source = self._slices()
        out = _zeros_like(y, (y.shape[0], *self.shape_in))
        out[source] = y[target]
        return (out,)

    def absolute(self, count: int, x: Array) -> Array:
        return self._place(x)

    @property
    def offset(self) -> Array | None:
        return None if self.value == 0.0 else self._border(self.anchor)[0]

    @property
    def homogeneous(self) -> Pad:
        return replace(self, value=0.0)

    @property
    def terms(self) -> int:
        return 2


@dataclass(frozen=True, eq=False)
class Expand(Affine):
    """Broadcast to a larger shape by numpy's rule."""

    shape_in: Shape
    shape_out: Shape

    def forward(self, count: int, x: Array) -> Array:
        xp = namespace(x)
        aligned = (1,) * (len(self.shape_out) - len(self.shape_in)) + self.shape_in
        return xp.broadcast_to(xp.reshape(x, (x.shape[0], *aligned)), (x.shape[0], *self.shape_out))

    def transpose(self, y: Array) -> tuple[Array, ...]:
        xp = namespace(y)
        aligned = (1,) * (len(self.shape_out) - len(self.shape_in)) + self.shape_in
        axes = tuple(i + 1 for i, (a, b) in enumerate(zip(aligned, self.shape_out)) if a != b)
        summed = xp.sum(y, axis=axes, keepdims=True) if axes else y
        return (xp.reshape(summed, (y.shape[0], *self.shape_in)),)

    def absolute(self, count: int, x: Array) -> Array:
        return self.forward(count, x)

    @property
    def terms(self) -> int:
        return max(1, math.prod(self.shape_out) // max(1, math.prod(self.shape_in)))

    @property
    def moves(self) -> bool:
        return True

    @property
    def sums(self) -> bool:
        return False


@dataclass(frozen=True, eq=False)
class ReduceSum(Affine):
    """y = sum of x over axes / divisor, axes kept with length 1 (a Reshape drops them): ReduceSum, ReduceMean, GlobalAveragePool."""

    axes: tuple[int, ...]
    shape_in: Shape
    divisor: int = 1

    def forward(self, count: int, x: Array) -> Array:
        total = namespace(x).sum(x, axis=tuple(a + 1 for a in self.axes), keepdims=True)
        return total if self.divisor == 1 else total / self.divisor

    def transpose(self, y: Array) -> tuple[Array, ...]:
        part = y if self.divisor == 1 else y / self.divisor
        return (namespace(y).broadcast_to(part, (y.shape[0], *self.shape_in)),)

    def absolute(self, count: int, x: Array) -> Array:
        return self.forward(count, x)

    @property
    def terms(self) -> int:
        return math.prod(self.shape_in[a] for a in self.axes) + 1


def _zeros_like(x: Array, shape: Shape) -> Array:
    xp = namespace(x)
    return xp.zeros(shape, dtype=x.dtype, **({"device": x.device} if is_torch(x) else {}))
