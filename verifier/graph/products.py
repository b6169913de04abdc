"""Products of inputs and outputs as further outputs of a graph: what a polynomial condition speaks of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verifier.graph.ir import Graph, Node
from verifier.operators.affine import Concat, Take
from verifier.operators.product import Product
from verifier.operators.square import Square

Monomial = tuple[tuple[str, int], ...]
"""Two or more of ("X", input) and ("Y", output), ascending."""


def with_products(graph: Graph, monomials: Sequence[Monomial]) -> Graph:
    """The same graph with the values of `monomials` behind its outputs.

    Monomials of one degree are computed together, as squares where both halves are equal, as products of two shorter ones elsewhere.
    """
    if not monomials:
        return graph
    nodes = list(graph.nodes)
    halves = _closure(monomials)
    found: dict[Monomial, int] = {}
    n, m = graph.input_size, graph.output_size
    nodes.append(Node(Concat(0, (n, m)), (0, graph.output), (n + m,)))
    values, size = len(nodes) - 1, n + m

    def place(monomial: Monomial) -> int:
        if len(monomial) > 1:
            return found[monomial]
        ((kind, i),) = monomial
        return i if kind == "X" else n + i

    for degree in sorted({len(h) for h in halves}):
        level = [h for h in halves if len(h) == degree]
        pairs = [tuple(map(place, _halved(h))) for h in level]
        squares = [k for k, (a, b) in enumerate(pairs) if a == b]
        products = [k for k, (a, b) in enumerate(pairs) if a != b]
        ends, sizes = [values], [size]
        if squares:
            nodes.append(Node(Take(0, np.array([pairs[k][0] for k in squares]), (size,)), (values,), (len(squares),)))
            nodes.append(Node(Square(), (len(nodes) - 1,), (len(squares),)))
            ends, sizes = [*ends, len(nodes) - 1], [*sizes, len(squares)]
        if products:
            count = len(products)
            factors = np.array([pairs[k][side] for side in (0, 1) for k in products])
            nodes.append(Node(Take(0, factors, (size,)), (values,), (2 * count,)))
            nodes.append(Node(Product((count,), (count,), (count,)), (len(nodes) - 1,), (count,)))
            ends, sizes = [*ends, len(nodes) - 1], [*sizes, count]
        for k in (*squares, *products):
            found[level[k]] = size
            size += 1
        nodes.append(Node(Concat(0, tuple(sizes)), tuple(ends), (size,)))
        values = len(nodes) - 1
    wanted = np.array([*range(n, n + m), *(found[monomial] for monomial in monomials)])
    nodes.append(Node(Take(0, wanted, (size,)), (values,), (len(wanted),)))
    return Graph(tuple(nodes))


def _halved(monomial: Monomial) -> tuple[Monomial, Monomial]:
    """Two equal halves if there are, else the first factors and the last ones."""
    even, odd = monomial[::2], monomial[1::2]
    middle = len(monomial) // 2
    return (even, odd) if even == odd else (monomial[:middle], monomial[middle:])


def _closure(monomials: Sequence[Monomial]) -> list[Monomial]:
    """The monomials and all that their computation goes through, but for single variables."""
    waiting, found = list(monomials), dict[Monomial, None]()
    while waiting:
        monomial = waiting.pop()
        if len(monomial) > 1 and monomial not in found:
            found[monomial] = None
            waiting += _halved(monomial)
    return list(found)
