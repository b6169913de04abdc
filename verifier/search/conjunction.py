"""Rows that must hold together: a mixture of their planes can refute a box that no single row refutes.

A counterexample in the box has a_r . x + c_r <= 0 for every row r, so also  sum_r w_r (a_r . x + c_r) <= 0  for any w >= 0.
The least value over the box is concave in w; mirror ascent on the simplex finds a good w, and only its last value decides.
"""

from __future__ import annotations

import numpy as np

from verifier.bounds.rigorous import gamma

_STEPS = 12


def refuted_together(lower: np.ndarray, upper: np.ndarray, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(B,) True where some mixture of the planes a (B, R, n), c (B, R) is positive on the whole box lower, upper (B, n).

    Rounding: R + n + 6 operations on terms whose absolute values sum to s = sum_r w_r (|a_r| . max|x| + |c_r|).
    """
    count, rows, n = a.shape
    if rows < 2:
        return np.zeros(count, bool)
    middle, radius = 0.5 * lower + 0.5 * upper, 0.5 * upper - 0.5 * lower
    w = np.full((count, rows), 1.0 / rows)
    for i in range(_STEPS):
        mixed = np.einsum("br,brn->bn", w, a)
        # The minimiser of the mixture, and each row's value there: the supergradient.
        x = middle - np.sign(mixed) * radius
        value = np.einsum("brn,bn->br", a, x) + c
        step = (2.0 / (1 + i) ** 0.5) / (np.abs(value).max(axis=1, keepdims=True) + 1e-300)
        w = w * np.exp(step * (value - value.max(axis=1, keepdims=True)))
        w /= w.sum(axis=1, keepdims=True)
    mixed = np.einsum("br,brn->bn", w, a)
    least = np.maximum(mixed, 0.0) * lower + np.minimum(mixed, 0.0) * upper
    largest = np.maximum(np.abs(lower), np.abs(upper))
    sizes = np.einsum("br,br->b", w, np.einsum("brn,bn->br", np.abs(a), largest) + np.abs(c))
    return least.sum(axis=1) + np.einsum("br,br->b", w, c) - gamma(rows + 2 * n + 12) * 2 * sizes - 1e-300 > 0
