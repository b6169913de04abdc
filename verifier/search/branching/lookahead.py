"""Filtered look-ahead (De Palma et al. 2021, FSB): both children of the best-scored candidates are bounded once, with the
parent's slopes, and the split whose children gain most is taken.

Gains are capped at what is needed and multiplied (the product rule of branch and bound, Achterberg 2007, section 5.3): a split
that helps both sides beats one that helps a single side.
"""

from __future__ import annotations

import numpy as np


def best_split(there: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Index (B,) of the candidate with the largest gain (B, K) among those that are `there` (B, K); 0 where none is."""
    # One that is not there loses against any other, whatever is known of that: taking it would drop the subproblem.
    return np.where(there, np.where(np.isfinite(gain), gain, -1e300), -np.inf).argmax(axis=1)
