"""Comparisons of linear and polynomial terms, token by token, as bounds and rows.

    (<= a b)   a, b: numbers, X_i, Y_j, (+ a ...), (- a), (- a b ...), (* a b ...)

Products of variables are variables of their own (`property.products`), where a language has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from verifier.errors import PropertyError
from verifier.property.disjuncts import LOWER, NOT_REPRESENTABLE, UPPER, Row
from verifier.property.dnf import Arm, Bounds
from verifier.property.expression import NUMBER, Linear, NumberError, NumberTable, is_number, literal
from verifier.property.products import Products, TooManyProducts
from verifier.property.tokens import Scanner, Token, shown

NAME = rb"(?:0|[1-9][0-9]{0,8})"
"""The index in the name of a variable."""

VARIABLE = re.compile(rb"([XY])_(" + NAME + rb")")
_OUTPUT = re.compile(rb"\(\s*([<>]=)\s+Y_(" + NAME + rb")\s+(?:Y_(" + NAME + rb")|(" + NUMBER + rb"))\s*\)")
COMPARISONS = {b"<=", b">=", b"<", b">", b"=", b"==", b"!="}
_ARITHMETIC = {b"+", b"-", b"*"}
_UNSUPPORTED = {b"/", b"=>"}
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9_\[\],.-]*")
_NOT_FINITE = re.compile(rb"[-+]?(?:nan|inf|infinity|0x[0-9a-f.]+(?:p[-+]?[0-9]+)?)", re.IGNORECASE)
_ONE = Fraction(1)
_ZERO = Fraction(0)
NAMES = "inputs are X_0, X_1, ..., outputs Y_0, Y_1, ..."


class Variables:
    """The declared indices of the inputs X and the outputs Y, in whatever order."""

    def __init__(self) -> None:
        self.known: dict[str, set[int]] = {"X": set(), "Y": set()}
        self._largest = -1

    def declare(self, found: list[tuple[bytes, int]]) -> bool:
        """False, and nothing is declared, if some variable would be declared twice."""
        fresh = {kind: [index for k, index in found if k == letter] for kind, letter in (("X", b"X"), ("Y", b"Y"))}
        if any(len(set(indices)) < len(indices) or not self.known[kind].isdisjoint(indices) for kind, indices in fresh.items()):
            return False
        for kind, indices in fresh.items():
            self.known[kind].update(indices)
        self._largest = max(self._largest, *fresh["X"], -1)
        return True

    def has(self, kind: bytes, index: int) -> bool:
        return index in self.known[kind.decode()]

    def has_inputs(self, indices: np.ndarray) -> bool:
        """All of the indices (k,) are declared inputs."""
        if len(self.known["X"]) == self._largest + 1:
            return bool(indices.max(initial=-1) <= self._largest)
        return self.known["X"].issuperset(indices.tolist())


@dataclass(eq=False)
class Term:
    """An open arithmetic operator, comparison, or pair of operands in parentheses of their own."""

    kind: bytes
    at: Token
    values: list[Linear] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Reads comparisons from `scanner`; a subclass knows the variables. products: None where the language has linear terms alone.

    Raises PropertyError V203, V207, V209, V211.
    """

    scanner: Scanner
    numbers: NumberTable
    warn: Callable[[str, int], None]
    products: Products | None

    def plain_output(self, opening: Token) -> Arm | None:
        """The commonest comparisons of outputs, at once; `opening` is the parenthesis just read. None: use `read`."""
        raise NotImplementedError

    def _variable(self, token: Token) -> Linear | None:
        """The variable that `token` names; None: it names none."""
        raise NotImplementedError

    def _undeclared(self, token: Token) -> PropertyError:
        raise NotImplementedError

    def _shown(self, kind: str, index: int) -> str:
        """What the query calls a variable."""
        raise NotImplementedError

    def _place(self, product: int) -> int:
        """Where a product lies behind the outputs."""
        raise NotImplementedError

    def read(self, head: Token, opening: Token) -> list[Arm]:
        """The comparison whose parenthesis and operator were read: one arm, or two for !=."""
        if head.text not in COMPARISONS:
            raise self._unsupported(head, "a comparison, and or or")
        return self._operands(Term(head.text, opening))

    def _operands(self, comparison: Term) -> list[Arm]:
        stack = [comparison]
        while True:
            term, token = stack[-1], self.scanner.next()
            if token.text == b"(":
                stack.append(self._nested(term, token, len(stack) == 1))
            elif token.text == b")":
                stack.pop()
                if not stack:
                    return self._compare(term)
                if term.kind:
                    stack[-1].values.append(self._combine(term))
                else:
                    self._unpair(term, stack[-1])
            else:
                term.values.append(self._atom(token))

    def _nested(self, parent: Term, opening: Token, outermost: bool) -> Term:
        head = self.scanner.next()
        if head.text in _ARITHMETIC:
            return Term(head.text, head)
        raise self._unsupported(head, "one of + - *")

    def _unpair(self, pair: Term, comparison: Term) -> None:
        raise self.scanner.error("operands in parentheses of their own", at=pair.at)

    def _atom(self, token: Token) -> Linear:
        variable = self._variable(token)
        if variable is not None:
            return variable
        try:
            if is_number(token.text):
                return Linear({}, literal(token.text))
        except NumberError as error:
            raise self.scanner.error(f"{token}: {error}", "V209", token) from error
        if _NOT_FINITE.fullmatch(token.text):
            raise self.scanner.error(f"{token} is not a finite decimal number", "V209", token, "write numbers like 0.5, -3 or 1e-06")
        if _WORD.match(token.text):
            raise self._undeclared(token)
        raise self.scanner.error(f"expected a number or a variable, found {token}", at=token)

    def _combine(self, term: Term) -> Linear:
        if not term.values:
            raise self.scanner.error(f"({shown(term.kind)}) without operands", at=term.at)
        result, *others = term.values
        try:
            if term.kind == b"-" and not others:
                return result.scale(-_ONE)
            for other in others:
                result = self._multiply(result, other, term.at) if term.kind == b"*" else result.add(other, -1 if term.kind == b"-" else 1)
        except NumberError as error:
            raise self.scanner.error(str(error), "V209", term.at) from error
        return result

    def _multiply(self, a: Linear, b: Linear, at: Token) -> Linear:
        if a.terms and b.terms:
            if self.products is None:
                names = " and ".join(self._shown(*next(iter(factor.terms))) for factor in (a, b))
                message = f"a product of variables ({names}) is not supported"
                raise self.scanner.error(message, "V211", at, "only linear terms are in VNN-LIB 1; VNN-LIB 2 has products")
            try:
                return self.products.expanded(a, b)
            except TooManyProducts as error:
                raise self.scanner.error(str(error), "V211", at) from error
        return a.scale(b.constant) if not b.terms else b.scale(a.constant)

    def _compare(self, term: Term) -> list[Arm]:
        if len(term.values) != 2:
            raise self.scanner.error(f"{shown(term.kind)} takes two operands, found {len(term.values)}", at=term.at)
        left, right = term.values
        try:
            difference = right.add(left, -1) if term.kind in (b">=", b">") else left.add(right, -1)
            if term.kind in (b"<=", b">="):
                return [self._arm(difference, False, term.at)]
            if term.kind in (b"<", b">"):
                return [self._arm(difference, True, term.at)]
            opposite = Linear({v: -c for v, c in difference.terms.items()}, -difference.constant)
            arms = [self._arm(d, term.kind == b"!=", term.at) for d in (difference, opposite)]
        except NumberError as error:
            raise self.scanner.error(str(error), "V209", term.at) from error
        return arms if term.kind == b"!=" else [Arm(arms[0].bounds + arms[1].bounds, arms[0].rows + arms[1].rows, term.at.line)]

    def _arm(self, difference: Linear, strict: bool, at: Token) -> Arm:
        """difference <= 0, or < 0."""
        inputs, outputs, products = ({i: c for (k, i), c in difference.terms.items() if k == kind} for kind in "XYP")
        outputs |= {self._place(k): c for k, c in products.items()}
        row = Row(inputs, outputs, difference.constant, strict, at.line)
        if row.constant_only:
            true = row.holds((), ())
            self.warn(f"a comparison of constants is always {'true' if true else 'false'}", at.line)
            return Arm((), () if true else (row,), at.line)
        if not row.representable:
            hint = "write the coefficients with fewer digits, or as multiples of one of them"
            raise self.scanner.error(NOT_REPRESENTABLE, "V211", at, hint)
        if outputs or len(inputs) > 1:
            return Arm((), (row,), at.line)
        (i, coefficient), = inputs.items()
        bound = self.numbers.add(-difference.constant / coefficient)
        return Arm((Bounds.of([2 * i + (UPPER if coefficient > 0 else LOWER)], [bound]),), (row,) if strict else (), at.line)

    def _unsupported(self, head: Token, expected: str) -> PropertyError:
        if head.text in _UNSUPPORTED or is_word(head):
            return self.scanner.error(f"the operator {head} is not supported", "V211", head, f"expected {expected}")
        return self.scanner.error(f"expected {expected}, found {head}", at=head)


@dataclass(frozen=True, eq=False)
class FlatComparisons(Comparisons):
    """Those of VNN-LIB 1, about X_0.. and Y_0.."""

    variables: Variables

    def plain_output(self, opening: Token) -> Arm | None:
        """The commonest comparisons of outputs, at once; `opening` is the parenthesis just read. None: use `read`."""
        match = _OUTPUT.match(self.scanner.buffer, self.scanner.position - 1)
        if match is None:
            return None
        relation, left, right, number = match.groups()
        j, k = int(left), int(right or left)
        if not (self.variables.has(b"Y", j) and self.variables.has(b"Y", k)) or (right and j == k):
            return None
        try:
            constant = literal(number) if number else _ZERO
        except NumberError:
            return None
        self.scanner.position = match.end()
        sign = _ONE if relation == b"<=" else -_ONE
        terms = {j: sign, k: -sign} if right else {j: sign}
        return Arm((), (Row({}, terms, -sign * constant, False, opening.line),), opening.line)

    def _variable(self, token: Token) -> Linear | None:
        match = VARIABLE.fullmatch(token.text)
        if match is None:
            return None
        if not self.variables.has(match[1], int(match[2])):
            raise self.scanner.error(f"{token} is not declared", "V207", token, f"add (declare-const {token} Real) before it is used")
        return Linear({(match[1].decode(), int(match[2])): _ONE})

    def _undeclared(self, token: Token) -> PropertyError:
        hint = f"X[0] is VNN-LIB 2; here {NAMES}" if b"[" in token.text else NAMES
        return self.scanner.error(f"{token} is not declared", "V207", token, hint)

    def _shown(self, kind: str, index: int) -> str:
        return f"{kind}_{index}"

    def _nested(self, parent: Term, opening: Token, outermost: bool) -> Term:
        head = self.scanner.next()
        if head.text in _ARITHMETIC:
            return Term(head.text, head)
        if not (outermost and not parent.values and (head.text == b"(" or is_number(head.text) or VARIABLE.fullmatch(head.text))):
            raise self._unsupported(head, "one of + - *")
        self.scanner.back(head)
        return Term(b"", opening)

    def _unpair(self, pair: Term, comparison: Term) -> None:
        if len(pair.values) != 2:
            raise self.scanner.error(f"expected two operands, found {len(pair.values)}", at=pair.at, hint="a comparison reads (<= a b)")
        comparison.values = pair.values
        operator = shown(comparison.kind)
        self.warn(f"the malformed comparison ({operator} (a b)) is read as ({operator} a b)", comparison.at.line)


def is_word(token: Token) -> bool:
    return _WORD.fullmatch(token.text) is not None
