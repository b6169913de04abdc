"""Einsum of one or two operands, as permutations around one product of matrices."""

from __future__ import annotations

import math
import re

from verifier.graph.lowering.context import Call, Value, operator
from verifier.graph.lowering.convolution import averaged
from verifier.graph.lowering.linear import matrix_product
from verifier.graph.lowering.movement import permuted, reshaped

_EQUATION = re.compile(r"([A-Za-z]*)(?:,([A-Za-z]*))?(?:->([A-Za-z]*))?")


@operator("Einsum", 1, 2, since=12)
def einsum(call: Call) -> Value:
    equation = call.text("equation", "").replace(" ", "")
    match = _EQUATION.fullmatch(equation)
    if match is None:
        call.fail(f"the equation {equation!r} is not supported", hint="supported: one or two operands of named axes, such as bij,bjk->bik")
    axes = [part for part in match.groups()[:2] if part is not None]
    every = "".join(axes)
    result = "".join(c for c in sorted(set(every)) if every.count(c) == 1) if match[3] is None else match[3]
    values = [call.variable(call.input(i)) if len(axes) == 1 else call.input(i) for i in range(call.count)]
    sizes = _sizes(call, equation, axes, result, values)
    values = [_summed(call, v, names, result + "".join(axes[:i] + axes[i + 1 :])) for i, (v, names) in enumerate(zip(values, axes))]
    axes = ["".join(c for c in names if c in result or any(c in other for j, other in enumerate(axes) if j != i))
            for i, names in enumerate(axes)]
    if len(axes) == 1:
        return permuted(call, values[0], [axes[0].index(c) for c in result])
    return _product(call, values, axes, result, sizes)


def _sizes(call: Call, equation: str, axes: list[str], result: str, values: list[Value]) -> dict[str, int]:
    """Of every name. V111 for diagonals, V114 for contradictions."""
    if any(len(set(names)) < len(names) for names in (*axes, result)):
        call.fail(f"the equation {equation!r} names an axis twice in one place, which is not supported")
    if len(axes) != len(values) or any(len(n) != v.rank for n, v in zip(axes, values)) or not set(result) <= set("".join(axes)):
        call.fail(f"the equation {equation!r} does not fit its operands", code="V114")
    sizes: dict[str, int] = {}
    for names, value in zip(axes, values):
        for name, size in zip(names, value.shape):
            if sizes.setdefault(name, size) != size:
                call.fail(f"the axis {name} of {equation!r} has the lengths {sizes[name]} and {size}", code="V114")
    return sizes


def _summed(call: Call, x: Value, names: str, kept: str) -> Value:
    """Without the axes that nothing else names."""
    alone = tuple(i for i, name in enumerate(names) if name not in kept)
    if not alone:
        return x
    total = averaged(call, call.variable(x), alone, 1)
    return reshaped(call, total, [n for i, n in enumerate(x.shape) if i not in alone])


def _product(call: Call, values: list[Value], axes: list[str], result: str, sizes: dict[str, int]) -> Value:
    """(batch, left, inner) @ (batch, inner, right)."""
    left, right = axes
    shared = [c for c in left if c in right]
    batch, inner = [c for c in shared if c in result], [c for c in shared if c not in result]
    outer = [[c for c in names if c not in shared] for names in (left, right)]
    orders = [[*batch, *outer[0], *inner], [*batch, *inner, *outer[1]]]
    b, i, m, n = (math.prod(sizes[c] for c in group) for group in (batch, inner, *outer))
    first, second = (permuted(call, v, [names.index(c) for c in order]) for v, names, order in zip(values, axes, orders))
    y = matrix_product(call, reshaped(call, first, (b, m, i)), reshaped(call, second, (b, i, n)))
    order = [*batch, *outer[0], *outer[1]]
    return permuted(call, reshaped(call, y, [sizes[c] for c in order]), [order.index(c) for c in result])
