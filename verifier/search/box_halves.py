"""Halves of a box whose enclosures are dear: bounded one after another, within those of the box that they come from.

A search over thousands of boxes (input_split.py) cannot wait for rows of all neurons. Where a box has few inputs that vary, a
handful of boxes with such rows may do what no number of neuron splits does within the enclosures of the whole box: those of its
inner neurons get narrower as well. On cifar_biasfield prop_28 the whole box has the bound -17.0 and its halves 5.0 and 11.1, in three
seconds each; neuron splits have come to -10.4 after a minute. So halves are bounded as long as what they gain lets expect that few
are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from verifier.arrays import varying
from verifier.bounds.intermediate import RootBounds
from verifier.search.events import Event
from verifier.search.outcome import Context, Outcome

INPUTS = 64
"""Inputs of a box up to which halves are tried: one of thousands gains next to nothing."""
_SHARE, _TIMES, _LESS = 0.4, 6.0, 0.5
"""Part of the time left, and times as much time as the whole box took, that halves may take; time of a half against that of the whole
box, before any is known: neurons that are stable already need no rows."""


class Part(NamedTuple):
    """A bounded box lower, upper (n,). open: its disjuncts (K,) that are not refuted there; bounds (K,): of their best rows; planes
    (K, n): of those. seconds: what the bounds took. outcome: where nothing is open, or a counterexample was found.
    imprecise: float32 is not good enough for proposals."""

    lower: np.ndarray
    upper: np.ndarray
    root: RootBounds
    open: np.ndarray
    bounds: np.ndarray
    planes: np.ndarray
    seconds: float
    outcome: Outcome | None
    imprecise: bool = False


Bounded = Callable[[np.ndarray, np.ndarray, RootBounds, np.ndarray], Part]
"""(lower, upper, enclosures of a box around it, disjuncts) -> the part."""


class Halves(NamedTuple):
    """outcome: proved, or a counterexample; None where too many would be needed. open: disjuncts that are not refuted everywhere."""

    outcome: Outcome | None
    open: np.ndarray


class _Half(NamedTuple):
    """A box that is not bounded yet, of that of `parent`."""

    lower: np.ndarray
    upper: np.ndarray
    parent: Part
    depth: int


def by_halves(whole: Part, bounded: Bounded, context: Context) -> Halves:
    """Halve `whole`, in which something is open, and what is open of its halves, for as long as that promises to end in time."""
    left, reach, seconds, nodes, share = _halved(whole, 0), 1.0, _LESS * whole.seconds, 0, 0.0
    limit = context.clock() + min(_SHARE * (context.deadline - context.clock()), _TIMES * whole.seconds)
    while left:
        if seconds * _expected(left, reach) > limit - context.clock():
            return Halves(None, np.unique(np.concatenate([half.parent.open for half in left])))
        half = left.pop()
        part = bounded(half.lower, half.upper, half.parent.root, half.parent.open)
        nodes, seconds = nodes + len(half.parent.open), 0.5 * seconds + 0.5 * part.seconds
        if part.outcome is not None and part.outcome.witness is not None:
            return Halves(part.outcome._replace(subproblems=nodes, proved_share=share), half.parent.open)
        if len(part.open):
            left += _halved(part, half.depth)
            reach = max(reach, half.depth + _further(half.parent, part))
        else:
            share += 0.5**half.depth
        lowest = min((float(half.parent.bounds.min()) for half in left), default=0.0)
        context.report(Event("B", context.clock(), nodes=nodes, open=len(left), depth=half.depth, lower_bound=lowest, proved=share))
    return Halves(Outcome(True, None, nodes, 0.0, 1.0), whole.open[:0])


def _expected(left: list[_Half], reach: float) -> float:
    """Boxes that are still to be bounded, if all have to be halved down to the depth `reach`. What a halving gains falls with the depth,
    so it tells less of the other boxes than how deep the first ones turn out to be."""
    return sum(2.0 ** min(max(reach - half.depth, 0.0) + 1.0, 100.0) - 1.0 for half in left)


def _further(parent: Part, part: Part) -> float:
    """Halvings until `part` is refuted, if each gains as much as the one that it comes from."""
    gap, gain = -float(part.bounds.min()), float(part.bounds.min() - parent.bounds.min())
    return max(1.0, gap / gain) if gain > 0 else np.inf


def _halved(part: Part, depth: int) -> list[_Half]:
    """In the input on which the planes of what is open depend most; where float64 cannot halve any, a half is all of it and gains
    nothing. The half with the minimiser of the worst plane comes last, to be taken first: it tells more of what is to come."""
    lower, upper, planes = part.lower, part.upper, part.planes
    middle = 0.5 * lower + 0.5 * upper
    place = int(np.where(varying(lower, upper), (np.abs(planes) * (upper - lower)).max(axis=0), -1.0).argmax())
    below, above = upper.copy(), lower.copy()
    below[place] = above[place] = middle[place]
    halves = [_Half(lower, below, part, depth + 1), _Half(above, upper, part, depth + 1)]
    return halves[::-1] if planes[part.bounds.argmin(), place] > 0 else halves
