"""From nested and / or to disjuncts, with a cap; intersection of bounds.

Formulas are put into disjunctive normal form bottom-up while they are read. An arm refers to the bounds and rows of its parts,
so that a cross product copies references only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from verifier.property.disjuncts import LOWER, NO_BOUND, Box, Disjunct, Row
from verifier.property.expression import Numbers
from verifier.property.products import Monomial

MOST_DISJUNCTS = 100_000
MOST_ENTRIES = 20_000_000


class TooLarge(Exception):
    """The normal form would exceed a cap; the message says which."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of single inputs as read: keys = 2 * input + side (k,) int32, ids (k,) int32 positions in the numbers."""

    keys: np.ndarray
    ids: np.ndarray

    @staticmethod
    def of(keys: Sequence[int], ids: Sequence[int]) -> Bounds:
        return Bounds(np.array(keys, dtype=np.int32), np.array(ids, dtype=np.int32))


class Arm(NamedTuple):
    """A conjunction; `line` is where it begins."""

    bounds: tuple[Bounds, ...]
    rows: tuple[Row, ...]
    line: int


@dataclass(eq=False)
class Conjunction:
    """What an `and`, or a whole file, has collected: bounds, rows, and disjunctions of arms that each have to be met."""

    bounds: list[Bounds] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    alternatives: list[list[Arm]] = field(default_factory=list)

    def add(self, arms: list[Arm]) -> None:
        if len(arms) == 1:
            self.bounds += arms[0].bounds
            self.rows += arms[0].rows
        else:
            self.alternatives.append(arms)

    def arms(self, line: int) -> list[Arm]:
        """The normal form; `line` is where the conjunction begins. Raises TooLarge."""
        result = [Arm(_merged(self.bounds), tuple(self.rows), line)]
        for alternative in self.alternatives:
            result = product(result, alternative)
        return result

    def split(self) -> tuple[Arm, list[Arm]]:
        """(what all arms have in common, arms without it). Raises TooLarge."""
        line = next((row.line for row in self.rows if row.outputs), 1)
        common = Arm(_merged(self.bounds), tuple(self.rows), line)
        return common, Conjunction(alternatives=self.alternatives).arms(line)


def _merged(bounds: list[Bounds]) -> tuple[Bounds, ...]:
    if len(bounds) < 2:
        return tuple(bounds)
    return (Bounds(np.concatenate([b.keys for b in bounds]), np.concatenate([b.ids for b in bounds])),)


def product(first: Sequence[Arm], second: Sequence[Arm]) -> list[Arm]:
    """All pairs. An arm takes its line from the part that speaks of outputs, the later one if both do. Raises TooLarge."""
    check(len(first) * len(second), sum(map(_entries, first)) * len(second) + sum(map(_entries, second)) * len(first))
    return [Arm(a.bounds + b.bounds, a.rows + b.rows, b.line if _speaks_of_outputs(b) or not _speaks_of_outputs(a) else a.line)
            for a in first for b in second]


def check(disjuncts: int, entries: int = 0) -> None:
    if disjuncts > MOST_DISJUNCTS:
        raise TooLarge(f"more than {MOST_DISJUNCTS} disjuncts")
    if entries > MOST_ENTRIES:
        raise TooLarge(f"more than {MOST_ENTRIES} comparisons in all disjuncts together")


def _entries(arm: Arm) -> int:
    return len(arm.bounds) + len(arm.rows)


def _speaks_of_outputs(arm: Arm) -> bool:
    return any(row.outputs for row in arm.rows)


class MissingBound(Exception):
    """Input `index` has no lower (side 0) or upper (side 1) bound in the arm of `line`."""

    def __init__(self, index: int, side: int, line: int) -> None:
        super().__init__(index, side, line)
        self.index, self.side, self.line = index, side, line


def build(
    numbers: Numbers, common: Arm, arms: Iterable[Arm], inputs: int, outputs: int, monomials: tuple[Monomial, ...] = ()
) -> tuple[Disjunct, ...]:
    """One disjunct an arm, each with the common bounds and rows. Raises MissingBound."""
    base = np.full(2 * inputs, NO_BOUND, dtype=np.int32)
    keys, ids = _tightest(numbers, common.bounds)
    base[keys] = ids
    base.flags.writeable = False
    whole = Box(numbers, base.reshape(inputs, 2))
    open_keys = np.flatnonzero(base == NO_BOUND)
    boxes: dict[tuple[int, ...], Box] = {}
    result = []
    for arm in arms:
        name = tuple(map(id, arm.bounds))
        if name not in boxes:
            boxes[name] = box = _box(whole, arm)
            _require_bounds(open_keys, box, arm.line)
        result.append(Disjunct(boxes[name], common.rows + arm.rows, outputs, arm.line, monomials=monomials))
    return tuple(result)


def _box(whole: Box, arm: Arm) -> Box:
    """The bounds of the arm and the common ones."""
    if not arm.bounds:
        return whole
    keys, ids = _tightest(whole.numbers, arm.bounds)
    before = whole.base.reshape(-1)[keys]
    bounded = before != NO_BOUND
    if bounded.any():
        kept = _tighter(whole.numbers, keys[bounded], before[bounded], ids[bounded])
        ids[bounded] = np.where(kept, before[bounded], ids[bounded])
    return Box(whole.numbers, whole.base, keys, ids, whole)


def _require_bounds(open_keys: np.ndarray, box: Box, line: int) -> None:
    """open_keys: what the common bounds leave open, ascending."""
    if not len(open_keys):
        return
    places = np.searchsorted(box.keys, open_keys)
    filled = np.append(box.keys, NO_BOUND)[places] == open_keys
    if not filled.all():
        missing = int(open_keys[np.argmin(filled)])
        raise MissingBound(missing // 2, missing % 2, line)


def _tightest(numbers: Numbers, bounds: tuple[Bounds, ...]) -> tuple[np.ndarray, np.ndarray]:
    """keys (k,) ascending and distinct, ids (k,): for each key the tightest of its numbers."""
    if not bounds:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
    keys, ids = (np.concatenate([getattr(b, name) for b in bounds]) for name in ("keys", "ids"))
    if not (keys[1:] > keys[:-1]).all():
        order = np.argsort(keys, kind="stable")
        keys, ids = keys[order], ids[order]
    while (keys[1:] == keys[:-1]).any():
        # Neighbours with one key meet in pairs; every turn halves their number.
        places = np.arange(len(keys))
        starts = np.concatenate([[True], keys[1:] != keys[:-1]])
        second = (places - np.maximum.accumulate(np.where(starts, places, 0))) % 2 == 1
        b = np.flatnonzero(second)
        ids[b - 1] = np.where(_tighter(numbers, keys[b], ids[b], ids[b - 1]), ids[b], ids[b - 1])
        keys, ids = keys[~second], ids[~second]
    return keys, ids


def _tighter(numbers: Numbers, keys: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(k,) True where number a is the tighter bound: the larger lower, the smaller upper one."""
    order = numbers.compare(a, b)
    return np.where(keys % 2 == LOWER, order > 0, order < 0)
