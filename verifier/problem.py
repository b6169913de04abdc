"""A query with the function that it speaks of, from files: one network, or several joined into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from verifier.errors import InternalError, Location, PropertyError, UsageError
from verifier.graph import onnx_reader
from verifier.graph.agreement import same_values
from verifier.graph.replay import Evaluator, Replay
from verifier.graph.self_check import self_check
from verifier.graph.simplify import condense
from verifier.operators.ball import NormBall
from verifier.property import vnnlib1
from verifier.property.tokens import speaks_version_2
from verifier.verdict import Assignment, FileRecord

if TYPE_CHECKING:
    from verifier.graph.combine import Joint
    from verifier.graph.ir import Graph
    from verifier.graph.onnx_reader import Model
    from verifier.property.disjuncts import Property
    from verifier.property.templates import reader as templates
    from verifier.property.templates.region import Interface

Networks = onnx_reader.Source | Mapping[str, onnx_reader.Source]
"""The only network of a query, or networks by the names that the query gives to them."""


@dataclass(frozen=True, eq=False)
class Problem:
    """graph: from the inputs to the outputs of `prop`, followed by its products of variables. dtype: the narrowest input type of the
    networks, whose values all of them hold.

    check(lower, upper, seed, stop): compares the graph with onnxruntime on a box; it raises SelfCheckError. files: of the networks.
    """

    graph: Graph
    prop: Property
    dtype: np.dtype
    replay: Evaluator
    check: Callable[[np.ndarray, np.ndarray, int, Callable[[], bool]], object]
    files: tuple[FileRecord, ...]
    warnings: tuple[str, ...]


def read(networks: Networks, query: Path) -> Problem:
    """Raises ModelError, PropertyError, or UsageError where networks and query do not belong together."""
    return _read_joint(networks, query) if speaks_version_2(query) else _read_single(networks, query)


def of_models(models: Sequence[Model], prop: Property) -> Problem:
    """A property that a template made about `models`, of which each network with a file of its own has one, in order."""
    if prop.declarations is None:
        return with_property(_single(models[0], prop), prop)
    from verifier.graph import combine

    joint = combine.of_models(prop.declarations, dict(zip(prop.declarations.needed, models)))
    return with_property(_joint(joint, prop, []), prop)


def with_property(problem: Problem, prop: Property) -> Problem:
    """The same networks with another property, or another region of it."""
    ball = None if prop.ball is None else NormBall.of(prop.ball.norm, prop.ball.centre, prop.ball.scale, prop.ball.radius)
    return replace(problem, prop=prop, graph=problem.graph.within(ball))


def of_query(models: Sequence[Model], query: templates.Query) -> Problem:
    """One query of a template about models that are there already."""
    return of_models(models, query.build(interfaces(models)))


def interfaces(models: Sequence[Model]) -> list[Interface]:
    """What a template has to know of its networks."""
    from verifier.property.templates.region import Interface

    return [Interface(model.input_shapes, model.output_shapes) for model in models]


def models_of(template: templates.Template, networks: Networks | None = None) -> list[Model]:
    """The models that a template is about, in its order. networks: in place of those that it names.

    Raises UsageError where the template names none or `networks` are others than it needs, ModelError as `onnx_reader.read`.
    """
    location, names = Location(template.origin.source), template.names
    if networks is None and not template.networks:
        raise UsageError("the template names no network", location=location, hint="add the key network, or give --network")
    if networks is None:
        return [onnx_reader.read(path) for path in template.networks]
    given = networks if isinstance(networks, Mapping) else {names[0]: networks}
    if len(names) == 1 and len(given) == 1:
        return [onnx_reader.read(path) for path in given.values()]
    if set(given) != set(names):
        hint = f"give {' '.join(f'--network {name}=FILE' for name in names)}"
        raise UsageError(f"the template is about {len(names)} network(s)", code="V003", location=location, hint=hint)
    return [onnx_reader.read(given[name]) for name in names]


def _read_single(networks: Networks, query: Path) -> Problem:
    if isinstance(networks, Mapping) and len(networks) != 1:
        message = f"{len(networks)} networks for a query in VNN-LIB 1, which speaks of one"
        raise UsageError(message, code="V003", location=Location(str(query)))
    path = next(iter(networks.values())) if isinstance(networks, Mapping) else networks
    model, prop = onnx_reader.read(path), vnnlib1.read(query)
    for what, declared, found in (("X", prop.inputs, model.graph.input_size), ("Y", prop.outputs, model.graph.output_size)):
        if declared != found:
            raise PropertyError(f"the query declares {declared} {what} variables, but the network has {found}", code="V210",
                                location=Location(str(query)), hint="is this the query for this network? Tensors are flattened in C order")
    return _single(model, prop, str(path) if isinstance(path, Path) else None)


def _single(model: Model, prop: Property, path: str | None = None) -> Problem:
    """path: the name of the network's file in the verdict, if not that of the model."""
    replay, graph = Replay(model), condense(model.graph)
    files = (FileRecord(path or model.file, model.sha256),)

    def check(lower: np.ndarray, upper: np.ndarray, seed: int, stop: Callable[[], bool]) -> object:
        same_values(model.graph, graph, lower, upper, seed)
        return self_check(model, lower, upper, seed, stop)

    return Problem(graph, prop, _narrowest(model.input_dtypes), replay, check, files, prop.warnings)


def _read_joint(networks: Networks, query: Path) -> Problem:
    from verifier.graph import combine
    from verifier.property import vnnlib2
    from verifier.property.theories import ELEMENT_TYPES

    prop = vnnlib2.read(query)
    if prop.declarations is None:
        raise InternalError("a VNN-LIB 2 query without declarations")
    joint = combine.load(prop.declarations, networks)
    warnings = []
    types = sorted({v.dtype for v in prop.declarations.variables if "float" in v.dtype} - set(ELEMENT_TYPES))
    if types:
        warnings.append(f"type {' and '.join(types)}: sat is confirmed in the network's own arithmetic, unsat is proved over the reals")
    return _joint(joint, prop, warnings)


def _joint(joint: Joint, prop: Property, warnings: list[str]) -> Problem:
    from verifier.graph.combine import JointReplay
    from verifier.graph.products import with_products

    replay, whole = JointReplay(joint), with_products(joint.graph, prop.monomials)
    graph = condense(whole)
    files = tuple(FileRecord(model.file, model.sha256, name) for name, model in joint.files.items())

    def check(lower: np.ndarray, upper: np.ndarray, seed: int, stop: Callable[[], bool]) -> None:
        same_values(whole, graph, lower, upper, seed)
        replay.check(lower, upper, seed, stop)

    return Problem(graph, prop, _narrowest(joint.input_dtypes), replay, check, files,
                   (*prop.warnings, *joint.warnings, *warnings))


def _narrowest(dtypes: tuple[str, ...]) -> np.dtype:
    return min((np.dtype(t) for t in dtypes), key=lambda t: t.itemsize)


def assignments(prop: Property, x: np.ndarray, y: np.ndarray) -> tuple[Assignment, ...]:
    """Every declared variable of a VNN-LIB 2 query at x (n,), y (m,), in order; nothing for VNN-LIB 1."""
    if prop.declarations is None:
        return ()
    values = prop.declarations.values
    return tuple(Assignment(v.name, v.dtype, v.shape, _integers(values(v, x, y)) if "int" in v.dtype else decimals(values(v, x, y)))
                 for v in prop.declarations.variables)


def _integers(values: np.ndarray) -> tuple[str, ...]:
    return tuple(str(int(v)) if float(v).is_integer() else _decimal(v) for v in values)


def decimals(values: np.ndarray) -> tuple[str, ...]:
    """Shortest decimals that round-trip in the array's type."""
    return tuple(_decimal(v) for v in values)


def _decimal(v: np.floating) -> str:
    if 1e-5 <= abs(v) < 1e16 or v == 0:
        return np.format_float_positional(v, unique=True, trim="0")
    return np.format_float_scientific(v, unique=True, trim="0")
