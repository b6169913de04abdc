"""Filtered look-ahead (De Palma et al. 2021, FSB): both children of the best-scored candidates are bounded once, with the
parent's slopes, and the split whose children gain most is taken.
"""

from __future__ import annotations

import numpy as np


def best_split(parent: np.ndarray, children: np.ndarray) -> np.ndarray:
    """Index (B,) of the best candidate: parent (B,) and children (B, K, 2) are lower bounds, > 0 means refuted.

    Gains are capped at what is needed and multiplied (the product rule of branch and bound, Achterberg 2007, section 5.3):
    a split that helps both sides beats one that helps a single side.
    """
    needed = np.maximum(-parent, 1e-12)[:, None, None]
    gain = np.minimum(np.maximum(children - parent[:, None, None], 0.0), needed) / needed
    score = (gain[:, :, 0] + 1e-3) * (gain[:, :, 1] + 1e-3)
    # A missing candidate (-inf, after the others) loses against one whose bounds are NaN: taking it would drop the subproblem.
    return np.where(np.isneginf(children).all(axis=2), -2.0, np.where(np.isfinite(score), score, -1.0)).argmax(axis=1)
