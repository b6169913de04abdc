"""What a lowering handler works with: values, the graph under construction, one ONNX node, the registry."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import onnx

from verifier.errors import Location, ModelError
from verifier.graph.ir import Node
from verifier.graph.tensors import LARGEST, MOST_AXES, decode
from verifier.operators.affine import Constant
from verifier.operators.base import Operator

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Value:
    """An ONNX value: either a node of the graph or an exact constant (float64, int64 or bool).

    element: what a node's numbers are in the file: "f" real, "i" whole, "b" Boolean (0 and 1). The graph computes all of them as real
    numbers, so whole ones must not wrap around: their magnitudes are at most `largest`, which `Call.whole` keeps below 2^31.
    """

    shape: Shape
    node: int = -1
    data: np.ndarray | None = None
    element: str = "f"
    largest: float = math.inf

    @property
    def kind(self) -> str:
        return self.element if self.data is None else self.data.dtype.kind

    @property
    def rank(self) -> int:
        return len(self.shape)


def constant(data: np.ndarray) -> Value:
    return Value(data.shape, data=data)


class Builder:
    """The nodes made so far, in topological order. shares: those whose values along the last axis are shares of 1."""

    def __init__(self, file: str):
        self.file = file
        self.nodes: list[Node] = []
        self.shares: set[int] = set()

    def add(self, operator: Operator, parents: Sequence[Value], shape: Shape, origin: str) -> Value:
        if len(shape) > MOST_AXES or any(n < 1 for n in shape) or math.prod(shape) > LARGEST:
            raise ModelError(f"{origin or 'a value'} has the shape {shape}: empty or too large", code="V114",
                             location=Location(self.file, detail=origin or None))
        self.nodes.append(Node(operator, tuple(p.node for p in parents), shape, (origin,) if origin else ()))
        return Value(shape, len(self.nodes) - 1)

    def name(self, tensors: Iterable[tuple[str, Value]]) -> None:
        """Say which ONNX tensors hold the values of nodes; the first name of a node stays."""
        for tensor, value in tensors:
            if value.node >= 0:
                self.nodes[value.node] = replace(self.nodes[value.node], tensor=self.nodes[value.node].tensor or tensor)

    def constant(self, data: np.ndarray, origin: str) -> Value:
        return self.add(Constant(data), (), data.shape, origin)


class Call:
    """One ONNX node with its inputs. Attributes that no handler asks for are refused by `finish`."""

    def __init__(self, proto: onnx.NodeProto, inputs: Sequence[Value | None], opset: int, builder: Builder):
        self.op, self.name = proto.op_type, proto.name or (proto.output[0] if proto.output else "")
        self.opset, self.builder = opset, builder
        self.outputs = tuple(proto.output)
        self.values = tuple(inputs)
        self.whole_inputs = [v for v in inputs if v is not None and v.data is None and v.kind != "f"]
        self._attributes = {a.name: a for a in proto.attribute}
        self._asked: set[str] = set()

    # -- errors --

    def fail(self, message: str, *, code: str = "V111", hint: str | None = None) -> NoReturn:
        raise ModelError(f"{self.op} node {self.name!r}: {message}", code=code, hint=hint,
                         location=Location(self.builder.file, detail=f"node {self.name!r} ({self.op}, opset {self.opset})"))

    def finish(self) -> None:
        unknown = sorted(set(self._attributes) - self._asked)
        if unknown:
            self.fail(f"attribute {', '.join(map(repr, unknown))} is not supported in opset {self.opset}",
                      hint=f"supported attributes: {', '.join(sorted(self._asked)) or 'none'}")

    # -- inputs --

    @property
    def count(self) -> int:
        return len(self.values)

    def input(self, position: int) -> Value:
        value = self.values[position] if position < len(self.values) else None
        if value is None:
            self.fail(f"input {position} is missing", code="V114")
        return value

    def optional(self, position: int) -> Value | None:
        return self.values[position] if position < len(self.values) else None

    def data(self, position: int, what: str) -> np.ndarray:
        """Input `position`, which must be a constant."""
        value = self.input(position)
        if value.data is None:
            self.fail(f"{what} must be a constant, but it depends on the network's input or could not be computed exactly", code="V112")
        return value.data

    def integer_data(self, position: int, what: str) -> np.ndarray:
        data = self.data(position, what)
        if data.dtype.kind != "i":
            self.fail(f"{what} must be integers", code="V114")
        return data

    def list_of_integers(self, position: int, what: str) -> list[int]:
        data = self.integer_data(position, what)
        if data.ndim > 1:
            self.fail(f"{what} must be one-dimensional", code="V114")
        return [int(v) for v in data.reshape(-1)]

    # -- attributes --

    def _attribute(self, name: str, kind: int) -> onnx.AttributeProto | None:
        self._asked.add(name)
        attribute = self._attributes.get(name)
        if attribute is not None and (attribute.type != kind or attribute.ref_attr_name):
            self.fail(f"attribute {name!r} has the wrong type", code="V114")
        return attribute

    def has(self, name: str) -> bool:
        return name in self._attributes

    def integer(self, name: str, default: int) -> int:
        a = self._attribute(name, onnx.AttributeProto.INT)
        return default if a is None else int(a.i)

    def flag(self, name: str, default: bool) -> bool:
        value = self.integer(name, int(default))
        if value not in (0, 1):
            self.fail(f"attribute {name!r} is {value}; supported: 0, 1")
        return bool(value)

    def integers(self, name: str) -> list[int] | None:
        a = self._attribute(name, onnx.AttributeProto.INTS)
        return None if a is None else [int(v) for v in a.ints]

    def real(self, name: str, default: float) -> float:
        """A float32 attribute, exact; so is its default."""
        a = self._attribute(name, onnx.AttributeProto.FLOAT)
        value = float(np.float32(default)) if a is None else float(a.f)
        if not math.isfinite(value):
            self.fail(f"attribute {name!r} is {value}")
        return value

    def reals(self, name: str) -> list[float] | None:
        a = self._attribute(name, onnx.AttributeProto.FLOATS)
        return None if a is None else [float(v) for v in a.floats]

    def text(self, name: str, default: str) -> str:
        a = self._attribute(name, onnx.AttributeProto.STRING)
        return default if a is None else bytes(a.s).decode("utf-8", "replace")

    def tensor(self, name: str) -> np.ndarray | None:
        a = self._attribute(name, onnx.AttributeProto.TENSOR)
        return None if a is None else decode(a.t, self.builder.file, f"{name} of {self.name}")

    # -- results --

    def emit(self, operator: Operator, *parents: Value, shape: Sequence[int]) -> Value:
        return self.builder.add(operator, parents, tuple(int(n) for n in shape), self.name)

    def variable(self, value: Value) -> Value:
        """The value as a node: a constant becomes a node without parents."""
        if value.data is None:
            return value
        if value.kind != "f" and all(v.kind != value.kind for v in self.whole_inputs):
            self.fail("integers and booleans cannot take part in the network's real arithmetic", code="V109")
        return self.builder.constant(value.data.astype(np.float64), self.name)

    def whole(self, value: Value, element: str, largest: float) -> Value:
        """A node whose numbers are whole ("i") or Boolean ("b"), none of a magnitude above `largest`."""
        if value.data is not None:
            return value
        if not largest < _WRAPS:
            self.fail("integers that depend on the input may become too large", code="V109", hint=f"they stay below {_WRAPS}")
        return replace(value, element=element, largest=largest)

    def axis(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            self.fail(f"axis {axis} is outside a value of {rank} dimensions", code="V114")
        return axis % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        found = tuple(self.axis(a, rank) for a in axes)
        if len(set(found)) != len(found):
            self.fail(f"axes {list(axes)} name one axis twice", code="V114")
        return found

    def broadcast(self, *shapes: Shape) -> Shape:
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            self.fail(f"shapes {', '.join(map(str, shapes))} do not broadcast", code="V114")

    def check_size(self, shape: Sequence[int]) -> Shape:
        if len(shape) > MOST_AXES or any(n < 0 for n in shape) or math.prod(shape) > LARGEST:
            self.fail(f"the result's shape {tuple(shape)} is impossible or too large", code="V114")
        return tuple(int(n) for n in shape)


Handler = Callable[[Call], "Value | Sequence[Value]"]
Bound = Callable[[Sequence[float]], float]
"""The largest magnitude of a result, from those of all operands of one kind."""


def of_first(sizes: Sequence[float]) -> float:
    return sizes[0]


@dataclass(frozen=True)
class Registration:
    """whole: how large results over integers can be; None: integers and Booleans that depend on the input are refused. own: the handler
    says itself of what kind its results are."""

    handler: Handler
    least: int
    most: int
    since: int
    whole: Bound | None
    own: bool


_WRAPS = 2.0**31

HANDLERS: dict[str, Registration] = {}


def operator(
    name: str, least: int, most: int | None = None, since: int = 7, whole: Bound | None = None, own: bool = False
) -> Callable[[Handler], Handler]:
    """Registers the handler of ONNX operator `name` with its number of inputs and the first opset that has it."""

    def register(handler: Handler) -> Handler:
        HANDLERS[name] = Registration(handler, least, least if most is None else most, since, whole, own)
        return handler

    return register


def lower_node(proto: onnx.NodeProto, known: Mapping[str, Value], opset: int, builder: Builder) -> list[Value]:
    """The values of the node's first outputs (later optional ones may be missing)."""
    call = Call(proto, [known[n] if n else None for n in proto.input], opset, builder)
    supported = "supported operators: " + ", ".join(sorted(HANDLERS))
    if proto.domain not in ("", "ai.onnx"):
        call.fail(f"operator of the domain {proto.domain!r} is not supported", code="V110", hint=supported)
    if proto.op_type not in HANDLERS:
        call.fail("operator is not supported", code="V110", hint=supported)
    entry = HANDLERS[proto.op_type]
    if opset < entry.since:
        call.fail(f"operator does not exist in opset {opset}", code="V110", hint=f"it exists from opset {entry.since} on")
    if not entry.least <= call.count <= entry.most:
        call.fail(f"{call.count} inputs; expected {entry.least} to {entry.most}", code="V114")
    if call.whole_inputs and entry.whole is None and not entry.own:
        call.fail("integers and booleans that depend on the input are not supported here", code="V109")
    try:
        result = entry.handler(call)
    except (ValueError, IndexError, OverflowError) as error:  # numpy's complaints about shapes that do not fit
        call.fail(f"inconsistent inputs: {error}", code="V114")
    call.finish()
    results = [result] if isinstance(result, Value) else list(result)
    if call.whole_inputs and entry.whole is not None:
        kind = call.whole_inputs[0].kind
        operands = [v for v in call.values if v is not None and v.kind == kind]
        sizes = [v.largest if v.data is None else float(np.max(np.abs(v.data.astype(np.float64)), initial=0.0)) for v in operands]
        results = [call.whole(r, kind, entry.whole(sizes)) for r in results]
    return results

