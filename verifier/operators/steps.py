"""Functions that jump: Sign, Positive, Floor and Round.

Between jumps they are constant, so the least and the greatest s(p) - slope * p are at an end or at a jump, where the limits from both
sides count as far as that side belongs to [l, u]. Jumps of equal height repeat at equal distances, so of all inside the first and the
last matter. An infimum need not be attained: `extremum` is then the place of the jump, and the intercept the limit there.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import inf

import numpy as np

from verifier.arrays import Array, at_least, namespace, sign
from verifier.operators.base import Elementwise, Side, improves

_STEEPEST = 64.0
"""Of lines over steps of height 1: steeper ones would help only near a jump, and make rounding grow."""
_NEAR = 0.1
"""Distance from a jump, in mean distances, that counts as near in an attack. On traffic_signs 48_7377 the least of 8 margins after 60 steps
is -4 with 0.1 and 0.2, 12 with 0.03, and 50 with a distance of 1 for all layers."""


class Steps(Elementwise, abstract=True):
    @abstractmethod
    def jumps(self, lower: Array, upper: Array, side: Side) -> tuple[tuple[Array, Array, Array], ...]:
        """(where, value, whether it counts) of the first and the last jump in [l, u]: the limit from the left where that lies in
        [l, u] (side = lower), or from the right (side = upper)."""

    def optimum(self, slope: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array]:
        """(p, the least or greatest s(p) - slope * p or limit of it)."""
        xp = namespace(lower)
        worst = xp.inf if side == "lower" else -xp.inf
        best, value = lower, self.function(lower) - slope * lower
        limits = [(p, xp.where(counts, step - slope * p, worst)) for p, step, counts in self.jumps(lower, upper, side)]
        for p, other in [(upper, self.function(upper) - slope * upper), *limits]:
            better = improves(other, value, side)
            best, value = xp.where(better, p, best), xp.where(better, other, value)
        return best, value

    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        return self.optimum(slope, lower, upper, side)[0]

    def intercept(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        return self.optimum(slope, lower, upper, side)[1]

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Not falling: at the ends."""
        return self.function(lower), self.function(upper)

    def derivative(self, p: Array) -> Array:
        return namespace(p).zeros_like(p)

    def pullback(self, p: Array, g: Array) -> Array:
        """Of a ramp through the steps, as the derivative says nothing (straight-through, Bengio et al. 2013)."""
        return g * self.ramp(p)

    @abstractmethod
    def ramp(self, p: Array) -> Array:
        """The slope of a ramp through the steps at p."""

    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        around = np.where(distance > 0, distance * (1 + 1e-6) + 2.0**-51 * np.abs(p), 0.0)
        return np.asarray(self.function(p + around) - self.function(p - around))

    @abstractmethod
    def divisible(self, lower: Array, upper: Array) -> Array:
        """Where a jump is inside: one at an end stays in one of the parts however often that is split."""

    def _steepest(self, lower: Array, upper: Array) -> Array:
        xp = namespace(lower)
        width = upper - lower
        wide = width > 8 * xp.finfo(width.dtype).tiny  # slopes of a few times its inverse are finite
        return xp.where(self.linear(lower, upper), 0.0 * width, 1.0 / xp.where(wide, width, 1.0))


class JumpAtZero(Steps, abstract=True):
    """s(p) = `left` for p < 0, 1 for p > 0. Lines that touch both steps, of height h, have slopes up to h / min(-l, u)."""

    kinks = (0.0,)
    bounded_slopes = False
    left: float

    def jumps(self, lower: Array, upper: Array, side: Side) -> tuple[tuple[Array, Array, Array], ...]:
        zero = namespace(lower).zeros_like(lower)
        if side == "lower":
            return ((zero, zero + self.left, (lower < 0) & (upper >= 0)),)
        return ((zero, zero + 1.0, (lower <= 0) & (upper > 0)),)

    def linear(self, lower: Array, upper: Array) -> Array:
        return (lower > 0) | (upper < 0) | (lower == upper)

    def divisible(self, lower: Array, upper: Array) -> Array:
        return (lower < 0) & (upper > 0)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return 0.0 * (upper - lower), 2.0 * (1.0 - self.left) * self._steepest(lower, upper)

    def slope_magnitude(self, lower: np.ndarray, upper: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Where slopes are not zero the enclosure holds zero: |p| <= u - l, and a slope is at most 4 / (u - l)."""
        return np.full(lower.shape, 4.0)

    def ramp(self, p: Array) -> Array:
        """The neurons nearest to their jump count: how near that is depends on the size of the others of the same point."""
        xp = namespace(p)
        size = xp.mean(xp.abs(p), axis=tuple(range(1, p.ndim)), keepdims=True)
        return 1.0 / (1.0 + xp.abs(p) / (_NEAR * size + 1e-30)) ** 2

    @property
    def function_ulps(self) -> int:
        return 1


@dataclass(frozen=True, eq=False)
class Sign(JumpAtZero):
    """s(p) = -1, 0, 1 for p < 0, p = 0, p > 0."""

    image = (-1.0, 1.0)
    left = -1.0

    def function(self, p: Array) -> Array:
        return sign(p)


@dataclass(frozen=True, eq=False)
class Positive(JumpAtZero):
    """s(p) = 1 for p > 0, else 0: what comparisons are made of."""

    image = (0.0, 1.0)
    left = 0.0

    def function(self, p: Array) -> Array:
        return at_least(sign(p), 0.0)

    def linear(self, lower: Array, upper: Array) -> Array:
        return (lower > 0) | (upper <= 0) | (lower == upper)


class Staircase(Steps, abstract=True):
    """Steps of height 1 at first + k, for whole k, to the value k."""

    first: float

    def jumps(self, lower: Array, upper: Array, side: Side) -> tuple[tuple[Array, Array, Array], ...]:
        xp, down = namespace(lower), 1.0 if side == "lower" else 0.0
        if side == "lower":  # l < jump <= u
            numbers = xp.floor(lower - self.first) + 1.0, xp.floor(upper - self.first)
        else:  # l <= jump < u
            numbers = xp.ceil(lower - self.first), xp.ceil(upper - self.first) - 1.0
        counts = numbers[0] <= numbers[1]
        return tuple((k + self.first, k - down, counts) for k in numbers)

    def linear(self, lower: Array, upper: Array) -> Array:
        return self.function(lower) == self.function(upper)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        xp = namespace(lower)
        steep = xp.clip(1.0 + 2.0 * self._steepest(lower, upper), 0.0, _STEEPEST)
        greatest = xp.where(self.linear(lower, upper), 0.0 * steep, steep)
        return 0.0 * greatest, greatest

    def steepest(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.full(lower.shape, _STEEPEST)

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The jump nearest the middle inside (l, u), else the middle."""
        middle = 0.5 * lower + 0.5 * upper
        jump = self._middle_jump(middle)
        return namespace(lower).where((lower < jump) & (jump < upper), jump, middle)

    def divisible(self, lower: Array, upper: Array) -> Array:
        jump = self._middle_jump(0.5 * lower + 0.5 * upper)
        return (lower < jump) & (jump < upper)

    def _middle_jump(self, middle: Array) -> Array:
        return namespace(middle).round(middle - self.first) + self.first

    def ramp(self, p: Array) -> Array:
        return namespace(p).ones_like(p)

    @property
    def function_ulps(self) -> int:
        """No rounding up to 2^52; beyond, all numbers are whole, and the function is p but for 1, one unit of the last place."""
        return 4


@dataclass(frozen=True, eq=False)
class Floor(Staircase):
    """The greatest whole number that is not above p; defined for |p| < limit."""

    limit: float = inf
    first = 0.0

    def defined(self, lower: Array, upper: Array) -> Array | None:
        return None if self.limit == inf else (lower > -self.limit) & (upper < self.limit)

    def function(self, p: Array) -> Array:
        return namespace(p).floor(p)


@dataclass(frozen=True, eq=False)
class Round(Staircase):
    """The nearest whole number, the even one of two."""

    first = -0.5

    def function(self, p: Array) -> Array:
        return namespace(p).round(p)
