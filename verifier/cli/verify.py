"""`verifier verify`: decide one query and report it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import click

from verifier.cli import arguments, templates
from verifier.cli.exit_codes import INTERRUPTED, exit_code
from verifier.cli.reporting import BASELINE_HELP, REPORT_HELP, UNDECIDED_HELP, Reporting
from verifier.cli.signals import StopRequest
from verifier.errors import Location, UsageError

if TYPE_CHECKING:
    from verifier.config import Settings
    from verifier.search.events import Listener
    from verifier.verdict import Verdict


@click.command(short_help="Decide whether a network has a property.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL.onnx QUERY.vnnlib | TEMPLATE.yaml")
@click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="[NAME=]MODEL.onnx",
    help="The model, if only the query is an argument; repeated for queries over several networks. NAME: what a VNN-LIB 2 query calls it.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Wall-clock limit, loading included. Default: none.")
@click.option(
    "--serialise-assignments",
    "--assignments",
    "tensors_path",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the counterexample to a VNN-LIB 2 query as ONNX tensors DIR/VARIABLE.pb, not to stdout.",
)
@click.option(
    "--export-vnnlib", "export", type=click.Choice(["1", "2"]), help="Write the queries of a template as VNN-LIB, decide nothing."
)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Where --export-vnnlib writes; a suite for `bench`.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the verdict as JSON.")
@click.option("--report", "reports", multiple=True, metavar="FORMAT=FILE", help=REPORT_HELP)
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help=BASELINE_HELP)
@click.option("--undecided", type=click.Choice(["fail", "pass"]), default="fail", help=UNDECIDED_HELP)
@click.option("--events", "events_path", type=click.Path(path_type=Path), metavar="FILE", help="Write progress as JSON lines.")
@click.option("--device", metavar="auto|cpu|cuda", help="Where bounds are computed. Default: auto.")
@click.option("--seed", type=int, metavar="N", help="Seed of every random choice. Default: 0.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="YAML file with settings.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 for every verdict; errors and interruption keep their codes.")
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict, warnings and errors only.")
@click.option("-v", "--verbose", count=True, help="More in the summary; -vv also shows the traceback of an error.")
def command(
    files: tuple[Path, ...],
    networks: tuple[str, ...],
    timeout: float | None,
    tensors_path: Path | None,
    export: str | None,
    output: Path | None,
    json_path: Path | None,
    reports: tuple[str, ...],
    baseline: Path | None,
    undecided: str,
    events_path: Path | None,
    device: str | None,
    seed: int | None,
    config_path: Path | None,
    exit_zero: bool,
    quiet: bool,
    verbose: int,
) -> int:
    """Decide whether a violation described by QUERY.vnnlib exists for MODEL.onnx.

    \b
    verifier verify MODEL.onnx QUERY.vnnlib
    verifier verify QUERY.vnnlib --network [NAME=]MODEL.onnx ...
    verifier verify TEMPLATE.yaml [--network [NAME=]MODEL.onnx ...]

    The verdict goes to stdout: sat (violated, followed by a counterexample), unsat (holds), unknown or timeout (timed-out for
    VNN-LIB 2). A template with several queries gets one line a query: verdict, seconds, and which one. Everything else goes to
    stderr; --timeout is for one query, the exit code that of the worst.

    \b
    Exit codes: 0 holds, 1 violated, 2 refused, 3 undecided,
    4 self-check failed or internal fault, 130 interrupted.
    """
    network, query = arguments.inputs("verify", files, networks)
    if export is not None or output is not None:
        return _export(query, network, export, output, timeout)
    settings = arguments.settings(config_path, {"search.timeout": timeout, "search.device": device, "search.seed": seed})
    for path in (json_path, events_path):
        arguments.check_writable(path)
    if tensors_path is not None and tensors_path.exists() and not tensors_path.is_dir():
        raise UsageError("this is not a folder", code="V002", location=Location(str(tensors_path)))
    reporting = Reporting.of(reports, undecided, baseline)
    with reporting.errors(network or (), query):
        opened = templates.Opened.read(query, network) if query.suffix in templates.SUFFIXES else None
        if opened is not None and len(opened.template.queries) > 1:
            if tensors_path is not None:
                raise UsageError("--serialise-assignments is for one query", hint="the JSON document has all counterexamples")
            with _watched(events_path, False) as (listener, stop):
                records, complete = templates.decide_all(opened, settings, listener, stop, quiet)
            code = templates.finish(records, complete, json_path, reporting)
        else:
            decide = _engine(network, query) if opened is None else partial(opened.decide, opened.template.queries[0])
            with _watched(events_path, not quiet) as (listener, stop):
                verdict = decide(settings, listener, stop)
            _report(verdict, json_path, tensors_path, quiet, verbose)
            code = reporting.finish(verdict, exit_code(verdict))
    return 0 if exit_zero and code != INTERRUPTED else code


def _export(query: Path, network: Path | dict[str, Path] | None, version: str | None, folder: Path | None, timeout: float | None) -> int:
    from verifier.cli.export import export

    if version is None or folder is None or query.suffix not in templates.SUFFIXES:
        raise UsageError(
            "--export-vnnlib needs a template and --output", hint="verifier verify TEMPLATE.yaml --export-vnnlib 2 --output DIR"
        )
    count = export(templates.Opened.read(query, network), version, folder, timeout)
    click.echo(f"wrote {count} {'query' if count == 1 else 'queries'} to {folder}", err=True)
    return 0


Decide = Callable[["Settings", "Listener | None", Callable[[], bool]], "Verdict"]


def _engine(network: Path | dict[str, Path] | None, query: Path) -> Decide:
    def decide(settings: Settings, listener: Listener | None, stop: Callable[[], bool]) -> Verdict:
        from verifier.engine import verify  # takes a while: a signal may arrive meanwhile

        return verify(cast("Path | dict[str, Path]", network), query, settings, listener=listener, stop=stop)

    return decide


@contextmanager
def _watched(events_path: Path | None, table: bool) -> Iterator[tuple[Listener | None, Callable[[], bool]]]:
    """What hears of progress, and whether the user wants the run to stop."""
    from verifier.report.progress import JsonLines, Table, broadcast

    listeners: list[Listener] = []
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest())
        if events_path is not None:
            listeners.append(JsonLines(stack.enter_context(_opened(events_path))))
        if table:
            shown = Table(sys.stderr)
            stack.callback(shown.close)
            listeners.append(shown)
        yield broadcast(listeners), stop.requested


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"this file cannot be written: {error.strerror}", code="V002", location=Location(str(path))) from error


def _report(verdict: Verdict, json_path: Path | None, tensors_path: Path | None, quiet: bool, verbose: int) -> None:
    """The verdict first: nothing that fails afterwards can take it back."""
    from verifier.report import json_report, text

    serialised = tensors_path is not None and _serialised(verdict, tensors_path)
    try:
        sys.stdout.write((text.word(verdict) if serialised else text.answer(verdict)) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone; keep the interpreter from failing on the same pipe at exit, which would change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for warning in verdict.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not quiet:
        click.echo(text.summary(verdict, verbose > 0), err=True)
    if json_path is not None:
        try:
            json_report.write(verdict, json_path)
        except OSError as error:
            click.echo(f"warning: the verdict stands, but {json_path} was not written: {error.strerror}", err=True)


def _serialised(verdict: Verdict, folder: Path) -> bool:
    """Whether the counterexample now lies in `folder`; if not, it goes to stdout."""
    from verifier.report import tensors

    found = verdict.counterexample
    if found is None:
        return False
    if not found.variables:
        click.echo("warning: counterexamples to VNN-LIB 1 queries are not serialised", err=True)
        return False
    try:
        tensors.write(found, folder)
    except OSError as error:
        click.echo(f"warning: {folder} was not written: {error.strerror}", err=True)
        return False
    return True
