"""The square: what the product of a value with itself is."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from verifier.arrays import Array, namespace
from verifier.operators.base import Elementwise, Lines, Side


@dataclass(frozen=True, eq=False)
class Square(Elementwise):
    """s(p) = p^2, convex. Upper line the chord, of slope l + u; lower line a tangent, at first the one at the middle, as steep.

    p^2 - slope * p is least where p is nearest slope / 2, which is computed without rounding, and greatest at an end.
    """

    convex = True
    image = (0.0, inf)

    def function(self, p: Array) -> Array:
        return p * p

    def derivative(self, p: Array) -> Array:
        return 2.0 * p

    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        xp = namespace(lower)
        if side == "lower":
            return xp.minimum(xp.maximum(0.5 * slope, lower), upper)
        at_lower, at_upper = lower * lower - slope * lower, upper * upper - slope * upper
        return xp.where((at_lower > at_upper) | (at_lower != at_lower), lower, upper)

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        xp = namespace(lower)
        nearest = xp.clip(xp.zeros_like(lower), lower, upper)
        return nearest * nearest, xp.maximum(lower * lower, upper * upper)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return 2.0 * lower, 2.0 * upper

    def linear(self, lower: Array, upper: Array) -> Array:
        return lower == upper

    def lines(self, lower: Array, upper: Array) -> Lines:
        return Lines(lower + upper, lower + upper)

    @property
    def function_ulps(self) -> int:
        """One rounding; 2, so that intervals are rounded outward."""
        return 2
