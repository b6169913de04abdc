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
        columns, rows = _most(weight)
        return Sparse(*_gathered(weight, columns), *_gathered(weight.T, rows), bias)

    @staticmethod
    def pays(weight: np.ndarray) -> bool:
        """Whether it is faster than the dense product."""
        columns, rows = _most(weight)
        return max(1, columns) * _WORTH <= weight.shape[0] and max(1, rows) * _WORTH <= weight.shape[1]

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
    def entries(self) -> int:
        """Of one pass, forward or backward, the longer."""
        return int(max(self.index.size, self.back_index.size))


def _most(weight: np.ndarray) -> tuple[int, int]:
    """Entries of a column, and of a row, at most."""
    used = weight != 0
    return int(used.sum(axis=0).max(initial=0)), int(used.sum(axis=1).max(initial=0))


def _gathered(weight: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(index, value), (most, m) each: the entries of every column of weight (n, m), in order."""
    index, value = np.zeros((most, weight.shape[1]), np.int64), np.zeros((most, weight.shape[1]))
    column, row = np.nonzero(weight.T)
    place = np.arange(len(column)) - np.searchsorted(column, column)
    index[place, column], value[place, column] = row, weight[row, column]
    return index, value


def _gather(x: Array, index: Array, value: Array) -> Array:
    """Sum over t of x[..., index[t]] * value[t]."""
    xp = namespace(x)
    if not index.shape[0]:
        return xp.zeros((*x.shape[:-1], index.shape[1]), dtype=x.dtype, device=x.device)
    total = xp.take(x, index[0], axis=-1) * value[0]
    for t in range(1, index.shape[0]):
        total += xp.take(x, index[t], axis=-1) * value[t]
    return total
