"""What `--report`, `--baseline` and `--undecided` mean, for every command that has them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from verifier.cli.exit_codes import INTERRUPTED
from verifier.errors import VerifierError

if TYPE_CHECKING:
    from verifier.report.formats import Target
    from verifier.report.gate import Policy
    from verifier.report.records import Record
    from verifier.verdict import Verdict

REPORT_HELP = "Write a report; repeatable. Formats: json, jsonl, junit, sarif, github, csv, html, baseline."
BASELINE_HELP = "Known violations, as `--report baseline=FILE` writes them: only new ones fail."
UNDECIDED_HELP = "Whether undecided queries fail. Default: fail."


@dataclass(frozen=True)
class Reporting:
    """The reports that were asked for, and the policy if one was; `policy` None: exit codes are the command's own."""

    targets: Sequence[Target]
    policy: Policy | None

    @classmethod
    def of(cls, reports: Sequence[str], undecided: str, baseline: Path | None, gate: bool = False) -> Reporting:
        """From the options. Refuses unknown formats, missing extras and files that cannot be written or read."""
        if not (reports or gate or baseline is not None or undecided == "pass"):
            return cls((), None)
        from verifier.report import formats
        from verifier.report.gate import Policy, read

        policy = Policy(cast(Literal["fail", "pass"], undecided), None if baseline is None else read(baseline))
        asked = gate or baseline is not None or undecided == "pass"
        return cls(formats.parse(reports), policy if asked else None)

    def write(self, records: Sequence[Record]) -> None:
        if self.targets:
            from verifier.report import formats
            from verifier.report.gate import Policy

            formats.write(self.targets, records, self.policy or Policy(), lambda text: click.echo(f"warning: {text}", err=True))

    def finish(self, verdict: Verdict, code: int) -> int:
        """Write the reports of one verdict; the exit code under the policy in place of `code`."""
        if not self.targets and self.policy is None:
            return code
        from verifier.report.json_report import document
        from verifier.report.records import of_verdict

        record = of_verdict(document(verdict))
        self.write([record])
        if self.policy is None or code == INTERRUPTED:
            return code
        if self.policy.known(record):
            click.echo("this violation is in the baseline: it does not fail the check", err=True)
        return self.policy.exit_code([record])

    @contextmanager
    def errors(self, network: Any, query: Path) -> Iterator[None]:
        """Report an error too, then pass it on. `network`: a path, or paths by name."""
        start = time.monotonic()
        try:
            yield
        except VerifierError as error:
            if self.targets:
                from verifier.report.records import of_error

                networks = [network] if isinstance(network, Path) else network.values() if isinstance(network, dict) else ()
                self.write([of_error(error, ", ".join(map(str, networks)), str(query), time.monotonic() - start)])
            raise
