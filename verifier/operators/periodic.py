"""Sin and Cos: the stationary points of s(p) - slope * p repeat, and what is there changes by the same amount from each to the next.

So of all that lie in [l, u] only the first and the last matter. With p* near such a point the same convexity as in `curved` says
what p* misses: |s'(p*) - slope| times the length of the convex part, at most pi. A stationary point that rounding puts on the other
side of an end, or of an inflection point, at a distance of d, costs d^2, for |s''| <= 1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import pi

import numpy as np

from verifier.arrays import Array, namespace
from verifier.operators.base import Elementwise, Side, improves
from verifier.operators.curved import ROUNDING

_LARGEST_ARGUMENT = 1e9
"""Libraries reduce arguments up to here without loss."""


class Periodic(Elementwise, abstract=True):
    @abstractmethod
    def stationary(self, slope: Array, side: Side) -> Array:
        """A p with s'(p) = slope, |slope| <= 1, where s is convex (side = lower) or concave (side = upper)."""

    def optimum(self, slope: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array, Array]:
        """(p, s(p) - slope * p, slack) as in `Curved.optimum`."""
        xp = namespace(lower)
        best, value, slack = lower, self.function(lower) - slope * lower, 0.0 * (lower + slope)
        phase, monotone = self.stationary(xp.clip(slope, -1.0, 1.0), side), xp.abs(slope) >= 1.0
        first = phase + 2 * pi * xp.ceil((lower - phase) / (2 * pi))
        last = phase + 2 * pi * xp.floor((upper - phase) / (2 * pi))
        length = xp.clip(upper - lower, 0.0, 3.2)
        for p in (first, last):
            inside = (p >= lower) & (p <= upper) & ~monotone
            residual = xp.abs(self.derivative(p) - slope) + ROUNDING * (1.0 + xp.abs(slope))
            slack = xp.maximum(slack, xp.where(inside, residual * length, 0.0 * residual))
        for p in (xp.minimum(xp.maximum(first, lower), upper), xp.minimum(xp.maximum(last, lower), upper), upper):
            other = self.function(p) - slope * p
            better = improves(other, value, side)
            best, value = xp.where(better, p, best), xp.where(better, other, value)
        distance = 2.0**-46 * (xp.maximum(xp.abs(lower), xp.abs(upper)) + 8.0)
        value = xp.where(self.defined(lower, upper), value, xp.nan)
        return best, value, slack + xp.where(lower < upper, distance * distance, 0.0)

    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        return self.optimum(slope, lower, upper, side)[0]

    def slack(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array | float:
        return self.optimum(slope, lower, upper, side)[2]

    def plane(self, parameter: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array | None]:
        _, value, slack = self.optimum(parameter, lower, upper, side)
        return parameter, value - slack if side == "lower" else value + slack

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        zero = namespace(lower).zeros_like(lower)
        (_, least, below), (_, greatest, above) = (self.optimum(zero, lower, upper, side) for side in ("lower", "upper"))
        return least - below, greatest + above

    def bent(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Between two zeros, where s'' = -s has one sign."""
        xp = namespace(lower)
        zero = self.stationary(xp.ones_like(lower), "upper")
        inside = xp.floor((lower - zero) / pi) == xp.floor((upper - zero) / pi)
        above = self.function(0.5 * lower + 0.5 * upper) > 0
        return inside & ~above, inside & above

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """s' is the function a quarter of a turn later: -1 or 1 where [l, u] may hold such a point, else extreme at an end."""
        xp = namespace(lower)
        at_lower, at_upper = self.derivative(lower), self.derivative(upper)
        extremes = []
        for slope in (-1.0, 1.0):
            phase = self.stationary(xp.zeros_like(lower) + slope, "lower")
            margin = 1e-9 * (1.0 + xp.abs(lower) + xp.abs(upper))
            holds = xp.ceil((lower - margin - phase) / (2 * pi)) <= xp.floor((upper + margin - phase) / (2 * pi))
            end = xp.minimum(at_lower, at_upper) if slope < 0 else xp.maximum(at_lower, at_upper)
            extremes.append(xp.where(holds & (upper > lower), slope, end))
        return extremes[0], extremes[1]

    def linear(self, lower: Array, upper: Array) -> Array:
        return lower == upper

    def defined(self, lower: Array, upper: Array) -> Array:
        return (lower >= -_LARGEST_ARGUMENT) & (upper <= _LARGEST_ARGUMENT)

    def steepest(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.ones_like(lower)

    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        return np.minimum(distance * (1 + 1e-6), 2.0)

    @property
    def function_ulps(self) -> int:
        return 16

    @property
    def offset_scale(self) -> float:
        return 1.0


@dataclass(frozen=True, eq=False)
class Sin(Periodic):
    """s(p) = sin(p); s' = cos(p) = slope at -arccos(slope), where s <= 0 is convex, and at arccos(slope), and 2 pi on."""

    image = (-1.0, 1.0)

    def function(self, p: Array) -> Array:
        return namespace(p).sin(p)

    def derivative(self, p: Array) -> Array:
        return namespace(p).cos(p)

    def stationary(self, slope: Array, side: Side) -> Array:
        turn = namespace(slope).acos(slope)
        return -turn if side == "lower" else turn


@dataclass(frozen=True, eq=False)
class Cos(Periodic):
    """s(p) = cos(p); s' = -sin(p) = slope at pi + arcsin(slope), where s <= 0 is convex, and at -arcsin(slope), and 2 pi on."""

    image = (-1.0, 1.0)

    def function(self, p: Array) -> Array:
        return namespace(p).cos(p)

    def derivative(self, p: Array) -> Array:
        return -namespace(p).sin(p)

    def stationary(self, slope: Array, side: Side) -> Array:
        turn = namespace(slope).asin(slope)
        return pi + turn if side == "lower" else -turn
