"""Exp, Log, Softplus and the exponential linear units."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from verifier.arrays import Array, at_least, at_most, namespace
from verifier.operators.curved import ROUNDING, Curved


def _largest_exponent(p: Array) -> float:
    """exp of it, and sums and products with other values of a network, stay far from overflow in the type of p."""
    return 600.0 if p.dtype == namespace(p).float64 else 80.0


def _logarithm(x: Array, otherwise: float) -> Array:
    """log(x) where x > 0, else `otherwise`."""
    xp = namespace(x)
    return xp.where(x > 0, xp.log(at_least(x, smallest(x))), otherwise)


def smallest(x: Array) -> float:
    """A small normal number of the type of x."""
    return 1e-300 if x.dtype == namespace(x).float64 else 1e-37


@dataclass(frozen=True, eq=False)
class Exp(Curved):
    """s(p) = exp(p), convex; s' = slope at log(slope). Where it underflows the error is below that of the rounding bound's underflow."""

    image = (0.0, inf)
    convex = True
    curvature = (1,)

    def function(self, p: Array) -> Array:
        """Where it is not `defined` a large number instead of an overflow: attacks go on from there, and nothing is bounded."""
        xp = namespace(p)
        return xp.exp(xp.clip(p, -xp.inf, _largest_exponent(p)))

    def derivative(self, p: Array) -> Array:
        return self.function(p)

    def bending(self, p: Array) -> Array:
        return self.function(p)

    def stationary(self, slope: Array, piece: int) -> Array:
        return _logarithm(slope, -float("inf"))

    def defined(self, lower: Array, upper: Array) -> Array:
        return upper <= _largest_exponent(upper)


@dataclass(frozen=True, eq=False)
class Log(Curved):
    """s(p) = log(p) for p > 0, concave; s' = slope at 1 / slope."""

    least: float = -inf
    curvature = (-1,)

    @property
    def least_argument(self) -> float:
        return self.least

    def function(self, p: Array) -> Array:
        return namespace(p).log(p)

    def derivative(self, p: Array) -> Array:
        return 1.0 / p

    def bending(self, p: Array) -> Array:
        return -1.0 / (p * p)

    def stationary(self, slope: Array, piece: int) -> Array:
        xp = namespace(slope)
        return xp.where(slope > 0, 1.0 / at_least(slope, smallest(slope)), xp.inf)

    def defined(self, lower: Array, upper: Array) -> Array:
        return lower >= 1e-150

    @property
    def offset_scale(self) -> float:
        return 1.0


@dataclass(frozen=True, eq=False)
class Softplus(Curved):
    """s(p) = log(1 + exp(p)), convex; s' = 1 / (1 + exp(-p)) = slope at log(slope / (1 - slope))."""

    image = (0.0, inf)
    convex = True
    curvature = (1,)

    def function(self, p: Array) -> Array:
        xp = namespace(p)
        return at_least(p, 0.0) + xp.log1p(xp.exp(-xp.abs(p)))

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        e = xp.exp(-xp.abs(p))
        return xp.where(p >= 0, 1.0, e) / (1.0 + e)

    def bending(self, p: Array) -> Array:
        e = namespace(p).exp(-namespace(p).abs(p))
        return e / ((1.0 + e) * (1.0 + e))

    def stationary(self, slope: Array, piece: int) -> Array:
        infinite = float("inf")
        return _logarithm(slope, -infinite) - _logarithm(1.0 - slope, -infinite)


@dataclass(frozen=True, eq=False)
class Elu(Curved):
    """s(p) = scale * p for p >= 0, scale * alpha * (exp(p / width) - 1) below; all three positive.

    Elu: scale = width = 1; Selu: width = 1; Celu: scale = 1, width = alpha. Convex where the slope does not fall at zero.
    """

    alpha: float
    scale: float = 1.0
    width: float = 1.0
    bends = (0.0,)
    curvature = (1, 0)

    @property
    def _steep(self) -> float:
        """s' left of zero."""
        return self.scale * self.alpha / self.width

    @property
    def convex(self) -> bool:  # type: ignore[override]
        return self.alpha <= self.width

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return () if self.alpha == self.width else (0.0,)

    @property
    def slopes_at_kinks(self) -> tuple[tuple[float, float], ...]:  # type: ignore[override]
        return () if self.alpha == self.width else ((self._steep, self.scale),)

    def function(self, p: Array) -> Array:
        xp = namespace(p)
        return self.scale * at_least(p, 0.0) + self.scale * self.alpha * xp.expm1(at_most(p, 0.0) / self.width)

    def derivative(self, p: Array) -> Array:
        xp = namespace(p)
        return xp.where(p > 0, self.scale, self._steep * xp.exp(at_most(p, 0.0) / self.width))

    def stationary(self, slope: Array, piece: int) -> Array:
        return self.width * _logarithm(slope / self._steep, -float("inf"))

    def derivative_rounding(self, p: Array, derivative: Array) -> Array:
        """p / width is rounded before its exponential."""
        return ROUNDING * (1.0 + namespace(p).abs(p) / self.width) * derivative

    @property
    def offset_scale(self) -> float:
        return self.scale * self.alpha
