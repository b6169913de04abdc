"""What commands have in common: networks and query, settings, files to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from verifier.cli import templates
from verifier.errors import UsageError

if TYPE_CHECKING:
    from verifier.config import Settings
    from verifier.problem import Problem

_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_]*)=(.+)")


def inputs(command: str, files: tuple[Path, ...], networks: tuple[str, ...]) -> tuple[Path | dict[str, Path] | None, Path]:
    """Network, or networks by name, and query, from any form of the command line. None: a template may name them."""
    if networks and len(files) != 1:
        raise UsageError("with --network the only argument is the query", hint=f"verifier {command} QUERY.vnnlib --network MODEL.onnx")
    if networks:
        return _named(networks), files[0]
    if len(files) == 1 and files[0].suffix in templates.SUFFIXES:
        return None, files[0]
    if len(files) != 2:
        raise UsageError(f"expected a model and a query, got {len(files)} file(s)", hint=f"verifier {command} MODEL.onnx QUERY.vnnlib")
    if ".vnnlib" in files[0].suffixes and ".onnx" in files[1].suffixes:
        raise UsageError("the model comes before the query", hint=f"verifier {command} {files[1]} {files[0]}")
    return files[0], files[1]


def _named(networks: tuple[str, ...]) -> Path | dict[str, Path]:
    found: dict[str, Path] = {}
    for text in networks:
        named = _NAMED.fullmatch(text)
        if named is None and len(networks) == 1:
            return Path(text)
        if named is None:
            raise UsageError(f"several networks, but {text!r} has no name", hint="write --network NAME=MODEL.onnx for each")
        if named.group(1) in found:
            raise UsageError(f"two models are given for the network {named.group(1)}")
        found[named.group(1)] = Path(named.group(2))
    return found


def settings(path: Path | None, options: dict[str, Any]) -> Settings:
    from verifier.config import Settings

    found = Settings() if path is None else Settings.from_file(path)
    return found.with_options({name: value for name, value in options.items() if value is not None})


def check_writable(path: Path | None) -> None:
    """Before the run rather than after it."""
    from verifier.report import formats

    if path is not None:
        formats.check_writable(path)


def problems(query: Path, network: Path | dict[str, Path] | None) -> list[tuple[str, Callable[[], Problem]]]:
    """(part, how to load it) of a query, or of every query of a template."""
    from verifier.problem import of_query, read

    if query.suffix not in templates.SUFFIXES:
        return [("", partial(read, cast("Path | dict[str, Path]", network), query))]
    opened = templates.Opened.read(query, network)
    return [(q.origin.part, partial(of_query, opened.models, q)) for q in opened.template.queries]


def indices(option: str, text: str) -> list[int]:
    """0,2-4 -> [0, 2, 3, 4]"""
    found: list[int] = []
    for part in text.split(","):
        span = _SPAN.fullmatch(part.strip())
        if span is None:
            raise UsageError(f"{option} is {text!r}", hint="write numbers and ranges, such as 0,2-4")
        found += range(int(span[1]), int(span[2] or span[1]) + 1)
    return found


def write_document(path: Path, document: dict[str, Any]) -> None:
    """What cannot be written does not take back what was printed."""
    from verifier.report.json_report import write_atomically

    try:
        write_atomically(path, json.dumps(document, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        click.echo(f"warning: {path} was not written: {error.strerror}", err=True)
