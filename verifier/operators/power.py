"""Powers with a constant exponent: Sqrt, Reciprocal and Pow."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from verifier.arrays import Array, at_least, namespace
from verifier.operators.base import Lines
from verifier.operators.curved import Curved

_NEAR_ZERO = 2.0**-8
"""Slopes at zero are infinite for exponents below 1: tangents of [l, u] touch at no less than this share of u."""


@dataclass(frozen=True, eq=False)
class Power(Curved):
    """s(p) = p^exponent, for an exponent other than 0 and 1; s' = slope at |p| = |slope / exponent|^(1 / (exponent - 1)).

    Integer exponents: all p, but for zero where the exponent is negative; others: p >= 0 (p > 0 where it is negative).
    """

    exponent: float
    least: float = -inf

    @property
    def image(self) -> tuple[float, float]:  # type: ignore[override]
        return (-inf, inf) if self._odd else (0.0, inf)

    @property
    def least_argument(self) -> float:
        return self.least

    @property
    def _whole(self) -> bool:
        return self.exponent == round(self.exponent)

    @property
    def _odd(self) -> bool:
        return self._whole and round(self.exponent) % 2 == 1

    @property
    def _concave(self) -> bool:
        """Right of zero."""
        return 0.0 < self.exponent < 1.0

    @property
    def _two_sided(self) -> bool:
        return self._odd or (self._whole and self.exponent < 0)

    @property
    def bends(self) -> tuple[float, ...]:  # type: ignore[override]
        return (0.0,) if self._two_sided else ()

    @property
    def curvature(self) -> tuple[int, ...]:  # type: ignore[override]
        right = -1 if self._concave else 1
        return (-1 if self._odd else 1, right) if self._two_sided else (right,)

    @property
    def convex(self) -> bool:  # type: ignore[override]
        return self.curvature == (1,)

    def _limits(self, p: Array) -> tuple[float, float]:
        """|p| between which s and s' stay far from overflow and underflow in the type of p."""
        digits = (200.0 if p.dtype == namespace(p).float64 else 36.0) / (abs(self.exponent) + 1.0)
        return 10.0**-digits, 10.0**digits

    def defined(self, lower: Array, upper: Array) -> Array:
        least, greatest = self._limits(lower)
        inside = (lower >= -greatest) & (upper <= greatest)
        if self.exponent < 0:
            return inside & ((lower >= least) | (upper <= -least) if self._whole else lower >= least)
        return inside if self._whole else inside & (lower >= 0)

    def function(self, p: Array) -> Array:
        if self.exponent == -1.0:
            return 1.0 / p
        xp = namespace(p)
        if self.exponent == 0.5:
            return xp.sqrt(p)
        size = xp.pow(xp.abs(p), self.exponent)
        return xp.where(p < 0, -size, size) if self._odd else size

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        size = xp.abs(p) if self.exponent >= 1 else at_least(xp.abs(p), self._limits(p)[0])
        size = self.exponent * xp.pow(size, self.exponent - 1.0)
        return size if self._odd or not self._whole else xp.where(p < 0, -size, size)

    def stationary(self, slope: Array, piece: int) -> Array:
        """On either side of zero, where |s'| grows with |p| for exponents above 1 and falls for others, from infinity to 0."""
        xp, side = namespace(slope), -1.0 if self._two_sided and piece == 0 else 1.0
        ratio = slope / self.exponent if self._odd or not self._whole else side * (slope / self.exponent)
        if self.convex and self._whole:  # an even exponent: one piece, s' takes all values
            side, ratio = xp.where(ratio < 0, -1.0, 1.0), xp.abs(ratio)
        power = 1.0 / (self.exponent - 1.0)
        least, greatest = (limit ** (self.exponent - 1.0) for limit in self._limits(slope))
        size = xp.pow(xp.clip(ratio, min(least, greatest), max(least, greatest)), power)
        return side * (xp.where(ratio > 0, size, 0.0) if power > 0 else size)

    def convexity(self, lower: Array, upper: Array) -> Array | bool | None:
        """With a pole at zero the interval lies on one side of it."""
        if self.exponent > 0 or not self._whole:
            return super().convexity(lower, upper)
        return lower > 0 if self._odd else True

    def touching(self, share: Array, lower: Array, upper: Array) -> Array:
        """Near a pole by equal factors; slopes at zero may be infinite, so there not at zero itself."""
        xp = namespace(lower)
        if self.exponent < 0:
            point = lower * xp.pow(upper / lower, share)
        else:
            point = lower + share * (upper - lower)
        return xp.clip(xp.maximum(point, _NEAR_ZERO * upper) if self._concave else point, lower, upper)

    def initial(self, lower: Array, upper: Array) -> Lines:
        """At the middle: a tangent of 1 / p that touches nearer to the pole falls below zero where p is large."""
        if self.exponent > 0:
            return super().initial(lower, upper)
        xp = namespace(lower)
        ratio = upper / lower
        wide = xp.abs(ratio - 1.0) > 1e-3
        share = xp.where(wide, xp.log(0.5 + 0.5 * ratio) / xp.log(xp.where(wide, ratio, 2.0)), 0.5)
        return Lines(share, share)

    def bending(self, p: Array) -> Array:
        return (self.exponent - 1.0) * self.derivative(p) / namespace(p).where(p == 0, 1.0, p)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        if not self._concave:
            return super().slope_range(lower, upper)
        return self.derivative(upper), self.derivative(namespace(lower).maximum(lower, _NEAR_ZERO * upper))

    @property
    def bounded_slopes(self) -> bool:  # type: ignore[override]
        return not self._concave

    def slope_magnitude(self, lower: np.ndarray, upper: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Where concave, |s'| p = exponent * p^exponent at a tangent's point, and u is no more than 1 / _NEAR_ZERO times as far."""
        if not self._concave:
            return super().slope_magnitude(lower, upper, largest)
        return np.asarray(self.function(largest) * (self.exponent / _NEAR_ZERO ** (1.0 - self.exponent)) * (1 + 1e-6) + 1e-150)

    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        if not self._concave:
            return super().moved(p, distance)
        low, high = np.maximum(p - distance, 0.0), p + distance
        found = (self.function(high) - self.function(low)) * (1 + 1e-6) + 64 * 2.0**-53 * self.function(high)
        return np.where(high >= 0, found, np.inf)
