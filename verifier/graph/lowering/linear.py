"""Gemm and MatMul."""

from __future__ import annotations

import numpy as np

from verifier.graph import exact
from verifier.graph.lowering.arithmetic import added, product, scaled
from verifier.graph.lowering.context import Call, Value, constant, operator
from verifier.graph.lowering.convolution import averaged
from verifier.graph.lowering.movement import expanded, permuted, reshaped
from verifier.operators import affine


def matrix_product(call: Call, a: Value, b: Value) -> Value:
    """numpy's matmul of two values of at least two dimensions."""
    if a.shape[-1] != b.shape[-2]:
        call.fail(f"shapes {a.shape} and {b.shape} do not multiply", code="V114")
    if any(v.data is not None and v.data.dtype.kind != "f" for v in (a, b)):
        call.fail("integer matrices are not supported", code="V109")
    if a.data is not None and b.data is not None:
        a = call.variable(a)
    if b.data is not None:
        return _right(call, a, b.data)
    if a.data is None:
        return _of_variables(call, a, b)
    return _swapped(call, _right(call, _swapped(call, b), np.swapaxes(a.data, -1, -2)))


def _swapped(call: Call, x: Value) -> Value:
    return permuted(call, x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def _right(call: Call, x: Value, w: np.ndarray) -> Value:
    """x (..., m, n) @ w (..., n, p)."""
    n, p = w.shape[-2:]
    batch = call.broadcast(x.shape[:-2], w.shape[:-2])
    if all(k == 1 for k in w.shape[:-2]):
        x = reshaped(call, x, (*(1,) * (len(batch) + 2 - x.rank), *x.shape))
        return call.emit(affine.Linear(np.ascontiguousarray(w.reshape(n, p))), x, shape=(*batch, x.shape[-2], p))
    # One matrix a batch entry: a convolution of width 1 whose groups are the batch entries.
    m, count = x.shape[-2], int(np.prod(batch))
    call.check_size((count, n, p))
    x = reshaped(call, expanded(call, x, (*batch, m, n)), (count, m, n))
    x = reshaped(call, permuted(call, x, (0, 2, 1)), (1, count * n, m, 1))
    kernel = np.swapaxes(np.broadcast_to(w, (*batch, n, p)), -1, -2).reshape(count * p, n, 1, 1)
    shape = (1, count * p, m, 1)
    y = call.emit(affine.Conv(kernel, None, x.shape, shape, (1, 1), (0, 0, 0, 0), (1, 1), count), x, shape=shape)
    return reshaped(call, permuted(call, reshaped(call, y, (count, p, m)), (0, 2, 1)), (*batch, m, p))


def _of_variables(call: Call, a: Value, b: Value) -> Value:
    """Sums of products: x (..., m, n, 1) * y (..., 1, n, p), summed over n.

    Where x are shares that sum to 1 over n, as in attention, and c is the mean of y over n,  sum_j x_j y_j = c + sum_j x_j (y_j - c):
    bounds of the products do not know of the sum, and what the y_j have in common they would count as often as shares are uncertain.
    """
    if a.node in call.builder.shares and b.shape[-2] > 1:
        mean = averaged(call, b, (b.rank - 2,), b.shape[-2])
        return added(call, _sum_of_products(call, a, added(call, b, mean, -1)), mean)
    return _sum_of_products(call, a, b)


def _sum_of_products(call: Call, a: Value, b: Value) -> Value:
    products = product(call, reshaped(call, a, (*a.shape, 1)), reshaped(call, b, (*b.shape[:-2], 1, *b.shape[-2:])))
    axis = products.rank - 2
    summed = (*products.shape[:axis], 1, products.shape[-1])
    y = call.emit(affine.ReduceSum((axis,), products.shape), products, shape=summed)
    return reshaped(call, y, (*summed[:axis], summed[-1]))


@operator("MatMul", 2)
def matmul(call: Call) -> Value:
    a, b = call.input(0), call.input(1)
    if not a.rank or not b.rank:
        call.fail("a number is no matrix", code="V114")
    left, right = a.rank == 1, b.rank == 1
    a = reshaped(call, a, (1, *a.shape)) if left else a
    b = reshaped(call, b, (*b.shape, 1)) if right else b
    y = matrix_product(call, a, b)
    shape = list(y.shape)
    if right:
        del shape[-1]
    if left:
        del shape[-1 if right else -2]
    return reshaped(call, y, shape)


@operator("Gemm", 2, 3)
def gemm(call: Call) -> Value:
    """alpha A' B' + beta C; C is missing only from opset 11 on."""
    a, b, c = call.input(0), call.input(1), call.optional(2)
    alpha, beta = call.real("alpha", 1.0), call.real("beta", 1.0)
    if a.rank != 2 or b.rank != 2:
        call.fail(f"shapes {a.shape} and {b.shape} are not both matrices", code="V114")
    a = permuted(call, a, (1, 0)) if call.flag("transA", False) else a
    b = permuted(call, b, (1, 0)) if call.flag("transB", False) else b
    factor = b if b.data is not None else a
    weight = None if factor.data is None else exact.multiply(factor.data, np.array(alpha))
    if weight is not None:
        alpha = 1.0
        a, b = (a, constant(weight)) if factor is b else (constant(weight), b)
    y = matrix_product(call, a, b)
    y = scaled(call, y, np.array(alpha))
    if c is None:
        return y
    if call.broadcast(c.shape, y.shape) != y.shape:
        call.fail(f"C of shape {c.shape} does not broadcast to {y.shape}", code="V114")
    return added(call, y, _times(call, c, beta))


def _times(call: Call, c: Value, beta: float) -> Value:
    if c.data is not None:
        folded = exact.multiply(c.data, np.array(beta))
        if folded is not None:
            return constant(folded)
    return scaled(call, call.variable(c), np.array(beta))
