"""`verifier bench`: run a suite in the form of VNN-COMP, and compare two runs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verifier.cli.exit_codes import HOLDS, INTERRUPTED, VIOLATED
from verifier.cli.reporting import BASELINE_HELP, REPORT_HELP, UNDECIDED_HELP, Reporting
from verifier.cli.signals import StopRequest
from verifier.errors import UsageError

if TYPE_CHECKING:
    from verifier.bench.session import Finished, Options


class DefaultGroup(click.Group):
    """`bench SUITE` means `bench run SUITE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["run", *args])


@click.group("bench", cls=DefaultGroup)
def command() -> None:
    """Run suites of queries."""


@command.command("run", short_help="Run a suite.")
@click.argument("suite", type=click.Path(path_type=Path), metavar="SUITE_DIR|instances.csv")
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Where results go. Default: bench-SUITE.")
@click.option("--resume", is_flag=True, help="Go on with the results in the output folder: run what is missing, failed or had less time.")
@click.option("--jobs", type=click.IntRange(1), default=1, metavar="N", help="Instances at once; they share the cores. Default: 1.")
@click.option("--partition", default="1/1", metavar="i/n", help="Run the i-th of n parts of the suite only.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Upper limit of an instance's timeout.")
@click.option("--timeout-scale", type=float, default=1.0, metavar="X", help="Factor on the suite's timeouts. Default: 1.")
@click.option("--grace", type=click.FloatRange(0), default=5.0, metavar="SECONDS", help="From the timeout to the kill. Default: 5.")
@click.option("--vnnlib", type=click.Choice(["1.0", "2.0"]), help="The version folder to run where a category has both. Default: 1.0.")
@click.option("--report", "reports", multiple=True, metavar="FORMAT=FILE", help=REPORT_HELP)
@click.option("--gate", is_flag=True, help="Exit with the code of the worst result, as a check in CI. Implied by the next two.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help=BASELINE_HELP)
@click.option("--undecided", type=click.Choice(["fail", "pass"]), help=UNDECIDED_HELP)
@click.option("--device", metavar="auto|cpu|cuda", help="Where bounds are computed. Default: auto.")
@click.option("--seed", type=int, metavar="N", help="Seed of every random choice. Default: 0.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="YAML file with settings.")
@click.option("-q", "--quiet", is_flag=True, help="Print the table of categories only.")
def run(
    suite: Path,
    output: Path | None,
    resume: bool,
    jobs: int,
    partition: str,
    timeout: float | None,
    timeout_scale: float,
    grace: float,
    vnnlib: str | None,
    reports: tuple[str, ...],
    gate: bool,
    baseline: Path | None,
    undecided: str | None,
    device: str | None,
    seed: int | None,
    config_path: Path | None,
    quiet: bool,
) -> int:
    """Run the instances of SUITE, each in a process of its own, and score them against its verdicts.csv.

    The table of categories goes to stdout, progress to stderr. The output folder holds results.sqlite, which gets every result as
    it comes, and results.csv in the form of the competition.

    \b
    verifier bench compare RUN_A RUN_B    compares two runs; see its --help

    \b
    Exit codes: 0 done, 1 an answer contradicts a stored verdict, 2 refused,
    4 results cannot be written, 130 interrupted (go on with --resume).
    As a gate also 1 a property is violated, 2 or 4 an error, 3 undecided.
    """
    from verifier.bench import suite as suites
    from verifier.bench.session import Options
    from verifier.bench.store import records_of

    reporting = Reporting.of(reports, undecided or "fail", baseline, gate or undecided is not None)
    categories = suites.read(suite, vnnlib)
    options = Options(
        output or Path(f"bench-{(suite if suite.is_dir() else suite.parent).resolve().name}"),
        _settings(config_path, {"search.device": device, "search.seed": seed}),
        jobs,
        _partition(partition),
        resume,
        _positive(timeout_scale, "--timeout-scale"),
        None if timeout is None else _positive(timeout, "--timeout"),
        grace,
    )
    finished = _run(categories, options, quiet)
    _show(finished, options, quiet)
    records = records_of(finished.rows)
    reporting.write(records)
    if not finished.complete:
        return INTERRUPTED
    if any(row.outcome.wrong for row in finished.rows):
        return VIOLATED
    return HOLDS if reporting.policy is None else reporting.policy.exit_code(records)


@command.command("compare", short_help="Compare two runs.")
@click.argument("a", type=click.Path(path_type=Path), metavar="RUN_A")
@click.argument("b", type=click.Path(path_type=Path), metavar="RUN_B")
def compare(a: Path, b: Path) -> int:
    """Compare two runs of a suite: solved, faster, contradictions.

    RUN_A and RUN_B are output folders of `verifier bench`, or result tables (CSV) of the competition.
    A run counts as faster on an instance if it is so by 10 % and by 0.1 s.

    \b
    Exit codes: 0 no contradiction, 1 one run says sat where the other says unsat,
    2 refused.
    """
    from verifier.bench import compare as comparing
    from verifier.bench.store import load

    result = comparing.compare(load(a), load(b))
    for line, contradiction in comparing.report(result, (str(a), str(b))):
        _echo(click.style(line, fg="red", bold=True) if contradiction else line)
    return VIOLATED if result.contradictions else HOLDS


def _run(categories: Any, options: Options, quiet: bool) -> Finished:
    from verifier.bench.session import bench

    with StopRequest() as stop:
        return bench(categories, options, None if quiet else sys.stderr, stop.requested)


def _show(finished: Finished, options: Options, quiet: bool) -> None:
    from verifier.bench.store import DATABASE, TABLE
    from verifier.bench.summary import table

    if finished.rows:
        _echo(table(finished.rows))
    if not quiet:
        click.echo(f"results in {options.output / DATABASE} and {TABLE}", err=True)
    if not finished.complete:
        click.echo("interrupted: go on with --resume", err=True)


def _echo(line: str) -> None:
    """To stdout; a reader that has gone does not change the exit code."""
    try:
        click.echo(line)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _settings(path: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    """Option -> value of what differs from the defaults; each instance sets its own timeout."""
    from verifier.config import Settings

    settings = Settings() if path is None else Settings.from_file(path)
    settings = settings.with_options({name: value for name, value in options.items() if value is not None})
    return {option: value for option, value in settings.values().items() if option in settings.origins and option != "search.timeout"}


def _partition(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--partition is {text!r}", hint="write i/n with 1 <= i <= n, such as 2/8")
    return int(match[1]), int(match[2])


def _positive(value: float, option: str) -> float:
    if not 0 < value < float("inf"):
        raise UsageError(f"{option} is {value}", hint="it must be positive and finite")
    return value
