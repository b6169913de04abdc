"""`verifier supports`: what the standard asks of a solver (VNN-LIB, chapter 5), one answer a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from verifier.property import theories


def _opsets() -> Iterable[str]:
    import onnx

    from verifier.graph.onnx_reader import OLDEST_OPSET

    return str(OLDEST_OPSET), str(onnx.defs.onnx_opset_version())


def _operators() -> Iterable[str]:
    from verifier.graph.onnx_reader import supported_operators

    return supported_operators()


CAPABILITIES: dict[str, tuple[Callable[[], Iterable[str]], str]] = {
    "onnx-opset-versions": (_opsets, "The oldest and the newest opset."),
    "onnx-element-types": (lambda: theories.ELEMENT_TYPES, "Element types that a proof is sound for."),
    "onnx-operators": (_operators, "Operators, each for all of these element types."),
    "vnnlib-versions": (lambda: theories.VERSIONS, "The oldest and the newest version of VNN-LIB 2; VNN-LIB 1 is read as well."),
    "hidden-node-theories": (lambda: theories.HIDDEN_NODES, "No hidden nodes (NH), hidden nodes (H)."),
    "multiple-input-output-theories": (lambda: theories.INPUTS_OUTPUTS, "One input and output (SIO), several (MIO)."),
    "multiple-network-theories": (lambda: theories.NETWORKS, "One network, equal, isomorphic, or any networks."),
    "multiple-node-comparison-theories": (lambda: theories.NODE_COMPARISONS, "One node (SNC) or several (MNC) in a comparison."),
    "arithmetic-complexity-theories": (lambda: theories.ARITHMETIC, "Bounds, comparisons of outputs, linear terms."),
    "optimised-disjunctive-reasoning": (lambda: (str(theories.OPTIMISED_DISJUNCTIONS).lower(),), "More than a disjunctive normal form."),
    "serialise-assignments": (lambda: ("true",), "Witnesses as ONNX tensors."),
}
"""Name of the option -> its answers, what they are."""

_ALIASES = {"multiple-inputs-output-theories": "multiple-input-output-theories", "assignments": "serialise-assignments"}
"""Other spellings in the text of the standard."""


def _flags(function: Callable[..., None]) -> Callable[..., None]:
    for name, (_, text) in reversed(CAPABILITIES.items()):
        function = click.option(f"--{name}", name.replace("-", "_"), is_flag=True, help=text)(function)
    for name, meant in _ALIASES.items():
        function = click.option(f"--{name}", f"alias_{meant.replace('-', '_')}", is_flag=True, hidden=True)(function)
    return function


@click.command(short_help="Say what is supported, in the terms of the VNN-LIB standard.")
@_flags
def command(**asked: bool) -> None:
    """Answer the questions of the VNN-LIB standard about a solver, one answer a line; without an option, all of them."""
    names = [name for name in CAPABILITIES if asked[name.replace("-", "_")] or asked.get(f"alias_{name.replace('-', '_')}")]
    for name in names or CAPABILITIES:
        answers = CAPABILITIES[name][0]()
        if len(names) == 1:
            for answer in answers:
                click.echo(answer)
        else:
            click.echo(f"{name}: {' '.join(answers)}")
