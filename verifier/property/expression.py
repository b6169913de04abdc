"""Exact numbers and linear terms of a query, and their rounding to floats.

A number is kept as it was written and becomes a Fraction on demand. Every comparison here is one of rationals: a decimal is
compared with the float64 nearest to it once, and the sign of that difference is all that directed rounding needs.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import compress, count

import numpy as np

NUMBER = rb"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,60})?|\.[0-9]{1,60})(?:[eE][-+]?[0-9]{1,3})?"
"""A decimal of usual length, for the patterns that read whole runs of text; bounded, so that matching is linear in the text."""

_NUMBER = re.compile(rb"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([-+]?[0-9]+))?")
_LONGEST_NUMBER = 2000
_LARGEST_EXPONENT = 9999
_LARGEST_BITS = 1 << 16
_LARGEST = float(np.finfo(np.float64).max)


class NumberError(ValueError):
    """A literal or the result of its arithmetic is malformed, not finite in float64, or too long to be exact in reasonable time."""


def is_number(text: bytes) -> bool:
    return _NUMBER.fullmatch(text) is not None


def nearest(text: bytes) -> float:
    """The float64 nearest to a literal that is finite, zero or smaller than the smallest float64 included.

    Raises NumberError for text that is no decimal, for magnitudes beyond the largest float64, and for too many digits.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise NumberError("not a decimal number")
    if len(text) > _LONGEST_NUMBER or (match[1] and (len(match[1]) > 100 or abs(int(match[1])) > _LARGEST_EXPONENT)):
        raise NumberError(f"a number of more than {_LONGEST_NUMBER} characters or with an exponent beyond {_LARGEST_EXPONENT}")
    value = float(text)
    # A magnitude above the largest float64 may still round to it.
    if math.isinf(value) or (abs(value) == _LARGEST and abs(exact(text)) > exact(_LARGEST)):
        raise NumberError("a number beyond the range of float64")
    return value


def exact(value: bytes | float) -> Fraction:
    """The rational that a decimal literal or a finite float stands for."""
    return Fraction(Decimal(value.decode("ascii"))) if isinstance(value, bytes) else Fraction(value)


def literal(text: bytes) -> Fraction:
    """The rational that a literal stands for; NumberError as by `nearest`."""
    nearest(text)
    return exact(text)


def bounded(value: Fraction) -> Fraction:
    """`value`, if it is within the range of float64 and of a length that keeps exact arithmetic fast; else NumberError."""
    above, below = value.numerator.bit_length(), value.denominator.bit_length()
    if max(above, below) > _LARGEST_BITS:
        raise NumberError("a coefficient or bound of too many digits")
    if above - below > 1020 and abs(value) > exact(_LARGEST):
        raise NumberError("a coefficient or bound beyond the range of float64")
    return value


def round_down(value: Fraction) -> float:
    """The largest float64 <= value (minus infinity below the range)."""
    try:
        near = float(value)
    except OverflowError:
        return _LARGEST if value > 0 else -math.inf
    return near if exact(near) <= value else math.nextafter(near, -math.inf)


def as_single(value: Fraction) -> Fraction:
    """`value` through float64 to float32: how a numpy float32 meets a Python number. Magnitudes beyond float32 stay as they are."""
    with np.errstate(over="ignore"):
        rounded = float(np.float32(float(value)))
    return Fraction(rounded) if math.isfinite(rounded) else value


@dataclass(frozen=True, eq=False)
class Numbers:
    """Distinct numbers of one query, named by their position k.

    near (K,) float64: the nearest float64. sign (K,) int8: the sign of near[k] - number k, exactly. `written`: literals, or
    Fractions where a number is the result of arithmetic.
    """

    written: tuple[bytes | Fraction, ...]
    near: np.ndarray
    sign: np.ndarray

    @staticmethod
    def of(written: Sequence[bytes | Fraction], near: Sequence[float]) -> Numbers:
        values = np.array(near, dtype=np.float64) + 0.0  # turns -0.0 into 0.0
        return Numbers(tuple(written), values, _signs(written, values))

    @cached_property
    def down(self) -> np.ndarray:
        """(K,) the largest float64 <= each number."""
        with np.errstate(over="ignore"):  # of the largest float, where it is not taken
            return np.where(self.sign > 0, np.nextafter(self.near, -np.inf), self.near)

    @cached_property
    def up(self) -> np.ndarray:
        """(K,) the smallest float64 >= each number."""
        with np.errstate(over="ignore"):  # of the largest float, where it is not taken
            return np.where(self.sign < 0, np.nextafter(self.near, np.inf), self.near)

    def exact(self, k: int) -> Fraction:
        written = self.written[k]
        return written if isinstance(written, Fraction) else exact(written)

    def compare(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Signs (N,) int8 of number a[i] - number b[i], exactly; a, b (N,) positions."""
        first, second = self.near[a], self.near[b]
        result = (first > second).astype(np.int8) - (first < second).astype(np.int8)
        tied = (result == 0) & (a != b)
        if tied.any():
            result[tied] = np.sign(self.sign[b[tied]] - self.sign[a[tied]])
            for i in np.flatnonzero(tied & (result == 0) & (self.sign[a] != 0)):
                result[i] = _order(self.exact(int(a[i])), self.exact(int(b[i])))
        return result


class NumberTable:
    """Collects distinct literals, and results of arithmetic, and gives them positions."""

    def __init__(self) -> None:
        self._known: defaultdict[bytes, int] = defaultdict()
        self._written: list[bytes | Fraction] = []
        self._near: list[float] = []

    def positions(self, literals: Sequence[bytes]) -> np.ndarray:
        """(k,) int32, of literals that match NUMBER. Raises NumberError where one of them is out of range."""
        known, before = self._known, len(self._written)
        known.default_factory = count(before).__next__
        ids = np.fromiter(map(known.__getitem__, literals), dtype=np.int32, count=len(literals))
        # Where the ids grow beyond all earlier ones a literal is new.
        greatest = np.maximum.accumulate(np.concatenate([[before - 1], ids]))
        fresh = list(compress(literals, greatest[1:] > greatest[:-1]))
        near = list(map(float, fresh))
        if near and not max(map(abs, near)) < _LARGEST:
            try:
                near = list(map(nearest, fresh))
            except NumberError:
                for text in fresh:
                    del known[text]
                raise
        self._written += fresh
        self._near += near
        return ids

    def add(self, value: Fraction) -> int:
        self._near.append(float(bounded(value)))
        self._written.append(value)
        return len(self._written) - 1

    def exact(self, k: int) -> Fraction:
        written = self._written[k]
        return written if isinstance(written, Fraction) else exact(written)

    def freeze(self) -> Numbers:
        return Numbers.of(self._written, self._near)


_SHORT = 17
"""Characters of a literal whose digits fit an int64."""
_SWEEP = 1 << 16


def _signs(written: Sequence[bytes | Fraction], near: np.ndarray) -> np.ndarray:
    """(K,) int8: signs of near[k] - number k. Short decimals m / 10^d, |m| < 2^53, d <= 22, in one sweep: the product near * 10^d as an
    exact sum p + e (Dekker), of which p - m is exact, because near is m / 10^d up to half an ulp (Sterbenz)."""
    signs = np.zeros(len(written), dtype=np.int8)
    done = np.zeros(len(written), dtype=bool)
    for start in range(0, len(written), _SWEEP):
        part = slice(start, start + _SWEEP)
        signs[part], done[part] = _short_signs(written[part], near[part])
    for k in np.flatnonzero(~done).tolist():
        signs[k] = _difference(float(near[k]), written[k])
    return signs


def _short_signs(written: Sequence[bytes | Fraction], near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(signs, whether they are right)."""
    signs, done = np.zeros(len(written), dtype=np.int8), np.zeros(len(written), dtype=bool)
    texts = [t if isinstance(t, bytes) else b"+" for t in written]
    ends, power, plain = _layout(b",".join(texts))
    lengths = np.diff(ends, prepend=-1) - 1
    short = np.flatnonzero(plain & (lengths <= _SHORT))
    if not len(short):
        return signs, done
    if len(short) < len(texts):
        texts = [texts[k] for k in short.tolist()]
    digits = np.fromstring(b",".join(texts).replace(b".", b"").decode("ascii"), dtype=np.int64, sep=",")
    power, value = power[short], near[short]
    product, error = _exact_product(value, (10.0 ** np.arange(_SHORT))[power])
    signs[short] = np.where(digits == 0, 0, np.sign((product - digits) + error))
    done[short] = np.abs(digits) < 1 << 53
    return signs, done


def _layout(text: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of literals joined by commas, each (k,): where they end, how many digits stand behind the point, whether there are digits, a point
    and a minus sign alone."""
    letters = np.frombuffer(text, dtype=np.uint8)
    ends = np.append(np.flatnonzero(letters == ord(",")), len(text))
    points = np.flatnonzero(letters == ord("."))
    owner = np.searchsorted(ends, points)
    power = np.zeros(len(ends), dtype=np.int64)
    power[owner] = ends[owner] - 1 - points
    plain = np.ones(len(ends), dtype=bool)
    plain[np.searchsorted(ends, np.flatnonzero((letters > ord("9")) | (letters == ord("+"))))] = False
    return ends, power, plain


def _exact_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p, e): a * b = p + e without rounding, far from overflow and underflow."""
    product = a * b
    (high_a, low_a), (high_b, low_b) = (_halves(v) for v in (a, b))
    return product, low_a * low_b - (((product - high_a * high_b) - low_a * high_b) - high_a * low_b)


def _halves(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = 134217729.0 * v
    high = scaled - (scaled - v)
    return high, v - high


def _difference(near: float, written: bytes | Fraction) -> int:
    # A Decimal compares without rounding, and is several times cheaper than a Fraction.
    if not isinstance(written, bytes):
        return _order(Fraction(near), written)
    number, value = Decimal(written.decode()), Decimal(near)
    return 1 if value > number else -(value < number)


def _order(a: Fraction, b: Fraction) -> int:
    return (a > b) - (a < b)


Variable = tuple[str, int]
"""("X", i) or ("Y", j); in a term of a comparison also ("P", k), a product of such variables."""


@dataclass(eq=False)
class Linear:
    """sum of terms[v] * v + constant, no zero coefficients. The methods change the object in place."""

    terms: dict[Variable, Fraction] = field(default_factory=dict)
    constant: Fraction = Fraction(0)

    def add(self, other: Linear, factor: int = 1) -> Linear:
        """self + factor * other, for a factor of 1 or -1; the longer of the two is reused, so that deep sums stay linear."""
        if factor == 1 and len(other.terms) > len(self.terms):
            self, other = other, self
        for variable, coefficient in other.terms.items():
            total = self.terms.get(variable, 0) + factor * coefficient
            if total:
                self.terms[variable] = bounded(Fraction(total))
            else:
                self.terms.pop(variable, None)
        self.constant = bounded(self.constant + factor * other.constant)
        return self

    def scale(self, factor: Fraction) -> Linear:
        self.terms = {v: bounded(c * factor) for v, c in self.terms.items()} if factor else {}
        self.constant = bounded(self.constant * factor)
        return self
