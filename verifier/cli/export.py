"""`verifier verify TEMPLATE.yaml --export-vnnlib 1|2 --output DIR`: the queries of a template as a suite of VNN-LIB files."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verifier import __version__
from verifier.errors import Location, UsageError

if TYPE_CHECKING:
    from verifier.cli.templates import Opened
    from verifier.graph.onnx_reader import Model
    from verifier.property.templates.reader import Query

TIMEOUT = 60.0
"""Seconds an instance of the suite, unless --timeout says otherwise."""


def export(opened: Opened, version: str, folder: Path, timeout: float | None) -> int:
    """Write a .vnnlib file a query, and instances.csv for `verifier bench`; how many queries there are."""
    from verifier.bench.suite import TABLE
    from verifier.report.json_report import write_atomically

    stem = Path(opened.template.origin.source).stem
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for query in opened.template.queries:
            name = "_".join([stem, *re.findall(r"[a-z0-9]+", query.origin.part.replace(" ", ""))]) + ".vnnlib"
            write_atomically(folder / name, _text(opened, query, version))
            rows.writerow([_networks(opened.models, opened.template.names, folder), name, f"{timeout or TIMEOUT:g}"])
        write_atomically(folder / TABLE, table.getvalue())
    except OSError as error:
        message = f"the queries cannot be written: {error.strerror}"
        raise UsageError(message, code="V002", location=Location(str(folder))) from error
    return len(opened.template.queries)


def _text(opened: Opened, query: Query, version: str) -> str:
    from verifier.problem import interfaces
    from verifier.property import writer
    from verifier.property.templates.assembly import declared

    shapes = interfaces(opened.models)
    prop = query.build(shapes)
    place = ", ".join(filter(None, (Path(query.origin.source).name, query.origin.part)))
    comments = [f"{opened.template.kind}, {place}, by verifier {__version__}", "sat: the property is violated; unsat: it holds"]
    if version == "1":
        return writer.vnnlib1(prop, comments)
    return writer.vnnlib2(prop, prop.declarations or declared(shapes[0]), comments)


def _networks(models: Sequence[Model], names: Sequence[str], folder: Path) -> str:
    """As a row of a suite names them, relative to its folder."""
    paths = [os.path.relpath(model.path, folder) for model in models]
    return paths[0] if len(paths) == 1 else repr(list(zip(names, paths)))
