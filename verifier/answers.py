"""Answers to questions that are more than one verdict, with what is needed to repeat them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from math import inf, isfinite
from typing import Literal

from verifier.errors import InternalError
from verifier.verdict import Counterexample, Provenance, Statistics, Status


class Ending(Enum):
    """Why a refinement ended; `help` says it in a sentence."""

    help: str

    def __new__(cls, value: str, help: str) -> Ending:
        member = object.__new__(cls)
        member._value_ = value
        member.help = help
        return member

    PRECISE = "precise", "Everything is known to the precision asked for."
    TIMEOUT = "timeout", "The time limit ran out; a longer --timeout narrows the rest."
    INTERRUPTED = "interrupted", "The run was stopped; what is shown holds."
    EXHAUSTED = "exhausted", "What is left lies within rounding error, or this method can split it no further."


@dataclass(frozen=True)
class Attained:
    """An output's value at a point of the input set, as onnxruntime computes it; decimals that round-trip in the model's type.

    literals: as in `Counterexample`; where it is "float32" the point may lie outside of the set by the rounding of its numbers.
    """

    value: str
    inputs: tuple[str, ...]
    literals: Literal["exact", "float32"] = "exact"


@dataclass(frozen=True)
class OutputInterval:
    """What is known of one output over the input set.

    lower, upper: no value outside of them, over the reals; infinite where nothing is known. least, greatest: the lowest and the
    highest value found. Rounding in onnxruntime can put these outside of [lower, upper] by a little. precise: `gap` is within the
    precision asked for.
    """

    output: int
    name: str
    lower: float
    upper: float
    least: Attained | None
    greatest: Attained | None
    precise: bool

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise InternalError(f"the bounds {self.lower!r} and {self.upper!r} of output {self.output} contradict each other")


    @property
    def gap(self) -> float:
        """The larger gap between proved and attained ends, in widths of the proved interval, 0 to 1; infinite where an end is missing."""
        if self.least is None or self.greatest is None:
            return inf
        sides = (-self.lower, -float(self.least.value)), (self.upper, float(self.greatest.value))
        return max(gap(bound, attained, self.upper - self.lower) for bound, attained in sides)


def gap(bound: float, attained: float, width: float) -> float:
    """How far an attained value is below its bound, in widths of the interval. What onnxruntime cannot resolve does not count: a few
    units of float32's last place, and what is less than its smallest normal number."""
    if not (isfinite(width) and isfinite(attained)):
        return inf
    excess = bound - attained - 2.0**-21 * max(abs(bound), abs(attained)) - 2.0**-126
    return min(1.0, excess / width) if excess > 0 else 0.0


@dataclass(frozen=True)
class RangeAnswer:
    """The outputs of a network over the input set of a property. precision: gaps wanted, in widths of [lower, upper]."""

    ending: Ending
    precision: float
    outputs: tuple[OutputInterval, ...]
    provenance: Provenance
    confirmed_by: str
    statistics: Statistics = field(default_factory=Statistics)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """One radius that was tried."""

    eps: Fraction
    status: Status
    seconds: float


@dataclass(frozen=True)
class RadiusAnswer:
    """How far a property holds around one sample.

    proved: the largest radius for which it was proved, and so for all smaller ones; None where it was for none, not even 0. violated: the
    smallest for which a counterexample is known, which is within it; None: no larger radius was found to be violated. most: the
    largest radius that was asked about. precision: part of the violated radius that the two may be apart.
    """

    ending: Ending
    precision: float
    most: Fraction
    proved: Fraction | None
    violated: Fraction | None
    counterexample: Counterexample | None
    probes: tuple[Probe, ...]
    provenance: Provenance
    statistics: Statistics = field(default_factory=Statistics)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.violated is None) != (self.counterexample is None):
            raise InternalError("a violated radius and its counterexample belong together")
