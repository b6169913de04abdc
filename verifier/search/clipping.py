"""Domain clipping with the planes of the bounds (relaxed clip; Clip-and-Verify, Zhou et al. 2025).

A counterexample in the box has every row <= 0, and row >= a . x + c there. So a . x + c <= 0 for all planes, and

    x_i <= (-c - min_{j != i} a_j x_j) / a_i   where a_i > 0,      x_i >= ... where a_i < 0.
"""

from __future__ import annotations

import numpy as np

from verifier.bounds.rigorous import gamma


def clip(lower: np.ndarray, upper: np.ndarray, a: np.ndarray, c: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (B, n) shrunk by planes a (B, R, n), c (B, R); crossed bounds mean that no counterexample is left.

    Rounding: n + 4 operations on terms whose absolute values sum to s; g_{n+8} s is subtracted from c first.
    """
    n = lower.shape[1]
    positive, negative = np.maximum(a, 0.0), np.minimum(a, 0.0)
    usable = np.abs(a) > 1e-12 * np.abs(a).max(axis=2, keepdims=True)
    divisor = np.where(usable, a, 1.0)
    largest = np.maximum(np.abs(lower), np.abs(upper))
    sizes = np.abs(a) @ largest[:, :, None]
    offset = c - gamma(n + 8) * 4 * (sizes[:, :, 0] + np.abs(c)) - 1e-300  # the last for what underflows
    for _ in range(rounds):
        terms = positive * lower[:, None] + negative * upper[:, None]
        rest = terms.sum(axis=2, keepdims=True) - terms
        limit = (-offset[:, :, None] - rest) / divisor
        limit = limit + np.copysign(4 * 2.0**-53, a) * np.abs(limit)
        upper = np.minimum(upper, np.where(usable & (a > 0), limit, np.inf).min(axis=1))
        lower = np.maximum(lower, np.where(usable & (a < 0), limit, -np.inf).max(axis=1))
    return lower, upper
