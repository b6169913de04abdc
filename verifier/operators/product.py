"""The product of two values that both depend on the input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verifier.arrays import Array, namespace
from verifier.operators.base import Lines, Nonlinear, Side

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Product(Nonlinear):
    """z = x * y with numpy's broadcasting; p is the flat x followed by the flat y. left, right, shape: of x, y and z, of one rank.

    Between the planes of McCormick (1976, section 4): for x in [a, b], y in [c, d] the products of (x - a), (b - x) >= 0 with
    (y - c), (d - y) >= 0 give

        z >= c x + a y - a c,    z >= d x + b y - b d;    z <= d x + a y - a d,    z <= c x + b y - b c.

    The two of a side are the convex (concave) envelope. A parameter r in [0, 1] mixes them, r of the first and 1 - r of the
    second. At the middle of the box all mixtures are equally far from z; r = 1/2 starts with the least slopes there.

    Rounding, with u = 2^-53 and X, Y the largest |x|, |y|: a computed slope is off by at most 5 u Y (X), the intercept by
    7 u X Y, so no plane is on the wrong side by more than 17 u X Y, a third of what the bound of nonlinear nodes
    (bounds/rigorous.py) has for them with T = 3 X Y.
    """

    left: Shape
    right: Shape
    shape: Shape

    def factors(self, p: Array) -> tuple[Array, Array]:
        """x and y, each (..., size of z), from the joined ones (..., size of x + size of y)."""
        xp, lead = namespace(p), p.shape[:-1]
        x, y = (
            xp.reshape(xp.broadcast_to(part, (*lead, *self.shape)), (*lead, math.prod(self.shape))) for part in self._parted(p)
        )
        return x, y

    def _parted(self, p: Array) -> tuple[Array, Array]:
        """x and y in their own shapes, (..., *left) and (..., *right)."""
        xp, lead, split = namespace(p), p.shape[:-1], math.prod(self.left)
        return xp.reshape(p[..., :split], (*lead, *self.left)), xp.reshape(p[..., split:], (*lead, *self.right))

    def collected(self, x: Array, y: Array) -> Array:
        """Adjoint of `factors`."""
        xp, lead = namespace(x), x.shape[:-1]
        parts = []
        for values, shape in ((x, self.left), (y, self.right)):
            full = xp.reshape(values, (*lead, *self.shape))
            axes = tuple(len(lead) + i for i, (n, m) in enumerate(zip(shape, self.shape)) if n != m)
            parts.append(xp.reshape(xp.sum(full, axis=axes) if axes else full, (*lead, math.prod(shape))))
        return xp.concat(parts, axis=-1)

    def function(self, p: Array) -> Array:
        x, y = self.factors(namespace(p).reshape(p, (*p.shape[:1], -1)) if p.ndim > 1 else p)
        return x * y

    def pullback(self, p: Array, g: Array) -> Array:
        x, y = self.factors(p)
        g = namespace(g).reshape(g, x.shape)
        return self.collected(g * y, g * x)

    def corners(self, lower: Array, upper: Array) -> tuple[Array, Array, Array, Array]:
        """a, b, c, d of the box, each (..., size)."""
        (a, c), (b, d) = self.factors(lower), self.factors(upper)
        return a, b, c, d

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bilinear, so extreme at corners."""
        xp = namespace(lower)
        a, b, c, d = self.corners(lower, upper)
        ac, ad, bc, bd = a * c, a * d, b * c, b * d
        return xp.minimum(xp.minimum(ac, ad), xp.minimum(bc, bd)), xp.maximum(xp.maximum(ac, ad), xp.maximum(bc, bd))

    def initial(self, lower: Array, upper: Array) -> Lines:
        half = 0.5 + 0.0 * self.factors(lower)[0]
        return Lines(half, half)

    def parameter_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        zero = namespace(lower).zeros_like(self.factors(lower)[0])
        return zero, zero + 1.0

    def plane(self, parameter: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array | None]:
        """The upper planes are the lower ones with c and d exchanged."""
        a, b, c, d = self.corners(lower, upper)
        if side == "upper":
            c, d = d, c
        r, s = parameter, 1.0 - parameter
        return namespace(lower).stack([r * c + s * d, r * a + s * b], axis=-2), -(r * (a * c) + s * (b * d))

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        """The mixtures with r = 1/2: the slopes of both are the middle of the other factor, exactly the same in float64."""
        half = self.initial(lower, upper).lower
        (slopes, low), (_, high) = (self.plane(half, lower, upper, side) for side in ("lower", "upper"))
        return slopes, low, high

    def sensitivity(self, parameter: Array, lower: Array, upper: Array, p: Array, side: Side) -> Array:
        """First plane less second."""
        a, b, c, d = self.corners(lower, upper)
        if side == "upper":
            c, d = d, c
        x, y = self.factors(p)
        return (c - d) * x + (a - b) * y - (a * c - b * d)

    def along(self, slopes: Array, p: Array) -> Array:
        x, y = self._parted(p)
        full = (namespace(p).reshape(slopes[..., i, :], (*slopes.shape[:-2], *self.shape)) for i in (0, 1))
        z = next(full) * x
        z += next(full) * y
        return namespace(p).reshape(z, (*z.shape[: z.ndim - len(self.shape)], math.prod(self.shape)))

    def back(self, slopes: Array, q: Array) -> Array:
        return self.collected(slopes[..., 0, :] * q, slopes[..., 1, :] * q)

    def linear(self, lower: Array, upper: Array) -> Array:
        """One factor is fixed."""
        a, b, c, d = self.corners(lower, upper)
        return (a == b) | (c == d)

    def settled(self, lower: Array, upper: Array) -> Array:
        """All products with it are affine."""
        xp = namespace(lower)
        loose = xp.astype(~self.linear(lower, upper), lower.dtype)
        return self.collected(loose, loose) == 0

    def slope_magnitude(self, lower: np.ndarray, upper: np.ndarray, largest: np.ndarray) -> np.ndarray:
        x, y = self.factors(largest)
        return np.asarray(2.0 * (1 + 1e-6) * x * y)

    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        (x, y), (e, f) = self.factors(np.abs(p)), self.factors(distance)
        return np.asarray((x * f + y * e + e * f) * (1 + 1e-6))

    @property
    def function_ulps(self) -> int:
        """One rounding; 2, so that intervals are rounded outward."""
        return 2

    @property
    def terms(self) -> int:
        return math.prod(self.shape) // max(1, min(math.prod(self.left), math.prod(self.right)))

    def split_worth(self, q: Array, lower: Array, upper: Array) -> Array:
        """A plane is off by (b - a) (d - c) / 4 in the middle; halving either side halves that."""
        xp = namespace(lower)
        a, b, c, d = self.corners(lower, upper)
        gap = 0.125 * xp.abs(q) * (b - a) * (d - c)
        middle = self.split_point(lower, upper)
        return xp.where((middle > lower) & (middle < upper), self.collected(gap, gap), 0.0)
