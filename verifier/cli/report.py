"""`verifier report`: reports from results that are there already."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifier.cli.reporting import BASELINE_HELP, REPORT_HELP, UNDECIDED_HELP, Reporting

if TYPE_CHECKING:
    from verifier.report.gate import Policy
    from verifier.report.records import Record


@click.command(short_help="Make reports from results.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULT...")
@click.option("--report", "reports", multiple=True, metavar="FORMAT=FILE", help=REPORT_HELP)
@click.option("--format", "format_", metavar="FORMAT", help="Print this report instead of the list.")
@click.option("--gate", is_flag=True, help="Exit with the code of the worst result: 1, 4, 2 or 3. Implied by the next two.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help=BASELINE_HELP)
@click.option("--undecided", type=click.Choice(["fail", "pass"]), help=UNDECIDED_HELP)
def command(
    results: tuple[Path, ...], reports: tuple[str, ...], format_: str | None, gate: bool, baseline: Path | None, undecided: str | None
) -> int:
    """Make reports from RESULT files: what `--json` and `--report json=FILE` write, or the output folder of `verifier bench`.

    Without --format a line a query and the counts go to stdout. Exits with 0 unless it is to act as a gate.
    """
    from verifier.report import formats
    from verifier.report.gate import Policy

    if format_ is not None:
        formats.check(format_)
    reporting = Reporting.of(reports, undecided or "fail", baseline, gate or undecided is not None)
    records = [record for path in results for record in _read(path)]
    policy = reporting.policy or Policy()
    reporting.write(records)
    try:
        sys.stdout.write(_listing(records, policy) if format_ is None else formats.render(format_, records, policy))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if reporting.policy is None else policy.exit_code(records)


def _read(path: Path) -> list[Record]:
    from verifier.report.records import read

    if path.is_dir() or path.suffix == ".sqlite":
        from verifier.bench.store import load, records_of

        return records_of(load(path))
    return read(path)


def _listing(records: list[Record], policy: Policy) -> str:
    lines = [f"{r.meaning + (' (known)' if policy.known(r) else ''):<18}{r.seconds:>9.2f} s  {r.network}  {r.query}" for r in records]
    return "\n".join([*lines, policy.summary(records)]) + "\n"
