"""Several networks of one query as one graph over its joint input and output; their replay, one after another.

A joint input element that several networks read is one element of one graph input: what the query makes equal is never bounded apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from verifier.errors import Location, ModelError, UsageError
from verifier.graph import onnx_reader
from verifier.graph.ir import Graph, Node
from verifier.graph.onnx_reader import Model, Source
from verifier.graph.replay import Replay
from verifier.graph.self_check import self_check
from verifier.graph.simplify import simplify
from verifier.operators.affine import Concat, Take
from verifier.operators.base import Input

if TYPE_CHECKING:
    from verifier.property.declarations import Declarations, Network, Variable

_REAL = "real"


@dataclass(frozen=True, eq=False)
class Part:
    """One network and where its flat input lies in the joint one: sources (n_i,) int64."""

    name: str
    model: Model
    sources: np.ndarray


@dataclass(frozen=True, eq=False)
class Joint:
    """graph: the joint input (n,) to the outputs of all parts, joined in their order. warnings: for the user."""

    parts: tuple[Part, ...]
    graph: Graph
    warnings: tuple[str, ...]

    @cached_property
    def input_dtypes(self) -> tuple[str, ...]:
        return tuple(t for p in self.parts for t in p.model.input_dtypes)

    @property
    def files(self) -> dict[str, Model]:
        """The model of each network that has a file of its own, by the network's name."""
        return {p.name: p.model for p in self.parts if all(p.model is not q.model for q in self.parts[: self.parts.index(p)])}


class JointReplay:
    """The same interface as `replay.Replay`, for all parts of a query."""

    def __init__(self, joint: Joint) -> None:
        replays = {id(p.model): Replay(p.model) for p in joint.parts}
        self._parts = [(p, replays[id(p.model)]) for p in joint.parts]
        # The narrowest type: a point that it holds is held by the others.
        self._dtype = min((np.dtype(t) for t in joint.input_dtypes), key=lambda t: t.itemsize)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, n) -> the points in the narrowest input type (N, n), the joint outputs (N, m). ModelError V115 as in `Replay.run`."""
        x = np.ascontiguousarray(x, dtype=self._dtype)
        return x, np.concatenate([replay.run(x[:, part.sources])[1] for part, replay in self._parts], axis=1)

    def check(self, lower: np.ndarray, upper: np.ndarray, seed: int, stop: Callable[[], bool] = lambda: False) -> None:
        """`self_check` of every part on its share of the box lower, upper (n,)."""
        for part, _ in self._parts:
            self_check(part.model, lower[part.sources], upper[part.sources], seed, stop)


def load(declarations: Declarations, networks: Mapping[str, Source] | Source) -> Joint:
    """The models of a query's networks, checked against what it declares. networks: files by network name, or the only one.

    Raises UsageError V003 for missing and unnecessary files; ModelError V116 where a model does not fit, others as `onnx_reader.read`.
    """
    warnings: list[str] = []
    files = _assigned(declarations, networks, warnings)
    models: dict[tuple[str, tuple[str, ...]], Model] = {}
    parts = []
    for network in declarations.networks:
        name = network.equal_to or network.name
        hidden = tuple(v.tensor for v in network.of("hidden"))
        model = models.get((name, hidden))
        if model is None:
            model = onnx_reader.read(files[name], shapes=[v.shape for v in network.of("input")], hidden=hidden)
            models[name, hidden] = model
        _check(network, model, warnings)
        parts.append(Part(network.name, model, declarations.inputs(network)))
    return Joint(tuple(parts), join(parts, int(declarations.sources.max()) + 1), tuple(warnings))


def join(parts: Sequence[Part], inputs: int) -> Graph:
    """One graph over `inputs` numbers, simplified. Copies of a network that read the same are one."""
    if len(parts) == 1 and np.array_equal(parts[0].sources, np.arange(inputs)):
        return parts[0].model.graph
    nodes = [Node(Input(), (), (inputs,))]
    ends: dict[tuple[int, bytes], int] = {}
    keys, sizes = [(id(p.model), p.sources.tobytes()) for p in parts], [p.model.graph.output_size for p in parts]
    for key, part in zip(keys, parts):
        if key in ends:
            continue
        graph, first = part.model.graph, 0
        if not np.array_equal(part.sources, np.arange(inputs)):
            nodes.append(Node(Take(0, part.sources, (inputs,)), (0,), (len(part.sources),), (part.name,)))
            first = len(nodes) - 1
        shift = len(nodes) - 1
        origin = f"{part.name}." if len(parts) > 1 else ""
        for node in graph.nodes[1:]:
            parents = tuple(first if p == 0 else p + shift for p in node.inputs)
            nodes.append(replace(node, inputs=parents, origin=tuple(origin + o for o in node.origin)))
        ends[key] = len(nodes) - 1
    if len(parts) > 1:
        nodes.append(Node(Concat(0, tuple(sizes)), tuple(ends[key] for key in keys), (sum(sizes),)))
    return simplify(Graph(tuple(nodes)))


def of_models(declarations: Declarations, models: Mapping[str, Model]) -> Joint:
    """The same for models that are there already, by the names of the networks that need one, and that fit the declarations."""
    parts = tuple(Part(n.name, models[n.equal_to or n.name], declarations.inputs(n)) for n in declarations.networks)
    return Joint(parts, join(parts, int(declarations.sources.max()) + 1), ())


# -- files --


def _assigned(declarations: Declarations, networks: Mapping[str, Source] | Source, warnings: list[str]) -> dict[str, Source]:
    """The file of every network that needs one."""
    needed = declarations.needed
    if not isinstance(networks, Mapping):
        if len(needed) != 1:
            raise UsageError(f"the query has {len(needed)} networks", code="V003", hint=_usage(needed))
        return {needed[0]: networks}
    missing = [name for name in needed if name not in networks]
    if missing:
        raise UsageError(f"no model is given for the network {missing[0]}", code="V003", hint=_usage(needed))
    equal = {n.name: n.equal_to for n in declarations.networks if n.equal_to}
    for name, path in networks.items():
        if name in equal and _digest(path) == _digest(networks[equal[name]]):
            warnings.append(f"no model is needed for the network {name}: it is equal to {equal[name]}")
        elif name in equal:
            raise UsageError(f"the model of the network {name} differs from that of {equal[name]}, to which the query says it is equal",
                             code="V003", location=Location(path.file if isinstance(path, Model) else str(path)), hint=_usage(needed))
        elif name not in needed:
            raise UsageError(f"the query declares no network {name}", code="V003", hint=_usage(needed))
    return {name: networks[name] for name in needed}


def _usage(needed: Sequence[str]) -> str:
    return "give " + " ".join(f"--network {name}=FILE" for name in needed)


def _digest(path: Source) -> str:
    if isinstance(path, Model):
        return path.sha256
    found = next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
    if found is None:
        raise ModelError(f"no such file: {path}", code="V102", location=Location(str(path)))
    return hashlib.sha256(found.read_bytes()).hexdigest()


# -- declarations --


def _check(network: Network, model: Model, warnings: list[str]) -> None:
    """Number, shapes and element types of inputs, hidden nodes and outputs."""
    inputs, outputs = network.of("input"), (*network.of("hidden"), *network.of("output"))
    if len(inputs) != len(model.input_shapes) or len(outputs) != len(model.output_shapes):
        declared = f"{len(inputs)} inputs and {len(outputs) - model.hidden} outputs of the network {network.name}"
        found = f"{len(model.input_shapes)} and {len(model.output_shapes) - model.hidden}"
        raise ModelError(f"the query declares {declared}, but the model has {found}", code="V116", location=Location(model.file))
    shapes, dtypes = model.input_shapes + model.output_shapes, model.input_dtypes + model.output_dtypes
    for variable, shape, dtype in zip((*inputs, *outputs), shapes, dtypes):
        _check_shape(variable, shape, model, warnings)
        _check_type(network, variable, dtype, model, warnings)


def _check_shape(variable: Variable, shape: tuple[int, ...], model: Model, warnings: list[str]) -> None:
    if variable.shape == shape:
        return
    message = f"{variable.name} has the shape {list(variable.shape)} in the query and {list(shape)} in the model"
    if variable.size != int(np.prod(shape)):
        raise ModelError(message, code="V116", location=Location(model.file))
    warnings.append(f"{message}: elements are taken in C order")


def _check_type(network: Network, variable: Variable, dtype: str, model: Model, warnings: list[str]) -> None:
    if variable.dtype == _REAL or dtype in ("", variable.dtype):
        return
    message = f"{variable.name} is of type {variable.dtype} in the query and of type {dtype} in the model"
    if not network.isomorphic_to:
        raise ModelError(message, code="V116", location=Location(model.file), hint="declare the type of the model, or real everywhere")
    warnings.append(f"{message}; the model's type is used")
