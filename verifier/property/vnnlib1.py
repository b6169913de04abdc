"""VNN-LIB 1 as benchmarks write it: `read`.

    (declare-const X_0 Real) (declare-const Y_0 Real)            inputs X_0.., outputs Y_0.., each numbered without gaps
    (assert (<= X_0 0.5))                                        comparisons <= >= < > = == != of linear terms + - *
    (assert (or (and (>= Y_0 Y_1) (<= X_0 0.1)) (<= Y_0 0)))     nested and, or

Comparisons of one input with a number are bounds, everything else is a row. A strict bound of an input is a closed bound and a
strict row; `==` two comparisons; `!=` an `or` of two. Runs of plain declarations and bounds, which make up nearly all of the
large files, are matched as a whole; whatever does not fit is read token by token, with its place in the errors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from verifier.errors import Location, PropertyError
from verifier.property.assertions import SPACE, AssertionReader, Run, misplaced, run_of
from verifier.property.comparisons import NAME, NAMES, VARIABLE, FlatComparisons, Variables, is_word
from verifier.property.disjuncts import LOWER, UPPER, Property
from verifier.property.dnf import Bounds, Conjunction
from verifier.property.expression import NUMBER, NumberError
from verifier.property.tokens import Scanner, Source, find

_DECLARATION = SPACE + rb"\(\s*declare-const\s+@[XY])_@" + NAME + rb")\s+Real\s*\)"
_BOUND = rb"\(\s*@[<>])=\s+X_@" + NAME + rb")\s+@" + NUMBER + rb")\s*\)"
_ASSERTED = SPACE + rb"\(\s*assert\s*" + _BOUND + rb"\s*\)"
_CONJUNCT = SPACE + _BOUND

_DECLARATIONS, _ASSERTED_BOUNDS, _CONJOINED_BOUNDS = map(run_of, (_DECLARATION, _ASSERTED, _CONJUNCT))
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


class _Reader(AssertionReader):
    def __init__(self, scanner: Scanner) -> None:
        super().__init__(scanner)
        self.variables = Variables()
        self.comparisons = FlatComparisons(scanner, self.numbers, self.warn, None, self.variables)

    def input_name(self, index: int) -> str:
        return f"X_{index}"

    def conjoined_bounds(self, target: Conjunction) -> bool:
        return self._bounds(_CONJOINED_BOUNDS, target)

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
        disjuncts = self.build(*self.normal_form(), inputs, outputs)
        return Property(inputs, outputs, disjuncts, name, source.digest, "1.0", self.all_warnings(disjuncts))

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

    # Runs

    def _declarations(self) -> bool:
        found, end = self.matched(_DECLARATIONS)
        if not found:
            return False
        self.runs = self.variables.declare([(kind, int(index)) for kind, index in found])
        if self.runs:
            self.scanner.position = end
        return self.runs

    def _bounds(self, run: Run, target: Conjunction) -> bool:
        found, end = self.matched(run)
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
            raise self.scanner.error(f"expected a statement, found {opening}", at=opening, hint=misplaced(opening) or _STATEMENTS)
        command = self.scanner.next()
        if command.text == b"declare-const":
            self._declaration()
        elif command.text == b"assert":
            self.assertion(command)
        elif command.text in _VERSION_2:
            raise self.scanner.error(f"this is a VNN-LIB 2 query: {command}", "V205", command, "such a query has to be a regular file")
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
