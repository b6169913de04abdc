"""Arithmetic on constants that is exact or says that it is not: float64 results are returned only without rounding.

Error-free transformations: TwoSum (Knuth) and TwoProduct (Dekker, with Veltkamp's splitting), both valid in round-to-nearest
without overflow; the product also needs its error term to be representable (Ogita, Rump and Oishi 2005, sections 2 and 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csc_array

_SPLITTER = 2.0**27 + 1
_LARGEST, _SMALLEST = 2.0**990, 2.0**-960
_ROOT, _NO_BIT = 2.0**-480, 400


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """a + b with numpy's broadcasting; None where an element would be rounded or overflow."""
    if a.dtype.kind == "i" and b.dtype.kind == "i":
        return _integers(a.astype(object) + b.astype(object))
    if not _within(a, 0.0) or not _within(b, 0.0):
        return None
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    return None if np.any(error != 0.0) else total


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """a * b with numpy's broadcasting; None where an element would be rounded, overflow or come near to underflow."""
    if a.dtype.kind == "i" and b.dtype.kind == "i":
        return _integers(a.astype(object) * b.astype(object))
    if not _within(a, 0.0) or not _within(b, 0.0):
        return None
    with np.errstate(over="ignore", under="ignore"):
        product = a * b
        trivial = (a == 0.0) | (b == 0.0) | (np.abs(a) == 1.0) | (np.abs(b) == 1.0)
        if not np.all(trivial | ((np.abs(product) < _LARGEST) & (np.abs(product) > _SMALLEST))):
            return None
        ah, al = _split(a)
        bh, bl = _split(b)
        error = al * bl - (((product - ah * bh) - al * bh) - ah * bl)
    return None if np.any(~trivial & (error != 0.0)) else product


def product(a: csc_array, b: csc_array) -> csc_array | None:
    """The matrix product a (n, k) @ b (k, m); None where a sum might be rounded, in whatever order it is taken.

    Neither holds a zero as an entry. All terms of an element are multiples of the product g of the lowest bits in a row of a and in
    a column of b, so sums of absolute value less than 2^53 g are exact.
    """
    if not (_within(a.data, _ROOT) and _within(b.data, _ROOT)):
        return None
    of_rows, of_columns = np.full(a.shape[0], _NO_BIT), np.full(b.shape[1], _NO_BIT)
    np.minimum.at(of_rows, a.indices, _lowest_bit(a.data))
    np.minimum.at(of_columns, b.tocoo().col, _lowest_bit(b.data))
    sums = (abs(a) @ abs(b)).tocoo()
    if np.any(sums.data > np.ldexp(1.0, of_rows[sums.row] + of_columns[sums.col] + 52)):
        return None
    found = a @ b
    found.eliminate_zeros()
    found.sort_indices()
    return found


def _lowest_bit(a: np.ndarray) -> np.ndarray:
    """Exponents of the lowest bits that are set in a (k,), none of which is zero."""
    mantissa, exponent = np.frexp(a)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    return exponent - 54 + np.frexp((whole & -whole).astype(np.float64))[1]


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """a / b (integers: truncated, as ONNX has it); None where a quotient would be rounded or a divisor is zero."""
    if np.any(b == 0):
        return None
    if a.dtype.kind == "i" and b.dtype.kind == "i":
        a, b = np.broadcast_arrays(a, b)
        return _integers(np.array([_truncated(int(p), int(q)) for p, q in zip(a.ravel(), b.ravel())], dtype=object).reshape(a.shape))
    with np.errstate(over="ignore", under="ignore"):
        quotient = a / b
    if not np.all(np.isfinite(quotient)) or np.any((quotient == 0.0) & (a != 0.0)):
        return None
    back = multiply(quotient, np.broadcast_to(b, quotient.shape))
    return quotient if back is not None and np.array_equal(back, np.broadcast_to(a, quotient.shape)) else None


def _truncated(p: int, q: int) -> int:
    quotient = abs(p) // abs(q)
    return quotient if (p < 0) == (q < 0) else -quotient


def _integers(values: np.ndarray) -> np.ndarray | None:
    values = np.asarray(values, dtype=object)
    return values.astype(np.int64) if all(-(1 << 63) <= v < 1 << 63 for v in values.ravel()) else None


def _within(a: np.ndarray, least: float) -> bool:
    magnitude = np.abs(a)
    return bool(np.all((magnitude == 0.0) | ((magnitude < _LARGEST) & (magnitude > least))))


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high
