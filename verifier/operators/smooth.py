"""Sigmoid, Tanh, Softsign and Erf: convex left of zero, concave right of it, with stationary points in closed form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import pi, sqrt

from verifier.arrays import Array, namespace
from verifier.operators.curved import ROUNDING, Curved
from verifier.operators.error_function import erf


class SShaped(Curved, abstract=True):
    bends = (0.0,)
    curvature = (1, -1)

    @abstractmethod
    def distance(self, slope: Array) -> Array:
        """The p >= 0 with s'(p) = slope, for slope in (0, s'(0)]; a large number for smaller slopes, about 0 for greater ones."""

    def stationary(self, slope: Array, piece: int) -> Array:
        p = namespace(slope).abs(self.distance(slope))
        return -p if piece == 0 else p

    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """s' is greatest at the point of [l, u] nearest zero and least at the end farthest from it."""
        xp = namespace(lower)
        steepest = self.derivative(xp.clip(xp.zeros_like(lower), lower, upper))
        return xp.minimum(self.derivative(lower), self.derivative(upper)), steepest

    @property
    def offset_scale(self) -> float:
        return 1.0


def _small(slope: Array, greatest: float) -> Array:
    """Slopes within what s' takes."""
    xp = namespace(slope)
    return xp.clip(slope, 1e-300 if slope.dtype == xp.float64 else 1e-37, greatest)


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """s(p) = 1 / (1 + exp(-p)); s' = s (1 - s) = slope at s = (1 +- sqrt(1 - 4 slope)) / 2."""

    image = (0.0, 1.0)

    def function(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return xp.where(p >= 0, 1.0 / (1.0 + e), e / (1.0 + e))

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return e / ((1.0 + e) * (1.0 + e))

    def distance(self, slope: Array) -> Array:
        # With w = exp(-p): slope = w / (1 + w)^2, so w = 2 slope / (1 - 2 slope + sqrt(1 - 4 slope)), without cancellation.
        xp = namespace(slope)
        k = _small(slope, 0.25)
        p = -xp.log(2.0 * k / (1.0 - 2.0 * k + xp.sqrt(1.0 - 4.0 * k)))
        return xp.where(slope > 0, p, xp.inf)


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """s(p) = tanh(p); s' = 1 - s^2 = slope at s = +- sqrt(1 - slope)."""

    image = (-1.0, 1.0)

    def function(self, p: Array) -> Array:
        return namespace(p).tanh(p)

    def derivative(self, p: Array) -> Array:
        # 1 - tanh^2 cancels in the tails; 4 e / (1 + e)^2 with e = exp(-2 |p|) does not.
        xp = namespace(p)
        e = xp.exp(-2.0 * xp.abs(p))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))

    def distance(self, slope: Array) -> Array:
        xp = namespace(slope)
        k = 0.25 * _small(slope, 1.0)
        p = -0.5 * xp.log(2.0 * k / (1.0 - 2.0 * k + xp.sqrt(1.0 - 4.0 * k)))
        return xp.where(slope > 0, p, xp.inf)


@dataclass(frozen=True, eq=False)
class Softsign(SShaped):
    """s(p) = p / (1 + |p|); s' = 1 / (1 + |p|)^2 = slope at |p| = 1 / sqrt(slope) - 1."""

    image = (-1.0, 1.0)

    def function(self, p: Array) -> Array:
        return p / (1.0 + namespace(p).abs(p))

    def derivative(self, p: Array) -> Array:
        size = 1.0 + namespace(p).abs(p)
        return 1.0 / (size * size)

    def distance(self, slope: Array) -> Array:
        return 1.0 / namespace(slope).sqrt(_small(slope, 1.0)) - 1.0


@dataclass(frozen=True, eq=False)
class Erf(SShaped):
    """s(p) = erf(p); s' = 2 / sqrt(pi) exp(-p^2) = slope at |p| = sqrt(-log(slope sqrt(pi) / 2))."""

    image = (-1.0, 1.0)

    def function(self, p: Array) -> Array:
        return erf(p)

    def derivative(self, p: Array) -> Array:
        return (2 / sqrt(pi)) * namespace(p).exp(-p * p)

    def derivative_rounding(self, p: Array, derivative: Array) -> Array:
        """p^2 is rounded before its exponential."""
        return ROUNDING * (1.0 + p * p) * derivative

    def distance(self, slope: Array) -> Array:
        xp = namespace(slope)
        k = _small(slope * (0.5 * sqrt(pi)), 1.0)
        return xp.where(slope > 0, xp.sqrt(-xp.log(k)), xp.inf)
