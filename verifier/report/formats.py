"""`--report FORMAT=FILE`: the formats by name, and writing them. A format's module loads when it is used."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from verifier.errors import Location, UsageError
from verifier.report.gate import Policy
from verifier.report.records import Record

FORMATS = {
    "json": ("verifier.report.simple_formats:as_json", "the JSON document that every other report is made from"),
    "jsonl": ("verifier.report.simple_formats:as_json_lines", "one JSON object a line and query"),
    "junit": ("verifier.report.junit:render", "JUnit XML"),
    "sarif": ("verifier.report.sarif:render", "SARIF 2.1.0, for code scanning"),
    "github": ("verifier.report.simple_formats:as_annotations", "GitHub workflow commands, which annotate the query's lines"),
    "csv": ("verifier.report.simple_formats:as_csv", "a table with a header"),
    "html": ("verifier.report.html:render", "one self-contained page; needs the extra [report]"),
    "baseline": ("verifier.report.simple_formats:as_baseline", "the violations, for --baseline"),
}
"""Format -> (module:function, its line in the help)."""
_LONE = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, as in the names of files that are not UTF-8: they cannot be written."""
_EXTRA = {"html": ("jinja2", "matplotlib")}


@dataclass(frozen=True)
class Target:
    format: str
    path: Path


def parse(texts: Iterable[str]) -> list[Target]:
    """`FORMAT=FILE` options. UsageError for an unknown format, a missing extra, or a file that cannot be written."""
    targets = []
    for text in texts:
        format, separator, file = text.partition("=")
        if not separator or not file:
            raise UsageError(f"--report is {text!r}", code="V022", hint=f"write FORMAT=FILE; formats: {', '.join(FORMATS)}")
        check(format)
        targets.append(Target(format, Path(file)))
        check_writable(targets[-1].path)
    return targets


def check(format: str) -> None:
    """Before a run rather than after it."""
    if format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, 1, 0.5)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown report format: {format!r}", code="V022", hint=f"known: {', '.join(FORMATS)}{guess}")
    absent = [name for name in _EXTRA.get(format, ()) if find_spec(name) is None]
    if absent:
        hint = "pip install 'verifier[report]'"
        raise UsageError(f"the {format} report needs {' and '.join(absent)}", code="V023", hint=hint)


def check_writable(path: Path) -> None:
    if str(path) == "-":
        raise UsageError("stdout is for the verdict; give a file name instead of '-'", code="V002")
    target = path if path.exists() else path.parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        raise UsageError("this file cannot be written", code="V002", location=Location(str(path)))


def render(format: str, records: Sequence[Record], policy: Policy) -> str:
    module, name = FORMATS[format][0].split(":")
    function: Callable[[Sequence[Record], Policy], str] = getattr(import_module(module), name)
    return _LONE.sub("\ufffd", function(records, policy))


def write(targets: Iterable[Target], records: Sequence[Record], policy: Policy, warn: Callable[[str], None]) -> None:
    """Write every report, each whole or not at all; a file that cannot be written is a warning, for the results stand without it."""
    from verifier.report.json_report import write_atomically

    for target in targets:
        try:
            write_atomically(target.path, render(target.format, records, policy))
        except OSError as error:
            warn(f"the results stand, but {target.path} was not written: {error.strerror}")
