"""Domain clipping with the planes of the bounds (relaxed clip; Clip-and-Verify, Zhou et al. 2025).

A counterexample in the box has every row <= 0, and row >= a . x + c there. So a . x + c <= 0 for all planes, and

    x_i <= (-c - min_{j != i} a_j x_j) / a_i   where a_i > 0,      x_i >= ... where a_i < 0.
"""

from __future__ import annotations

import numpy as np

from verifier.bounds.rigorous import gamma

_NUMBERS = 4_000_000
"""Of one array, one for each coefficient and box."""


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


def clip_affine(
    lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, constants: np.ndarray, above: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (B, n) shrunk to where  rows . x + constants <= above  for rows (F, n), (F,) that all boxes share and above (B, F).

    x_i is no farther from the end at which its term is least than  (above - least value of the row) / |a_i|. Rounding: the least value
    is a rigorous bound; the difference is rounded up, and the quotient and the sum are off by less than 2^-52 of their sizes and an ulp.
    """
    room = np.nextafter(above - least_over(lower, upper, rows, constants), np.inf)
    # Most rows have room for all values, or at least for the whole range of any input.
    size, width = np.abs(rows), upper - lower
    some_input = size.max(axis=1, initial=0.0) * width.max(axis=1, initial=0.0, keepdims=True)
    b, f = np.nonzero(room < np.minimum(width @ size.T, some_input))
    found = lower.copy(), upper.copy()
    for some in np.array_split(np.arange(len(b)), max(1, rows.shape[1] * len(b) // _NUMBERS)):
        a, box = rows[f[some]], b[some]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = room[box, f[some]][:, None] / a
            limit = np.where(a > 0, lower[box], upper[box]) + step
            limit = np.nextafter(limit + np.copysign(2.0**-52, a) * (np.abs(limit) + np.abs(step)), np.copysign(np.inf, a))
        first = np.flatnonzero(np.diff(box, prepend=-1))
        least = np.maximum.reduceat(np.where(a < 0, limit, -np.inf), first) if len(first) else limit
        most = np.minimum.reduceat(np.where(a > 0, limit, np.inf), first) if len(first) else limit
        at = box[first]
        found[0][at], found[1][at] = np.fmax(found[0][at], least), np.fmin(found[1][at], most)
    return found


def least_over(lower: np.ndarray, upper: np.ndarray, rows: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """(B, F): lower bounds of rows (F, n) with constants (F,) over boxes (B, n)."""
    positive = np.maximum(rows, 0.0).T
    least = lower @ positive + upper @ (rows.T - positive) + constants
    sizes = np.maximum(np.abs(lower), np.abs(upper)) @ np.abs(rows).T + np.abs(constants)
    return np.asarray(least - _lost(rows.shape[1], sizes))


def least_within(
    lower: np.ndarray, upper: np.ndarray, a: np.ndarray, c: np.ndarray, rows: np.ndarray, constants: np.ndarray
) -> np.ndarray:
    """(P,): lower bounds of rows (P, n) with constants (P,) where planes a (P, n), c (P,) are not positive, in boxes (P, n)
    (complete clip; Clip-and-Verify, Zhou et al. 2025). Where that is nowhere, any number.

    The dual of one constraint is concave in its multiplier b: it bends at -rows_i / a_i, where its slope falls by |a_i| (u_i - l_i).
    The best b is the bend from which on it falls; any b >= 0 is allowed, so only the value at b is rounded.
    """
    slope = np.einsum("pn,pn->p", np.where(rows > 0, lower, upper), a) + c
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bends = np.where(rows * a < 0, -rows / a, np.inf).astype(np.float32)
    order = np.argsort(bends, axis=1)
    falls = np.take_along_axis((np.abs(a) * (upper - lower)).astype(np.float32), order, axis=1)
    last = np.minimum((np.cumsum(falls, axis=1) < slope[:, None]).sum(axis=1), rows.shape[1] - 1)
    at = np.arange(len(rows))
    best = bends[at, order[at, last]].astype(np.float64)
    b = np.where((slope > 0) & np.isfinite(best), best, 0.0)
    mixed = rows + b[:, None] * a
    least = np.einsum("pn,pn->p", mixed, np.where(mixed > 0, lower, upper)) + constants + b * c
    largest = np.maximum(np.abs(lower), np.abs(upper))
    sizes = np.einsum("pn,pn->p", np.abs(rows) + b[:, None] * np.abs(a), largest) + np.abs(constants) + b * np.abs(c)
    return np.asarray(least - _lost(rows.shape[1], sizes) - 1e-300 * largest.sum(axis=1))  # the last for b a that underflows


def _lost(n: int, sizes: np.ndarray) -> np.ndarray:
    """By 2 n + 8 operations on terms whose absolute values sum to `sizes`."""
    return np.asarray(gamma(2 * n + 12) * 2 * sizes + 1e-300)
