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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from verifier.errors import Location, PropertyError
from verifier.property import dnf
from verifier.property.comparisons import NAME, NAMES, VARIABLE, Comparisons, Variables, is_word
from verifier.property.disjuncts import LOWER, UPPER, Disjunct, Property
from verifier.property.dnf import Arm, Bounds, Conjunction
from verifier.property.expression import NUMBER, NumberError, NumberTable
from verifier.property.tokens import Scanner, Source, Token, find

_SPACE = rb"\s*(?:;[^\n]*\n\s*)*"
_DECLARATION = _SPACE + rb"\(\s*declare-const\s+@[XY])_@" + NAME + rb")\s+Real\s*\)"
_BOUND = rb"\(\s*@[<>])=\s+X_@" + NAME + rb")\s+@" + NUMBER + rb")\s*\)"
_ASSERTED = _SPACE + rb"\(\s*assert\s*" + _BOUND + rb"\s*\)"
_CONJUNCT = _SPACE + _BOUND
_Run = tuple[re.Pattern[bytes], re.Pattern[bytes]]


def _run(item: bytes) -> _Run:
    """Patterns for as many items as follow one another, and for one of them with its groups, which begin with @."""
    return re.compile(rb"(?:" + item.replace(b"@", b"(?:") + rb")+"), re.compile(item.replace(b"@", b"("))


_DECLARATIONS, _ASSERTED_BOUNDS, _CONJOINED_BOUNDS = map(_run, (_DECLARATION, _ASSERTED, _CONJUNCT))
_VERSION_2 = {b"vnnlib-version", b"declare-network", b"declare-input", b"declare-output", b"declare-hidden"}
_STATEMENTS = "statements are (declare-const X_0 Real) and (assert ...)"


def read(path: str | Path) -> Property:
    """Read a .vnnlib or .vnnlib.gz file; `path` may lack the ".gz" of the file's name.

    Raises PropertyError: V201 no such file, V202 empty, V203 malformed, V204 gzip data, V205 another language version, V206
    declarations, V207 undeclared variable, V208 numbering, V209 numbers, V211 unsupported, V212 missing bound, V213 too large.
    """
    name = str(path)
    source = Source(find(Path(path)), name)
    return _Reader(Scanner(source.chunks(), name)).read(source)


@dataclass(eq=False)
class _Frame:
    """An open `assert`, `and` or `or`. An `or` collects `arms`, the others `all`; shared: in the place of their parent."""

    kind: bytes
    at: Token
    all: Conjunction
    arms: list[Arm] = field(default_factory=list)
    children: int = 0
    shared: bool = False


class _Reader:
    """State of one reading. `everything`: the conjunction of the assertions; runs: whether runs of text are matched as a whole."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.variables = Variables()
        self.numbers = NumberTable()
        self.everything = Conjunction()
        self.warnings: dict[str, list[int]] = {}
        self.comparisons = Comparisons(scanner, self.variables, self.numbers, self.warn)
        self.runs = True

    def warn(self, message: str, line: int) -> None:
        self.warnings.setdefault(message, []).append(line)

    # The file

    def read(self, source: Source) -> Property:
        name, begun = self.scanner.name, False
        while self.scanner.skip():
            begun = True
            if not (self.runs and (self._declarations() or self._bounds(_ASSERTED_BOUNDS, self.everything))):
                self._statement()
        if not begun:
            raise PropertyError("the query is empty", code="V202", location=Location(name), hint="it has no declarations and no assertions")
        inputs, outputs = self._count("X", "input"), self._count("Y", "output")
        try:
            common, arms = self.everything.split()
        except dnf.TooLarge as error:
            raise self._too_large(error, None) from error
        try:
            disjuncts = dnf.build(self.numbers.freeze(), common, arms, inputs, outputs)
        except dnf.MissingBound as error:
            raise self._missing(error, several=bool(self.everything.alternatives)) from error
        return Property(inputs, outputs, disjuncts, name, source.digest, "1.0", self._all_warnings(disjuncts))

    def _count(self, kind: str, noun: str) -> int:
        known = self.variables.known[kind]
        location = Location(self.scanner.name)
        if not known:
            raise PropertyError(f"the query declares no {noun}s", code="V208", location=location, hint=f"add (declare-const {kind}_0 Real)")
        count = max(known) + 1
        if count != len(known):
            first = next(i for i in range(count) if i not in known)
            message = f"{len(known)} {noun}s are declared and the last of them is {kind}_{count - 1}, but {kind}_{first} is missing"
            raise PropertyError(message, code="V208", location=location, hint=f"number the {noun}s from {kind}_0 without gaps")
        return count

    def _missing(self, error: dnf.MissingBound, several: bool) -> PropertyError:
        side, relation = (("lower", ">="), ("upper", "<="))[error.side]
        message = f"input X_{error.index} has no {side} bound" + (" in the disjunct of this line" if several else "")
        hint = f"add (assert ({relation} X_{error.index} ...)): every input needs both bounds in every disjunct"
        return PropertyError(message, code="V212", location=Location(self.scanner.name, error.line if several else None), hint=hint)

    def _too_large(self, error: dnf.TooLarge, at: Token | None) -> PropertyError:
        message, hint = f"the disjunctive normal form of the query has {error}", "split the query into several files"
        if at is None:
            return PropertyError(message, code="V213", location=Location(self.scanner.name), hint=hint)
        return self.scanner.error(message, "V213", at, hint)

    def _all_warnings(self, disjuncts: Sequence[Disjunct]) -> tuple[str, ...]:
        if not disjuncts:
            self.warnings["the query is an empty disjunction: nothing violates the property"] = []
        for disjunct in disjuncts:
            if disjunct.empty:
                self.warn("the disjunct is vacuous: a lower bound exceeds its upper bound or a comparison is never true", disjunct.line)
            if not any(row.outputs for row in disjunct.rows):
                self.warn("the disjunct asserts nothing of the outputs", disjunct.line)
        return tuple((f"line {lines[0]}: " if lines else "") + message + (f" ({len(lines)} times)" if len(lines) > 1 else "")
                     for message, lines in self.warnings.items())

    # Runs

    def _matched(self, run: _Run) -> tuple[list[tuple[bytes, ...]], int]:
        match = run[0].match(self.scanner.buffer, self.scanner.position)
        return (run[1].findall(self.scanner.buffer, match.start(), match.end()), match.end()) if match else ([], 0)

    def _declarations(self) -> bool:
        found, end = self._matched(_DECLARATIONS)
        if not found:
            return False
        self.runs = self.variables.declare([(kind, int(index)) for kind, index in found])
        if self.runs:
            self.scanner.position = end
        return self.runs

    def _bounds(self, run: _Run, target: Conjunction) -> bool:
        found, end = self._matched(run)
        if not found:
            return False
        relations, names, literals = zip(*found)
        indices = np.fromiter(map(int, names), dtype=np.int32, count=len(names))
        try:
            if not self.variables.has_inputs(indices):
                raise NumberError("a bound of an undeclared input")
            ids = self.numbers.positions(literals)
        except NumberError:
            self.runs = False  # what is wrong is met again, and given its place, token by token
            return False
        upper = np.fromiter(map(b"<".__eq__, relations), dtype=np.bool_, count=len(names))
        target.bounds.append(Bounds(2 * indices + np.where(upper, np.int32(UPPER), np.int32(LOWER)), ids))
        self.scanner.position = end
        return True

    # Statements

    def _statement(self) -> None:
        opening = self.scanner.next()
        if opening.text != b"(":
            raise self.scanner.error(f"expected a statement, found {opening}", at=opening, hint=_hint(opening) or _STATEMENTS)
        command = self.scanner.next()
        if command.text == b"declare-const":
            self._declaration()
        elif command.text == b"assert":
            self._assertion(command)
        elif command.text in _VERSION_2:
            raise self.scanner.error(f"this is a VNN-LIB 2 query: {command}", "V205", command, "only VNN-LIB 1 is read here")
        else:
            code = "V211" if is_word(command) else "V203"
            raise self.scanner.error(f"expected declare-const or assert, found {command}", code, command, _STATEMENTS)

    def _declaration(self) -> None:
        name, kind = self.scanner.next(), self.scanner.next()
        match = VARIABLE.fullmatch(name.text)
        if match is None:
            raise self.scanner.error(f"the variable name {name} is not supported", "V206", name, NAMES)
        if kind.text != b"Real":
            raise self.scanner.error(f"the type {kind} of {name} is not supported", "V206", kind, "the type is Real")
        if not self.variables.declare([(match[1], int(match[2]))]):
            raise self.scanner.error(f"{name} is declared twice", "V206", name)
        closing = self.scanner.next()
        if closing.text != b")":
            raise self.scanner.error(f"expected ) after the declaration, found {closing}", at=closing)

    def _assertion(self, command: Token) -> None:
        stack = [_Frame(b"assert", command, self.everything, shared=True)]
        while stack:
            frame = stack[-1]
            if frame.kind == b"and" and self.runs and self._bounds(_CONJOINED_BOUNDS, frame.all):
                frame.children += 1
            token = self.scanner.next()
            if token.text == b")":
                self._close(stack.pop(), stack, token)
                continue
            if frame.kind == b"assert" and frame.children:
                hint = "an assertion has one formula: join several by (and ...)"
                raise self.scanner.error(f"expected ) after the assertion, found {token}", at=token, hint=hint)
            if token.text != b"(":
                raise self.scanner.error(f"expected a comparison, and or or, found {token}", at=token)
            frame.children += 1
            arm = self.comparisons.plain_output(token)
            if arm is not None:
                self._add(frame, [arm])
                continue
            head = self.scanner.next()
            if head.text in (b"and", b"or"):
                stack.append(self._open(head.text, token, frame))
            else:
                self._add(frame, self.comparisons.read(head, token))

    def _open(self, kind: bytes, at: Token, parent: _Frame) -> _Frame:
        # An operator within itself goes on collecting in the same place: deep nests stay linear.
        if kind == b"or" and parent.kind == b"or":
            return _Frame(kind, at, Conjunction(), parent.arms, shared=True)
        if kind == b"and" and parent.kind != b"or":
            return _Frame(kind, at, parent.all, shared=True)
        return _Frame(kind, at, Conjunction())

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
        try:
            self._add(stack[-1], frame.arms if frame.kind == b"or" else frame.all.arms(frame.at.line))
        except dnf.TooLarge as error:
            raise self._too_large(error, frame.at) from error


def _hint(token: Token) -> str | None:
    return "one parenthesis too many?" if token.text == b")" else None
