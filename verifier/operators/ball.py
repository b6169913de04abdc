"""A ball that the network's input lies in, beside its box: {z : |D (z - z0)|_p <= r} with p = 1 or 2 and D diagonal and positive.

Over the ball a plane's least value is that of the dual norm,  min a . z = a . z0 - r |D^-1 a|_q,  q = inf or 2. Over ball and box
together the larger of the two least values is a lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from verifier.arrays import Array, Arrays, namespace, sign

Norm = Literal["l1", "l2"]

_U = 2.0**-53
_INSIDE = 1 - 1e-4
"""Part of the radius that points are moved to, so that rounding them to float32 leaves them inside."""


@dataclass(frozen=True, eq=False)
class NormBall:
    """centre (n,): z0 rounded to float64; lost (n,): at least |centre - z0|; reach (n,): at least 1 / D; radius: at least r."""

    norm: Norm
    centre: Array
    lost: Array
    reach: Array
    radius: float

    @staticmethod
    def of(norm: Norm, centre: Sequence[Fraction], scale: Sequence[Fraction], radius: Fraction) -> NormBall:
        """From exact numbers: the z0, D and r above."""
        near = np.array([float(c) for c in centre])
        lost = np.array([_up(abs(Fraction(float(f)) - c)) for f, c in zip(near, centre)])
        return NormBall(norm, near, lost, np.array([_up(1 / s) for s in scale]), _up(radius))

    def to(self, arrays: Arrays) -> NormBall:
        return replace(self, **{name: arrays.asarray(getattr(self, name)) for name in ("centre", "lost", "reach")})

    def least(self, plane: Array) -> Array:
        """A lower bound (...) of plane . z, plane (..., n), over the ball; rigorous in float64.

        Rounding: every sum has n terms and every term few operations, so the result is off by at most g_{n+16} times the sum of all
        absolute terms. The sum of squares is taken relative to the largest term, so that nothing in it underflows that matters.
        """
        xp = namespace(plane)
        size = xp.abs(plane)
        spread = self._dual(size * self.reach) * self.radius + size @ self.lost
        total = size @ xp.abs(self.centre) + spread
        k = plane.shape[-1] + 16
        error = 2 * k * _U / (1 - k * _U) * total + 1e-300 * (1.0 + self.radius)
        least = plane @ self.centre - spread - error
        return xp.where(least < xp.inf, least, -xp.inf)

    def minimiser(self, plane: Array) -> Array:
        """The point of the ball where plane (..., n) is least, about; the centre for a plane of zeros."""
        xp = namespace(plane)
        scaled = plane * self.reach
        if self.norm == "l2":
            length = xp.sqrt(xp.sum(scaled * scaled, axis=-1, keepdims=True))
            return self.centre - self.radius * self.reach * scaled / (length + 1e-30)
        size = xp.abs(scaled)
        first = xp.argmax(size, axis=-1)[..., None] == xp.arange(plane.shape[-1], device=plane.device)
        return self.centre - xp.where(first, self.radius * self.reach * sign(scaled), 0.0 * plane)

    def project(self, points: Array) -> Array:
        """Points (..., n), those outside moved towards the centre until they are inside."""
        xp = namespace(points)
        away = points - self.centre
        size = xp.abs(away) / self.reach
        length = xp.sum(size, axis=-1, keepdims=True) if self.norm == "l1" else xp.sqrt(xp.sum(size * size, axis=-1, keepdims=True))
        limit = _INSIDE * self.radius
        return xp.where(length > limit, self.centre + away * (limit / (length + 1e-30)), points)

    def _dual(self, size: Array) -> Array:
        """The dual norm (...) of size (..., n) >= 0."""
        xp = namespace(size)
        largest = xp.max(size, axis=-1)
        if self.norm == "l1":
            return largest
        relative = size / xp.where(largest > 0, largest, 0.0 * largest + 1.0)[..., None]
        return largest * xp.sqrt(xp.sum(relative * relative, axis=-1))


def _up(value: Fraction) -> float:
    near = float(value)
    return near if Fraction(near) >= value else float(np.nextafter(near, np.inf))
