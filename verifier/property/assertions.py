"""Assertions of either language, statement by statement, into disjunctive normal form: what the readers have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from verifier.errors import Location, PropertyError
from verifier.property import dnf
from verifier.property.comparisons import Comparisons
from verifier.property.disjuncts import Disjunct
from verifier.property.dnf import Arm, Conjunction
from verifier.property.expression import NumberTable
from verifier.property.products import Monomial
from verifier.property.tokens import Scanner, Token

SPACE = rb"\s*(?:;[^\n]*\n\s*)*"
"""Blanks and comments, for the patterns that match whole runs of text."""

Run = tuple[re.Pattern[bytes], re.Pattern[bytes]]


def run_of(item: bytes) -> Run:
    """Patterns for as many items as follow one another, and for one of them with its groups, which begin with @."""
    return re.compile(rb"(?:" + item.replace(b"@", b"(?:") + rb")+"), re.compile(item.replace(b"@", b"("))


@dataclass(eq=False)
class _Frame:
    """An open `assert`, `and` or `or`. An `or` collects `arms`, the others `all`; shared: in the place of their parent."""

    kind: bytes
    at: Token
    all: Conjunction
    arms: list[Arm] = field(default_factory=list)
    children: int = 0
    shared: bool = False


class AssertionReader:
    """State of one reading. `everything`: the conjunction of the assertions; runs: whether runs of text are matched as a whole.

    A reader sets `comparisons`, and says how its inputs are called and which bounds it reads as a whole.
    """

    comparisons: Comparisons

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.numbers = NumberTable()
        self.everything = Conjunction()
        self.warnings: dict[str, list[int]] = {}
        self.runs = True

    def input_name(self, index: int) -> str:
        """What the query calls input `index`."""
        raise NotImplementedError

    def conjoined_bounds(self, target: Conjunction) -> bool:
        """Read the bounds that follow within an `and` as a whole, if there are any."""
        raise NotImplementedError

    def warn(self, message: str, line: int) -> None:
        self.warnings.setdefault(message, []).append(line)

    def normal_form(self) -> tuple[Arm, list[Arm]]:
        """(what all arms have in common, arms without it)."""
        try:
            return self.everything.split()
        except dnf.TooLarge as error:
            raise self._too_large(error, None) from error

    def build(
        self, common: Arm, arms: list[Arm], inputs: int, outputs: int, monomials: tuple[Monomial, ...] = ()
    ) -> tuple[Disjunct, ...]:
        try:
            return dnf.build(self.numbers.freeze(), common, arms, inputs, outputs, monomials)
        except dnf.MissingBound as error:
            raise self._missing(error, several=bool(self.everything.alternatives)) from error

    def _missing(self, error: dnf.MissingBound, several: bool) -> PropertyError:
        side, relation = (("lower", ">="), ("upper", "<="))[error.side]
        name = self.input_name(error.index)
        message = f"input {name} has no {side} bound" + (" in the disjunct of this line" if several else "")
        hint = f"add (assert ({relation} {name} ...)): every input needs both bounds in every disjunct"
        return PropertyError(message, code="V212", location=Location(self.scanner.name, error.line if several else None), hint=hint)

    def _too_large(self, error: dnf.TooLarge, at: Token | None) -> PropertyError:
        message, hint = f"the disjunctive normal form of the query has {error}", "split the query into several files"
        if at is None:
            return PropertyError(message, code="V213", location=Location(self.scanner.name), hint=hint)
        return self.scanner.error(message, "V213", at, hint)

    def all_warnings(self, disjuncts: Sequence[Disjunct]) -> tuple[str, ...]:
        if not disjuncts:
            self.warnings["the query is an empty disjunction: nothing violates the property"] = []
        for disjunct in disjuncts:
            if disjunct.empty:
                self.warn("the disjunct is vacuous: a lower bound exceeds its upper bound or a comparison is never true", disjunct.line)
            if not any(row.outputs for row in disjunct.rows):
                self.warn("the disjunct asserts nothing of the outputs", disjunct.line)
        return tuple((f"line {lines[0]}: " if lines else "") + message + (f" ({len(lines)} times)" if len(lines) > 1 else "")
                     for message, lines in self.warnings.items())

    def matched(self, run: Run) -> tuple[list[tuple[bytes, ...]], int]:
        """The groups of the items that follow, and where they end."""
        match = run[0].match(self.scanner.buffer, self.scanner.position)
        return (run[1].findall(self.scanner.buffer, match.start(), match.end()), match.end()) if match else ([], 0)

    def assertion(self, command: Token) -> None:
        """The rest of a statement whose `(assert` was read."""
        stack = [_Frame(b"assert", command, self.everything, shared=True)]
        while stack:
            frame = stack[-1]
            if frame.kind == b"and" and self.runs and self.conjoined_bounds(frame.all):
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


def misplaced(token: Token) -> str | None:
    """The hint for a token where a statement should begin."""
    return "one parenthesis too many?" if token.text == b")" else None
