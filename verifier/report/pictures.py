"""Pictures as data URIs: PNG from arrays, with nothing but zlib."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LEAST = 4
_FLAT = {784: (28, 28), 3072: (3, 32, 32)}
"""Flat inputs that are known for images: MNIST and CIFAR."""


@dataclass(frozen=True)
class Layout:
    """How a flat input is a picture: height, width, channels (1 or 3), and whether the channels come first."""

    height: int
    width: int
    channels: int
    channels_first: bool

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """(height, width, channels) of flat values."""
        if self.channels_first:
            return values.reshape(self.channels, self.height, self.width).transpose(1, 2, 0)
        return values.reshape(self.height, self.width, self.channels)


def layout(shape: Sequence[int]) -> Layout | None:
    """The layout of an input of this shape; None where it is no picture. Dimensions of one are the batch or a single channel."""
    dims = [size for size in shape if size != 1]
    if len(dims) == 1 and dims[0] in _FLAT:
        dims = list(_FLAT[dims[0]])
    if len(dims) == 2:
        dims = [1, *dims]
    if len(dims) != 3:
        return None
    if dims[0] in (1, 3) and min(dims[1:]) >= _LEAST:
        return Layout(dims[1], dims[2], dims[0], True)
    if dims[2] == 3 and min(dims[:2]) >= _LEAST:
        return Layout(dims[0], dims[1], dims[2], False)
    return None


def shades(values: np.ndarray, least: float, most: float) -> np.ndarray:
    """uint8 of the same shape: `least` becomes 0, `most` 255."""
    span = most - least
    scaled = (values - least) / span if span > 0 else np.full_like(values, 0.5)
    return np.clip(np.round(scaled * 255), 0, 255).astype(np.uint8)


def value_range(values: np.ndarray) -> tuple[float, float]:
    """Of pixels: [0, 1] or [0, 255] where they fit, else their own."""
    least, most = float(values.min()), float(values.max())
    if least >= 0 and most <= 1:
        return 0.0, 1.0
    return (0.0, 255.0) if least >= 0 and most <= 255 else (least, most)


def png(pixels: np.ndarray) -> str:
    """A data URI of pixels (height, width, 1 or 3) in uint8."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
