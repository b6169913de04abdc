"""Functions that are convex or concave between known points: one rule for all of them.

On a convex piece [a, b] and for any p in it, with g = s'(p) - slope, convexity says

    s(x) - slope x  >=  s(p) - slope p - max(g (p - a), -g (b - p))      for all x in [a, b],

so that p need not be the stationary point: what a p that is near it misses is known, and is taken off the intercept. Concave
pieces are the same upside down. Of the lower line convex pieces have a stationary point, of the upper one concave pieces; on the
others the extremum is at an end.

The parameter of a function that bends in several ways is a line's slope. Of one that is convex on [l, u] it is where the lower line
touches, as a share of the way from l to u, and the upper line is the chord; of a concave one the other way round. Slopes of exp or
1 / p differ by many orders of magnitude over [l, u], so steps of an optimiser make sense along the way only.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from math import inf
from typing import ClassVar

import numpy as np

from verifier.arrays import Array, namespace
from verifier.operators.base import Elementwise, Lines, Side, improves

ROUNDING = 16 * 2.0**-53
"""Relative rounding of one evaluation of s or s': exp, log, tanh, sin, cos and powers of numpy (SVML), torch (SLEEF) and CUDA are
within 4 units in the last place."""


class Curved(Elementwise, abstract=True):
    bends: ClassVar[tuple[float, ...]] = ()
    """Where one piece ends and the next begins, ascending; `kinks` are among them."""
    curvature: ClassVar[tuple[int, ...]]
    """Of the pieces, one more than there are bends: 1 convex, -1 concave, 0 linear."""
    slopes_at_kinks: ClassVar[tuple[tuple[float, float], ...]] = ()
    """s' left and right of every kink. `derivative` at a kink is that of a curved piece, if one of the two is."""

    @abstractmethod
    def stationary(self, slope: Array, piece: int) -> Array:
        """About where s'(p) = slope in a curved piece; where there is no such p, a number beyond the end at which s' is nearest."""

    def derivative_rounding(self, p: Array, derivative: Array) -> Array:
        """How far `derivative`, computed at p, may be from s'(p)."""
        return ROUNDING * namespace(p).abs(derivative)

    def optimum(
        self, slope: Array, lower: Array, upper: Array, side: Side, rigorous: bool = True, touch: Array | None = None
    ) -> tuple[Array, Array, Array | float]:
        """(p, s(p) - slope * p, slack): `extremum`, what is there, and by how much some other point may be better.

        touch: a point to take for the stationary one. rigorous: without it the slack is left at zero. What is there is no number
        where s is not `defined` on all of [l, u], so that nothing follows from it.
        """
        xp, sign = namespace(lower), 1 if side == "lower" else -1
        best, value, slack = lower, self.function(lower) - slope * lower, 0.0
        points = [upper, *(xp.clip(xp.zeros_like(lower) + kink, lower, upper) for kink in self.kinks)]
        for piece, (curvature, (left, right)) in enumerate(zip(self.curvature, pairwise((-inf, *self.bends, inf)))):
            if curvature != sign:
                continue
            # The part of [l, u] in this piece; one point of the piece where there is none.
            first, last = xp.clip(lower, left, right), xp.clip(upper, left, right)
            p = xp.minimum(xp.maximum(self.stationary(slope, piece) if touch is None else touch, first), last)
            if rigorous:
                derivative = self.derivative(p)
                rounding = self.derivative_rounding(p, derivative)
                g = sign * (derivative - slope)
                missed = xp.maximum((g + rounding) * (p - first), (rounding - g) * (last - p))
                slack = xp.maximum(missed, 0.0 * missed) if isinstance(slack, float) else xp.maximum(missed, slack)
            points.append(xp.minimum(xp.maximum(p, lower), upper))
        for p in points:
            other = self.function(p) - slope * p
            better = improves(other, value, side)
            best, value = xp.where(better, p, best), xp.where(better, other, value)
        defined = self.defined(lower, upper)
        return best, value if defined is None else xp.where(defined, value, xp.nan), slack

    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        return self.optimum(slope, lower, upper, side, rigorous=False)[0]

    def slack(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array | float:
        return self.optimum(slope, lower, upper, side)[2]

    def convexity(self, lower: Array, upper: Array) -> Array | bool | None:
        """Whether s is convex on [l, u], and not concave; None for a function that may be neither, whose parameters are slopes."""
        return self.curvature[0] > 0 if len(self.curvature) == 1 else None

    def touching(self, share: Array, lower: Array, upper: Array) -> Array:
        """The point of [l, u] at a share in [0, 1] of the way from l to u."""
        return namespace(lower).clip(lower + share * (upper - lower), lower, upper)

    def bending(self, p: Array) -> Array:
        """About s''(p) of a function with `convexity`, for directions of ascent."""
        raise TypeError(f"{self!r} has no second derivative")

    def initial(self, lower: Array, upper: Array) -> Lines:
        if self.convexity(lower, upper) is None:
            return self.lines(lower, upper)
        half = 0.5 + 0.0 * (upper - lower)
        return Lines(half, half)

    def parameter_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        if self.convexity(lower, upper) is None:
            return self.slope_range(lower, upper)
        zero = 0.0 * (upper - lower)
        return zero, zero + 1.0

    def plane(self, parameter: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array | None]:
        convex, touch = self.convexity(lower, upper), None
        if convex is None:
            slope = parameter
        else:
            touches = convex if side == "lower" else convex ^ True
            if touches is False:
                slope = self.chord(lower, upper) + 0.0 * parameter
            else:
                touch = self.touching(parameter, lower, upper)
                slope = self.derivative(touch)
                if touches is not True:
                    slope = namespace(lower).where(touches, slope, self.chord(lower, upper))
        _, value, slack = self.optimum(slope, lower, upper, side, touch=touch)
        return slope, value - slack if side == "lower" else value + slack

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        slope = self.chord(lower, upper)
        (_, low, below), (_, high, above) = (self.optimum(slope, lower, upper, side) for side in ("lower", "upper"))
        return slope, low - below, high + above

    def sensitivity(self, parameter: Array, lower: Array, upper: Array, p: Array, side: Side) -> Array:
        """Of s(t) + s'(t) (p - t), up to a positive factor that depends on t and the interval alone."""
        convex = self.convexity(lower, upper)
        if convex is None:
            return super().sensitivity(parameter, lower, upper, p, side)
        touch = self.touching(parameter, lower, upper)
        return self.bending(touch) * (p - touch) * (convex if side == "lower" else convex ^ True)

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        zero = namespace(lower).zeros_like(lower)
        (_, least, below), (_, greatest, above) = (self.optimum(zero, lower, upper, side) for side in ("lower", "upper"))
        return least - below, greatest + above

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """s' is monotone on every piece, so extreme at an end or at a bend inside."""
        xp = namespace(lower)
        first, last = self.derivative(lower), self.derivative(upper)
        for kink, (left, right) in zip(self.kinks, self.slopes_at_kinks):
            first, last = xp.where(lower == kink, right, first), xp.where(upper == kink, left, last)
        least, greatest = xp.minimum(first, last), xp.maximum(first, last)
        for bend in self.bends:
            inside = (lower < bend) & (bend < upper)
            for slope in self._slopes_at(bend, lower):
                least = xp.where(inside, xp.minimum(least, slope), least)
                greatest = xp.where(inside, xp.maximum(greatest, slope), greatest)
        return least, greatest

    def _slopes_at(self, bend: float, like: Array) -> tuple[Array | float, ...]:
        if bend in self.kinks:
            return tuple(namespace(like).zeros_like(like) + slope for slope in self.slopes_at_kinks[self.kinks.index(bend)])
        return (self.derivative(namespace(like).zeros_like(like) + bend),)

    def linear(self, lower: Array, upper: Array) -> Array:
        found = lower == upper
        for curvature, (left, right) in zip(self.curvature, pairwise((-inf, *self.bends, inf))):
            if curvature == 0:
                found = found | ((lower >= left) & (upper <= right))
        return found

    def bent(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Within one piece; linear ones are both convex and concave."""
        convex = concave = lower == upper
        for curvature, (left, right) in zip(self.curvature, pairwise((-inf, *self.bends, inf))):
            inside = (lower >= left) & (upper <= right)
            convex = convex | inside if curvature >= 0 else convex
            concave = concave | inside if curvature <= 0 else concave
        return (convex | True if self.convex else convex), concave

    @property
    def function_ulps(self) -> int:
        return 16

    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        defined = self.defined(p - distance, p + distance)
        with np.errstate(all="ignore"):
            found = super().moved(p, distance)
        return found if defined is None else np.where(defined, found, np.inf)
