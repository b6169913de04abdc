"""What the bounds need to know of an operator (see the notation in verifier/bounds/dual.py).

An affine operator: forward, transpose, absolute forward, constant, number of terms. An elementwise operator: its
function, its derivative and one rule, `extremum`. Nothing here knows of splits, cuts, batches of rows or optimisers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from verifier.arrays import Array, Arrays, namespace

Side = Literal["lower", "upper"]

OPERATORS: dict[str, type[Operator]] = {}
"""Every concrete operator by class name; the contract test walks it, so an operator without a case fails."""


@dataclass(frozen=True, eq=False)
class Operator(ABC):  # noqa: B024 - Input has nothing to implement
    """A frozen record of constants. Floating point fields are numpy float64 until `to` moves them."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not abstract:
            OPERATORS[cls.__name__] = cls

    def to(self, arrays: Arrays) -> Self:
        """The same operator with its array fields in `arrays`."""
        moved = {
            f.name: arrays.indices(v) if v.dtype.kind == "i" else arrays.asarray(v)
            for f in fields(self)
            if isinstance(v := getattr(self, f.name), np.ndarray)
        }
        return replace(self, **moved) if moved else self


@dataclass(frozen=True, eq=False)
class Input(Operator):
    """The flat input of the graph."""


class Affine(Operator, abstract=True):
    """y = F(p_1 ... p_m), jointly affine. Leading axis N of every array: independent points."""

    @abstractmethod
    def forward(self, count: int, *parents: Array) -> Array:
        """parents (N, *shape_p) -> (N, *shape); `count` is N, for operators without parents."""

    @abstractmethod
    def transpose(self, y: Array) -> tuple[Array, ...]:
        """J^T y: (N, *shape) -> one (N, *shape_p) a parent."""

    @abstractmethod
    def absolute(self, count: int, *parents: Array) -> Array:
        """|J| p, constants left out: parents (N, *shape_p) >= 0 -> (N, *shape)."""

    @property
    def offset(self) -> Array | None:
        """F(0), broadcastable to the node's shape; None where it is zero."""
        return None

    @property
    def offset_magnitude(self) -> Array | None:
        """Bound of the absolute terms that F(0) was summed from; |F(0)| where that was not rounded."""
        constant = self.offset
        return None if constant is None else namespace(constant).abs(constant)

    @property
    @abstractmethod
    def terms(self) -> int:
        """Length of the longest sum that forward or transpose form, plus roundings in the stored coefficients."""


class Lines(NamedTuple):
    """Slopes of a lower and an upper line, each broadcastable to (B, S, *shape)."""

    lower: Array
    upper: Array


class Elementwise(Operator, abstract=True):
    """y = s(p) for every element. l, u and slopes are broadcast against each other; l <= u is the caller's duty."""

    kinks: ClassVar[tuple[float, ...]] = ()
    convex: ClassVar[bool] = False
    """Convex on every interval: the chord is the one best upper line, so only the lower slope is worth optimising."""
    lower_through_origin: ClassVar[bool] = False
    """For every slope in `slope_range` the least s(p) - slope * p over [l, u] is exactly zero."""

    @abstractmethod
    def function(self, p: Array) -> Array: ...

    @abstractmethod
    def derivative(self, p: Array) -> Array:
        """A (sub)derivative: for attacks, which need no bound."""

    @abstractmethod
    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        """The point of [l, u] where s(p) - slope * p is least (side = lower) or greatest (side = upper)."""

    @abstractmethod
    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Least and greatest slope that a line through the graph over [l, u] can have: what slopes are clipped to."""

    @abstractmethod
    def linear(self, lower: Array, upper: Array) -> Array:
        """True where s is affine on [l, u]: a stable neuron."""

    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Least and greatest value on [l, u], before rounding; from the one rule at slope 0."""
        zero = namespace(lower).zeros_like(lower)
        return self.function(self.extremum(zero, lower, upper, "lower")), self.function(self.extremum(zero, lower, upper, "upper"))

    def intercept(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        """min (side = lower) or max (side = upper) over [l, u] of s(p) - slope * p."""
        p = self.extremum(slope, lower, upper, side)
        return self.function(p) - slope * p

    def slack(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array | float:
        """How far `extremum` may miss the true optimum, beyond the rounding of s(p) - slope * p (`function_ulps`)."""
        return 0.0

    @property
    def function_ulps(self) -> int:
        """Roundings in one evaluation of s, in units of 2^-53 |s|."""
        return 1

    @property
    def offset_scale(self) -> float:
        """Absolute size of constants in s: cancellation against them is covered by the rounding bound."""
        return 0.0

    def lines(self, lower: Array, upper: Array) -> Lines:
        """Supporting lines of the convex and of the concave envelope at the midpoint of [l, u].

        slope * m + t_low(slope) is concave in the slope with derivative m - p*(slope): bisection on its sign.
        """
        middle = 0.5 * lower + 0.5 * upper
        return Lines(self.supporting_slope(middle, lower, upper, "lower"), self.supporting_slope(middle, lower, upper, "upper"))

    def supporting_slope(self, point: Array, lower: Array, upper: Array, side: Side) -> Array:
        xp = namespace(lower)
        low, high = self.slope_range(lower, upper)
        for _ in range(30):
            slope = 0.5 * low + 0.5 * high
            p = self.extremum(slope, lower, upper, side)
            steeper = point > p if side == "lower" else point < p
            low, high = xp.where(steeper, slope, low), xp.where(steeper, high, slope)
        return 0.5 * low + 0.5 * high

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Where to branch: the kink nearest the middle inside (l, u), else the middle."""
        xp = namespace(lower)
        middle = 0.5 * lower + 0.5 * upper
        best, distance = middle, xp.where(lower == lower, xp.inf, xp.inf)
        for kink in self.kinks:
            gap = xp.where((lower < kink) & (kink < upper), xp.abs(middle - kink), xp.inf)
            best, distance = xp.where(gap < distance, kink, best), xp.minimum(distance, gap)
        return best
