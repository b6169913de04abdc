"""VNN-LIB 1 as benchmarks write it: `read`.

    (declare-const X_0 Real) (declare-const Y_0 Real)            inputs X_0.., outputs Y_0.., each numbered without gaps
    (assert (<= X_0 0.5))                                        comparisons <= >= < > = == != of linear terms + - *
    (assert (or (and (>= Y_0 Y_1) (<= X_0 0.1)) (<= Y_0 0)))     nested and, or

Comparisons of one input with a number are bounds, everything else is a row. A strict bound of an input is a closed bound and a
strict row; `==` two comparisons; `!=` an `or` of two. Runs of plain declarations and bounds, which make up nearly all of the
large files, are matched as a whole; whatever does not fit is read token by token, with its place in the errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from verifier.errors import Location, PropertyError
from verifier.property import dnf
from verifier.property.disjuncts import LOWER, UPPER, Property, Row
from verifier.property.dnf import Arm, Bounds
from verifier.property.expression import NUMBER, Linear, NumberError, NumberTable, Variable, is_number, literal
from verifier.property.tokens import Scanner, Source, Token, find, shown

_SPACE = rb"\s*(?:;[^\n]*\n\s*)*"
_NAME = rb"(?:0|[1-9][0-9]{0,8})"
_DECLARATION = _SPACE + rb"\(\s*declare-const\s+([XY])_(" + _NAME + rb")\s+Real\s*\)"
_BOUND = rb"\(\s*([<>]=\s+X_" + _NAME + rb")\s+(" + NUMBER + rb")\s*\)"
_ASSERTED = _SPACE + rb"\(\s*assert\s*" + _BOUND + rb"\s*\)"
_CONJUNCT = _SPACE + _BOUND


def _run(item: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Patterns for as many items as follow one another, and for one of them with its groups."""
    return re.compile(rb"(?:" + item + rb")+"), re.compile(item)


_DECLARATIONS, _ASSERTED_BOUNDS, _CONJOINED_BOUNDS = map(_run, (_DECLARATION, _ASSERTED, _CONJUNCT))
_HEAD = re.compile(rb"([<>])=\s+X_([0-9]+)")
_OUTPUT = re.compile(rb"\(\s*([<>]=)\s+Y_(" + _NAME + rb")\s+(?:Y_(" + _NAME + rb")|(" + NUMBER + rb"))\s*\)")
_VARIABLE = re.compile(rb"([XY])_(" + _NAME + rb")")
_COMPARISONS = {b"<=", b">=", b"<", b">", b"=", b"==", b"!="}
_ARITHMETIC = {b"+", b"-", b"*"}
_VERSION_2 = {b"vnnlib-version", b"declare-network", b"declare-input", b"declare-output", b"declare-hidden"}
_KNOWN_UNSUPPORTED = {b"/", b"=>"}
_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9_\[\],.-]*")
_NOT_FINITE = re.compile(rb"[-+]?(?:nan|inf|infinity|0x[0-9a-f.]+(?:p[-+]?[0-9]+)?)", re.IGNORECASE)
_ONE = Fraction(1)
_ZERO = Fraction(0)


def read(path: str | Path) -> Property:
    """Read a .vnnlib or .vnnlib.gz file; `path` may lack the ".gz" of the file's name.

    Raises PropertyError: V201 no such file, V202 empty, V203 malformed, V204 gzip data, V205 another language version, V206
    declarations, V207 undeclared variable, V208 numbering, V209 numbers, V211 unsupported, V212 missing bound, V213 too large.
    """
    name = str(path)
    source = Source(find(Path(path)), name)
    return _Reader(Scanner(source.chunks(), name)).read(source)


@dataclass(eq=False)
class _Conjunction:
    """What an `and`, or the file itself, has collected: bounds one by one or in arrays, rows, and nested alternatives."""

    keys: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    bounds: list[Bounds] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    alternatives: list[list[Arm]] = field(default_factory=list)

    def add(self, arms: list[Arm]) -> None:
        if len(arms) == 1:
            self.bounds += arms[0].bounds
            self.rows += arms[0].rows
        else:
            self.alternatives.append(arms)

    def arm(self, line: int) -> Arm:
        """The part without alternatives."""
        single = [Bounds.of(self.keys, self.ids)] if self.keys else []
        return Arm((*self.bounds, *single), tuple(self.rows), line)


@dataclass(eq=False)
class _Frame:
    """An open `assert`, `and` or `or`. Arms are collected in `arms` by an `or`, in `all` by the others."""

    kind: bytes
    at: Token
    all: _Conjunction
    arms: list[Arm] = field(default_factory=list)
    children: int = 0
    shared: bool = False


@dataclass(eq=False)
class _Term:
    """An open arithmetic operator, comparison, or pair of operands in parentheses of their own."""

    kind: bytes
    at: Token
    values: list[Linear] = field(default_factory=list)
    paired: bool = False


class _Variables:
    """The declared indices of X and of Y."""

    def __init__(self) -> None:
        self.declared: dict[bytes, set[int]] = {b"X": set(), b"Y": set()}

    def declare_all(self, found: list[tuple[bytes, bytes]]) -> bool:
        """False, and nothing is declared, if some variable would be declared twice."""
        for kind, known in self.declared.items():
            indices = [int(index) for k, index in found if k == kind]
            fresh = set(indices)
            if len(fresh) < len(indices) or not known.isdisjoint(fresh):
                return False
        for kind, index in found:
            self.declared[kind].add(int(index))
        return True


class _Undeclared(Exception):
    """A bound in a run is one of an undeclared input; the reader finds it again, token by token."""


class _Heads(dict[bytes, int]):
    """Bound key of "<= X_12" and the like."""

    def __init__(self, inputs: set[int]) -> None:
        super().__init__()
        self.inputs = inputs

    def __missing__(self, head: bytes) -> int:
        match = _HEAD.fullmatch(head)
        if match is None or int(match[2]) not in self.inputs:
            raise _Undeclared
        self[head] = key = 2 * int(match[2]) + (UPPER if match[1] == b"<" else LOWER)
        return key


class _Reader:
    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.variables = _Variables()
        self.numbers = NumberTable()
        self.heads = _Heads(self.variables.declared[b"X"])
        self.everything = _Conjunction()
        self.warnings: dict[str, list[int]] = {}
        self.runs = True

    def warn(self, message: str, line: int) -> None:
        self.warnings.setdefault(message, []).append(line)

    # The file

    def read(self, source: Source) -> Property:
        statements = 0
        while self.scanner.skip():
            if not (self.runs and (self._declarations() or self._asserted_bounds())):
                self._statement()
            statements += 1
        if not statements:
            raise PropertyError("the query is empty", code="V202", location=Location(self.scanner.name), hint="it has no declarations and no assertions")
        inputs, outputs = self._count(b"X", "input"), self._count(b"Y", "output")
        arms, common = [Arm((), (), 1)], self.everything.arm(1)
        for alternative in self.everything.alternatives:
            try:
                arms = dnf.product(arms, alternative)
            except dnf.TooLarge as error:
                raise self._too_large(error, None) from error
        if not self.everything.alternatives:
            first = next((row for row in common.rows if row.outputs), None)
            arms = [Arm((), (), first.line if first else 1)]
        try:
            disjuncts = dnf.build(self.numbers.freeze(), common, arms, inputs, outputs)
        except dnf.MissingBound as error:
            side, relation = (("lower", ">="), ("upper", "<="))[error.side]
            arm = "" if len(arms) == 1 else f" in the disjunct of line {error.line}"
            raise PropertyError(f"input X_{error.index} has no {side} bound{arm}", code="V212", location=Location(self.scanner.name, error.line),
                                hint=f"add (assert ({relation} X_{error.index} ...)): every input needs both bounds in every disjunct") from error
        return Property(inputs, outputs, disjuncts, self.scanner.name, source.digest, "1.0", self._all_warnings(disjuncts))

    def _count(self, kind: bytes, noun: str) -> int:
        declared = self.variables.declared[kind]
        letter = kind.decode()
        location = Location(self.scanner.name)
        if not declared:
            raise PropertyError(f"the query declares no {noun} {letter}_0", code="V208", location=location, hint=f"add (declare-const {letter}_0 Real)")
        count = max(declared) + 1
        if count != len(declared):
            first = next(i for i in range(count) if i not in declared)
            raise PropertyError(f"{len(declared)} {noun}s are declared, the last of them {letter}_{count - 1}, but {letter}_{first} is missing", code="V208",
                                location=location, hint=f"number the {noun}s from {letter}_0 without gaps")
        return count

    def _all_warnings(self, disjuncts: tuple) -> tuple[str, ...]:
        result = []
        if not disjuncts:
            result.append("the query has an empty disjunction: nothing can violate the property")
        for message, lines in (("has an empty input set: some lower bound exceeds its upper bound, or a constant comparison is false", [d.line for d in disjuncts if d.empty]),
                               ("says nothing of the outputs", [d.line for d in disjuncts if not any(row.outputs for row in d.rows)])):
            if lines:
                result.append(f"line {lines[0]}: the disjunct {message}" + _more(lines))
        return (*(f"line {lines[0]}: {message}" + _more(lines) for message, lines in self.warnings.items()), *result)

    # Runs

    def _matched(self, run: tuple[re.Pattern[bytes], re.Pattern[bytes]]) -> tuple[list[tuple[bytes, bytes]], int]:
        match = run[0].match(self.scanner.buffer, self.scanner.position)
        return (run[1].findall(self.scanner.buffer, match.start(), match.end()), match.end()) if match else ([], 0)

    def _declarations(self) -> bool:
        found, end = self._matched(_DECLARATIONS)
        self.runs = self.variables.declare_all(found)
        if found and self.runs:
            self.scanner.position = end
        return bool(found) and self.runs

    def _asserted_bounds(self) -> bool:
        return self._bounds(_ASSERTED_BOUNDS, self.everything)

    def _bounds(self, run: tuple[re.Pattern[bytes], re.Pattern[bytes]], target: _Conjunction) -> bool:
        found, end = self._matched(run)
        if not found:
            return False
        try:
            bounds = Bounds.of([self.heads[head] for head, _ in found], [self.numbers[number] for _, number in found])
        except (NumberError, _Undeclared):
            self.runs = False  # the error is met again, and given its place, token by token
            return False
        target.bounds.append(bounds)
        self.scanner.position = end
        return True

    # Statements

    def _expect(self, text: bytes, what: str) -> Token:
        token = self.scanner.next()
        if token.text != text:
            raise self.scanner.error(f"expected {what}, found {token}", at=token, hint=_parenthesis_hint(token))
        return token

    def _statement(self) -> None:
        opening = self.scanner.next()
        if opening.text != b"(":
            raise self.scanner.error(f"expected a statement, found {opening}", at=opening, hint=_parenthesis_hint(opening) or "statements are (declare-const ...) and (assert ...)")
        command = self.scanner.next()
        if command.text == b"declare-const":
            self._declaration()
        elif command.text == b"assert":
            self._assertion(command)
        elif command.text in _VERSION_2:
            raise self.scanner.error(f"this is a VNN-LIB 2 query: {command}", "V205", command, "only VNN-LIB 1 (declare-const, assert) is supported here")
        else:
            raise self.scanner.error(f"unknown statement {command}", "V211" if _is_word(command) else "V203", command, "statements are (declare-const ...) and (assert ...)")

    def _declaration(self) -> None:
        name, kind = self.scanner.next(), self.scanner.next()
        match = _VARIABLE.fullmatch(name.text)
        if match is None:
            raise self.scanner.error(f"the variable name {name} is not supported", "V206", name, "inputs are X_0, X_1, ..., outputs Y_0, Y_1, ...")
        if kind.text != b"Real":
            raise self.scanner.error(f"the type {kind} of {name} is not supported", "V206", kind, "the type is Real")
        if not self.variables.declare_all([(match[1], match[2])]):
            raise self.scanner.error(f"{name} is declared twice", "V206", name)
        self._expect(b")", ") after the declaration")

    def _assertion(self, command: Token) -> None:
        stack = [_Frame(b"assert", command, self.everything, shared=True)]
        while stack:
            frame = stack[-1]
            if frame.kind == b"and" and self.runs and self._bounds(_CONJOINED_BOUNDS, frame.all):
                frame.children += 1
            token = self.scanner.next()
            if token.text == b")":
                stack.pop()
                self._close(frame, stack, token)
                continue
            if frame.kind == b"assert" and frame.children:
                raise self.scanner.error(f"expected ) after the assertion, found {token}", at=token, hint="an assertion has one formula: join several by (and ...)")
            if token.text != b"(":
                raise self.scanner.error(f"expected a comparison, and or or, found {token}", at=token)
            frame.children += 1
            arm = self._plain_output(token)
            if arm is not None:
                self._add(frame, [arm])
                continue
            head = self.scanner.next()
            if head.text in (b"and", b"or"):
                stack.append(self._open(head.text, token, frame))
            else:
                self._add(frame, self._comparison(head, token))

    def _open(self, kind: bytes, at: Token, parent: _Frame) -> _Frame:
        # An operator within itself goes on collecting in the same place: deep nests stay linear.
        if kind == b"or":
            return _Frame(kind, at, _Conjunction(), parent.arms, shared=True) if parent.kind == b"or" else _Frame(kind, at, _Conjunction())
        return _Frame(kind, at, _Conjunction()) if parent.kind == b"or" else _Frame(kind, at, parent.all, shared=True)

    def _add(self, frame: _Frame, arms: list[Arm]) -> None:
        if frame.kind != b"or":
            frame.all.add(arms)
            return
        frame.arms += arms
        try:
            dnf.check(len(frame.arms))
        except dnf.TooLarge as error:
            raise self._too_large(error, frame.at) from error

    def _close(self, frame: _Frame, stack: list[_Frame], at: Token) -> None:
        if not frame.children:
            if frame.kind == b"assert":
                raise self.scanner.error("an assertion without a formula", at=at)
            self.warn("(or) without operands is false" if frame.kind == b"or" else "(and) without operands is true", frame.at.line)
        if frame.shared:
            return
        arms = frame.arms
        if frame.kind == b"and":
            arms = [frame.all.arm(frame.at.line)]
            for alternative in frame.all.alternatives:
                try:
                    arms = dnf.product(arms, alternative)
                except dnf.TooLarge as error:
                    raise self._too_large(error, frame.at) from error
        self._add(stack[-1], arms)

    def _too_large(self, error: dnf.TooLarge, at: Token | None) -> PropertyError:
        message, hint = f"the disjunctive normal form of the query has {error}", "split the query into several files"
        if at is None:
            return PropertyError(message, code="V213", location=Location(self.scanner.name), hint=hint)
        return self.scanner.error(message, "V213", at, hint)

    def _plain_output(self, opening: Token) -> Arm | None:
        """The commonest comparisons of outputs, at once; `opening` was read."""
        match = _OUTPUT.match(self.scanner.buffer, self.scanner.position - 1) if self.runs else None
        if match is None:
            return None
        relation, left, right, number = match.groups()
        j, k = int(left), int(right or left)
        outputs = self.variables.declared[b"Y"]
        if j not in outputs or k not in outputs or (right and j == k):
            return None
        try:
            constant = literal(number) if number else _ZERO
        except NumberError:
            return None
        self.scanner.position = match.end()
        sign = _ONE if relation == b"<=" else -_ONE
        terms = {j: sign, k: -sign} if right else {j: sign}
        return Arm((), (Row({}, terms, -sign * constant, False, opening.line),), opening.line)

    # Comparisons

    def _comparison(self, head: Token, opening: Token) -> list[Arm]:
        if head.text not in _COMPARISONS:
            raise self._unsupported(head, "a comparison, and or or")
        stack = [_Term(head.text, opening)]
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

    def _nested(self, parent: _Term, opening: Token, outermost: bool) -> _Term:
        head = self.scanner.next()
        if head.text in _ARITHMETIC:
            return _Term(head.text, head)
        if not (outermost and not parent.values and (head.text == b"(" or is_number(head.text) or _VARIABLE.fullmatch(head.text))):
            raise self._unsupported(head, "one of + - *")
        self.scanner.back(head)
        return _Term(b"", opening)

    def _unpair(self, pair: _Term, comparison: _Term) -> None:
        if len(pair.values) != 2:
            raise self.scanner.error(f"expected two operands, found {len(pair.values)}", at=pair.at, hint="a comparison reads (<= a b)")
        comparison.values, comparison.paired = pair.values, True
        self.warn(f"the malformed comparison ({shown(comparison.kind)} (a b)) is read as ({shown(comparison.kind)} a b)", comparison.at.line)

    def _atom(self, token: Token) -> Linear:
        match = _VARIABLE.fullmatch(token.text)
        if match is not None:
            if int(match[2]) not in self.variables.declared[match[1]]:
                raise self.scanner.error(f"{token} is not declared", "V207", token, f"add (declare-const {token} Real) before it is used")
            return Linear({(match[1].decode(), int(match[2])): _ONE})
        try:
            if is_number(token.text):
                return Linear({}, literal(token.text))
        except NumberError as error:
            raise self.scanner.error(f"{token}: {error}", "V209", token) from error
        if _NOT_FINITE.fullmatch(token.text):
            raise self.scanner.error(f"{token} is not a finite decimal number", "V209", token, "write numbers like 0.5, -3 or 1e-06")
        if _WORD.match(token.text):
            hint = "X[0] is VNN-LIB 2; here inputs are X_0, X_1, ..., outputs Y_0, Y_1, ..." if b"[" in token.text else "inputs are X_0, X_1, ..., outputs Y_0, Y_1, ..."
            raise self.scanner.error(f"{token} is not declared", "V207", token, hint)
        raise self.scanner.error(f"expected a number or a variable, found {token}", at=token)

    def _combine(self, term: _Term) -> Linear:
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
            names = " and ".join("_".join(map(str, next(iter(factor.terms)))) for factor in (a, b))
            raise self.scanner.error(f"a product of variables ({names}) is not supported", "V211", at, "only linear terms are: multiply by constants")
        return a.scale(b.constant) if not b.terms else b.scale(a.constant)

    def _compare(self, term: _Term) -> list[Arm]:
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
        inputs, outputs = ({i: c for (k, i), c in difference.terms.items() if k == kind} for kind in "XY")
        row = Row(inputs, outputs, difference.constant, strict, at.line)
        if row.constant_only:
            true = row.holds((), ())
            self.warn(f"a comparison of constants is always {'true' if true else 'false'}", at.line)
            return Arm((), () if true else (row,), at.line)
        if outputs or len(inputs) > 1:
            return Arm((), (row,), at.line)
        (i, coefficient), = inputs.items()
        bound = self.numbers.add(-difference.constant / coefficient)
        return Arm((Bounds.of([2 * i + (UPPER if coefficient > 0 else LOWER)], [bound]),), (row,) if strict else (), at.line)

    def _unsupported(self, head: Token, expected: str) -> PropertyError:
        if head.text in _KNOWN_UNSUPPORTED or _is_word(head):
            return self.scanner.error(f"the operator {head} is not supported", "V211", head, f"expected {expected}")
        return self.scanner.error(f"expected {expected}, found {head}", at=head)


def _is_word(token: Token) -> bool:
    return _WORD.fullmatch(token.text) is not None


def _parenthesis_hint(token: Token) -> str | None:
    return "one parenthesis too many?" if token.text == b")" else None


def _more(lines: list[int]) -> str:
    return f" ({len(lines)} times)" if len(lines) > 1 else ""
