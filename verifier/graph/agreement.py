"""A last look at graphs that were rewritten: do they say the same as before, at points of the box?

Every rewriting is exact over the reals. This would show a fault in one before it becomes a wrong verdict. Rounding
may move a few values over a jump of a function, so no single difference is held against a graph.
"""

from __future__ import annotations

import numpy as np

from verifier.errors import InternalError
from verifier.graph.ir import Graph

_POINTS, _CLEAR, _MOST = 4, 1e-6, 0.25


def points(lower: np.ndarray, upper: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N, n) in the box lower, upper (n,), as far as it is finite."""
    low, high = np.maximum(lower, -1e6), np.minimum(upper, 1e6)
    low, high = np.minimum(low, upper), np.maximum(high, lower)
    share = np.random.default_rng(seed).uniform(size=(_POINTS, len(lower)))
    return np.asarray(low * (1 - share) + high * share)


def same_values(before: Graph, after: Graph, lower: np.ndarray, upper: np.ndarray, seed: int = 0) -> None:
    """Raises InternalError where the outputs differ."""
    if after is not before:
        x = points(lower, upper, seed)
        with np.errstate(all="ignore"):
            y, z = before.evaluate(x), after.evaluate(x)
            _judge(np.abs(y - z) > _CLEAR * (1.0 + np.abs(y).max()), np.isfinite(y) & np.isfinite(z))


def same_signs(before: np.ndarray, after: np.ndarray) -> None:
    """Of the rows of a query at points, (N, R) each. Raises InternalError where they differ; numbers next to zero count for nothing."""
    clear = [np.abs(v) > _CLEAR * (1e-300 + np.abs(v).max(initial=0.0, where=np.isfinite(v))) for v in (before, after)]
    _judge((before > 0) != (after > 0), clear[0] & clear[1] & np.isfinite(before) & np.isfinite(after))


def _judge(differ: np.ndarray, counts: np.ndarray) -> None:
    if np.sum(differ & counts) > _MOST * np.sum(counts):
        raise InternalError("a rewritten network does not say the same as the one that was read: please report it")
