"""Folding of constants: a result is exact, checked against rational arithmetic, or withheld."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array

from verifier.graph import exact

NUMBER = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(1 << 30), 1 << 30).map(float),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1.0, -1.0, 2.0**-1070, 1e308, 0.1]),
)


@given(NUMBER, NUMBER)
def test_results_are_exact(a: float, b: float) -> None:
    x, y = np.array([a]), np.array([b])
    for ours, truth in ((exact.add, lambda p, q: p + q), (exact.multiply, lambda p, q: p * q), (exact.divide, lambda p, q: p / q)):
        if ours is exact.divide and b == 0:
            assert ours(x, y) is None
            continue
        result = ours(x, y)
        if result is not None:
            assert Fraction(result[0]) == truth(Fraction(a), Fraction(b))


@given(st.floats(width=32, min_value=-1e6, max_value=1e6), st.floats(width=32, min_value=-1e6, max_value=1e6))
def test_products_of_single_precision_are_folded(a: float, b: float) -> None:
    if a * b == 0 or abs(a * b) > 1e-200:
        assert exact.multiply(np.array([a]), np.array([b])) is not None


@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_a_product_of_matrices_is_exact_in_every_order(inner: int, rows: int, data: st.DataObject) -> None:
    entry = st.one_of(st.just(0.0), st.just(1.0), st.just(-1.0), NUMBER, st.floats(width=16, allow_nan=False, allow_infinity=False))
    a, b = (np.array(data.draw(st.lists(entry, min_size=n, max_size=n))) for n in (rows * inner, inner * 2))
    a, b = a.reshape(rows, inner), b.reshape(inner, 2)
    found = exact.product(csc_array(a), csc_array(b))
    if found is None:
        return
    for (i, j), value in np.ndenumerate(found.toarray()):
        terms = [a[i, k] * b[k, j] for k in range(inner)]
        assert Fraction(value) == sum(Fraction(a[i, k]) * Fraction(b[k, j]) for k in range(inner))
        assert sum(terms) == value == sum(terms[::-1])


def test_products_of_matrices_of_few_digits_are_found() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 7)).astype(np.float32).astype(float), rng.integers(-3, 4, (7, 4)).astype(float)
    found = exact.product(csc_array(a), csc_array(b))
    assert found is not None and np.array_equal(found.toarray(), a @ b)
    assert exact.product(csc_array(a), csc_array(rng.normal(size=(7, 4)))) is None
    assert exact.product(csc_array([[2.0**53, 1.0]]), csc_array([[1.0], [1.0]])) is None
    cancelled = exact.product(csc_array([[1.0, 1.0]]), csc_array([[1.0], [-1.0]]))
    assert cancelled is not None and cancelled.nnz == 0


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_integers(a: int, b: int) -> None:
    x, y = np.array([a], dtype=np.int64), np.array([b], dtype=np.int64)
    for ours, value in ((exact.add, a + b), (exact.multiply, a * b)):
        result = ours(x, y)
        assert (result is None) == (not -(1 << 63) <= value < 1 << 63)
        assert result is None or int(result[0]) == value
    if b:
        expected = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        result = exact.divide(x, y)
        assert result is None if expected == 1 << 63 else int(result[0]) == expected  # type: ignore[index]


def test_rounding_is_noticed() -> None:
    assert exact.add(np.array([0.1]), np.array([0.2])) is None
    assert exact.multiply(np.array([0.1]), np.array([3.0])) is None
    assert exact.divide(np.array([1.0]), np.array([3.0])) is None
    np.testing.assert_array_equal(exact.divide(np.array([3.0]), np.array([[4.0], [2.0]])), [[0.75], [1.5]])
