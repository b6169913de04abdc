"""Piecewise-linear functions: every extremum of s(p) - slope * p lies at an end of [l, u] or at a kink inside.

`extremum` evaluates the few candidates, so it is exact for any slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from verifier.arrays import Array, at_least, at_most, namespace, sign
from verifier.operators.base import Elementwise, Lines, Side, improves


class PiecewiseLinear(Elementwise, abstract=True):
    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        xp = namespace(lower)
        best, value = lower, self.function(lower) - slope * lower
        inner = [xp.clip(xp.zeros_like(lower) + kink, lower, upper) for kink in self.kinks]
        for p in [*inner, upper]:
            other = self.function(p) - slope * p
            better = improves(other, value, side)
            best, value = xp.where(better, p, best), xp.where(better, other, value)
        return best

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """At an end or a kink; without the product with slope 0, which an infinite end does not allow."""
        xp = namespace(lower)
        ends = self.function(lower), self.function(upper)
        least, greatest = xp.minimum(*ends), xp.maximum(*ends)
        for kink in self.kinks:
            value = self.function(xp.clip(xp.zeros_like(lower) + kink, lower, upper))
            least, greatest = xp.minimum(least, value), xp.maximum(greatest, value)
        return least, greatest

    def linear(self, lower: Array, upper: Array) -> Array:
        inside = lower != lower
        for kink in self.kinks:
            inside = inside | ((lower < kink) & (kink < upper))
        return ~inside

    def chord(self, lower: Array, upper: Array) -> Array:
        """Slope between the ends; on an interval of one point the derivative there."""
        xp = namespace(lower)
        width = upper - lower
        return xp.where(width > 0, (self.function(upper) - self.function(lower)) / xp.where(width > 0, width, 1.0), self.derivative(upper))


@dataclass(frozen=True, eq=False)
class LeakyRelu(PiecewiseLinear):
    """s(p) = p for p >= 0, alpha * p below; 0 <= alpha <= 1 (Relu: alpha = 0), so convex.

    Upper line: the chord. Lower line: any slope in [alpha, 1], through the origin; it starts with the one that leaves the
    smaller triangle (Zhang et al. 2018, CROWN, section 3.3).
    """

    alpha: float = 0.0
    kinks = (0.0,)
    convex = True
    lower_through_origin = True

    def function(self, p: Array) -> Array:
        positive = at_least(p, 0.0)
        return positive if self.alpha == 0.0 else positive + self.alpha * at_most(p, 0.0)

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        return xp.where(p > 0, xp.ones_like(p), xp.zeros_like(p) + self.alpha)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        xp = namespace(lower)
        one, least = xp.ones_like(lower), xp.zeros_like(lower) + self.alpha
        return xp.where(lower >= 0, one, least), xp.where((upper <= 0) & (lower < 0), least, one)

    def lines(self, lower: Array, upper: Array) -> Lines:
        xp = namespace(lower)
        least, greatest = self.slope_range(lower, upper)
        chord = xp.minimum(xp.maximum(self.chord(lower, upper), least), greatest)
        return Lines(xp.where(upper > -lower, greatest, least), chord)

    def intercept(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        """Convex, so the greatest value is at an end: fewer candidates than the general rule, for the hot loop."""
        if side == "lower":
            return super().intercept(slope, lower, upper, side)
        xp = namespace(lower)
        return xp.maximum(self.function(lower) - slope * lower, self.function(upper) - slope * upper)

    def near(self, slope: Array, gap: Array) -> tuple[Array, Array]:
        """s(p) - slope p is (1 - slope) p above the origin and (slope - alpha) |p| below."""
        up = gap * (1.0 + 2.0**-50)  # three roundings
        return -(up / (slope - self.alpha)), up / (1.0 - slope)

    @property
    def function_ulps(self) -> int:
        return 1 if self.alpha == 0.0 else 2


@dataclass(frozen=True, eq=False)
class Relu(LeakyRelu):
    """s(p) = max(p, 0)."""

    image = (0.0, inf)


@dataclass(frozen=True, eq=False)
class Abs(PiecewiseLinear):
    """s(p) = |p|, convex. Lower slope in [-1, 1], upper line the chord."""

    image = (0.0, inf)

    kinks = (0.0,)
    convex = True
    lower_through_origin = True

    def function(self, p: Array) -> Array:
        return namespace(p).abs(p)

    def derivative(self, p: Array) -> Array:
        return sign(p)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        xp = namespace(lower)
        one = xp.ones_like(lower)
        return xp.where(lower >= 0, one, -one), xp.where((upper <= 0) & (lower < 0), -one, one)

    def lines(self, lower: Array, upper: Array) -> Lines:
        xp = namespace(lower)
        least, greatest = self.slope_range(lower, upper)
        return Lines(xp.where(upper > -lower, greatest, least), xp.clip(self.chord(lower, upper), least, greatest))


@dataclass(frozen=True, eq=False)
class Clip(PiecewiseLinear):
    """s(p) = min(max(p, low), high); low <= high, either may be infinite. Slopes of both lines in [0, 1]."""

    low: float
    high: float

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return tuple(k for k in (self.low, self.high) if abs(k) != inf)

    @property
    def image(self) -> tuple[float, float]:  # type: ignore[override]
        return self.low, self.high

    def function(self, p: Array) -> Array:
        return namespace(p).clip(p, self.low, self.high)

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        return xp.where((p > self.low) & (p < self.high), xp.ones_like(p), xp.zeros_like(p))

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        xp = namespace(lower)
        one, zero = xp.ones_like(lower), xp.zeros_like(lower)
        flat = (upper <= self.low) | (lower >= self.high)
        identity = (lower >= self.low) & (upper <= self.high) & ~flat
        return xp.where(identity, one, zero), xp.where(flat, zero, one)
