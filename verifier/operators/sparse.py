"""Matrices with few entries in every row and column: minima and maxima of chosen values, lattices, pruned layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from verifier.arrays import Array, namespace
from verifier.operators.base import Affine

_WORTH = 64
"""A gathered entry takes the time of as many multiplications of a dense product, or of a few more."""


@dataclass(frozen=True, eq=False)
class Sparse(Affine):
    """y[..., j] = sum_t value[t, j] x[..., index[t, j]] + b[j]: a `Linear` with at most k entries a column, the rest padded with zeros.

    index, value (k, m); the same matrix by its rows, at most l entries each: back_index, back_value (l, n). bias (m,) or None.
    """

    index: np.ndarray
    value: np.ndarray
    back_index: np.ndarray
    back_value: np.ndarray
    bias: np.ndarray | None = None

    @staticmethod
    def of(weight: np.ndarray, bias: np.ndarray | None) -> Sparse:
        """The same function as `Linear(weight (n, m), bias)`."""
        column, row = np.nonzero(weight.T)
        return Sparse.of_entries(row, column, weight[row, column], weight.shape, bias)

    @staticmethod
    def of_entries(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, int], bias: np.ndarray | None) -> Sparse:
        """The same for a matrix given by its entries, no two at one place."""
        return Sparse(*_gathered(row, column, value, shape[1]), *_gathered(column, row, value, shape[0]), bias)

    def entries_by_column(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row, column, value) of the entries, column after column."""
        used = self.value.T != 0
        column = np.nonzero(used)[0]
        return self.index.T[used], column, self.value.T[used]

    @staticmethod
    def pays(weight: np.ndarray) -> bool:
        """Whether it is faster than the dense product."""
        used = weight != 0
        return Sparse.few(used.sum(axis=0), used.sum(axis=1))

    @staticmethod
    def few(of_columns: np.ndarray, of_rows: np.ndarray) -> bool:
        """The same from the numbers of entries of every column and row."""
        columns, rows = of_columns.max(initial=1), of_rows.max(initial=1)
        return bool(columns * _WORTH <= len(of_rows) and rows * _WORTH <= len(of_columns))

    def forward(self, count: int, x: Array) -> Array:
        y = _gather(x, self.index, self.value)
        return y if self.bias is None else y + self.bias

    def transpose(self, y: Array) -> tuple[Array, ...]:
        return (_gather(y, self.back_index, self.back_value),)

    def absolute(self, count: int, x: Array) -> Array:
        return _gather(x, self.index, namespace(self.value).abs(self.value))

    @property
    def offset(self) -> Array | None:
        return self.bias

    @property
    def homogeneous(self) -> Sparse:
        return replace(self, bias=None)

    @property
    def terms(self) -> int:
        return int(max(self.index.shape[0], self.back_index.shape[0])) + 1

    @property
    def time(self) -> int:
        """Of a pass, in multiplications of a dense product."""
        return _WORTH * self.entries

    @property
    def entries(self) -> int:
        """Of one pass, forward or backward, the longer."""
        return int(max(self.index.size, self.back_index.size))


def _gathered(row: np.ndarray, column: np.ndarray, value: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(index, value), (most, size) each: the entries of every column, by their rows."""
    order = np.lexsort((row, column))
    row, column, value = row[order], column[order], value[order]
    place = np.arange(len(column)) - np.searchsorted(column, column)
    shape = int(place.max(initial=-1)) + 1, size
    index, values = np.zeros(shape, np.int64), np.zeros(shape)
    index[place, column], values[place, column] = row, value
    return index, values


def _gather(x: Array, index: Array, value: Array) -> Array:
    """Sum over t of x[..., index[t]] * value[t]."""
    xp = namespace(x)
    if not index.shape[0]:
        return xp.zeros((*x.shape[:-1], index.shape[1]), dtype=x.dtype, device=x.device)
    total = xp.take(x, index[0], axis=-1) * value[0]
    for t in range(1, index.shape[0]):
        total += xp.take(x, index[t], axis=-1) * value[t]
    return total
