"""Filtered look-ahead (De Palma et al. 2021, FSB): both children of the best-scored candidates are bounded once, with the
parent's slopes, and the split whose children gain most is taken.

Gains are capped at what is needed and multiplied (the product rule of branch and bound, Achterberg 2007, section 5.3): a split
that helps both sides beats one that helps a single side.
"""

from __future__ import annotations

import numpy as np


def best_split(children: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Index (B,) of the candidate with the largest gain (B, K); children (B, K, 2) are the lower bounds that it comes from."""
    # A missing candidate (-inf, after the others) loses against one whose bounds are NaN: taking it would drop the subproblem.
    usable = np.where(np.isfinite(gain), gain, -1e300)
    return np.where(np.isneginf(children).all(axis=2), -np.inf, usable).argmax(axis=1)
