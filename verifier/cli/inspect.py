"""`verifier inspect`: what is in a network, and how much of it a query leaves undecided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifier.errors import ModelError
from verifier.report.text import count

if TYPE_CHECKING:
    from verifier.graph.ir import Graph
    from verifier.graph.onnx_reader import Model
    from verifier.property.disjuncts import Property


@click.command(short_help="Show the operators, shapes and layers of a network.")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL.onnx")
@click.argument("query", type=click.Path(path_type=Path), metavar="[QUERY.vnnlib]", required=False)
def command(model: Path, query: Path | None) -> None:
    """Show operators, shapes, parameters and layers of MODEL.onnx; with a query also the unstable neurons of each layer.

    A neuron is unstable where interval and linear bounds over the query's inputs leave it on both sides of a kink.
    Exits with 2 if the network is not supported.
    """
    from verifier.graph import onnx_reader

    try:
        network = onnx_reader.read(model)
    except ModelError as error:
        for line in _census(model, error):
            click.echo(line)
        raise
    for line in describe(network):
        click.echo(line)
    graph, unstable = network.graph, None
    if query is not None:
        from verifier import problem

        asked = problem.read(model, query)
        for line in _describe_query(asked.prop, asked.warnings, query):
            click.echo(line)
        graph, unstable = asked.graph, _unstable(asked.graph, asked.prop)
    for line in layers(graph, unstable):
        click.echo(line)


def describe(model: Model) -> Iterator[str]:
    precision = "single" if model.single_precision else "double"
    yield f"model       {model.path}"
    yield f"            opset {model.opset}, {count(model.parameters)} parameters, {precision} precision"
    for name, shape, dtype in zip(model.input_names, model.input_shapes, model.input_dtypes):
        yield f"input       {name}  {dtype} {_shape(shape)}"
    for name, shape in zip(model.output_names, model.output_shapes):
        yield f"output      {name}  {_shape(shape)}"
    yield f"operators   {_counts(model.operators)}"
    yield "            all supported"


def layers(graph: Graph, unstable: tuple[int, ...] | None) -> Iterator[str]:
    """One line a nonlinear node; `unstable`: one number a pre-activation, in graph order."""
    yield f"{'layer':<10}  {'function':<12} {'neurons':>9}" + ("" if unstable is None else f" {'unstable':>9}") + "  node"
    counts = None if unstable is None else dict(zip(graph.preactivations, unstable))
    for i, n in enumerate(graph.nonlinear):
        node = graph.nodes[n]
        share = "" if counts is None else f" {counts.get(node.inputs[0], 0):>9}"
        yield f"{i:<10}  {type(node.operator).__name__:<12} {node.size:>9}{share}  {', '.join(node.origin)}".rstrip()


def _describe_query(prop: Property, warnings: tuple[str, ...], query: Path) -> Iterator[str]:
    empty = sum(d.empty for d in prop.disjuncts)
    yield f"query       {query}"
    yield f"            {prop.inputs} inputs, {prop.outputs} outputs, {len(prop.disjuncts)} disjuncts ({empty} with an empty input set)"
    yield from (f"warning     {warning}" for warning in warnings)


def _unstable(graph: Graph, prop: Property) -> tuple[int, ...] | None:
    """Unstable neurons of each pre-activation over the smallest box around all disjuncts; None where every one is empty."""
    import numpy as np

    from verifier.arrays import numpy_arrays, to_numpy
    from verifier.bounds.ascent import Schedule
    from verifier.bounds.intermediate import root_bounds
    from verifier.bounds.resources import Resources
    from verifier.bounds.stability import unstable
    from verifier.parallel import Workers

    live = [d for d in prop.disjuncts if not d.empty]
    if not live:
        return None
    lower, upper = np.min([d.lower for d in live], axis=0), np.max([d.upper for d in live], axis=0)
    arrays = numpy_arrays()
    with Workers(1) as workers:
        root = root_bounds(graph, Resources(arrays, arrays, workers), lower, upper, Schedule(0))
    return tuple(int(to_numpy(unstable(graph, p, root.preactivations[p])).sum()) for p in graph.preactivations)


def _census(path: Path, refusal: ModelError) -> Iterator[str]:
    """The operators of a file that could be parsed but was refused, supported and not."""
    import gzip

    import onnx

    from verifier.graph.onnx_reader import supported_operators

    if refusal.location is None or refusal.code in ("V102", "V103", "V104", "V105"):
        return
    found = path if path.is_file() else path.with_name(path.name + ".gz")
    data = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
    operators = Counter(node.op_type for node in onnx.load_model_from_string(data).graph.node)
    known = set(supported_operators())
    yield f"model       {found}"
    yield f"operators   {_counts({name: n for name, n in operators.items() if name in known}) or 'none'}"
    yield f"unsupported {_counts({name: n for name, n in operators.items() if name not in known}) or 'none by name'}"


def _counts(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(operators.items()))


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
