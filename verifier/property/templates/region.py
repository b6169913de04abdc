"""Input regions in the user's units: a box, or a ball around a point; and the exact box that they are for a network.

A network may see its inputs normalised, as (x - mean) / std. Regions are in the units of x; the mapping is exact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np

from verifier.errors import PropertyError
from verifier.property import balls
from verifier.property.expression import NumberError, bounded, is_number, literal

Number = int | float | str | Fraction | Decimal
"""A text is a decimal such as "0.1" or a quotient such as "8/255"; a float stands for its binary value."""

Numbers = Number | Sequence[Any] | np.ndarray
"""One number for all features, one a channel, or one a feature (nested or flat, in C order)."""

Shape = tuple[int, ...]

_QUOTIENT = re.compile(r"\s*([^/]+?)\s*(?:/\s*([^/]+?)\s*)?")


@dataclass(frozen=True, eq=False)
class Interface:
    """Shapes of a network's inputs and outputs, each with its batch dimension; features are numbered through all inputs in C order."""

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]

    @property
    def features(self) -> int:
        return sum(map(math.prod, self.inputs))

    @property
    def scores(self) -> int:
        """The number of outputs."""
        return sum(map(math.prod, self.outputs))


class Extent(NamedTuple):
    """The box of a region in the user's units, its normalisation, and the middle that was asked about, each (n,); centre may be None.

    ball: what the region lies in beside the box, as the network sees it.
    """

    lower: list[Fraction]
    upper: list[Fraction]
    mean: list[Fraction]
    std: list[Fraction]
    centre: list[Fraction] | None
    ball: balls.Ball | None = None

    def normalised(self, i: int, value: Fraction) -> Fraction:
        return (value - self.mean[i]) / self.std[i]


@dataclass(frozen=True, eq=False)
class Box:
    """All x with lower <= x <= upper; the network sees (x - mean) / std.

    Box(lower=[0, 0, -1], upper=[1, 1, 1])
    """

    lower: Numbers
    upper: Numbers
    mean: Numbers = 0
    std: Numbers = 1

    @property
    def example(self) -> Numbers:
        return self.lower

    def extent(self, interface: Interface) -> Extent:
        """Raises PropertyError V223 where numbers do not fit the network, V224 where they are out of range."""
        lower, upper = spread(self.lower, interface, "lower"), spread(self.upper, interface, "upper")
        for i, (low, high) in enumerate(zip(lower, upper)):
            if low > high:
                raise PropertyError(f"the box is empty: feature {i} is at least {show(low)} and at most {show(high)}", code="V224")
        return Extent(lower, upper, *_normalisation(self.mean, self.std, interface), None)


@dataclass(frozen=True, eq=False)
class Ball:
    """All x with |x - centre| <= eps in `norm`, within `domain`; features in `fixed` do not change. Seen as (x - mean) / std.

        Ball(image, eps="8/255", domain=(0, 1), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])

    domain: least and greatest value. fixed: features, numbered in C order. eps, mean and std: one number, or one a channel or feature.
    norm: linf bounds every feature by itself; l1 bounds the sum of the changes, l2 the root of the sum of their squares, by one eps.
    """

    centre: Numbers
    eps: Numbers
    domain: tuple[Numbers, Numbers] | None = None
    fixed: Sequence[int] = ()
    mean: Numbers = 0
    std: Numbers = 1
    norm: Literal["linf", "l1", "l2"] = "linf"

    @property
    def example(self) -> Numbers:
        return self.centre

    def extent(self, interface: Interface) -> Extent:
        """Raises PropertyError V223 where numbers do not fit the network, V224 where they are out of range."""
        centre = exact_list(self.centre)
        if len(centre) != interface.features:
            raise PropertyError(f"the centre has {len(centre)} features, but the network has {interface.features} inputs", code="V223")
        eps = spread(self.eps, interface, "eps")
        if min(eps) < 0:
            raise PropertyError(f"eps is {show(min(eps))}, but a radius is not negative", code="V224")
        for i in self.fixed:
            if not 0 <= i < len(centre):
                raise PropertyError(f"there is no feature {i} to fix", code="V224", hint=f"features are numbered 0 to {len(centre) - 1}")
            eps[i] = Fraction(0)
        lower, upper = [c - e for c, e in zip(centre, eps)], [c + e for c, e in zip(centre, eps)]
        if self.domain is not None:
            least, greatest = (spread(side, interface, "domain") for side in self.domain)
            _check_inside(centre, least, greatest)
            lower, upper = list(map(max, lower, least)), list(map(min, upper, greatest))
        means, stds = _normalisation(self.mean, self.std, interface)
        return Extent(lower, upper, means, stds, centre, self._ball(centre, means, stds))

    def _ball(self, centre: list[Fraction], mean: list[Fraction], std: list[Fraction]) -> balls.Ball | None:
        if self.norm == "linf":
            return None
        if self.norm not in ("l1", "l2"):
            raise PropertyError(f"the norm is {self.norm!r}", code="V224", hint="one of linf, l1, l2")
        radius = exact_list(self.eps)
        if len(radius) != 1:
            raise PropertyError(f"a ball of the norm {self.norm} has one eps, not {len(radius)}", code="V223")
        return balls.Ball(self.norm, [(c - m) / s for c, m, s in zip(centre, mean, std)], std, radius[0])


Region = Box | Ball


def exact(value: Any) -> Fraction:
    """The rational that a number stands for. Raises PropertyError V223 for what is no finite number."""
    try:
        if isinstance(value, str):
            return _of_text(value)
        if isinstance(value, Fraction | int | np.integer) and not isinstance(value, bool):
            return bounded(Fraction(int(value) if isinstance(value, np.integer) else value))
        if isinstance(value, float | Decimal | np.floating):
            return bounded(Fraction(float(value) if isinstance(value, np.floating) else value))
    except (ValueError, OverflowError, ZeroDivisionError) as error:  # NumberError is a ValueError
        raise PropertyError(f"{value!r} is not a finite number", code="V223", hint=str(error)) from error
    raise PropertyError(f"{value!r:.60} is not a number", code="V223")


def _of_text(text: str) -> Fraction:
    match = _QUOTIENT.fullmatch(text)
    parts = [] if match is None else [part.encode() for part in match.groups() if part is not None]
    if not parts or not all(map(is_number, parts)):
        raise NumberError("write a decimal such as 0.1, or a quotient such as 8/255")
    values = list(map(literal, parts))
    return values[0] if len(values) == 1 else bounded(values[0] / values[1])


def exact_list(values: Numbers) -> list[Fraction]:
    """Flat, in C order; of torch tensors too."""
    if hasattr(values, "__array__") and not isinstance(values, np.ndarray | np.generic):
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        # Python numbers: numpy's own cost more than the conversion.
        return list(map(exact, (values.astype(np.float64) if values.dtype.kind == "f" else values).ravel().tolist()))
    return [exact(value) for value in _flat(values)]


def _flat(values: Any) -> Iterable[Any]:
    if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) and np.ndim(values):
        for value in values:
            yield from _flat(value)
    else:
        yield values


def spread(values: Numbers, interface: Interface, what: str) -> list[Fraction]:
    """One number a feature."""
    found, n = exact_list(values), interface.features
    if len(found) == n:
        return found
    if len(found) == 1:
        return found * n
    channels, size = _channels(interface)
    if len(found) == channels:
        return [value for value in found for _ in range(size)]
    fits = sorted({1, n} | ({channels} if channels else set()))
    message = f"{what} has {len(found)} numbers, but the network has {n} inputs"
    raise PropertyError(message, code="V223", hint=f"give {' or '.join(map(str, fits))}")


def _channels(interface: Interface) -> tuple[int, int]:
    """(channels, features a channel) of a single input [1, C, ...]; (0, 0) where there are none."""
    shape = interface.inputs[0]
    return (shape[1], math.prod(shape[2:])) if len(interface.inputs) == 1 and len(shape) > 2 and shape[0] == 1 else (0, 0)


def _normalisation(mean: Numbers, std: Numbers, interface: Interface) -> tuple[list[Fraction], list[Fraction]]:
    means, stds = spread(mean, interface, "mean"), spread(std, interface, "std")
    if min(stds) <= 0:
        raise PropertyError(f"std is {show(min(stds))}, but it has to be positive", code="V224")
    return means, stds


def _check_inside(centre: list[Fraction], least: list[Fraction], greatest: list[Fraction]) -> None:
    for i, (low, value, high) in enumerate(zip(least, centre, greatest)):
        if not low <= value <= high:
            message = f"feature {i} is {show(value)}, outside the domain [{show(low)}, {show(high)}]"
            raise PropertyError(message, code="V224", hint="are the data in the units of the domain? `scale` multiplies them")


def show(value: Fraction) -> str:
    """For messages."""
    return str(value) if value.denominator < 1000 else f"{float(value):.6g}"
