"""Products of variables: monomials, whose values stand behind the outputs of a query as outputs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import numpy as np

from verifier.property.expression import Linear, Variable, bounded, exact

Monomial = tuple[Variable, ...]
"""Two or more of ("X", i) and ("Y", j), ascending; a power repeats its base."""

MOST = 1 << 16
LARGEST_DEGREE = 16


class TooManyProducts(Exception):
    """More monomials, or a higher degree, than is supported; the message says which."""


class Products:
    """The distinct monomials of a query. In terms they are the variables ("P", k); those that end up in a row get a place."""

    def __init__(self) -> None:
        self._all: list[Monomial] = []
        self._positions: dict[Monomial, int] = {}
        self._places: dict[int, int] = {}

    @property
    def placed(self) -> tuple[Monomial, ...]:
        """Those that have a place, in order."""
        return tuple(self._all[k] for k in self._places)

    def place(self, k: int) -> int:
        return self._places.setdefault(k, len(self._places))

    def expanded(self, a: Linear, b: Linear) -> Linear:
        """a * b, multiplied out. Raises TooManyProducts, and NumberError as `Linear` does."""
        if len(a.terms) * len(b.terms) > MOST:
            raise TooManyProducts(f"more than {MOST} products of variables in one product of sums are not supported")
        result = Linear({}, bounded(a.constant * b.constant))
        for terms, factor in ((a.terms, b.constant), (b.terms, a.constant)):
            result = result.add(Linear(dict(terms)).scale(factor))
        products: dict[Variable, Fraction] = {}
        for v, c in a.terms.items():
            for w, d in b.terms.items():
                key = self._times(v, w)
                products[key] = bounded(products.get(key, Fraction(0)) + c * d)
        return result.add(Linear({v: c for v, c in products.items() if c}))

    def _times(self, v: Variable, w: Variable) -> Variable:
        monomial = tuple(sorted(self._factors(v) + self._factors(w)))
        if len(monomial) > LARGEST_DEGREE:
            raise TooManyProducts(f"products of more than {LARGEST_DEGREE} variables are not supported")
        if monomial not in self._positions:
            if len(self._all) == MOST:
                raise TooManyProducts(f"more than {MOST} different products of variables are not supported")
            self._positions[monomial] = len(self._all)
            self._all.append(monomial)
        return ("P", self._positions[monomial])

    def _factors(self, variable: Variable) -> Monomial:
        kind, index = variable
        return self._all[index] if kind == "P" else (variable,)


def moved(monomials: Sequence[Monomial], sources: np.ndarray) -> tuple[Monomial, ...]:
    """The same over inputs at the positions sources (count,)."""
    return tuple(tuple(sorted(("X", int(sources[i])) if kind == "X" else (kind, i) for kind, i in m)) for m in monomials)


def values(monomials: Sequence[Monomial], x: np.ndarray, y: np.ndarray) -> list[Fraction]:
    """Exactly, at finite x (n,) and y (m,)."""
    return [prod((exact(float((x if kind == "X" else y)[i])) for kind, i in m), start=Fraction(1)) for m in monomials]
