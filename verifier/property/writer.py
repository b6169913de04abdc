"""A `Property` as VNN-LIB text, exactly: what the readers make of the text is the same property again.

A bound that is no decimal, such as 1/3 after a normalisation by 0.3, is written as `(<= (* 3.0 X_0) 1.0)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from verifier.errors import Location, PropertyError
from verifier.property.declarations import Declarations, Network, Variable
from verifier.property.disjuncts import LOWER, Disjunct, Property, Row

Name = Callable[[str, int], str]
"""("X" or "Y", position) -> what the language calls the variable."""


def vnnlib1(prop: Property, comments: Sequence[str] = ()) -> str:
    """Raises PropertyError V226 for a property of several networks, or over a ball of the norm l1 or l2."""
    if prop.declarations is not None:
        hint = "export to VNN-LIB 2"
        raise PropertyError("VNN-LIB 1 speaks of one network", code="V226", location=Location(prop.source), hint=hint)
    names = [("X", prop.inputs), ("Y", prop.outputs)]
    lines = [f"(declare-const {kind}_{i} Real)" for kind, count in names for i in range(count)]
    return _text(comments, [*lines, *_assertions(prop, lambda kind, i: f"{kind}_{i}")])


def vnnlib2(prop: Property, declarations: Declarations, comments: Sequence[str] = ()) -> str:
    """declarations: those of `prop`, or of its one network where it has none. Inputs that share an element are asserted to be equal.

    Raises PropertyError V226 for a property over a ball of the norm l1 or l2.
    """
    inputs, outputs = ([n for v in declarations.variables if (v.kind == "input") is own for n in _elements(v)] for own in (True, False))
    firsts = np.unique(declarations.sources, return_index=True)[1].tolist()

    def name(kind: str, i: int) -> str:
        if kind == "Y" and i >= len(outputs):
            return f"(* {' '.join(name(*variable) for variable in prop.monomials[i - len(outputs)])})"
        return inputs[firsts[i]] if kind == "X" else outputs[i]

    ties = [f"(assert (== {inputs[i]} {name('X', k)}))" for i, k in enumerate(declarations.sources.tolist()) if firsts[k] != i]
    lines = ["(vnnlib-version <2.0>)", *map(_network, declarations.networks), *ties]
    return _text(comments, [*lines, *_assertions(prop, name)])


def _text(comments: Sequence[str], lines: Sequence[str]) -> str:
    return "\n".join([*(f"; {line}" for comment in comments for line in comment.splitlines()), *lines, ""])


def _network(network: Network) -> str:
    relation = f" (equal-to {network.equal_to})" if network.equal_to else f" (isomorphic-to {network.isomorphic_to})"
    lines = [f"(declare-network {network.name}{relation if network.equal_to or network.isomorphic_to else ''}"]
    for v in network.variables:
        tensor = f' "{v.tensor}"' if v.kind == "hidden" else ""
        lines.append(f"  (declare-{v.kind} {v.name} {v.dtype} [{','.join(map(str, v.shape))}]{tensor})")
    return "\n".join(lines) + ")"


def _elements(variable: Variable) -> Iterator[str]:
    for index in np.ndindex(*variable.shape):
        yield variable.name + (f"[{','.join(map(str, index))}]" if index else "")


def _assertions(prop: Property, name: Name) -> Iterator[str]:
    if prop.ball is not None:
        message = f"VNN-LIB cannot express a ball of the norm {prop.ball.norm}"
        raise PropertyError(message, code="V226", location=Location(prop.source), hint="the norm linf is a box")
    whole = prop.disjuncts[0].box.common or prop.disjuncts[0].box
    for i in range(prop.inputs):
        for side, value in enumerate(whole.exact(i)):
            yield f"(assert {_bound(2 * i + side, value, name)})"
    arms = [_arm(disjunct, name) for disjunct in prop.disjuncts]
    if len(arms) == 1:
        yield from (f"(assert {comparison})" for comparison in arms[0])
        return
    yield "(assert (or"
    yield from (f"  (and {' '.join(comparisons)})" for comparisons in arms)
    yield "))"


def _arm(disjunct: Disjunct, name: Name) -> list[str]:
    box = disjunct.box
    own = [_bound(int(key), box.numbers.exact(int(k)), name) for key, k in zip(box.keys, box.ids)]
    return own + [_row(row, name) for row in disjunct.rows]


def _bound(key: int, value: Fraction, name: Name) -> str:
    relation, variable, factor = ">=" if key % 2 == LOWER else "<=", name("X", key // 2), _clearing([value])
    return f"({relation} {_product(factor, variable)} {decimal(value * factor)})"


def _row(row: Row, name: Name) -> str:
    relation = "<" if row.strict else "<="
    terms = [(c, name(kind, i)) for kind, side in (("Y", row.outputs), ("X", row.inputs)) for i, c in side.items()]
    if len(terms) == 2 and not row.constant and {c for c, _ in terms} == {1, -1}:
        (_, low), (_, high) = sorted(terms, key=lambda term: -term[0])
        return f"({relation} {low} {high})"
    factor = _clearing([row.constant, *(c for c, _ in terms)])
    products = [_product(c * factor, variable) for c, variable in terms]
    left = products[0] if len(products) == 1 else f"(+ {' '.join(products)})"
    return f"({relation} {left} {decimal(-row.constant * factor)})"


def _product(factor: Fraction | int, variable: str) -> str:
    return variable if factor == 1 else f"(* {decimal(Fraction(factor))} {variable})"


def _clearing(values: Sequence[Fraction]) -> int:
    """The least positive number whose products with all of the values are decimals."""
    return lcm(*(_split(value.denominator)[0] for value in values))


def _split(denominator: int) -> tuple[int, int]:
    """(part without factors 2 and 5, digits behind the point that the rest needs)."""
    counts = []
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator, count = denominator // prime, count + 1
        counts.append(count)
    return denominator, max(counts)


def decimal(value: Fraction) -> str:
    """The exact decimal of a number that has one, with a point: VNN-LIB 2 tells floating point literals by it."""
    digits = max(1, _split(value.denominator)[1])
    scaled = value * 10**digits
    whole, rest = divmod(abs(scaled.numerator), 10**digits)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{digits}d}"
