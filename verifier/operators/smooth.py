"""Sigmoid and Tanh: convex left of zero, concave right of it.

The stationary points of s(p) - slope * p have closed forms in s, and the derivative is monotone on either side of zero.
That gives `slack` its proof: at a stationary candidate p* inside [l, u], between p* and the true optimum on the same
side of zero the derivative s' - slope lies between its residual r at p* and 0, so the optimum is missed by at most
(|r| + its rounding) * (u - l).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from verifier.arrays import Array, namespace
from verifier.operators.base import Elementwise, Side

_ROUNDING = 16 * 2.0**-53
"""Relative rounding of one evaluation of s or s': exp and tanh of numpy (SVML) and torch (SLEEF) are within 4 ulps."""


class SShaped(Elementwise, abstract=True):
    @abstractmethod
    def stationary(self, slope: Array) -> Array:
        """The p >= 0 with s'(p) = slope, for slope in (0, s'(0)]; anything for other slopes. -p is the other one."""

    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        xp = namespace(lower)
        p = xp.abs(self.stationary(slope))
        inner = xp.clip(-p if side == "lower" else p, lower, upper)
        best, value = inner, self.function(inner) - slope * inner
        for end in (lower, upper):
            other = self.function(end) - slope * end
            better = other < value if side == "lower" else other > value
            best, value = xp.where(better, end, best), xp.where(better, other, value)
        return best

    def slack(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array | float:
        xp = namespace(lower)
        p = xp.abs(self.stationary(slope))
        p = -p if side == "lower" else p
        residual = xp.abs(self.derivative(p) - slope) + _ROUNDING * (xp.abs(slope) + self.derivative(p))
        # Where the candidate lies outside, clipping it to the end decides exactly unless it is there by rounding only.
        width = 1e-6 * (1.0 + xp.abs(p))
        inside = (p > lower - width) & (p < upper + width)
        return xp.where(inside, residual * (upper - lower), 0.0 * residual)

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """s' is greatest at the point of [l, u] nearest zero and least at the end farthest from it."""
        xp = namespace(lower)
        steepest = self.derivative(xp.clip(xp.zeros_like(lower), lower, upper))
        return xp.minimum(self.derivative(lower), self.derivative(upper)), steepest

    def linear(self, lower: Array, upper: Array) -> Array:
        return lower == upper

    @property
    def function_ulps(self) -> int:
        return 16

    @property
    def offset_scale(self) -> float:
        return 1.0


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """s(p) = 1 / (1 + exp(-p)); s' = s (1 - s) = slope at s = (1 +- sqrt(1 - 4 slope)) / 2."""

    def function(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return xp.where(p >= 0, 1.0 / (1.0 + e), e / (1.0 + e))

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return e / ((1.0 + e) * (1.0 + e))

    def stationary(self, slope: Array) -> Array:
        # With w = exp(-p): slope = w / (1 + w)^2, so w = 2 slope / (1 - 2 slope + sqrt(1 - 4 slope)), without cancellation.
        xp = namespace(slope)
        k = xp.clip(slope, 1e-300 if slope.dtype == xp.float64 else 1e-37, 0.25)
        return -xp.log(2.0 * k / (1.0 - 2.0 * k + xp.sqrt(1.0 - 4.0 * k)))


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """s(p) = tanh(p); s' = 1 - s^2 = slope at s = +- sqrt(1 - slope)."""

    def function(self, p: Array) -> Array:
        return namespace(p).tanh(p)

    def derivative(self, p: Array) -> Array:
        # 1 - tanh^2 cancels in the tails; 4 e / (1 + e)^2 with e = exp(-2 |p|) does not.
        xp = namespace(p)
        e = xp.exp(-2.0 * xp.abs(p))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))

    def stationary(self, slope: Array) -> Array:
        xp = namespace(slope)
        k = 0.25 * xp.clip(slope, 1e-300 if slope.dtype == xp.float64 else 1e-37, 1.0)
        return -0.5 * xp.log(2.0 * k / (1.0 - 2.0 * k + xp.sqrt(1.0 - 4.0 * k)))
