"""What the bounds need to know of an operator (see the notation in verifier/bounds/dual.py).

An affine operator: forward, transpose, absolute forward, constant, number of terms. A nonlinear operator: its function and
a plane below and above it for every value of a parameter. An elementwise one has all of that from its function, its
derivative and one rule, `extremum`. Nothing here knows of splits, cuts, batches of rows or optimisers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from verifier.arrays import Array, Arrays, at_least, namespace
from verifier.operators.ball import NormBall

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
    """The flat input of the graph. ball: what it lies in beside its box, if that is known."""

    ball: NormBall | None = None

    def to(self, arrays: Arrays) -> Input:
        return self if self.ball is None else replace(self, ball=self.ball.to(arrays))


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
    def homogeneous(self) -> Affine:
        """The same without F(0)."""
        return self

    @property
    def offset_magnitude(self) -> Array | None:
        """Bound of the absolute terms that F(0) was summed from; |F(0)| where that was not rounded."""
        constant = self.offset
        return None if constant is None else namespace(constant).abs(constant)

    @property
    @abstractmethod
    def terms(self) -> int:
        """Length of the longest sum that forward or transpose form, plus roundings in the stored coefficients."""

    @property
    def moves(self) -> bool:
        """Every element is an element of a parent, its negative, or a constant: `forward` does not round."""
        return False

    @property
    def sums(self) -> bool:
        """An element may be made of several elements of the parents."""
        return True


class Lines(NamedTuple):
    """Parameters of a lower and an upper plane (slopes of lines, where a function is elementwise), broadcastable to (B, S, size)."""

    lower: Array
    upper: Array


class Nonlinear(Operator, abstract=True):
    """y = s(p), where p is the one value that the node reads: a function of several values reads them joined.

    p is flat here, (..., size of p), and y (..., size). Over an enclosure l <= p <= u, s lies between two planes; on either
    side one number an element of y, the parameter, says which plane of a family. Every parameter in `parameter_range` is sound.
    """

    kinks: ClassVar[tuple[float, ...]] = ()
    """Where the slope jumps: an enclosure that a split ends there is bounded again."""
    convex: ClassVar[bool] = False
    """One upper plane is the best for every row, so only the lower parameter is worth optimising."""
    image: ClassVar[tuple[float, float]] = (-inf, inf)
    """No value is less than the first or greater than the second, whatever p is."""

    @property
    def least_argument(self) -> float:
        """No element of p is less, by what the node computes that p is; bounds of it may not show that for rounding."""
        return -inf

    @abstractmethod
    def function(self, p: Array) -> Array: ...

    @abstractmethod
    def pullback(self, p: Array, g: Array) -> Array:
        """J(p)^T g, with a (sub)derivative J: for attacks, which need no bound. g of the shape of the result or flat."""

    @abstractmethod
    def range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Least and greatest value on [l, u], before rounding."""

    @abstractmethod
    def initial(self, lower: Array, upper: Array) -> Lines:
        """Parameters to start from."""

    @abstractmethod
    def parameter_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Least and greatest useful parameter, what parameters are clipped to; (..., size) each."""

    @abstractmethod
    def plane(self, parameter: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array | None]:
        """(slopes, intercept) of the plane below (side = lower) or above s on [l, u]; an intercept of None is zero.

        Slopes are what `along` and `back` take; they and the intercept may be off by `function_ulps` and a few roundings.
        """

    @abstractmethod
    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        """(slopes, low, high): s is between the parallel planes  slopes . p + low  and  slopes . p + high  on [l, u], near to each other.

        They are off as those of `plane` may be, and |slopes| . r bounds the change of slopes . p over |p' - p| <= r.
        """

    @abstractmethod
    def sensitivity(self, parameter: Array, lower: Array, upper: Array, p: Array, side: Side) -> Array:
        """d (value of the plane at p) / d parameter, (..., size)."""

    @abstractmethod
    def along(self, slopes: Array, p: Array) -> Array:
        """The linear part of a plane at p, in a fresh array: (..., size of p) -> (..., size)."""

    @abstractmethod
    def back(self, slopes: Array, q: Array) -> Array:
        """Adjoint of `along` in p: q (..., size) -> (..., size of p). q is used up: it may be overwritten and returned."""

    @abstractmethod
    def linear(self, lower: Array, upper: Array) -> Array:
        """(..., size) True where s is affine on [l, u]: a stable neuron."""

    def settled(self, lower: Array, upper: Array) -> Array:
        """(..., size of p) True where a narrower enclosure of the element of p would not make any plane better."""
        return self.linear(lower, upper)

    def defined(self, lower: Array, upper: Array) -> Array | None:
        """(..., size of p) True where s and its planes are finite on all of [l, u]; None where that is everywhere."""
        return None

    @abstractmethod
    def slope_magnitude(self, lower: np.ndarray, upper: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """Bound (size,) of |slopes| . |p| over all planes on enclosures inside [l, u], where |p| <= largest (size of p,)."""

    @abstractmethod
    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Bound of |s(p') - s(p)| over |p' - p| <= distance."""

    @property
    def function_ulps(self) -> int:
        """Roundings in one evaluation of s, in units of 2^-53 |s|."""
        return 1

    @property
    def offset_scale(self) -> float:
        """Absolute size of constants in s: cancellation against them is covered by the rounding bound."""
        return 0.0

    @property
    def terms(self) -> int:
        """Length of the longest sum that `back` forms."""
        return 1

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Where to branch: the kink nearest the middle inside (l, u), else the middle; (..., size of p)."""
        xp = namespace(lower)
        middle = 0.5 * lower + 0.5 * upper
        best, distance = middle, xp.where(lower == lower, xp.inf, xp.inf)
        for kink in self.kinks:
            gap = xp.where((lower < kink) & (kink < upper), xp.abs(middle - kink), xp.inf)
            best, distance = xp.where(gap < distance, kink, best), xp.minimum(distance, gap)
        return best

    @abstractmethod
    def split_worth(self, q: Array, lower: Array, upper: Array) -> Array:
        """(..., size of p) >= 0: about how far a split at `split_point` can move a row with coefficients q on y."""

    def divisible(self, lower: Array, upper: Array) -> Array:
        """(..., size of p) True where both parts of a split at `split_point` have better planes than the whole."""
        point = self.split_point(lower, upper)
        return (lower < point) & (point < upper)


def improves(other: Array, value: Array, side: Side) -> Array:
    """Whether `other` is less (side = lower) or greater than `value`, or not a number: of infinite ends nothing may be concluded."""
    return (other < value if side == "lower" else other > value) | (other != other)


class Elementwise(Nonlinear, abstract=True):
    """y = s(p) for every element, between lines; the parameter is a line's slope, its intercept the best one for that slope.

    l, u and slopes are broadcast against each other; l <= u is the caller's duty.
    """

    lower_through_origin: ClassVar[bool] = False
    """For every slope in `slope_range` the least s(p) - slope * p over [l, u] is exactly zero."""
    bounded_slopes: ClassVar[bool] = True
    """Enclosures inside [l, u] have no steeper lines than [l, u]: `steepest` bounds them."""

    @abstractmethod
    def derivative(self, p: Array) -> Array:
        """A (sub)derivative: for attacks, which need no bound."""

    @abstractmethod
    def extremum(self, slope: Array, lower: Array, upper: Array, side: Side) -> Array:
        """The point of [l, u] where s(p) - slope * p is least (side = lower) or greatest (side = upper)."""

    @abstractmethod
    def slope_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Least and greatest slope that a line through the graph over [l, u] can have: what slopes are clipped to."""

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

    def near(self, slope: Array, gap: Array) -> tuple[Array, Array]:
        """(low, high), broadcast: the points where s is at most `gap` above the lower line of that slope lie between them; infinite where
        nothing is known. Rounded outward."""
        nothing = namespace(gap).full_like(gap, inf)
        return -nothing, nothing

    def bent(self, lower: Array, upper: Array) -> tuple[Array, Array] | None:
        """Where s is known to be convex on [l, u], and where it is known to be concave; None where nothing is known."""
        return None

    def chord(self, lower: Array, upper: Array) -> Array:
        """Slope between the ends; in an interval so narrow that it would be rounding alone, of a tangent."""
        xp = namespace(lower)
        width = upper - lower
        wide = width > 1e-12 * (xp.abs(lower) + xp.abs(upper))
        slope = xp.where(wide, (self.function(upper) - self.function(lower)) / xp.where(wide, width, 1.0), self.derivative(upper))
        least, greatest = self.slope_range(lower, upper)
        return xp.minimum(xp.maximum(slope, least), greatest)

    def lines(self, lower: Array, upper: Array) -> Lines:
        """Supporting lines of the convex and of the concave envelope at the midpoint of [l, u]: where s is convex the tangent below and
        the chord above, where it is concave the other way round."""
        middle = 0.5 * lower + 0.5 * upper
        known = self.bent(lower, upper)
        if known is None:
            return Lines(self.supporting_slope(middle, lower, upper, "lower"), self.supporting_slope(middle, lower, upper, "upper"))
        xp = namespace(lower)
        (convex, concave), tangent, chord = known, self.derivative(middle), self.chord(lower, upper)
        found = Lines(xp.where(convex, tangent, chord), xp.where(convex, chord, tangent))
        rest = ~(convex | concave)
        if not self.convex and bool(xp.any(rest)):
            ends = middle[rest], lower[rest], upper[rest]
            found.lower[rest], found.upper[rest] = self.supporting_slope(*ends, "lower"), self.supporting_slope(*ends, "upper")
        return found

    def supporting_slope(self, point: Array, lower: Array, upper: Array, side: Side) -> Array:
        """slope * m + t_low(slope) is concave in the slope with derivative m - p*(slope): bisection on its sign."""
        xp = namespace(lower)
        low, high = self.slope_range(lower, upper)
        for _ in range(30):
            slope = 0.5 * low + 0.5 * high
            p = self.extremum(slope, lower, upper, side)
            steeper = point > p if side == "lower" else point < p
            low, high = xp.where(steeper, slope, low), xp.where(steeper, high, slope)
        return 0.5 * low + 0.5 * high

    def initial(self, lower: Array, upper: Array) -> Lines:
        return self.lines(lower, upper)

    def parameter_range(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self.slope_range(lower, upper)

    def plane(self, parameter: Array, lower: Array, upper: Array, side: Side) -> tuple[Array, Array | None]:
        if side == "lower":
            if self.lower_through_origin:
                return parameter, None
            return parameter, self.intercept(parameter, lower, upper, side) - self.slack(parameter, lower, upper, side)
        return parameter, self.intercept(parameter, lower, upper, side) + self.slack(parameter, lower, upper, side)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        """With the slope of the chord: the nearest there are where s is convex or concave, with the slope u / (u - l) of a Relu."""
        xp = namespace(lower)
        least, greatest = self.slope_range(lower, upper)
        slope = xp.minimum(xp.maximum(self.chord(lower, upper), least), greatest)
        low, high = (self.intercept(slope, lower, upper, side) for side in ("lower", "upper"))
        return slope, low - self.slack(slope, lower, upper, "lower"), high + self.slack(slope, lower, upper, "upper")

    def sensitivity(self, parameter: Array, lower: Array, upper: Array, p: Array, side: Side) -> Array:
        """slope * p + t(slope) has the derivative p - p*: the envelope theorem, for t is an extremum."""
        if side == "lower" and self.lower_through_origin:
            return p
        return p - self.extremum(parameter, lower, upper, side)

    def along(self, slopes: Array, p: Array) -> Array:
        return slopes * p

    def back(self, slopes: Array, q: Array) -> Array:
        q *= slopes
        return q

    def pullback(self, p: Array, g: Array) -> Array:
        return g * self.derivative(p)

    def slope_magnitude(self, lower: np.ndarray, upper: np.ndarray, largest: np.ndarray) -> np.ndarray:
        return self.steepest(lower, upper) * largest

    def steepest(self, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The largest |slope| of a line on any enclosure inside [l, u]. Ranges of slopes shrink with the enclosure, but at a kink
        alone there may be more than on one side of it."""
        found = np.maximum(*map(np.abs, self.slope_range(lower, upper)))
        for kink in self.kinks:
            at = np.clip(kink, lower, upper)
            found = np.maximum(found, np.maximum(*map(np.abs, self.slope_range(at, at))))
        return np.asarray(found)

    def moved(self, p: np.ndarray, distance: np.ndarray) -> np.ndarray:
        slopes = np.maximum(*map(np.abs, self.slope_range(p - distance, p + distance)))
        return np.asarray(slopes * (1 + 1e-6) * distance)

    def split_worth(self, q: Array, lower: Array, upper: Array) -> Array:
        """|q| times the largest gap between the function and its line."""
        xp = namespace(lower)
        lines, point = self.lines(lower, upper), self.split_point(lower, upper)
        gap_up = self.intercept(lines.upper, lower, upper, "upper") + lines.upper * point - self.function(point)
        # The lower line through the kink has no gap there; what splitting gains is the triangle's smaller leg.
        least, greatest = self.slope_range(lower, upper)
        gap_down = at_least(xp.minimum(point - lower, upper - point), 0.0) * (greatest - least)
        worth = xp.where(q < 0, -q * at_least(gap_up, 0.0), q * 0.5 * gap_down)
        possible = ~self.linear(lower, upper) & (point > lower) & (point < upper)
        return xp.where(possible, worth + 1e-12 * (upper - lower), 0.0)
