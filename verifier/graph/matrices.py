"""Matrices of Linear and Sparse nodes as their entries, for rewriting graphs: what takes passes over zeros takes seconds there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from verifier.operators.affine import Linear
from verifier.operators.sparse import Sparse

if TYPE_CHECKING:
    from scipy.sparse import csc_array

Matrix = Linear | Sparse
"""x (..., n) -> x W + b (..., m)."""


def shape(operator: Matrix) -> tuple[int, int]:
    """(n, m)."""
    return operator.weight.shape if isinstance(operator, Linear) else (operator.back_index.shape[1], operator.index.shape[1])


def time(operator: Matrix) -> int:
    """Of a pass, in multiplications of a dense product."""
    return operator.weight.size if isinstance(operator, Linear) else operator.time


def terms(first: Matrix, second: Matrix) -> int:
    """Multiplications in the product of the two, where zeros of a Sparse node are skipped."""
    n, k = shape(first)
    of_columns = np.full(k, n) if isinstance(first, Linear) else (first.value != 0).sum(axis=0)
    of_rows = np.full(k, shape(second)[1]) if isinstance(second, Linear) else (second.back_value != 0).sum(axis=0)
    return int(of_columns @ of_rows)


def entries(operator: Matrix) -> csc_array:
    """W, with sorted indices and no zeros."""
    from scipy.sparse import csc_array

    if isinstance(operator, Linear):
        return csc_array(operator.weight)
    row, column, value = operator.entries_by_column()
    return csc_array((value, (row, column)), shape=shape(operator))


def node_operator(weight: csc_array, bias: np.ndarray | None) -> Matrix:
    """The faster of the two."""
    if not Sparse.few(np.diff(weight.indptr), np.bincount(weight.indices, minlength=weight.shape[0])):
        return Linear(weight.toarray(), bias)
    found = weight.tocoo()
    return Sparse.of_entries(found.row, found.col, found.data, weight.shape, bias)


def columns(operator: Matrix, index: np.ndarray) -> Matrix:
    """Some elements of the result."""
    bias = None if operator.bias is None else operator.bias[index]
    if isinstance(operator, Linear):
        return Linear(operator.weight[:, index], bias)
    return node_operator(entries(operator)[:, index], bias)
