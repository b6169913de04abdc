"""`verifier range`: how low and how high outputs get over the input set of a query."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifier.cli import arguments
from verifier.cli.exit_codes import HOLDS, INTERRUPTED, UNDECIDED
from verifier.cli.signals import StopRequest

if TYPE_CHECKING:
    from verifier.answers import OutputInterval, RangeAnswer


@click.command(short_help="Bound outputs over the input set of a query.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL.onnx QUERY.vnnlib | TEMPLATE.yaml")
@click.option("--network", "networks", multiple=True, metavar="[NAME=]MODEL.onnx", help="The model, as for `verify`.")
@click.option("--outputs", metavar="INDEX,...", help="Which outputs, such as 0,2-4. Default: all.")
@click.option("--precision", type=float, default=0.01, show_default=True, metavar="REL", help="Gap wanted, as a part of the range.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Wall-clock limit of a query, loading included. Default: none.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the ranges, and where they are attained.")
@click.option("--device", metavar="auto|cpu|cuda", help="Where bounds are computed. Default: auto.")
@click.option("--seed", type=int, metavar="N", help="Seed of every random choice. Default: 0.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="YAML file with settings.")
@click.option("-q", "--quiet", is_flag=True, help="Print the table, warnings and errors only.")
def command(
    files: tuple[Path, ...],
    networks: tuple[str, ...],
    outputs: str | None,
    precision: float,
    timeout: float | None,
    json_path: Path | None,
    device: str | None,
    seed: int | None,
    config_path: Path | None,
    quiet: bool,
) -> int:
    """Show how low and how high the outputs of MODEL.onnx get over the inputs of QUERY.vnnlib (its conditions on outputs are not used).

    `proved` encloses every value of an output over the reals. `attained` are values of points that were run in onnxruntime, which the
    JSON document holds. The gap between the two shrinks until it is at most REL of the range, the time is over, or Ctrl-C is pressed:
    what is known by then is printed.

    \b
    Exit codes: 0 all gaps are closed, 2 refused, 3 some are left,
    4 self-check failed or internal fault, 130 interrupted.
    """
    from verifier.report import ranges

    network, query = arguments.inputs("range", files, networks)
    settings = arguments.settings(config_path, {"search.timeout": timeout, "search.device": device, "search.seed": seed})
    chosen = None if outputs is None else arguments.indices("--outputs", outputs)
    arguments.check_writable(json_path)
    answers: list[RangeAnswer] = []
    problems = list(arguments.problems(query, network))
    with StopRequest() as stop, _shown(quiet) as progress:
        from verifier.questions.ranges import output_ranges

        for part, load in problems:
            answers.append(output_ranges(load, settings, chosen, precision, progress, stop.requested))
            _print(answers[-1], part if len(problems) > 1 else "", quiet)
            if stop.requested():
                break
    if json_path is not None:
        arguments.write_document(json_path, ranges.document(answers))
    if stop.requested():
        return INTERRUPTED
    return HOLDS if all(answer.ending.value == "precise" for answer in answers) else UNDECIDED


def _print(answer: RangeAnswer, part: str, quiet: bool) -> None:
    from verifier.report import ranges

    click.echo("\n".join([*([f"# {part}"] if part else []), ranges.table(answer)]))
    for warning in answer.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not quiet:
        click.echo("\n".join(ranges.summary(answer)), err=True)


@contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[Sequence[OutputInterval], float], None] | None]:
    """A live line on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return

    def show(intervals: Sequence[OutputInterval], seconds: float) -> None:
        done, widest = sum(i.precise for i in intervals), max(i.gap for i in intervals)
        sys.stderr.write(f"\r\x1b[K{seconds:8.1f}s  {done} of {len(intervals)} outputs done, widest gap {100 * widest:.2f} %")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
