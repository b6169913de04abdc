"""`verifier verify TEMPLATE.yaml`: every query of a template, one after another."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verifier.cli.exit_codes import INTERRUPTED
from verifier.cli.reporting import Reporting
from verifier.errors import VerifierError

if TYPE_CHECKING:
    from verifier.config import Settings
    from verifier.graph.onnx_reader import Model
    from verifier.property.templates.reader import Query, Template
    from verifier.report.records import Record
    from verifier.search.events import Listener
    from verifier.verdict import Verdict

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, eq=False)
class Opened:
    """A template with its models."""

    template: Template
    models: Sequence[Model]

    @classmethod
    def read(cls, path: Path, networks: Path | dict[str, Path] | None) -> Opened:
        """networks: in place of those that the template names."""
        from verifier.problem import models_of
        from verifier.property.templates import reader

        template = reader.read(path)
        return cls(template, models_of(template, networks))

    @property
    def files(self) -> str:
        return ", ".join(model.file for model in self.models)

    def decide(self, query: Query, settings: Settings, listener: Listener | None, stop: Callable[[], bool]) -> Verdict:
        from verifier.engine import decide
        from verifier.problem import of_query

        return decide(partial(of_query, self.models, query), settings, listener, stop)


def decide_all(
    opened: Opened, settings: Settings, listener: Listener | None, stop: Callable[[], bool], quiet: bool
) -> tuple[list[Record], bool]:
    """(a record a query, whether all of them were run). A line a query goes to stdout, a summary to stderr.

    An error ends its query and no other.
    """
    from verifier.report.gate import Policy
    from verifier.report.json_report import document
    from verifier.report.records import of_error, of_verdict
    from verifier.verdict import Reason

    found: list[Record] = []
    warned: set[str] = set()
    for query in opened.template.queries:
        started, note, interrupted = time.monotonic(), "", False
        try:
            verdict = opened.decide(query, settings, listener, stop)
        except VerifierError as error:
            click.echo(error.render(), err=True)
            place = ", ".join(filter(None, (query.origin.source, query.origin.part)))
            found.append(of_error(error, opened.files, place, time.monotonic() - started))
        else:
            interrupted = verdict.reason is Reason.INTERRUPTED
            note = "".join(f"  {sentence}" for sentence in verdict.explanation[:1] if verdict.counterexample is not None)
            for warning in verdict.warnings:
                if warning not in warned:
                    click.echo(f"warning: {warning}", err=True)
            warned.update(verdict.warnings)
            found.append(of_verdict(document(verdict)))
        sys.stdout.write(f"{found[-1].verdict:<8}{found[-1].seconds:>8.2f} s  {query.origin.part}{note}".rstrip() + "\n")
        sys.stdout.flush()
        if interrupted:
            return found, False
    if not quiet:
        click.echo(Policy().summary(found), err=True)
    return found, True


def finish(records: Sequence[Record], complete: bool, json_path: Path | None, reporting: Reporting) -> int:
    """Write the JSON document and the reports; the exit code of the worst query."""
    from verifier.report.gate import Policy
    from verifier.report.json_report import write_atomically
    from verifier.report.records import suite_document

    policy = reporting.policy or Policy()
    if json_path is not None:
        try:
            write_atomically(json_path, json.dumps(suite_document(records), indent=2, allow_nan=False) + "\n")
        except OSError as error:
            click.echo(f"warning: the verdicts stand, but {json_path} was not written: {error.strerror}", err=True)
    reporting.write(records)
    return policy.exit_code(records) if complete else INTERRUPTED
