"""Gelu, Silu, Mish and HardSwish: s(p) = p * gate(p), where the gate rises from 0 to 1.

A rule of their own knows that both factors are one value. Planes over the box of p and gate(p) do not: on [-2, 2] their gap to Silu is
several times as large.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt

import numpy as np

from verifier.arrays import Array, namespace
from verifier.operators.curved import ROUNDING, Curved
from verifier.operators.error_function import erfc

_TAIL = 40.0
"""Beyond it s' is its limit but for less than 2^-50."""
_STEPS = 4
_CELLS = 1024


class Gated(Curved, abstract=True):
    """Concave, convex, concave. s' falls from 0 to the first bend, rises to the second, and falls to 1."""

    curvature = (-1, 1, -1)

    @abstractmethod
    def gate(self, p: Array) -> Array: ...

    def function(self, p: Array) -> Array:
        return p * self.gate(p)

    @cached_property
    def _tables(self) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Of every piece (s', p) in the order of s'."""
        first, last = self.bends
        ends = (first, -_TAIL), (first, last), (_TAIL, last)
        return tuple((np.maximum.accumulate(self.derivative(p)), p) for p in (np.linspace(a, b, _CELLS + 1) for a, b in ends))

    @cached_property
    def _moved(self) -> dict[tuple[object, ...], tuple[Array, Array]]:
        return {}

    def _table(self, piece: int, like: Array) -> tuple[Array, Array]:
        """That of a piece in the type and on the device of `like`; kept, as what is moved to a device waits for it."""
        key = piece, like.dtype, str(like.device)
        if key not in self._moved:
            xp = namespace(like)
            on = {} if isinstance(like, np.ndarray) else {"device": like.device}
            slopes, points = (xp.asarray(column, dtype=like.dtype, **on) for column in self._tables[piece])
            self._moved[key] = slopes, points
        return self._moved[key]

    def stationary(self, slope: Array, piece: int) -> Array:
        """The cell of a table in which s' = slope, narrowed by false positions."""
        xp, (slopes, points) = namespace(slope), self._table(piece, slope)
        cell = xp.clip(xp.searchsorted(slopes, slope), 1, _CELLS)
        low, high, d_low, d_high = points[cell - 1], points[cell], slopes[cell - 1], slopes[cell]
        p = low
        for _ in range(_STEPS):
            rise = d_high - d_low
            share = xp.clip((slope - d_low) / xp.where(rise > 0, rise, 1.0), 0.0, 1.0)
            p = low + share * (high - low)
            d = self.derivative(p)
            below = d < slope
            low, d_low = xp.where(below, p, low), xp.where(below, d, d_low)
            high, d_high = xp.where(below, high, p), xp.where(below, d_high, d)
        if piece == 0:
            return xp.where(slope >= 0, -xp.inf, p)
        return p if piece == 1 else xp.where(slope <= 1, xp.inf, p)

    def derivative_rounding(self, p: Array, derivative: Array) -> Array:
        """gate(p) + p gate'(p), whose parts are below 1.2 and which may cancel."""
        return 2 * ROUNDING + 0.0 * derivative

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """A gate is off by a few units of 1, where it is small by more of its own."""
        xp = namespace(lower)
        rounding = ROUNDING * xp.maximum(xp.abs(lower), xp.abs(upper))
        least, greatest = super().range(lower, upper)
        return least - rounding, greatest + rounding

    @property
    def offset_scale(self) -> float:
        return 1.0


@dataclass(frozen=True, eq=False)
class Silu(Gated):
    """p / (1 + exp(-p)); bends where p tanh(p / 2) = 2."""

    bends = (-2.3993572805154677, 2.3993572805154677)

    def gate(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return xp.where(p >= 0, 1.0, e) / (1.0 + e)

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return xp.where(p >= 0, 1.0, e) / (1.0 + e) + p * e / ((1.0 + e) * (1.0 + e))


@dataclass(frozen=True, eq=False)
class Gelu(Gated):
    """p * Phi(p), with the normal distribution Phi (Hendrycks and Gimpel 2016); s'' = phi(p) (2 - p^2)."""

    bends = (-sqrt(2.0), sqrt(2.0))

    def gate(self, p: Array) -> Array:
        return 0.5 * erfc(p * -sqrt(0.5))

    def derivative(self, p: Array) -> Array:
        return self.gate(p) + p * namespace(p).exp(-0.5 * p * p) / sqrt(2 * pi)


@dataclass(frozen=True, eq=False)
class GeluTanh(Gated):
    """p (1 + tanh(y)) / 2 with y = sqrt(2 / pi) (p + 0.044715 p^3); the gate is 1 / (1 + exp(-2 y))."""

    bends = (-1.4185040087908284, 1.4185040087908284)

    def _exponent(self, p: Array) -> Array:
        """2 y."""
        return (2 * sqrt(2 / pi)) * p * (1.0 + 0.044715 * p * p)

    def gate(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(self._exponent(p)))
        return xp.where(p >= 0, 1.0, e) / (1.0 + e)

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(self._exponent(p)))
        rise = (2 * sqrt(2 / pi)) * (1.0 + (3 * 0.044715) * p * p)
        return xp.where(p >= 0, 1.0, e) / (1.0 + e) + p * rise * e / ((1.0 + e) * (1.0 + e))


@dataclass(frozen=True, eq=False)
class Mish(Gated):
    """p * tanh(log(1 + exp(p))) (Misra 2019)."""

    bends = (-2.2563763963607932, 1.4905711794854284)

    def gate(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        right = (1.0 + 2.0 * e) / (1.0 + 2.0 * e + 2.0 * e * e)
        left = e * (e + 2.0) / (e * (e + 2.0) + 2.0)
        return xp.where(p >= 0, right, left)

    def derivative(self, p: Array) -> Array:
        """gate + p (1 - gate^2) / (1 + exp(-p)), with 1 - gate^2 free of cancellation."""
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        right = 4.0 * e * e * (1.0 + e) / (1.0 + 2.0 * e + 2.0 * e * e) ** 2
        left = 4.0 * e * (1.0 + e) / (e * (e + 2.0) + 2.0) ** 2
        return self.gate(p) + p * xp.where(p >= 0, right, left)


@dataclass(frozen=True, eq=False)
class HardSwish(Curved):
    """p * min(max(p / 6 + 1 / 2, 0), 1) (Howard et al. 2019)."""

    bends = (-3.0, 3.0)
    kinks = (-3.0, 3.0)
    curvature = (0, 1, 0)
    slopes_at_kinks = ((0.0, -0.5), (1.5, 1.0))

    def function(self, p: Array) -> Array:
        return p * namespace(p).clip(p + 3.0, 0.0, 6.0) / 6.0

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        return xp.where(xp.abs(p) <= 3.0, (2.0 * p + 3.0) / 6.0, xp.where(p > 0, xp.ones_like(p), xp.zeros_like(p)))

    def stationary(self, slope: Array, piece: int) -> Array:
        return 3.0 * slope - 1.5

    @property
    def offset_scale(self) -> float:
        return 1.0
