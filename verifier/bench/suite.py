"""Suites of instances in the form of VNN-COMP: a folder with instances.csv, or a folder of such folders.

A line of instances.csv is `ONNX,VNNLIB,TIMEOUT`, without a header; line ends may be CRLF, paths may begin with `./`, name
sub-folders and lack the `.gz` of the file. In rows over several networks ONNX is a quoted Python list of (name, path)
pairs. From 2026 on a category may have the version folders `1.0` and `2.0` with the same instances in two notations.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePosixPath

from verifier.errors import Location, UsageError

TABLE = "instances.csv"
VERSIONS = ("1.0", "2.0")


@dataclass(frozen=True)
class Instance:
    """One row. `networks`: (name, file), the name empty where the row gives none; `onnx` and `vnnlib` as in the file, without `./`.

    `position` counts the rows of the category from 0; `timeout` is in seconds.
    """

    category: str
    position: int
    onnx: str
    vnnlib: str
    timeout: float
    networks: tuple[tuple[str, Path], ...]
    query: Path

    @property
    def missing(self) -> tuple[Path, ...]:
        """Files that exist neither as named nor with `.gz`."""
        paths = [*(path for _, path in self.networks), self.query]
        return tuple(path for path in paths if not path.is_file() and not path.with_name(path.name + ".gz").is_file())


@dataclass(frozen=True)
class Category:
    name: str
    folder: Path
    instances: tuple[Instance, ...]


def read(path: Path, version: str | None = None) -> tuple[Category, ...]:
    """The categories of a suite: a table, its folder, or a folder of such folders; `version` picks one of two version folders.

    Raises UsageError where there is no table or a row is malformed. Missing files are not looked for here.
    """
    if path.is_file():
        return (_category(path, path.resolve().parent.name),)
    if not path.is_dir():
        raise UsageError("there is no such suite", code="V010", location=Location(str(path)), hint=f"give a folder that holds {TABLE}")
    tables = _tables(path, version)
    if not tables:
        hint = f"looked for {TABLE} in the folder, its version folders and its sub-folders"
        raise UsageError("no suite is here", code="V010", location=Location(str(path)), hint=hint)
    return tuple(_category(table, name) for name, table in tables)


def _tables(folder: Path, version: str | None) -> list[tuple[str, Path]]:
    """(category, table) of a folder, or of each of its sub-folders in the order of their names."""
    own = _table(folder, version)
    if own is not None:
        return [(folder.resolve().name, own)]
    found = [(sub.name, _table(sub, version)) for sub in sorted(folder.iterdir()) if sub.is_dir()]
    return [(name, table) for name, table in found if table is not None]


def _table(folder: Path, version: str | None) -> Path | None:
    wanted = VERSIONS if version is None else (version,)
    candidates = [folder / TABLE, *(folder / v / TABLE for v in wanted)]
    return next((table for table in candidates if table.is_file()), None)


def _category(table: Path, name: str) -> Category:
    rows = enumerate(_rows(table))
    return Category(name, table.parent, tuple(_instance(table, name, position, line, row) for position, (line, row) in rows))


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of the rows that are not blank; a header is skipped."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                fields = [field.strip() for field in row]
                if any(fields) and not (reader.line_num == 1 and [f.lower() for f in fields[:2]] == ["onnx", "vnnlib"]):
                    yield reader.line_num, fields
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"not a CSV table: {error}", code="V011", location=Location(str(table))) from error
    except OSError as error:
        raise UsageError(f"the table cannot be read: {error.strerror}", code="V010", location=Location(str(table))) from error


def _instance(table: Path, category: str, position: int, line: int, row: list[str]) -> Instance:
    location = Location(str(table), line)
    if len(row) != 3 or not all(row):
        raise UsageError(f"expected 'ONNX,VNNLIB,TIMEOUT', found {len(row)} field(s)", code="V011", location=location)
    try:
        timeout = float(row[2])
    except ValueError:
        timeout = -1.0
    if not (timeout > 0 and isfinite(timeout)):
        raise UsageError(f"the timeout {row[2]!r} is not a positive number of seconds", code="V011", location=location)
    try:
        networks = networks_of(row[0])
    except ValueError as error:
        raise UsageError(str(error), code="V011", location=location) from error
    plain = len(networks) == 1 and not networks[0][0]
    onnx = _normal(row[0]) if plain else row[0]
    files = tuple((name, table.parent / _normal(path)) for name, path in networks)
    return Instance(category, position, onnx, _normal(row[1]), timeout, files, table.parent / _normal(row[1]))


def networks_of(field: str) -> tuple[tuple[str, str], ...]:
    """(name, path) of the networks that a field or an argument names: a path, or `[('f', 'path'), ('g', 'path')]`.

    Raises ValueError for something that begins like a list and is none.
    """
    if not field.lstrip().startswith("["):
        return (("", field),)
    try:
        value = ast.literal_eval(field.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    pairs = value if isinstance(value, list) else []
    if not pairs or not all(isinstance(p, tuple) and len(p) == 2 and all(isinstance(s, str) and s for s in p) for p in pairs):
        raise ValueError(f"not a list of (name, path) pairs: {field}")
    return tuple((name, path) for name, path in pairs)


def _normal(path: str) -> str:
    """Without `./` and doubled slashes; `..` is kept, for it may follow a link."""
    return str(PurePosixPath(path))
