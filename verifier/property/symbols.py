"""The declarations of a VNN-LIB 2 query as they are read, and references to declared elements such as X[0,2].

    (declare-network f (equal-to g) (declare-input X float32 [1,5]) (declare-hidden H float32 [50] "tensor") (declare-output Y float32 [1]))
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from typing import NamedTuple

from verifier.errors import PropertyError
from verifier.property.declarations import FLOAT_TYPES, INTEGER_TYPES, REAL_TYPE, REFUSED_TYPES, Kind, Network, Variable
from verifier.property.tokens import Scanner, Token, shown

NAME = rb"[A-Za-z][A-Za-z0-9_]*"
LARGEST = 1 << 28
"""Elements that the inputs, or the outputs, of a query may have."""

_NAME = re.compile(NAME)
_REFERENCE = re.compile(rb"(" + NAME + rb")(?:\[([0-9]{1,9}(?:,[0-9]{1,9})*)\])?")
_INDEXED = re.compile(rb"(" + NAME + rb")\s*\[(.*)\]", re.DOTALL)
_INTEGERS = re.compile(rb"\s*(?:[0-9]{1,9}\s*(?:,\s*[0-9]{1,9}\s*)*)?")
_STRING = re.compile(rb'"([^"\n]{0,4096})"')
_RELATIONS = (b"equal-to", b"isomorphic-to")
_KINDS: dict[bytes, Kind] = {b"declare-input": "input", b"declare-hidden": "hidden", b"declare-output": "output"}
_NEEDED: tuple[Kind, ...] = ("input", "output")
_RANK: dict[Kind, int] = {"input": 0, "hidden": 1, "output": 2}
_TYPES = (REAL_TYPE, *FLOAT_TYPES, *INTEGER_TYPES)


class Element(NamedTuple):
    """One number of a variable: kind "X" and its place among the declared inputs, or "Y" and its place in the joint output."""

    kind: str
    place: int
    variable: Variable


class Symbols:
    """Networks and variables by name. Raises PropertyError V203, V206, V207, V208, V211."""

    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.networks: dict[bytes, Network] = {}
        self.variables: dict[bytes, Variable] = {}
        self.sizes = {"X": 0, "Y": 0}
        self.old_real: list[int] = []
        self._offsets: dict[str, list[int]] = {"X": [], "Y": []}
        self._ordered: dict[str, list[Variable]] = {"X": [], "Y": []}

    # Declarations

    def network(self) -> None:
        """The rest of a statement whose `(declare-network` was read."""
        name = self._name("a network")
        relation, names = {b"equal-to": b"", b"isomorphic-to": b""}, {name.text}
        variables: list[Variable] = []
        while (token := self.scanner.next()).text != b")":
            if token.text != b"(":
                raise self.scanner.error(f"expected a declaration, found {token}", at=token)
            head = self.scanner.next()
            if head.text in _RELATIONS:
                relation[head.text] = self._relation(head, name, bool(variables or any(relation.values())))
            elif head.text in _KINDS:
                variable = self._variable(name.text.decode(), _KINDS[head.text], names)
                if variables and _RANK[variable.kind] < _RANK[variables[-1].kind]:
                    raise self.scanner.error("inputs are declared before hidden nodes, and these before outputs", "V206", head)
                variables.append(variable)
            else:
                hint = "expected equal-to, isomorphic-to, declare-input, declare-hidden or declare-output"
                raise self.scanner.error(f"{head} is no declaration", "V203", head, hint)
        network = Network(name.text.decode(), relation[b"equal-to"].decode(), relation[b"isomorphic-to"].decode(), tuple(variables))
        for kind in _NEEDED:
            if not network.of(kind):
                raise self.scanner.error(f"the network {name} declares no {kind}", "V206", name, f"add (declare-{kind} ...)")
        self._check_relation(network, name)
        self._check_real(network, name)
        self.networks[name.text] = network

    def _name(self, what: str) -> Token:
        token = self.scanner.next()
        if not _NAME.fullmatch(token.text):
            hint = "names are letters, digits and _, a letter first"
            raise self.scanner.error(f"expected the name of {what}, found {token}", at=token, hint=hint)
        if token.text in self.networks or token.text in self.variables:
            raise self.scanner.error(f"{token} is declared twice", "V206", token, "names are unique over all networks and variables")
        return token

    def _relation(self, head: Token, name: Token, late: bool) -> bytes:
        if late:
            raise self.scanner.error(f"{head} comes once, and before the variables", "V206", head)
        other = self.scanner.next()
        if other.text not in self.networks:
            raise self.scanner.error(f"the network {other} is not declared before {name}", "V207", other)
        target = self.networks[other.text]
        if target.equal_to or target.isomorphic_to:
            hint = f"name {target.equal_to or target.isomorphic_to} instead"
            raise self.scanner.error(f"the network {other} is itself related to another", "V206", other, hint)
        self._close()
        return other.text

    def _variable(self, network: str, kind: Kind, names: set[bytes]) -> Variable:
        name = self._name("a variable")
        if name.text in names:
            raise self.scanner.error(f"{name} is declared twice", "V206", name, "names are unique over all networks and variables")
        dtype = self._type()
        shape, place = self._shape()
        tensor = self._string() if kind == "hidden" else ""
        end = self.scanner.next()
        if end.text == b"initialized" and kind == "input":
            raise self.scanner.error("initialized inputs are not supported", "V211", end, "assert the values instead")
        if end.text != b")":
            raise self.scanner.error(f"expected ) after the declaration, found {end}", at=end)
        side = "X" if kind == "input" else "Y"
        variable = Variable(network, name.text.decode(), kind, dtype, shape, self.sizes[side], tensor)
        if math.prod(shape) + self.sizes[side] > LARGEST:
            raise self.scanner.error(f"more than {LARGEST} elements are declared", "V211", place)
        self.variables[name.text] = variable
        self._offsets[side].append(variable.offset)
        self._ordered[side].append(variable)
        self.sizes[side] += variable.size
        return variable

    def _type(self) -> str:
        token = self.scanner.next()
        name = token.text.decode("utf-8", "replace")
        if name == "Real":  # in files from before the release of the standard
            self.old_real.append(token.line)
            return REAL_TYPE
        if name in REFUSED_TYPES:
            raise self.scanner.error(f"variables of type {name} are not supported", "V211", token)
        if name not in _TYPES:
            raise self.scanner.error(f"{token} is no element type", "V206", token, "element types: " + " ".join(_TYPES))
        return name

    def _shape(self) -> tuple[tuple[int, ...], Token]:
        token = self._bracketed(self.scanner.next())
        if not (token.text.startswith(b"[") and token.text.endswith(b"]") and _INTEGERS.fullmatch(token.text[1:-1])):
            hint = "a dimension that the network leaves open is fixed by the query" if b"-" in token.text or b"?" in token.text else None
            raise self.scanner.error(f"expected a shape such as [1,5], found {token}", at=token, hint=hint)
        shape = _integers(token.text[1:-1])
        if 0 in shape:
            raise self.scanner.error("a dimension of a shape is zero", "V206", token)
        return shape, token

    def _string(self) -> str:
        if not self.scanner.skip():
            raise self.scanner.error("the text ends inside a statement")
        while not (match := _STRING.match(self.scanner.buffer, self.scanner.position)):
            if b"\n" in self.scanner.buffer[self.scanner.position :] or not self.scanner.more():
                hint = 'write (declare-hidden H float32 [1,8] "tensor")'
                raise self.scanner.error("expected the name of an ONNX tensor in double quotes", hint=hint)
        self.scanner.position = match.end()
        return match[1].decode("utf-8", "replace")

    def _close(self) -> None:
        token = self.scanner.next()
        if token.text != b")":
            raise self.scanner.error(f"expected ), found {token}", at=token)

    def _check_relation(self, network: Network, at: Token) -> None:
        if not (name := network.equal_to or network.isomorphic_to):
            return
        other = self.networks[name.encode()]
        mine, theirs = ([(v.kind, v.shape, v.dtype if network.equal_to else "", v.tensor if network.equal_to else "")
                         for v in n.variables if v.kind != "hidden"] for n in (network, other))
        if mine != theirs:
            what = "shapes and element types" if network.equal_to else "shapes"
            raise self.scanner.error(f"the inputs and outputs of {at} and {name} differ in number or in {what}", "V206", at)

    def _check_real(self, network: Network, at: Token) -> None:
        types = {v.dtype == REAL_TYPE for n in (*self.networks.values(), network) for v in n.variables}
        if len(types) > 1:
            raise self.scanner.error("real is the type of some variables only", "V206", at, "a query uses real everywhere or nowhere")

    # References

    def element(self, token: Token) -> Element | None:
        """What `token`, and the tokens that follow within its brackets, refers to; None: `token` is no variable."""
        match = _REFERENCE.fullmatch(token.text)
        if match is None:
            if b"[" not in token.text or not _NAME.match(token.text):
                return None
            return self._indexed(self._bracketed(token))
        if match[2] is None and match[1] not in self.variables:
            return None
        variable = self._known(match[1], token)
        if match[2] is None and variable.shape:
            following = self.scanner.next()
            if not following.text.startswith(b"["):
                raise self._wrong(variable, token, "has no index")
            indices = self._bracketed(following)
            return self._indexed(Token(token.text + indices.text, token.line, token.column))
        return self._at(variable, () if match[2] is None else tuple(map(int, match[2].split(b","))), token)

    def _indexed(self, token: Token) -> Element:
        match = _INDEXED.fullmatch(token.text)
        if match is None:
            raise self.scanner.error(f"malformed reference {token}", at=token, hint="write X[0,2]")
        variable = self._known(match[1], token)
        if not _INTEGERS.fullmatch(match[2]):
            raise self._wrong(variable, token, "has an index that is no natural number")
        return self._at(variable, _integers(match[2]), token)

    def _bracketed(self, token: Token) -> Token:
        """`token` and what follows up to the closing bracket."""
        text = token.text
        while b"[" in text and b"]" not in text:
            part = self.scanner.next()
            if part.text in (b"(", b")"):
                raise self.scanner.error("a bracket is not closed", at=token)
            text += b" " + part.text
        return token if text is token.text else Token(text, token.line, token.column)

    def _known(self, name: bytes, token: Token) -> Variable:
        variable = self.variables.get(name)
        if variable is None:
            raise self.undeclared(Token(name, token.line, token.column))
        return variable

    def undeclared(self, token: Token) -> PropertyError:
        if token.text in self.networks:
            return self.scanner.error(f"{token} is a network, not a variable", "V207", token)
        known = ", ".join(shown(name) for name in list(self.variables)[:8]) + (", ..." if len(self.variables) > 8 else "")
        return self.scanner.error(f"{token} is not declared", "V207", token, f"declared variables: {known}")

    def _at(self, variable: Variable, indices: tuple[int, ...], token: Token) -> Element:
        if len(indices) != len(variable.shape):
            raise self._wrong(variable, token, f"has {len(indices)} indices instead of {len(variable.shape)}")
        if any(i >= n for i, n in zip(indices, variable.shape)):
            raise self._wrong(variable, token, "is out of range")
        flat = variable.offset + sum(i * s for i, s in zip(indices, variable.strides))
        return Element("X" if variable.kind == "input" else "Y", flat, variable)

    def _wrong(self, variable: Variable, token: Token, what: str) -> PropertyError:
        shape = ",".join(map(str, variable.shape))
        return self.scanner.error(f"{token} {what}", "V208", token, f"{variable.name} has the shape [{shape}], counted from 0")

    def at(self, kind: str, index: int) -> Variable:
        """The variable that an element belongs to."""
        return self._ordered[kind][bisect_right(self._offsets[kind], index) - 1]

    def shown(self, kind: str, index: int) -> str:
        """What the query calls an element."""
        variable = self.at(kind, index)
        rest, indices = index - variable.offset, []
        for stride in variable.strides:
            indices.append(str(rest // stride))
            rest %= stride
        return variable.name + (f"[{','.join(indices)}]" if indices else "")


def _integers(text: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(b",")) if text.strip() else ()
