"""Inputs that a query makes equal share one element of the joint input; bounds that follow from rows of inputs alone.

Both keep the set of counterexamples as it is, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from verifier.property.disjuncts import LOWER, UPPER, Row
from verifier.property.dnf import Arm, Bounds
from verifier.property.expression import NumberError, NumberTable, bounded


def tied(rows: Iterable[Row], count: int) -> np.ndarray:
    """sources (count,) int64: positions of the inputs once those that `rows` make equal (x_i <= x_j and x_j <= x_i) are one."""
    ordered = {pair for row in rows if (pair := _ordered_pair(row)) is not None}
    leader = np.arange(count)

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = int(leader[i])
        return i

    for i, j in ordered:
        if (j, i) in ordered:
            a, b = sorted((find(i), find(j)))
            leader[b] = a
    if ordered:
        leader = np.array([find(i) for i in range(count)], dtype=np.int64)
    return np.unique(leader, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _ordered_pair(row: Row) -> tuple[int, int] | None:
    """(i, j) where the row reads x_i <= x_j."""
    if row.outputs or row.strict or row.constant or len(row.inputs) != 2:
        return None
    (i, a), (j, b) = row.inputs.items()
    return None if a + b else (i, j) if a > 0 else (j, i)


class Substitution:
    """Puts `sources` into bounds and rows; a row that is left with one input becomes a bound."""

    def __init__(self, sources: np.ndarray, numbers: NumberTable) -> None:
        self.sources, self.numbers = sources, numbers
        self._bounds: dict[int, tuple[Bounds, Bounds]] = {}

    def arm(self, arm: Arm) -> Arm:
        bounds, rows = [self._moved(b) for b in arm.bounds], []
        for row in arm.rows:
            new_bounds, new_rows = self._row(row)
            bounds += new_bounds
            rows += new_rows
        return Arm(tuple(bounds), tuple(rows), arm.line)

    def _moved(self, bounds: Bounds) -> Bounds:
        # Kept by identity: arms that shared bounds go on sharing them.
        if id(bounds) not in self._bounds:
            keys = 2 * self.sources[bounds.keys // 2].astype(np.int32) + bounds.keys % 2
            self._bounds[id(bounds)] = (bounds, Bounds(keys.astype(np.int32), bounds.ids))
        return self._bounds[id(bounds)][1]

    def _row(self, row: Row) -> tuple[list[Bounds], list[Row]]:
        if not row.inputs:
            return [], [row]
        inputs: dict[int, Fraction] = {}
        for i, coefficient in row.inputs.items():
            k = int(self.sources[i])
            inputs[k] = inputs.get(k, Fraction(0)) + coefficient
        moved = Row({k: c for k, c in inputs.items() if c}, row.outputs, row.constant, row.strict, row.line)
        if moved.constant_only and moved.holds((), ()):
            return [], []
        if moved.outputs or len(moved.inputs) != 1 or len(row.inputs) == 1:
            return [], [moved]
        (i, coefficient), = moved.inputs.items()
        bound = Bounds.of([2 * i + (UPPER if coefficient > 0 else LOWER)], [self.numbers.add(-moved.constant / coefficient)])
        return [bound], [moved] if moved.strict else []


def with_implied_bounds(numbers: NumberTable, common: Arm, arms: list[Arm], inputs: int) -> tuple[Arm, list[Arm]]:
    """Where an input lacks a bound, the one that follows from rows without outputs and the bounds of the other inputs."""
    present = np.zeros(2 * inputs, dtype=bool)
    for bounds in common.bounds:
        present[bounds.keys] = True
    if present.all():
        return common, arms
    common = _extended(numbers, common, (), ())
    for bounds in common.bounds:
        present[bounds.keys] = True
    if present.all():
        return common, arms
    return common, [_extended(numbers, arm, common.bounds, common.rows) for arm in arms]


def _extended(numbers: NumberTable, arm: Arm, bounds: tuple[Bounds, ...], rows: tuple[Row, ...]) -> Arm:
    """`arm` with implied bounds; bounds, rows: what holds beside it."""
    linear = [row for row in (*rows, *arm.rows) if not row.outputs and len(row.inputs) > 1]
    keys = {2 * i + side for row in linear for i in row.inputs for side in (LOWER, UPPER)}
    if not keys:
        return arm
    known_bounds = known(numbers, (*bounds, *arm.bounds), np.array(sorted(keys), dtype=np.int32))
    found: dict[int, Fraction] = {}
    while fresh := dict(_implied(linear, known_bounds)):
        found |= fresh
        known_bounds |= fresh
    if not found:
        return arm
    new = Bounds.of(list(found), [numbers.add(value) for value in found.values()])
    return Arm((*arm.bounds, new), arm.rows, arm.line)


def known(numbers: NumberTable, bounds: Iterable[Bounds], keys: np.ndarray) -> dict[int, Fraction]:
    """The tightest numbers of some keys."""
    found: dict[int, Fraction] = {}
    for part in bounds:
        for k in np.flatnonzero(np.isin(part.keys, keys)):
            key, value = int(part.keys[k]), numbers.exact(int(part.ids[k]))
            found[key] = value if key not in found else max(found[key], value) if key % 2 == LOWER else min(found[key], value)
    return found


def _implied(rows: Iterable[Row], known: dict[int, Fraction]) -> Iterator[tuple[int, Fraction]]:
    """sum c x + d <= 0 with least values of all terms but one bounds that one."""
    for row in rows:
        keys = {i: 2 * i + (LOWER if c > 0 else UPPER) for i, c in row.inputs.items()}
        open_terms = [i for i, key in keys.items() if key not in known]
        for i, coefficient in row.inputs.items():
            key = 2 * i + (UPPER if coefficient > 0 else LOWER)
            if key in known or any(j != i for j in open_terms):
                continue
            others = sum((c * known[keys[j]] for j, c in row.inputs.items() if j != i), row.constant)
            try:
                yield key, bounded(-others / coefficient)
            except NumberError:
                continue


def lacking(common: Arm, arms: list[Arm], inputs: int) -> np.ndarray:
    """Keys 2 * input + side (k,) that some arm leaves without a bound."""
    present = np.zeros(2 * inputs, dtype=bool)
    for bounds in common.bounds:
        present[bounds.keys] = True
    lacks = np.zeros(2 * inputs, dtype=bool)
    if present.all():
        return np.flatnonzero(lacks)
    for arm in arms:
        here = present.copy()
        for bounds in arm.bounds:
            here[bounds.keys] = True
        lacks |= ~here
    return np.flatnonzero(lacks)
