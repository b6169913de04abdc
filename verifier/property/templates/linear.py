"""Linear inequalities as people write them, over outputs y[0], y[1], ... and inputs x[0], x[1], ...: `0.5*y[0] - y[1] <= 2`."""

from __future__ import annotations

import re
from fractions import Fraction

from verifier.errors import PropertyError
from verifier.property.disjuncts import Row
from verifier.property.expression import Linear, NumberError, literal

_VARIABLE = r"([xy])\[\s*([0-9]{1,9})\s*\]"
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_TERM = re.compile(rf"\s*([-+]?)\s*(?:({_NUMBER})(?:\s*\*\s*{_VARIABLE})?|{_VARIABLE})\s*")
_RELATION = re.compile(r"<=|>=|<|>")
_EXAMPLE = "write 0.5*y[0] - y[1] <= 2, with outputs y[i] and inputs x[i]"


def row(text: str, inputs: int, outputs: int, line: int) -> Row:
    """`text` as a row over so many inputs and outputs; PropertyError V227 where it is malformed, V224 for an index out of range."""
    relations = _RELATION.findall(text)
    if len(relations) != 1:
        raise _malformed(text, "there has to be one of <= < >= >")
    left, right = (_side(part, text) for part in _RELATION.split(text))
    difference = left.add(right, -1) if relations[0][0] == "<" else right.add(left, -1)
    by_input, by_output = ({i: c for (k, i), c in difference.terms.items() if k == kind} for kind in "XY")
    for name, used, count in (("x", by_input, inputs), ("y", by_output, outputs)):
        if max(used, default=0) >= count:
            hint = f"the network has {name}[0] to {name}[{count - 1}]"
            raise PropertyError(f"{text!r} speaks of {name}[{max(used)}]", code="V224", hint=hint)
    found = Row(by_input, by_output, difference.constant, len(relations[0]) == 1, line)
    if found.constant_only:
        raise _malformed(text, "it says nothing of inputs or outputs")
    if not found.representable:
        raise _malformed(text, "its coefficients have too many digits")
    return found


def negated(found: Row) -> Row:
    """The inequality that holds exactly where `found` does not."""
    inputs, outputs = ({i: -c for i, c in side.items()} for side in (found.inputs, found.outputs))
    return Row(inputs, outputs, -found.constant, not found.strict, found.line)


def _side(part: str, text: str) -> Linear:
    total, position = Linear(), 0
    while position < len(part) or not position:
        match = _TERM.match(part, position)
        if match is None or (position and not match[1]):
            raise _malformed(text, f"{part[position:].strip()[:20]!r} is no sum of numbers and number * variable")
        sign, number, *variables = match.groups()
        try:
            factor = literal(number.encode()) if number else Fraction(1)
            kind, index = (variables[0] or variables[2]), (variables[1] or variables[3])
            term = Linear({(kind.upper(), int(index)): factor} if factor else {}) if kind else Linear({}, factor)
            total = total.add(term, -1 if sign == "-" else 1)
        except NumberError as error:
            raise _malformed(text, str(error)) from error
        position = match.end()
    return total


def _malformed(text: str, what: str) -> PropertyError:
    return PropertyError(f"{text!r} is no linear inequality: {what}", code="V227", hint=_EXAMPLE)
