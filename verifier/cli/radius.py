"""`verifier radius`: how far the property of a template holds around its samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifier.cli import arguments, templates
from verifier.cli.exit_codes import HOLDS, INTERRUPTED, UNDECIDED
from verifier.cli.signals import StopRequest
from verifier.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verifier.answers import RadiusAnswer
    from verifier.graph.onnx_reader import Model
    from verifier.property.templates.reader import Query


@click.command(short_help="Bisect how far a property holds around samples.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="[MODEL.onnx] TEMPLATE.yaml")
@click.option("--network", "networks", multiple=True, metavar="[NAME=]MODEL.onnx", help="The model, as for `verify`.")
@click.option("--precision", type=float, default=0.05, show_default=True, metavar="REL", help="Gap wanted, as a part of the radius.")
@click.option("--most", metavar="EPS", help="Largest radius of interest. Default: where the domain ends, or 1024 times the template's eps.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Wall-clock limit of a sample. Default: none.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write radii and counterexamples as JSON.")
@click.option("--device", metavar="auto|cpu|cuda", help="Where bounds are computed. Default: auto.")
@click.option("--seed", type=int, metavar="N", help="Seed of every random choice. Default: 0.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="YAML file with settings.")
@click.option("-q", "--quiet", is_flag=True, help="Print the radii, warnings and errors only.")
def command(
    files: tuple[Path, ...],
    networks: tuple[str, ...],
    precision: float,
    most: str | None,
    timeout: float | None,
    json_path: Path | None,
    device: str | None,
    seed: int | None,
    config_path: Path | None,
    quiet: bool,
) -> int:
    """For every sample of TEMPLATE.yaml, find the largest radius for which its property is proved, and the smallest that is violated.

    The template is one with data and eps; eps is where the search begins. A proof for a radius holds for all smaller ones. A
    counterexample was run in onnxruntime, and the violated radius is its exact distance from the sample. It ends when the two are
    apart by at most REL of the radius, when the time is over, or with Ctrl-C: what is known by then is printed.

    \b
    Exit codes: 0 all radii are known, 2 refused, 3 some are not,
    4 self-check failed or internal fault, 130 interrupted.
    """
    from verifier.property.templates.region import exact
    from verifier.report import radii

    network, path = arguments.inputs("radius", files, networks)
    if path.suffix not in templates.SUFFIXES:
        raise UsageError("a radius is asked for of a template", hint="verifier radius TEMPLATE.yaml")
    settings = arguments.settings(config_path, {"search.timeout": timeout, "search.device": device, "search.seed": seed})
    limit = None if most is None else exact(most)
    arguments.check_writable(json_path)
    opened = templates.Opened.read(path, network)
    answers: list[RadiusAnswer] = []
    with StopRequest() as stop:
        from verifier.questions.radii import Session, radius

        session = Session()
        for query in opened.template.queries:
            load = partial(_loaded, opened.models, query)
            answers.append(radius(load, settings, precision, limit, stop.requested, session))
            click.echo(radii.line(answers[-1]))
            if stop.requested():
                break
    for warning in dict.fromkeys(w for answer in answers for w in answer.warnings):
        click.echo(f"warning: {warning}", err=True)
    if not quiet:
        click.echo("\n".join(radii.summary(answers)), err=True)
    if json_path is not None:
        arguments.write_document(json_path, radii.document(answers))
    if stop.requested():
        return INTERRUPTED
    return HOLDS if all(answer.ending.value == "precise" for answer in answers) else UNDECIDED


def _loaded(models: Sequence[Model], query: Query) -> tuple[Sequence[Model], Query]:
    return models, query
