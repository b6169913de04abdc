"""A query as a violation region in disjunctive normal form: boxes of inputs and linear rows, all numbers exact.

The network violates the property iff, for some disjunct, some input in its box makes every row of it true. Input boxes are
shared between disjuncts and stored as positions in one table of the distinct numbers of the file, because benchmarks with
thousands of arms repeat few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import isfinite, lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from verifier.errors import InternalError, Location, PropertyError
from verifier.property import products
from verifier.property.balls import Ball
from verifier.property.expression import Numbers, as_single, exact, round_down
from verifier.property.products import Monomial

if TYPE_CHECKING:
    from verifier.property.declarations import Declarations

LOWER, UPPER = 0, 1
NO_BOUND = -1
NOT_REPRESENTABLE = "the coefficients of the outputs cannot be scaled to exact float64 numbers"
_LARGE = Fraction(2) ** 1000


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class Row:
    """sum inputs[i] * X_i + sum outputs[j] * Y_j + constant <= 0, or < 0 where strict; `line` of the file, from 1.

    Positions behind the outputs are those of the query's products of variables.
    """

    inputs: dict[int, Fraction]
    outputs: dict[int, Fraction]
    constant: Fraction
    strict: bool
    line: int

    def holds(
        self, x: Sequence[float] | np.ndarray, y: Sequence[float | Fraction] | np.ndarray, float32_literals: bool = False
    ) -> bool:
        """Exactly, at finite x (n,) and y (m,), values of products included.

        float32_literals: coefficients and constant are rounded to float32 first.
        """
        rounded = as_single if float32_literals else Fraction
        value = rounded(self.constant)
        for i, coefficient in self.inputs.items():
            value += rounded(coefficient) * exact(float(x[i]))
        for j, coefficient in self.outputs.items():
            value += rounded(coefficient) * Fraction(y[j] if isinstance(y[j], Fraction) else float(y[j]))
        return value < 0 if self.strict else value <= 0

    @property
    def compares(self) -> bool:
        """It says no more than which of two outputs is the larger."""
        return not self.inputs and self.constant == 0 and len(self.outputs) == 2 and sum(self.outputs.values()) == 0

    @property
    def constant_only(self) -> bool:
        return not self.inputs and not self.outputs

    @property
    def representable(self) -> bool:
        """float64 holds the outputs' coefficients exactly, up to one positive factor."""
        return _factor(self) is not None


@dataclass(frozen=True, eq=False)
class Box:
    """Bounds of n inputs as positions in `numbers`: `base` (n, 2) int32 (lower, upper), shared by many boxes, where entries
    keys = 2 * input + side (k,), ascending, are replaced by ids (k,). NO_BOUND marks a missing bound; a box of a Property has
    none. common: the box of `base` alone, which contains this one."""

    numbers: Numbers
    base: np.ndarray
    keys: np.ndarray = field(default_factory=_none)
    ids: np.ndarray = field(default_factory=_none)
    common: Box | None = None

    @property
    def bounds(self) -> np.ndarray:
        """(n, 2) positions in `numbers`."""
        if not len(self.keys):
            return self.base
        bounds = self.base.copy()
        bounds.reshape(-1)[self.keys] = self.ids
        return bounds

    @cached_property
    def lower(self) -> np.ndarray:
        return _frozen(self.numbers.down[self.bounds[:, LOWER]])

    @cached_property
    def upper(self) -> np.ndarray:
        return _frozen(self.numbers.up[self.bounds[:, UPPER]])

    @cached_property
    def empty(self) -> bool:
        """Some lower bound exceeds its upper bound, exactly."""
        if self.common is None:
            bounds = self.base[(self.base != NO_BOUND).all(axis=1)]
        elif self.common.empty:
            return True
        else:  # only the inputs that differ can be at fault
            inputs = np.unique(self.keys // 2)
            bounds = self.base[inputs]
            bounds[np.searchsorted(inputs, self.keys // 2), self.keys % 2] = self.ids
        return bool((self.numbers.compare(bounds[:, LOWER], bounds[:, UPPER]) > 0).any())

    def exact(self, i: int) -> tuple[Fraction, Fraction]:
        """Bounds of input i."""
        low, high = (self._position(i, side) for side in (LOWER, UPPER))
        return self.numbers.exact(low), self.numbers.exact(high)

    def _position(self, i: int, side: int) -> int:
        k = int(np.searchsorted(self.keys, 2 * i + side))
        return int(self.ids[k] if k < len(self.keys) and self.keys[k] == 2 * i + side else self.base[i, side])

    def inner(self, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(lower, upper, thin), each (n,): bounds rounded inward to finite floats of dtype, and where no such float is inside.

        There both bounds are the nearest float. For float32 that is the lower bound read as float64 and then as float32, as
        numpy reads a literal, unless the upper bound reads differently and is nearer to its float.
        """
        return self._inner_single if _float_type(dtype) == np.float32 else self._inner_double

    @cached_property
    def _inner_single(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._inward(np.dtype(np.float32))

    @cached_property
    def _inner_double(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._inward(np.dtype(np.float64))

    def _inward(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        bounds, numbers = self.bounds, self.numbers
        low, high = bounds[:, LOWER], bounds[:, UPPER]
        # A float of dtype is >= a number iff it is >= the smallest float64 that is.
        lower, upper = _round_up(numbers.up[low], dtype), -_round_up(-numbers.down[high], dtype)
        thin = ~(lower <= upper) | ~np.isfinite(lower) | ~np.isfinite(upper)
        largest = float(np.finfo(dtype).max)
        below, above = (np.clip(numbers.near[ids[thin]], -largest, largest).astype(dtype) for ids in (low, high))
        for k in np.flatnonzero(below != above):
            i = np.flatnonzero(thin)[k]
            distances = [abs(numbers.exact(int(ids[i])) - exact(float(choice[k]))) for ids, choice in ((low, below), (high, above))]
            below[k] = above[k] if distances[1] < distances[0] else below[k]
        lower[thin] = upper[thin] = below
        return _frozen(lower + dtype.type(0)), _frozen(upper + dtype.type(0)), _frozen(thin)

    def contains(self, x: np.ndarray, float32_literals: bool = False) -> bool:
        """x (n,) float64 lies within the bounds, exactly, or within the bounds read as float64 and then float32."""
        if not float32_literals:
            return bool(((x >= self.lower_inward) & (x <= self.upper_inward)).all())
        with np.errstate(over="ignore"):
            near = self.numbers.near[self.bounds].astype(np.float32).astype(np.float64)
        return bool(((x >= near[:, LOWER]) & (x <= near[:, UPPER])).all())

    # A float64 is >= a number iff it is >= the smallest float64 that is.
    @property
    def lower_inward(self) -> np.ndarray:
        return self.numbers.up[self.bounds[:, LOWER]]

    @property
    def upper_inward(self) -> np.ndarray:
        return self.numbers.down[self.bounds[:, UPPER]]


@dataclass(frozen=True, eq=False)
class Disjunct:
    """One arm of the region: x in `box`, and in `ball` if there is one, and every row true. outputs: the number m of outputs; line:
    where the arm begins; monomials: products of variables, which rows know as the outputs from m on."""

    box: Box
    rows: tuple[Row, ...]
    outputs: int
    line: int
    ball: Ball | None = None
    monomials: tuple[Monomial, ...] = ()

    @property
    def lower(self) -> np.ndarray:
        """(n,) float64, the exact lower bounds rounded outward. Read-only, shared between disjuncts."""
        return self.box.lower

    @property
    def upper(self) -> np.ndarray:
        """(n,) float64, the exact upper bounds rounded outward. Read-only, shared between disjuncts."""
        return self.box.upper

    def inner(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper), each (n,), rounded inward to float32 or float64; see `Box.inner` where no such float is inside."""
        lower, upper, _ = self.box.inner(dtype)
        return lower, upper

    def thin(self, dtype: Any) -> np.ndarray:
        """(n,) True where no finite float of dtype lies within the bounds."""
        return self.box.inner(dtype)[2]

    @cached_property
    def empty(self) -> bool:
        """Vacuous, exactly: some lower bound exceeds its upper bound, or a row without variables or a strict bound of one fixed
        input is false."""
        return self.box.empty or any(self._never(row) for row in self.rows)

    def _never(self, row: Row) -> bool:
        if row.outputs or len(row.inputs) > 1:
            return False
        return self._false(row, np.zeros(0), np.zeros(0))

    def excluded(self, lower: np.ndarray, upper: np.ndarray) -> bool:
        """Some row is false for all outputs, products included, between lower and upper (m,), infinite or not, and all x of the box."""
        return any(row.outputs and self._false(row, lower, upper) for row in self.rows)

    def _false(self, row: Row, lower: np.ndarray, upper: np.ndarray) -> bool:
        ends = [(coefficient, float(lower[j] if coefficient > 0 else upper[j])) for j, coefficient in row.outputs.items()]
        if not all(isfinite(end) for _, end in ends):
            return False
        least = row.constant + sum((coefficient * exact(end) for coefficient, end in ends), Fraction(0))
        for i, coefficient in row.inputs.items():
            least += min(coefficient * bound for bound in self.box.exact(i))
        return least > 0 or (row.strict and least == 0)

    def coefficients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(C (R, m), D (R, n), d (R,), strict (R,)): rows as C y + D x + d in float64, where y and m include products.

        C is exact: a row is multiplied by a positive number where that is needed. What D lacks is within d for all x of the box,
        and d is rounded down, so that the float row nowhere exceeds the exact one (scaled) on the box. Raises PropertyError V211
        for a row that no factor makes exact: a bound on the float row would prove nothing of the exact one.
        """
        C, D = np.zeros((len(self.rows), self.outputs + len(self.monomials))), np.zeros((len(self.rows), len(self.box.base)))
        d = np.zeros(len(self.rows))
        for r, row in enumerate(self.rows):
            factor = _factor(row)
            if factor is None:
                raise PropertyError(NOT_REPRESENTABLE, code="V211", location=Location("query", row.line))
            for j, coefficient in row.outputs.items():
                C[r, j] = float(factor * coefficient)
            constant = factor * row.constant
            for i, coefficient in row.inputs.items():
                D[r, i] = float(factor * coefficient)
                lost = factor * coefficient - exact(float(D[r, i]))
                if lost:
                    constant += min(lost * bound for bound in self.box.exact(i))
            d[r] = round_down(constant)
        return C, D, d, np.array([row.strict for row in self.rows], dtype=bool)

    def holds(self, x: np.ndarray, y: np.ndarray, float32_literals: bool = False) -> bool:
        """x (n,) and y (m,), floats, meet the disjunct: exactly, or with all literals rounded to float32 first.

        A value that is not finite meets nothing.
        """
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != (len(self.box.base),) or y.shape != (self.outputs,):
            raise InternalError(f"shapes {x.shape}, {y.shape} for a query of {len(self.box.base)} inputs and {self.outputs} outputs")
        x, y = x.astype(np.float64), y.astype(np.float64)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return False
        if not self.box.contains(x, float32_literals) or (self.ball is not None and not self.ball.contains(x)):
            return False
        return self.rows_hold(x, y, float32_literals)

    def rows_hold(self, x: np.ndarray, y: np.ndarray, float32_literals: bool = False) -> bool:
        """Every row is true at finite x (n,), y (m,), exactly; the box is not asked."""
        extended = self.extended(x, y)
        return all(row.holds(x, extended, float32_literals) for row in self.rows)

    def extended(self, x: np.ndarray, y: np.ndarray) -> np.ndarray | list[float | Fraction]:
        """y (m,) followed by the exact values of the products at finite x (n,), y."""
        return [*y.tolist(), *products.values(self.monomials, x, y)] if self.monomials else y


@dataclass(frozen=True, eq=False)
class Property:
    """A query: n `inputs` X_0.., m `outputs` Y_0.. and the disjuncts of its violation region.

    source: file name; sha256: of the file's bytes as stored; version: of the language; warnings: for the user. declarations: of a
    VNN-LIB 2 query, whose variables lie in the joint input and output. part: which of the queries of a template. centre (n,): a point to
    try before any other, such as the sample of a robustness property. monomials: see Disjunct.
    """

    inputs: int
    outputs: int
    disjuncts: tuple[Disjunct, ...]
    source: str
    sha256: str
    version: str
    warnings: tuple[str, ...]
    declarations: Declarations | None = None
    part: str = ""
    centre: np.ndarray | None = None
    monomials: tuple[Monomial, ...] = ()

    @property
    def ball(self) -> Ball | None:
        """What the inputs of all disjuncts lie in beside their boxes."""
        return self.disjuncts[0].ball if self.disjuncts else None

    def holds(self, x: np.ndarray, y: np.ndarray, float32_literals: bool = False) -> int | None:
        """Position of the first disjunct that x (n,), y (m,) meet; see `Disjunct.holds`."""
        return next((i for i, d in enumerate(self.disjuncts) if d.holds(x, y, float32_literals)), None)


def _factor(row: Row) -> Fraction | None:
    """A positive factor that turns the outputs' coefficients into float64 exactly, 1 where they are; None: there is none."""
    values = list(row.outputs.values())
    if all(map(_is_float, values)):
        return Fraction(1)
    largest = max(map(abs, values))
    common = lcm(*(value.denominator for value in values))
    for candidate in (Fraction(common), 1 / largest):
        # A power of two keeps the size of the coefficients and changes nothing else.
        factor = candidate * Fraction(2) ** (_exponent(largest) - _exponent(largest * candidate))
        others = (row.constant, *row.inputs.values())
        if all(_is_float(value * factor) for value in values) and all(abs(value * factor) < _LARGE for value in others):
            return factor
    return None


def _exponent(value: Fraction) -> int:
    """About log2 of a positive value, off by less than two."""
    return value.numerator.bit_length() - value.denominator.bit_length()


def _is_float(value: Fraction) -> bool:
    return value.denominator.bit_length() <= 1075 and abs(value) < _LARGE and exact(float(value)) == value


def _float_type(dtype: Any) -> np.dtype:
    result = np.dtype(dtype)
    if result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InternalError(f"bounds are rounded to float32 or float64, not to {result}")
    return result


def _round_up(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The smallest floats of dtype >= float64 values."""
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
        return np.where(rounded < values, np.nextafter(rounded, dtype.type(np.inf)), rounded)


def _frozen(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values
