"""Which input to halve: the one that most of what relaxations lose in a box comes from.

A bound is off by the gaps of the planes of its row's nonlinear nodes, and the gap of one grows with the width of what it reads. How
much of that width an input makes is seen from the centres of two opposite faces of the box: the smear rule of interval branch and
bound (Kearfott & Novoa 1990, INTBIS), with gaps in place of derivatives. What a row's plane depends on linearly is exact however
wide the box is, so that coefficients alone may name inputs that are not worth halving.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from verifier.arrays import varying
from verifier.bounds.batch import Neurons
from verifier.operators.base import Nonlinear

_TRUSTED = 0.65
"""Part of a gap that halving the input with the best score may leave for the next one to be taken without a comparison. Comparisons
take most of the time, and change little on average, but where the score names an input that gains nothing, it may do so at every depth
below. On ACAS Xu: 3_3 prop_9 in 1.3 s instead of 2.2 s, 1_1 prop_5 in 0.6 instead of 1.0 s, 3_3 prop_2 in 4.4 instead of 5.3 s,
which without any comparison has no end."""
_FEWER = 5
"""Levels after which one input less is tried. Two from the root on are a third faster on most of ACAS Xu, but one wrong choice made 227
boxes of avoidance_monotone into more than 100,000."""
_AT_TIMES = 3
"""Of so many levels, one is for a comparison where bounds before the tangents are moved are a poor guide."""


def smooth(operator: Nonlinear) -> bool:
    """The lower plane touches the function anywhere, with no gap there: once it touches at the right place, nothing is lost below."""
    return operator.convex and not operator.kinks


def input_scores(
    neurons: Neurons,
    q: Mapping[int, np.ndarray],
    bounds: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    below: np.ndarray,
    above: np.ndarray,
) -> np.ndarray:
    """(B, n) >= 0: part of what its rows need that each input is the reason for; of several rows, the sum.

    q: nonlinear node -> (B, R, size), see Dual; bounds (B, R) of rows that are not proved; boxes lower, upper (B, n) with enclosures of
    the pre-activations, flat (B, total).
    """
    graph, (count, n) = neurons.graph, lower.shape
    moving = np.flatnonzero(varying(lower, upper).any(axis=0))
    if not len(moving):
        return np.zeros(lower.shape)
    middle, half = 0.5 * lower + 0.5 * upper, 0.5 * upper - 0.5 * lower
    faces = np.repeat(middle[:, None, None], 2, axis=1).repeat(len(moving), axis=2)
    faces[:, 0, np.arange(len(moving)), moving] += half[:, moving]
    faces[:, 1, np.arange(len(moving)), moving] -= half[:, moving]
    with np.errstate(all="ignore"):
        values = graph.values(faces.reshape(-1, n))
        known = neurons.split(below, above)
        lost = np.zeros((count, bounds.shape[1], len(moving)))
        for node in graph.nonlinear:
            operator, p = graph.nodes[node].operator, graph.nodes[node].inputs[0]
            if node not in q or not isinstance(operator, Nonlinear):
                continue
            worth = operator.split_worth(q[node], known[p].lower[:, None], known[p].upper[:, None])
            worth = np.where(q[node] > 0, 0.0, worth) if smooth(operator) else worth
            high, low = np.moveaxis(values[p].reshape(count, 2, len(moving), -1), 1, 0)
            moved = np.abs(high - low)
            total = moved.sum(axis=1, keepdims=True)
            lost += worth @ np.where(total > 0, moved / np.where(total > 0, total, 1.0), 0.0).transpose(0, 2, 1)
        found = np.sum(lost / np.maximum(-bounds, 1e-9)[:, :, None], axis=1)
    scores = np.zeros(lower.shape)
    scores[:, moving] = np.where(np.isfinite(found), found, 0.0)
    return scores


def input_candidates(
    lost: np.ndarray,
    steepest: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    depth: np.ndarray,
    paid: np.ndarray,
    look_ahead: int,
    smooth: bool,
) -> np.ndarray:
    """(B, K), K <= look_ahead: inputs whose halves are worth a comparison, best first, then -1; no input that float64 cannot halve.

    The first by `lost` (B, n) and the first by `steepest` (B, n), coefficients of planes before any improvement, times width lead, then
    the rest by `lost`. Improved planes depend on all inputs alike: by them ACAS Xu 4_2 prop_2 takes 22,800 boxes instead of 13,800.
    paid (B,): the last halving has, as of `paid_off`, so that the first by `lost` is taken as it is. smooth: bounds before tangents are
    moved do not tell which half is better, so there is a comparison at times only.
    """
    width, wide = upper - lower, varying(lower, upper)
    sloped = _finite(steepest * width)
    # Inputs that no plane depends on come last, the widest first.
    sloped = sloped + 1e-9 * width * (1e-300 + sloped.max(axis=1, keepdims=True, initial=0.0))
    lost, sloped = (np.where(wide, _finite(score), -1.0) for score in (lost, sloped))
    lost = np.where(lost.max(axis=1, keepdims=True, initial=0.0) > 0, lost, sloped)
    at, first, second = np.arange(len(lost)), lost.argmax(axis=1), sloped.argmax(axis=1)
    key = lost / (1.0 + lost.max(axis=1, keepdims=True, initial=0.0))
    key[at, first] += 2.0
    key[at, second] += 1.0
    order = np.argsort(-key, axis=1, kind="stable")[:, :look_ahead]
    # Always one more: an input that both name may be the wrong one at every depth.
    compared = np.where(depth % _AT_TIMES == _AT_TIMES - 1, 2, 1) if smooth else np.maximum(2, look_ahead - depth // _FEWER)
    tried = np.where(paid, 1, compared)
    worth = np.take_along_axis(wide, order, axis=1) & (np.arange(order.shape[1]) < tried[:, None])
    return np.where(worth, order, -1)


def _finite(score: np.ndarray) -> np.ndarray:
    """Coefficients may have overflowed; a score that is no number would put inputs that cannot be halved before others."""
    return np.nan_to_num(score, nan=0.0, posinf=1e300, neginf=0.0)


def paid_off(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(B,): halving boxes with bounds `before` has closed a good part of the gap in halves with bounds `after`; roots (-inf) were not
    halved."""
    return np.isfinite(before) & (after > _TRUSTED * before)
