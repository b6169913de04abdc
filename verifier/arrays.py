"""Array namespace, dtype and device as one explicit value, and the few primitives in which numpy and torch differ.

The rest of the package is written against the namespace of the arrays that it is given. torch is imported where there are tensors
alone: here, by `torch_arrays` first, and by what records their operations on a device (bounds/recorded.py).
"""

from __future__ import annotations

import ctypes
import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
"""A numpy array or a torch tensor; shapes are given in the docstrings."""


@dataclass(frozen=True)
class Arrays:
    """Where numbers live: array namespace, dtype, device (None in numpy), the bytes one pass may hold at once, and how many times as
    many numbers as a core of a CPU it is best given at once."""

    xp: Any
    dtype: Any
    device: Any
    budget: int
    width: int = 1

    def asarray(self, values: Array) -> Array:
        if self.device is None:
            return np.asarray(to_numpy(values), dtype=self.dtype)
        values = _writeable(values)
        return self.xp.asarray(values, dtype=self.dtype, device=self.device)

    def indices(self, values: Array) -> Array:
        if self.device is None:
            return np.asarray(to_numpy(values), dtype=np.int64)
        values = _writeable(values)
        return self.xp.asarray(values, dtype=self.xp.int64, device=self.device)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        if self.device is None:
            return np.zeros(shape, dtype=self.dtype)
        return self.xp.zeros(shape, dtype=self.dtype, device=self.device)


def _writeable(values: Array) -> Array:
    """torch takes over no array that may not be changed."""
    return values.copy() if isinstance(values, np.ndarray) and not values.flags.writeable else values


def numpy_arrays(single: bool = False, budget: int = 256 << 20) -> Arrays:
    """numpy: no import to wait for. `single`: float32, for proposals only."""
    return Arrays(np, np.float32 if single else np.float64, None, budget)


_WIDEST = 128
"""From about so many times as many numbers as a core takes at once a large GPU is busy."""
_BYTES_OF_WIDTH = 400 << 20
"""What a pass over the numbers that a core is given at once may hold, with everything that the improvement of slopes keeps."""


def torch_arrays(device: str, single: bool, threads: int | None = None, budget: int = 512 << 20) -> Arrays:
    """torch on `device` ("cpu" or "cuda"); `single`: float32, for proposals only. The budget of a GPU is what is free there."""
    import array_api_compat.torch as xp
    import torch

    if threads is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    # Products of reduced precision would void the rounding bound of accepted rows.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    width = 1
    if device == "cuda":
        budget = torch.cuda.mem_get_info()[0] // 2
        width = max(1, min(_WIDEST, budget // _BYTES_OF_WIDTH))
    return Arrays(xp, torch.float32 if single else torch.float64, torch.device(device), budget, width)


def cuda_devices() -> int:
    """CUDA devices that the driver sees, asked without importing torch."""
    try:
        driver = ctypes.CDLL("libcuda.so.1" if sys.platform != "win32" else "nvcuda.dll")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def to_numpy(x: Array) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)


def is_torch(x: Array) -> bool:
    return not isinstance(x, np.ndarray) and hasattr(x, "detach")


def namespace(x: Array) -> Any:
    """The array namespace of one array. numpy's own follows the standard since 2.1; the wrapper is for torch alone, as
    importing the one for numpy takes a fifth of the start."""
    if isinstance(x, np.ndarray):
        return np
    if not is_torch(x):
        raise TypeError(f"{type(x).__name__} is no array")
    import array_api_compat.torch as xp  # not by `array_namespace`, which takes longer than a small operation

    return xp


def varying(lower: Array, upper: Array) -> Array:
    """True where a float lies between lower and upper. Bounds between which there is none, such as 0.1 rounded outward, enclose one number
    and cannot be halved."""
    middle = 0.5 * lower + 0.5 * upper
    return (middle > lower) & (middle < upper)


def at_least(x: Array, least: float) -> Array:
    """max(x, least). For torch not by its `maximum`, which takes a number to the device first, and so waits for the device."""
    return x.clamp(min=least) if is_torch(x) else np.maximum(x, least)


def at_most(x: Array, most: float) -> Array:
    """min(x, most), likewise."""
    return x.clamp(max=most) if is_torch(x) else np.minimum(x, most)


def sign(x: Array) -> Array:
    """-1, 0 or 1. The namespace's own for torch chooses by a mask, and so waits for the device."""
    if not is_torch(x):
        return np.sign(x)
    xp = namespace(x)
    return xp.where(x > 0, 1.0, xp.where(x < 0, -1.0, 0.0 * x))


def raised(x: Array, index: np.ndarray, values: np.ndarray) -> Array:
    """x (B, T), which is changed, with x[b, index[b, d]] at least values[b, d]; index, values (B, D)."""
    if is_torch(x):
        import torch

        there = torch.asarray(values, dtype=x.dtype, device=x.device)
        return x.scatter_reduce_(1, torch.asarray(index, device=x.device), there, "amax")
    np.maximum.at(x, (np.arange(len(x))[:, None], index), values)
    return x


def spread(arrays: Arrays, size: int, index: np.ndarray, values: np.ndarray) -> Array:
    """(B, S, size): values (B, S, D) added at index (B, D), zero elsewhere."""
    out = arrays.zeros((*values.shape[:2], size))
    if arrays.device is None:
        b, s = (np.arange(n) for n in values.shape[:2])
        np.add.at(out, (b[:, None, None], s[:, None], index[:, None]), values)
        return out
    wide = arrays.indices(np.broadcast_to(index[:, None], values.shape))
    return out.scatter_add_(2, wide, arrays.asarray(values))


def largest(x: Array, k: int) -> Array:
    """(B, k): where the k largest numbers of each row of x (B, T) are, the largest first."""
    if is_torch(x):
        return x.topk(k, dim=1).indices
    best = np.argpartition(-x, k - 1, axis=1)[:, :k]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(x, best, axis=1), axis=1, kind="stable"), axis=1)


def scatter_add(shape: tuple[int, ...], axis: int, indices: Array, values: Array) -> Array:
    """Adjoint of `take(x, indices, axis)`: zeros of `shape`, slices of `values` added at `indices` (repeats allowed)."""
    if is_torch(values):
        import torch

        return torch.zeros(shape, dtype=values.dtype, device=values.device).index_add_(axis, indices, values)
    out = np.zeros(shape, dtype=values.dtype)
    target, source = np.moveaxis(out, axis, 0), np.moveaxis(values, axis, 0)
    if len(np.unique(indices)) == len(indices):  # many times as fast
        target[indices] = source
    else:
        np.add.at(target, indices, source)
    return out


_DEEP, _DEEP_BOTH = 32, 16
"""Channels that a convolution reads, and that its adjoint reads and writes, from which on images are worked on as rows of pixels: few
products of long matrices in place of many of short ones. For 128 images of 2 x 2 pixels and 64 channels the adjoint to 128 channels
takes 0.9 ms instead of 4 in float32; for 16 channels or fewer patches of a whole kernel are the better matrices."""
_Windows = list[tuple[slice, slice]]
"""Rows and columns of an image that each element of a kernel meets."""
_CACHED = 1 << 19
"""Numbers that a convolution works on at a time: for 200 images of 16 channels of 32 x 32 its adjoint takes 27 ms instead of 60."""


def convolve(
    x: Array, w: Array, stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int], groups: int
) -> Array:
    """2-D cross-correlation. x (N, C, H, W), w (O, C/groups, kh, kw), padding (top, left, bottom, right) of zeros.

    Products of matrices, on every backend: a plain sum of products, as the rounding bound needs (no Winograd or FFT transform), and
    faster than the direct float32 and float64 convolutions of torch on a CPU for few channels.
    """
    xp = namespace(x)
    n = x.shape[0]
    outputs, per_group, kh, kw = w.shape
    few = _few(x, math.prod(x.shape[1:]) * kh * kw)
    if few < n:
        return np.concatenate([convolve(x[i : i + few], w, stride, padding, dilation, groups) for i in range(0, n, few)])
    padded = _pad(x, padding)
    oh, ow = convolved_size((x.shape[2], x.shape[3]), (kh, kw), stride, padding, dilation)
    windows = _windows((kh, kw), (oh, ow), stride, dilation)
    if _tiles((kh, kw), stride, dilation):
        tiles = xp.reshape(padded[:, :, : oh * kh, : ow * kw], (n, groups * per_group, oh, kh, ow, kw))
        patches = xp.permute_dims(tiles, (0, 1, 3, 5, 2, 4))
    elif groups == 1 and per_group >= _DEEP:
        return _convolve_pixels(padded, w, windows, (oh, ow))
    else:
        patches = xp.stack([padded[:, :, rows, columns] for rows, columns in windows], axis=2)
    patches = xp.reshape(patches, (n, groups, per_group * kh * kw, oh * ow))
    kernel = xp.reshape(w, (1, groups, outputs // groups, per_group * kh * kw))
    return xp.reshape(xp.matmul(kernel, patches), (n, outputs, oh, ow))


def _convolve_pixels(padded: Array, w: Array, windows: _Windows, size: tuple[int, int]) -> Array:
    """`convolve` of padded images to images of `size`, each a list of pixels, channels last: a product for each element of the kernel."""
    xp, (outputs, inputs) = namespace(padded), w.shape[:2]
    pixels, elements = xp.permute_dims(padded, (0, 2, 3, 1)), _elements(xp.permute_dims(w, (1, 0, 2, 3)), 1)
    products = (xp.reshape(pixels[:, rows, columns], (-1, inputs)) @ element[0] for element, (rows, columns) in zip(elements, windows))
    out = next(products)
    for product in products:
        out += product
    return xp.permute_dims(xp.reshape(out, (len(padded), *size, outputs)), (0, 3, 1, 2))


def _adjoint_pixels(y: Array, w: Array, windows: _Windows, size: tuple[int, int]) -> Array:
    """The adjoint of that: images y (N, O, oh, ow) to padded ones of `size`."""
    xp, (outputs, inputs) = namespace(y), w.shape[:2]
    pixels = xp.reshape(xp.permute_dims(y, (0, 2, 3, 1)), (-1, outputs))
    out = xp.zeros((len(y), *size, inputs), dtype=y.dtype, **_on(y))
    for element, (rows, columns) in zip(_elements(w, 1), windows):
        out[:, rows, columns] += xp.reshape(pixels @ element[0], (len(y), *y.shape[2:], inputs))
    return xp.permute_dims(out, (0, 3, 1, 2))


def convolve_adjoint(
    y: Array,
    w: Array,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Array:
    """Adjoint of `convolve` in x: y (N, O, oh, ow) -> (N, C, *size)."""
    top, left, bottom, right = padding
    n, outputs, oh, ow = y.shape
    _, per_group, kh, kw = w.shape
    xp, channels = namespace(y), groups * per_group
    few = _few(y, math.prod(y.shape[1:]) + channels * math.prod(size))
    if few < n:
        return np.concatenate([convolve_adjoint(y[i : i + few], w, size, stride, padding, dilation, groups) for i in range(0, n, few)])
    padded, windows = (size[0] + top + bottom, size[1] + left + right), _windows((kh, kw), (oh, ow), stride, dilation)
    if not _tiles((kh, kw), stride, dilation) and groups == 1 and min(outputs, per_group) >= _DEEP_BOTH:
        out = _adjoint_pixels(y, w, windows, padded)
        return out[:, :, top : top + size[0], left : left + size[1]]
    out = xp.zeros((n, channels, *padded), dtype=y.dtype, **_on(y))
    flat = xp.reshape(y, (n, groups, outputs // groups, oh * ow))
    if _tiles((kh, kw), stride, dilation):
        kernel = xp.reshape(w, (1, groups, outputs // groups, per_group * kh * kw))
        columns = xp.reshape(xp.matmul(xp.permute_dims(kernel, (0, 1, 3, 2)), flat), (n, channels, kh, kw, oh, ow))
        tiles = xp.permute_dims(columns, (0, 1, 4, 2, 5, 3))
        out[:, :, : oh * kh, : ow * kw] = xp.reshape(tiles, (n, channels, oh * kh, ow * kw))
    else:
        for element, (rows, cells) in zip(_elements(w, groups), windows):
            out[:, :, rows, cells] += xp.reshape(xp.matmul(xp.permute_dims(element, (0, 2, 1)), flat), (n, channels, oh, ow))
    return out[:, :, top : top + size[0], left : left + size[1]]


def _few(x: Array, numbers: int) -> int:
    """How many of the images x (N, ...) to work on at a time: in numpy so few that what is used again and again stays in the cache.
    numbers: of an image."""
    return len(x) if is_torch(x) else max(1, _CACHED // numbers)


def _elements(w: Array, groups: int) -> Array:
    """(kh * kw, groups, O/groups, C/groups): for each element of the kernel a matrix whose numbers lie side by side, as products need
    them to be fast."""
    xp, (outputs, per_group, kh, kw) = namespace(w), w.shape
    parts = xp.permute_dims(xp.reshape(w, (groups, outputs // groups, per_group, kh * kw)), (3, 0, 1, 2))
    return parts.contiguous() if is_torch(parts) else np.ascontiguousarray(parts)


def _tiles(kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> bool:
    """The kernel's windows lie side by side, such as the patches of an image: copied at once, not element by element of the kernel."""
    return kernel == stride and dilation == (1, 1)


def _windows(kernel: tuple[int, int], out: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]) -> _Windows:
    """Rows and columns of the padded image that each kernel element meets, kernel elements in C order."""
    spans = [[slice(k * d, k * d + (o - 1) * s + 1, s) for k in range(n)] for n, o, s, d in zip(kernel, out, stride, dilation)]
    return [(rows, columns) for rows in spans[0] for columns in spans[1]]


def convolved_size(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> tuple[int, int]:
    spans = (padding[0] + padding[2], padding[1] + padding[3])
    sizes = tuple((n + pad - d * (k - 1) - 1) // s + 1 for n, pad, d, k, s in zip(size, spans, dilation, kernel, stride))
    return sizes[0], sizes[1]


def _pad(x: Array, padding: tuple[int, int, int, int]) -> Array:
    if not any(padding):
        return x
    top, left, bottom, right = padding
    n, channels, height, width = x.shape
    out = namespace(x).zeros((n, channels, height + top + bottom, width + left + right), dtype=x.dtype, **_on(x))
    out[:, :, top : top + height, left : left + width] = x
    return out


def _on(x: Array) -> dict[str, Any]:
    return {"device": x.device} if is_torch(x) else {}
