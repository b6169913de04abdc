"""What bounds are computed with: arrays, cores, time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verifier.arrays import Arrays
from verifier.parallel import Workers


def _never() -> bool:
    return False


def _nothing() -> None:
    pass


@dataclass(frozen=True, eq=False)
class Resources:
    """exact: float64 arrays, in which bounds are accepted. proposals: those in which slopes are improved, float32 as a rule.
    late: whether the time is over; asked often, by forked processes as well. pause: called between layers, by this process alone."""

    exact: Arrays
    proposals: Arrays
    workers: Workers
    late: Callable[[], bool] = _never
    pause: Callable[[], None] = _nothing
