"""Planes that must hold together: a mixture can refute a box that no single plane refutes.

A counterexample in the box has a_r . x + c_r <= 0 for every plane r, so also  sum_r w_r (a_r . x + c_r) <= 0  for any w >= 0.
The least value over the box is concave in w; multiplicative weights (Arora, Hazan & Kale 2012) find a good w, and only the
rigorous value at that w decides.
"""

from __future__ import annotations

import numpy as np

from verifier.bounds.rigorous import gamma

_STEPS = 30
_CLIPPED = 3.0
"""Values beyond this many half-widths of a plane say no more than that the plane is far from active (or refutes alone)."""


def refuted_together(lower: np.ndarray, upper: np.ndarray, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(B,) True where some mixture of the planes a (B, R, n), c (B, R) is positive on the whole box lower, upper (B, n).

    Planes of zeros are unused. Rounding: 2 n + 8 operations on terms whose absolute values sum to |plane| . max|x| + |offset|.
    """
    count, rows, n = a.shape
    if rows < 2 or count == 0:
        return np.zeros(count, bool)
    plane, offset = mixture(lower, upper, a, c)
    least = np.maximum(plane, 0.0) * lower + np.minimum(plane, 0.0) * upper
    sizes = (np.abs(plane) * np.maximum(np.abs(lower), np.abs(upper))).sum(axis=1) + np.abs(offset)
    return np.asarray(least.sum(axis=1) + offset - gamma(2 * n + 12) * 2 * sizes - 1e-300 > 0)


def mixture(lower: np.ndarray, upper: np.ndarray, a: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(plane (B, n), offset (B,)): not positive in the box lower, upper (B, n) wherever none of the planes a (B, R, n), c (B, R) is; its
    least value over the box is as great as was found.

    Rounding of the sums: R + 8 operations on terms whose absolute values sum to sum_r w_r (|a_r| . max|x| + |c_r|).
    """
    used = np.abs(a).max(axis=2, initial=0.0) > 0
    w = _weights(0.5 * lower + 0.5 * upper, 0.5 * upper - 0.5 * lower, a, c, used)
    largest = np.maximum(np.abs(lower), np.abs(upper))
    sizes = np.einsum("br,br->b", w, np.einsum("brn,bn->br", np.abs(a), largest) + np.abs(c))
    lost = gamma(a.shape[1] + 12) * 2 * sizes + 1e-300 * (1.0 + largest.sum(axis=1))  # the last for what underflows
    offset = np.einsum("br,br->b", w, c) - lost
    return np.einsum("br,brn->bn", w, a), offset


def _weights(middle: np.ndarray, radius: np.ndarray, a: np.ndarray, c: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Weights (B, R) >= 0 of the best mixture found. Works on planes scaled to vary by +-1 over the box."""
    scale = np.where(used, 1.0 / np.maximum(np.einsum("brn,bn->br", np.abs(a), radius), 1e-200), 0.0)
    slope, value = a * radius[:, None] * scale[:, :, None], (np.einsum("brn,bn->br", a, middle) + c) * scale
    w = used / np.maximum(used.sum(axis=1, keepdims=True), 1)
    best, best_value = w, np.full(len(w), -np.inf)
    for i in range(_STEPS):
        mixed = np.einsum("br,brn->bn", w, slope)
        reached = np.einsum("br,br->b", w, value) - np.abs(mixed).sum(axis=1)
        best = np.where((reached > best_value)[:, None], w, best)
        best_value = np.maximum(best_value, reached)
        # Each plane's value at the minimiser of the mixture is the supergradient.
        gain = np.clip(value - np.einsum("brn,bn->br", slope, np.sign(mixed)), -_CLIPPED, _CLIPPED)
        w = w * np.exp((gain - gain.max(axis=1, keepdims=True)) / (1 + i) ** 0.5)
        w = w / np.maximum(w.sum(axis=1, keepdims=True), 1e-300)
    return best * scale
