"""A ball of the norm l1 or l2 around a point, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from verifier.property.expression import exact


@dataclass(frozen=True)
class Ball:
    """All x with |scale * (x - centre)| <= radius in the norm, feature by feature scaled; scale > 0."""

    norm: Literal["l1", "l2"]
    centre: Sequence[Fraction]
    scale: Sequence[Fraction]
    radius: Fraction

    def contains(self, x: np.ndarray) -> bool:
        """x (n,) floats, exactly."""
        away = (s * abs(exact(float(v)) - c) for v, c, s in zip(x, self.centre, self.scale))
        if self.norm == "l1":
            return sum(away, Fraction(0)) <= self.radius
        return sum((a * a for a in away), Fraction(0)) <= self.radius**2
