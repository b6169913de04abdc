from __future__ import annotations

import numpy as np
import pytest

from tests import graphs
from verifier.arrays import to_numpy
from verifier.graph.ir import Graph, Node
from verifier.graph.simplify import simplify
from verifier.operators.affine import Linear
from verifier.operators.base import Input
from verifier.operators.sparse import Sparse


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_dense_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 12, 2)
    weight = np.round(rng.normal(size=(n, m)) * (rng.random((n, m)) < rng.choice([0.0, 0.2, 1.0])), 3)
    bias = rng.normal(size=m) if rng.random() < 0.5 else None
    dense, sparse = Linear(weight, bias), Sparse.of(weight, bias)
    x, y = rng.normal(size=(7, n)), rng.normal(size=(7, m))
    for arrays in (graphs.EXACT, *map(graphs.torch64, graphs.DEVICES)):
        d, s = dense.to(arrays), sparse.to(arrays)
        ax, ay = arrays.asarray(x), arrays.asarray(y)
        back = d.transpose(ay)[0], s.transpose(ay)[0]
        for one, other in ((d.forward(7, ax), s.forward(7, ax)), back, (d.absolute(7, ax), s.absolute(7, ax))):
            assert np.allclose(to_numpy(one), to_numpy(other), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_entries_make_the_same_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(9, 6)) * (rng.random((9, 6)) < 0.3)
    sparse = Sparse.of(weight, None)
    row, column, value = sparse.entries_by_column()
    assert np.array_equal(weight[row, column], value) and len(value) == np.count_nonzero(weight)
    assert np.all(np.diff(column) >= 0)
    order = rng.permutation(len(value))
    again = Sparse.of_entries(row[order], column[order], value[order], weight.shape, None)
    assert all(np.array_equal(getattr(sparse, name), getattr(again, name)) for name in ("index", "value", "back_index", "back_value"))


def test_few_entries_are_found_by_simplify() -> None:
    """Pairwise differences of 256 values; the same matrix with one full row stays dense."""
    weight = np.zeros((256, 512))
    weight[np.arange(256), np.arange(256)] = 1.0
    weight[np.arange(256), 256 + np.roll(np.arange(256), 1)] = -2.0
    graph = simplify(Graph((Node(Input(), (), (256,)), Node(Linear(weight), (0,), (512,)))))
    assert isinstance(graph.nodes[1].operator, Sparse) and graph.nodes[1].multiplications == 512
    x = np.random.default_rng(0).normal(size=(3, 256))
    assert np.array_equal(graph.evaluate(x), x @ weight)
    weight[7] = 1.0
    assert isinstance(simplify(Graph((Node(Input(), (), (256,)), Node(Linear(weight), (0,), (512,))))).nodes[1].operator, Linear)
