"""Reads an ONNX file into a graph of affine and elementwise nodes, or says exactly what it does not support.

Error codes (all ModelError): V102 no such file; V103 empty, damaged or not ONNX; V104 external data; V105 too large when unpacked;
V106 opset or domain; V107 cycles, duplicate and dangling names; V108 shapes that are not known; V109 element types and non-finite
numbers; V110 operator not supported; V111 attribute or form of an operator not supported; V112 a constant is needed where a value
depends on the input; V113 a constant cannot be computed exactly; V114 shapes or inputs that contradict each other; V116 what a query
declares of the network does not fit it.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from verifier.errors import Location, ModelError
from verifier.graph.ir import Graph, Node
from verifier.graph.lowering import Builder, Value, constant, lower_node, supported_operators
from verifier.graph.simplify import simplify
from verifier.graph.tensors import REAL, decode, type_name
from verifier.operators.affine import Concat, Reshape, Take
from verifier.operators.base import Input

__all__ = ["Model", "read", "read_bytes", "supported_operators"]

OLDEST_OPSET = 7
_LARGEST_FILE = 4 << 30
_LARGEST_RATIO = 200
_FREE = 1 << 30
"""A gzip file may unpack to this much, or to _LARGEST_RATIO times its size, and to _LARGEST_FILE at most. (Sparse lattice networks do
reach ratios of several hundred.)"""
_OPEN_SHAPE = "export the network with fixed dimensions, or ask in VNN-LIB 2, where the query declares the shape"


@dataclass(frozen=True, eq=False)
class Model:
    """A network as read: the graph for the bounds and the file's bytes (unpacked) for the replay; sha256: of the file as stored.

    Shapes are concrete (a symbolic batch is 1); inputs and outputs are in the order in which the flat ones join them.
    The first `hidden` outputs are tensors from inside the network, which `data` then gives as outputs of its own.
    `opset` is that of the default domain, `operators` counts ONNX operators, `parameters` the numbers in floating point initialisers.
    """

    graph: Graph
    data: bytes
    path: Path
    sha256: str
    input_names: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    input_dtypes: tuple[str, ...]
    output_names: tuple[str, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    output_dtypes: tuple[str, ...]
    opset: int
    operators: Mapping[str, int]
    parameters: int
    symbolic_batch: bool
    single_precision: bool
    hidden: int = 0

    @property
    def file(self) -> str:
        return str(self.path)


Source = Path | Model
"""A file, or what was read from one, or from memory."""

Shapes = Mapping[str, tuple[int, ...]] | Sequence[tuple[int, ...]]


def read(path: str | Source, *, shapes: Shapes | None = None, hidden: Sequence[str] = ()) -> Model:
    """The network in `path` (.onnx or .onnx.gz; `path` may also lack the .gz). A model is read again where it would come out different.

    Args:
        shapes: shapes of inputs by name, for dimensions that the file leaves open (a symbolic first one becomes 1 by itself); or those
            of all inputs in their order, of which one is ignored where the file gives another shape of as many elements.
        hidden: names of tensors from inside the network that become outputs, before its own.

    Raises:
        ModelError: with the code, the file, and the node or tensor.
    """
    if isinstance(path, Model):
        return read_bytes(path.data, path.path, shapes=shapes, hidden=hidden) if shapes or hidden else path
    path = Path(path)
    found = next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
    if found is None:
        raise ModelError(f"no such file: {path}", code="V102", location=Location(str(path)))
    try:
        raw = found.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the file: {error.strerror or error}", code="V102", location=Location(str(found))) from error
    return _model(_unpacked(raw, found), _digest(raw), found, shapes, hidden)


def read_bytes(data: bytes, path: str | Path = "<bytes>", *, shapes: Shapes | None = None, hidden: Sequence[str] = ()) -> Model:
    """The same for the unpacked bytes of a file; `path` is for messages."""
    return _model(data, _digest(data), Path(path), shapes, hidden)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _model(data: bytes, digest: str, path: Path, shapes: Shapes | None, hidden: Sequence[str]) -> Model:
    file = str(path)
    proto = _parsed(data, file)
    if hidden:
        data = _exposed(proto, hidden, file)
    opset = _opset(proto, file)
    nodes = _needed(_sorted(proto.graph, file), proto.graph)
    initializers = {t.name: constant(decode(t, file)) for t in proto.graph.initializer}
    inputs = [i for i in proto.graph.input if i.name not in initializers]
    resolved = _input_shapes(inputs, shapes if isinstance(shapes, Mapping) else _by_name(inputs, shapes, file), file)
    builder = Builder(file)
    known = initializers | _inputs(builder, [i.name for i in inputs], resolved)
    for node in nodes:
        results = lower_node(node, known, opset, builder)
        known.update((name, value) for name, value in zip(node.output, results) if name)
        builder.name(zip(node.output, results))
        for name in node.output[len(results) :]:
            if name and name in _reads(nodes, proto.graph):
                raise ModelError(f"{node.op_type} node {node.name!r}: its optional output {name!r} is not supported", code="V111",
                                 location=Location(file, detail=f"node {node.name!r}"), hint="only the first output can be used")
    outputs = [known[o.name] for o in proto.graph.output]
    graph = simplify(_closed(builder, outputs, [o.name for o in proto.graph.output], file))
    return Model(
        graph, data, path, digest, tuple(i.name for i in inputs), resolved, tuple(map(_dtype, inputs)),
        tuple(o.name for o in proto.graph.output), tuple(o.shape for o in outputs), tuple(map(_dtype, proto.graph.output)), opset,
        Counter(n.op_type for n in proto.graph.node),
        sum(v.data.size for v in initializers.values() if v.data is not None and v.data.dtype.kind == "f"),
        all(_open(i, 0) for i in inputs), _single(proto.graph, inputs), len(hidden))


# -- bytes --


def _unpacked(raw: bytes, path: Path) -> bytes:
    if path.suffix != ".gz":
        return raw
    limit = min(_LARGEST_FILE, max(_FREE, _LARGEST_RATIO * len(raw)))
    stream = zlib.decompressobj(31)
    try:
        data = stream.decompress(raw, limit)
    except zlib.error as error:
        raise ModelError(f"damaged gzip file: {error}", code="V103", location=Location(str(path))) from error
    if stream.unconsumed_tail:
        raise ModelError(f"the file unpacks to more than {limit} bytes", code="V105", location=Location(str(path)), hint="unpack it first")
    if not stream.eof or stream.unused_data:
        raise ModelError("damaged gzip file: truncated, or followed by other data", code="V103", location=Location(str(path)))
    return data


def _parsed(data: bytes, file: str) -> onnx.ModelProto:
    if not data:
        raise ModelError("the file is empty", code="V103", location=Location(file))
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, RuntimeError) as error:
        raise ModelError("the file is not an ONNX model, or is damaged", code="V103", location=Location(file)) from error
    if not proto.graph.node and not proto.graph.output:
        raise ModelError("the file holds no ONNX graph", code="V103", location=Location(file))
    if proto.graph.sparse_initializer:
        raise ModelError("sparse initialisers are not supported", code="V109", location=Location(file))
    if proto.functions:
        names = _listed(f.name for f in proto.functions)
        raise ModelError(f"model functions are not supported: {names}", code="V110", location=Location(file))
    if any(not isinstance(name, str) for name in _texts(proto.graph)):
        raise ModelError("a name in the file is not text", code="V103", location=Location(file), hint="the file seems to be damaged")
    return proto


def _texts(graph: onnx.GraphProto) -> Iterator[object]:
    """Every name that the reader uses: protobuf gives bytes where one is not UTF-8."""
    for node in graph.node:
        yield from (node.op_type, node.name, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))
        yield from (a.ref_attr_name for a in node.attribute)
    for value in (*graph.input, *graph.output):
        yield from (value.name, *(d.dim_param for d in value.type.tensor_type.shape.dim))
    yield from (t.name for t in graph.initializer)


def _opset(proto: onnx.ModelProto, file: str) -> int:
    versions = {o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")}
    newest = onnx.defs.onnx_opset_version()
    hint = f"supported: {OLDEST_OPSET} to {newest}"
    if len(versions) != 1:
        raise ModelError(f"the file names {len(versions)} opset versions of the default domain instead of one", code="V106",
                         location=Location(file), hint=hint)
    version = int(versions.pop())
    if not OLDEST_OPSET <= version <= newest:
        raise ModelError(f"opset {version} is not supported", code="V106", location=Location(file), hint=hint)
    return version


# -- names --


def _sorted(graph: onnx.GraphProto, file: str) -> list[onnx.NodeProto]:
    """The nodes in topological order; V107 for names defined twice or never, and for cycles."""

    def fail(message: str) -> ModelError:
        return ModelError(message, code="V107", location=Location(file))

    if not graph.output:
        raise fail("the graph has no output")
    names = [t.name for t in graph.initializer]
    names += [i.name for i in graph.input if i.name not in set(names)]
    names += [o for n in graph.node for o in n.output if o]
    twice = [n for n, count in Counter(names).items() if count > 1]
    if twice:
        raise fail(f"defined more than once: {_listed(twice)}")
    if len({i.name for i in graph.input}) != len(graph.input):
        raise fail("an input is named twice")
    defined = set(names)
    missing = ({n for node in graph.node for n in node.input if n} | {o.name for o in graph.output}) - defined
    if missing:
        raise fail(f"used but never defined: {_listed(missing)}")
    producer = {o: i for i, n in enumerate(graph.node) for o in n.output if o}
    parents = [{producer[n] for n in node.input if n in producer} for node in graph.node]
    order = _order(parents)
    if len(order) < len(parents):
        rest = [graph.node[i].name or ", ".join(graph.node[i].output) for i in sorted(set(range(len(parents))) - set(order))]
        raise fail(f"a cycle goes through the nodes {_listed(rest)}, or leads to them")
    return [graph.node[i] for i in order]


def _order(parents: list[set[int]]) -> list[int]:
    users: list[list[int]] = [[] for _ in parents]
    for i, before in enumerate(parents):
        for p in before:
            users[p].append(i)
    waiting = [len(p) for p in parents]
    order = [i for i, n in enumerate(waiting) if n == 0]
    for i in order:  # grows while it is walked
        for user in users[i]:
            waiting[user] -= 1
            if waiting[user] == 0:
                order.append(user)
    return order


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _needed(nodes: list[onnx.NodeProto], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that an output depends on."""
    wanted = {o.name for o in graph.output}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


def _reads(nodes: list[onnx.NodeProto], graph: onnx.GraphProto) -> set[str]:
    return {n for node in nodes for n in node.input} | {o.name for o in graph.output}


# -- inputs and outputs --


def _dtype(value: onnx.ValueInfoProto) -> str:
    """numpy's name of an element type; empty where the file does not tell."""
    element = value.type.tensor_type.elem_type
    if element in REAL:
        return "float64" if element == onnx.TensorProto.DOUBLE else "float32"
    return type_name(element).lower() if element else ""


def _exposed(proto: onnx.ModelProto, hidden: Sequence[str], file: str) -> bytes:
    """Makes `hidden` the first outputs of the graph; its bytes."""
    produced = {name for node in proto.graph.node for name in node.output if name}
    known = {v.name: v for v in (*proto.graph.value_info, *proto.graph.output)}
    for name in hidden:
        if name not in produced:
            raise ModelError(f"the network has no tensor {name!r}", code="V116", location=Location(file),
                             hint=f"tensors that its nodes make: {_listed(produced)}")
    names = [o.name for o in proto.graph.output]
    for name in hidden:
        alias = name
        while alias in names or (alias != name and alias in produced):  # an output cannot be there twice: a copy of it can
            alias += "_"
        if alias != name:
            proto.graph.node.append(onnx.helper.make_node("Identity", [name], [alias]))
        names.append(alias)
    own = len(proto.graph.output)
    outputs = [known.get(alias, onnx.ValueInfoProto(name=alias)) for alias in names[own:]] + list(proto.graph.output)
    outputs = [onnx.ValueInfoProto.FromString(o.SerializeToString()) for o in outputs]
    del proto.graph.output[:]
    proto.graph.output.extend(outputs)
    return bytes(proto.SerializeToString())


def _by_name(inputs: list[onnx.ValueInfoProto], shapes: Sequence[tuple[int, ...]] | None, file: str) -> Mapping[str, tuple[int, ...]]:
    """Given shapes by the inputs' names, without those that only arrange an input's elements in another way."""
    if shapes is None:
        return {}
    if len(shapes) != len(inputs):
        raise ModelError(f"the network has {len(inputs)} inputs, not {len(shapes)}", code="V116", location=Location(file))
    found = {}
    for value, shape in zip(inputs, shapes):
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        least = math.prod(max(1, d) for d in dims)
        if len(dims) == len(shape) or (math.prod(shape) != least and not all(d > 0 for d in dims)):
            found[value.name] = shape
        elif math.prod(shape) != least:
            raise ModelError(f"input {value.name!r} has {least} elements, not {math.prod(shape)}", code="V116", location=Location(file))
    return found


def _open(value: onnx.ValueInfoProto, axis: int) -> bool:
    dims = value.type.tensor_type.shape.dim
    return axis < len(dims) and dims[axis].dim_value <= 0


def _input_shapes(inputs: list[onnx.ValueInfoProto], given: Mapping[str, tuple[int, ...]], file: str) -> tuple[tuple[int, ...], ...]:
    if not inputs:
        raise ModelError("the network has no input", code="V114", location=Location(file))
    unknown = set(given) - {i.name for i in inputs}
    if unknown:
        raise ModelError(f"shapes are given for inputs that the network does not have: {_listed(unknown)}", code="V108",
                         location=Location(file), hint=f"its inputs: {_listed(i.name for i in inputs)}")
    return tuple(_input_shape(i, given.get(i.name), file) for i in inputs)


def _input_shape(value: onnx.ValueInfoProto, given: tuple[int, ...] | None, file: str) -> tuple[int, ...]:
    where, kind = Location(file, detail=f"input {value.name!r}"), value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in REAL:
        raise ModelError(f"input {value.name!r} is no tensor of float or double but of {type_name(kind.elem_type)}", code="V109",
                         location=where)
    if not kind.HasField("shape") and given is None:
        raise ModelError(f"the shape of input {value.name!r} is not known", code="V108", location=where, hint=_OPEN_SHAPE)
    dims = [d.dim_value if d.dim_value > 0 else 0 for d in kind.shape.dim]
    shown = [d.dim_value or d.dim_param or "?" for d in kind.shape.dim]
    if given is not None:
        fits = not kind.HasField("shape") or (len(given) == len(dims) and all(n in (0, g) for n, g in zip(dims, given)))
        if not fits or min(given, default=1) < 1:
            raise ModelError(f"the shape {tuple(given)} does not fit input {value.name!r} of shape {shown}", code="V108", location=where)
        return tuple(int(n) for n in given)
    if len(dims) > 1 and dims[0] == 0:
        dims[0] = 1
    if 0 in dims:
        raise ModelError(f"input {value.name!r} has the shape {shown}, which leaves more open than the batch", code="V108", location=where,
                         hint=_OPEN_SHAPE)
    return tuple(dims)


def _inputs(builder: Builder, names: list[str], shapes: tuple[tuple[int, ...], ...]) -> dict[str, Value]:
    """The flat input, and each ONNX input as a slice of it."""
    sizes = [math.prod(s) for s in shapes]
    flat = builder.add(Input(), (), (sum(sizes),), "")
    values, start = {}, 0
    for name, shape, size in zip(names, shapes, sizes):
        value = flat
        if len(names) > 1:
            value = builder.add(Take(0, np.arange(start, start + size), flat.shape), (flat,), (size,), name)
        if shape != value.shape:
            value = builder.add(Reshape(value.shape, shape), (value,), shape, name)
        values[name], start = value, start + size
    return values


def _closed(builder: Builder, outputs: list[Value], names: list[str], file: str) -> Graph:
    """The graph whose last node is the flat output."""
    flat = []
    for value, name in zip(outputs, names):
        if value.data is not None:
            if value.data.dtype.kind == "b" or (value.data.dtype.kind == "i" and np.any(np.abs(value.data) > 1 << 53)):
                raise ModelError(f"output {name!r} holds no real numbers", code="V109", location=Location(file, detail=f"output {name!r}"))
            value = builder.constant(value.data.astype(np.float64), name)
        if value.kind == "b":
            raise ModelError(f"output {name!r} holds no real numbers", code="V109", location=Location(file, detail=f"output {name!r}"))
        size = (math.prod(value.shape),)
        flat.append(value if value.shape == size else builder.add(Reshape(value.shape, size), (value,), size, name))
    last = flat[0]
    if len(flat) > 1:
        sizes = tuple(f.shape[0] for f in flat)
        last = builder.add(Concat(0, sizes), flat, (sum(sizes),), "")
    if last.node != len(builder.nodes) - 1 or last.node == 0:
        builder.add(Reshape(last.shape, last.shape), (last,), last.shape, "")
    nodes: list[Node] = builder.nodes
    return Graph(tuple(nodes))


def _single(graph: onnx.GraphProto, inputs: list[onnx.ValueInfoProto]) -> bool:
    """Whether anything is computed in less than double precision."""
    below = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return (any(i.type.tensor_type.elem_type in below for i in inputs)
            or any(n.op_type == "Cast" and any(a.name == "to" and a.i in below for a in n.attribute) for n in graph.node)
            or any(o.type.tensor_type.elem_type in below for o in graph.output))
