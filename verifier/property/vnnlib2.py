"""VNN-LIB 2 (2.0 and 2.1): `read`.

    (vnnlib-version <2.0>)
    (declare-network f (declare-input X float32 [1,5]) (declare-output Y float32 [1,5]))
    (declare-network g (equal-to f) (declare-input Xg float32 [1,5]) (declare-output Yg float32 [1,5]))
    (assert (and (<= X[0,1] 0.5) (>= X[0,1] -0.5)))            comparisons < <= > >= == != of terms + - *
    (assert (or (< Y[0,0] Yg[0,0]) (!= Y[0,1] Yg[0,1])))       nested and, or

The result speaks of one joint input and one joint output (`property.declarations`). Runs of bounds of one input variable, one or
two an assertion, are matched as a whole; whatever does not fit is read token by token, with its place in the errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from verifier.errors import PropertyError
from verifier.property import ties
from verifier.property.assertions import SPACE, AssertionReader, Run, misplaced, run_of
from verifier.property.comparisons import COMPARISONS, Comparisons, Term, is_word
from verifier.property.declarations import Declarations, Variable
from verifier.property.disjuncts import LOWER, UPPER, Property, Row
from verifier.property.dnf import Arm, Bounds, Conjunction
from verifier.property.expression import NUMBER, Linear, NumberError, is_number, literal
from verifier.property.products import Products, moved
from verifier.property.symbols import NAME, Element, Symbols
from verifier.property.tokens import Scanner, Source, Token, find

_VERSION = re.compile(rb"<?\s*([0-9]{1,4})\.([0-9]{1,4})\s*>?")
_REFERENCE = NAME + rb"(?:\[[0-9,]+\])?"
_OUTPUT = re.compile(rb"\(\s*([<>]=?)\s+(" + _REFERENCE + rb")\s+(?:(" + NUMBER + rb")|(" + _REFERENCE + rb"))\s*\)")
_NEXT_BOUND = re.compile(SPACE + rb"\(\s*(?:assert\s*\(\s*(?:and\s*\(\s*)?)?[<>]=\s+(" + NAME + rb")\[")
_STATEMENTS = "statements are (vnnlib-version <2.0>), then (declare-network ...), then (assert ...)"
_ONE, _ZERO = Fraction(1), Fraction(0)
_LESS, _GREATER = b"<>"
_BLANKS = bytes.maketrans(b"()[]", b"    ")
_NARROW, _MOST_NARROW = Fraction(1000), 1000


def read(path: str | Path) -> Property:
    """Read a .vnnlib or .vnnlib.gz file; `path` may lack the ".gz" of the file's name.

    Raises PropertyError: V201 no such file, V202 empty, V203 malformed, V204 gzip data, V205 another language version, V206
    declarations, V207 not declared, V208 indices, V209 numbers, V211 unsupported, V212 missing bound, V213 too large, V214 types.
    """
    name = str(path)
    source = Source(find(Path(path)), name)
    return _Reader(Scanner(source.chunks(), name)).read(source)


@dataclass(frozen=True, eq=False)
class _Run:
    """Bounds that follow one another: words of an item, such as assert <= X 0,1 0.5, and where its bounds begin among them."""

    pattern: Run
    words: int
    bounds: tuple[int, ...]

    def columns(self, text: bytes) -> tuple[np.ndarray, list[tuple[Sequence[bytes], Sequence[bytes]]]]:
        """The pattern has matched `text`: whether each bound is an upper one (items, bounds of an item) and, bound by bound of an item,
        indices and numbers."""
        if b";" in text or b", " in text:
            columns = list(zip(*self.pattern[1].findall(text)))
            upper = np.array([[relation == b"<" for relation in column] for column in columns[0::3]]).T
            return upper, list(zip(columns[1::3], columns[2::3]))
        signs = np.frombuffer(text, dtype=np.uint8)
        signs = signs[(signs == _LESS) | (signs == _GREATER)]
        words = text.translate(_BLANKS).split()
        columns = [(words[at + 2 :: self.words], words[at + 3 :: self.words]) for at in self.bounds]
        return (signs == _LESS).reshape(-1, len(self.bounds)), columns


@dataclass(frozen=True, eq=False)
class _Runs:
    """Bounds of one variable: asserted one by one, asserted in pairs, conjoined."""

    single: _Run
    pair: _Run
    conjoined: _Run

    @staticmethod
    def of(variable: Variable) -> _Runs:
        index = rb"[0-9]{1,9}" + rb",[ ]?[0-9]{1,9}" * (len(variable.shape) - 1)
        bound = rb"\(\s*@[<>])=\s+" + variable.name.encode() + rb"\[@" + index + rb")\]\s+@" + NUMBER + rb")\s*\)"
        single = SPACE + rb"\(\s*assert\s*" + bound + rb"\s*\)"
        pair = SPACE + rb"\(\s*assert\s*\(\s*and\s*" + bound + SPACE + bound + rb"\s*\)\s*\)"
        return _Runs(_Run(run_of(single), 5, (1,)), _Run(run_of(pair), 10, (2, 6)), _Run(run_of(SPACE + bound), 4, (0,)))


@dataclass(frozen=True, eq=False)
class _Comparisons(Comparisons):
    """types: the element type of the comparison at hand and the first token that has it."""

    products: Products
    symbols: Symbols
    types: list[tuple[str, Token]] = field(default_factory=list)

    def plain_output(self, opening: Token) -> Arm | None:
        match = _OUTPUT.match(self.scanner.buffer, self.scanner.position - 1)
        if match is None:
            return None
        relation, left, number, right = match.groups()
        try:
            a = self.symbols.element(Token(left, 0, 0))
            b = self.symbols.element(Token(right, 0, 0)) if right else None
            constant = literal(number) if number else _ZERO
        except (PropertyError, NumberError):
            return None  # met again, and given its place, token by token
        if a is None or a.kind != "Y":
            return None
        if b is not None and (b.kind != "Y" or b.variable.dtype != a.variable.dtype or b.place == a.place):
            return None
        self.scanner.position = match.end()
        sign = _ONE if relation[:1] == b"<" else -_ONE
        terms = {a.place: sign} if b is None else {a.place: sign, b.place: -sign}
        return Arm((), (Row({}, terms, -sign * constant, len(relation) == 1, opening.line),), opening.line)

    def read(self, head: Token, opening: Token) -> list[Arm]:
        self.types.clear()
        if head.text in COMPARISONS and head.text != b"=":
            return self._operands(Term(head.text, opening))
        if head.text == b"=":
            raise self.scanner.error("the operator = is not part of VNN-LIB 2", "V203", head, "write ==")
        if not (is_number(head.text) or head.text.split(b"[")[0] in self.symbols.variables):
            raise self._unsupported(head, "a comparison, and or or")
        left, operator = self._atom(head), self.scanner.next()
        if operator.text not in COMPARISONS:
            raise self.scanner.error(f"expected a comparison, found {head}", at=head, hint="a comparison reads (<= a b)")
        self.warn(f"the malformed comparison (a {operator} b) is read as ({operator} a b)", opening.line)
        return self._operands(Term(operator.text, opening, [left]))

    def _variable(self, token: Token) -> Linear | None:
        element = self.symbols.element(token)
        if element is None:
            return None
        self._check_type(element, token)
        return Linear({(element.kind, element.place): _ONE})

    def _check_type(self, element: Element, token: Token) -> None:
        dtype = element.variable.dtype
        if not self.types:
            self.types.append((dtype, token))
        elif self.types[0][0] != dtype:
            other, first = self.types[0]
            message = f"{token} is of type {dtype}, but {first} in the same comparison is of type {other}"
            raise self.scanner.error(message, "V214", token, "all terms of a comparison have one element type")

    def _undeclared(self, token: Token) -> PropertyError:
        return self.symbols.undeclared(token)

    def _shown(self, kind: str, index: int) -> str:
        return self.symbols.shown(kind, index)

    def _place(self, product: int) -> int:
        return self.symbols.sizes["Y"] + self.products.place(product)


class _Reader(AssertionReader):
    def __init__(self, scanner: Scanner) -> None:
        super().__init__(scanner)
        self.symbols = Symbols(scanner)
        self.products = Products()
        self.comparisons = _Comparisons(scanner, self.numbers, self.warn, self.products, self.symbols)
        self.version = ""
        self.asserted = False
        self._runs: dict[bytes, _Runs | None] = {}
        self._name_of: Callable[[int], str] = lambda index: self.symbols.shown("X", index)

    def input_name(self, index: int) -> str:
        return self._name_of(index)

    # The file

    def read(self, source: Source) -> Property:
        begun = False
        while self.scanner.skip():
            begun = True
            if not (self.asserted and self.runs and self._asserted_bounds()):
                self._statement()
        if not begun:
            raise self.scanner.error("the query is empty", "V202", hint=_STATEMENTS)
        if not self.symbols.networks:
            raise self.scanner.error("the query declares no network", "V206", hint=_STATEMENTS)
        if self.symbols.old_real:
            self.warnings["the type Real is read as real"] = self.symbols.old_real
        sources, common, arms = self._substituted(*self.normal_form())
        inputs, outputs = int(sources.max()) + 1, self.symbols.sizes["Y"]
        common, arms = ties.with_implied_bounds(self.numbers, common, arms, inputs)
        first = np.unique(sources, return_index=True)[1]
        self._name_of = lambda index: self.symbols.shown("X", int(first[index]))
        common, arms = self._with_type_bounds(common, arms, first)
        monomials = moved(self.products.placed, sources)
        disjuncts = self.build(common, arms, inputs, outputs, monomials)
        declarations = Declarations(tuple(self.symbols.networks.values()), sources)
        warnings = self.all_warnings(disjuncts)
        origin = self.scanner.name, source.digest, self.version
        return Property(inputs, outputs, disjuncts, *origin, warnings, declarations, monomials=monomials)

    def _substituted(self, common: Arm, arms: list[Arm]) -> tuple[np.ndarray, Arm, list[Arm]]:
        count = self.symbols.sizes["X"]
        sources = ties.tied(common.rows, count)
        if int(sources.max()) + 1 == count:
            return sources, common, arms
        substitution = ties.Substitution(sources, self.numbers)
        return sources, substitution.arm(common), [substitution.arm(arm) for arm in arms]

    def _with_type_bounds(self, common: Arm, arms: list[Arm], first: np.ndarray) -> tuple[Arm, list[Arm]]:
        """The largest finite float32 bounds the inputs of that type that lack a bound; first: a declared input for each.

        So wide a box is a poor place to look for counterexamples: every arm comes in a narrow version as well, before the wide ones.
        """
        keys = ties.lacking(common, arms, len(first))
        single = [int(key) for key in keys if self.symbols.at("X", int(first[key // 2])).dtype == "float32"]
        if not single:
            return common, arms
        names = ", ".join(dict.fromkeys(self.input_name(key // 2) for key in single[:4])) + (", ..." if len(single) > 4 else "")
        self.warnings[f"inputs without bounds, such as {names}, are taken to be finite float32 numbers"] = []
        opposite = ties.known(self.numbers, common.bounds, np.array([key ^ 1 for key in single], dtype=np.int32))
        largest = Fraction(float(np.finfo(np.float32).max))
        new = Bounds.of(single, [self.numbers.add(-largest if key % 2 == LOWER else largest) for key in single])
        near = [opposite.get(key ^ 1, _ZERO) + (-_NARROW if key % 2 == LOWER else _NARROW) for key in single]
        narrow = Bounds.of(single, [self.numbers.add(value) for value in near])
        if 2 * len(arms) <= _MOST_NARROW:
            arms = [Arm((*arm.bounds, narrow), arm.rows, arm.line) for arm in arms] + arms
        return Arm((*common.bounds, new), common.rows, common.line), arms

    # Runs

    def _runs_ahead(self) -> tuple[_Runs, Variable] | None:
        match = _NEXT_BOUND.match(self.scanner.buffer, self.scanner.position)
        if match is None:
            return None
        name = match[1]
        if name not in self._runs:
            variable = self.symbols.variables.get(name)
            self._runs[name] = _Runs.of(variable) if variable is not None and variable.kind == "input" and variable.shape else None
        runs = self._runs[name]
        return None if runs is None else (runs, self.symbols.variables[name])

    def _asserted_bounds(self) -> bool:
        ahead = self._runs_ahead()
        if ahead is None:
            return False
        runs, variable = ahead
        return self._bounds(runs.single, variable, self.everything) or (self.runs and self._bounds(runs.pair, variable, self.everything))

    def conjoined_bounds(self, target: Conjunction) -> bool:
        ahead = self._runs_ahead()
        return ahead is not None and self._bounds(ahead[0].conjoined, ahead[1], target)

    def _bounds(self, run: _Run, variable: Variable, target: Conjunction) -> bool:
        match = run.pattern[0].match(self.scanner.buffer, self.scanner.position)
        if match is None:
            return False
        upper, columns = run.columns(match[0])
        sides = np.where(upper, np.int32(UPPER), np.int32(LOWER))
        try:
            for side, (indices, literals) in zip(sides.T, columns):
                inputs = _flat(variable, indices)
                ids = self.numbers.positions(literals)
                target.bounds.append(Bounds(2 * inputs + side, ids))
        except NumberError:
            self.runs = False  # what is wrong is met again, and given its place, token by token
            return False
        self.scanner.position = match.end()
        return True

    # Statements

    def _statement(self) -> None:
        opening = self.scanner.next()
        if opening.text != b"(":
            raise self.scanner.error(f"expected a statement, found {opening}", at=opening, hint=misplaced(opening) or _STATEMENTS)
        command = self.scanner.next()
        if command.text == b"vnnlib-version":
            self._version(command)
        elif not self.version:
            raise self.scanner.error(f"expected (vnnlib-version <2.0>), found {command}", "V205", command)
        elif command.text == b"declare-network":
            if self.asserted:
                raise self.scanner.error("networks are declared before the first assertion", "V206", command)
            self.symbols.network()
        elif command.text == b"assert":
            if not self.symbols.networks:
                raise self.scanner.error("the query declares no network", "V206", command, _STATEMENTS)
            self.asserted = True
            self.assertion(command)
        else:
            code = "V211" if is_word(command) else "V203"
            raise self.scanner.error(f"expected declare-network or assert, found {command}", code, command, _STATEMENTS)

    def _version(self, command: Token) -> None:
        if self.version:
            raise self.scanner.error("the version is declared twice", "V203", command)
        first, text = self.scanner.next(), b""
        token = first
        while token.text != b")":
            text += token.text
            token = self.scanner.next()
        match = _VERSION.fullmatch(text)
        if match is None:
            raise self.scanner.error(f"malformed version {first}", at=first, hint="write (vnnlib-version <2.0>)")
        if match[1] != b"2":
            raise self.scanner.error(f"VNN-LIB {match[1].decode()} is not supported", "V205", first, "supported: 1.0, 2.0 and 2.1")
        if not text.startswith(b"<"):
            self.warn("the version is not in angle brackets", first.line)
        self.version = f"{int(match[1])}.{int(match[2])}"


def _flat(variable: Variable, indices: Sequence[bytes]) -> np.ndarray:
    """Positions (k,) int32 among the declared inputs of elements whose indices are written a,b,..; NumberError: one is out of range."""
    joined = b",".join(indices)
    values = np.fromstring(joined.decode("ascii"), dtype=np.int64, sep=",").reshape(len(indices), len(variable.shape))
    if (values >= np.array(variable.shape)).any():
        raise NumberError("an index out of range")
    return (values @ np.array(variable.strides, dtype=np.int64) + variable.offset).astype(np.int32)
