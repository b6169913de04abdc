"""Results of a suite on disk: an SQLite database that gets one transaction a row, and the competition's CSV made from it.

Whatever stops a run, the rows that were finished are there: the journal is written ahead (WAL), and a row is never half-written.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verifier.bench.scoring import Outcome, Truth, word
from verifier.errors import Location, StorageError, UsageError
from verifier.report.records import Record

DATABASE = "results.sqlite"
TABLE = "results.csv"
FORMAT = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS result (
    category TEXT NOT NULL, position INTEGER NOT NULL, onnx TEXT NOT NULL, vnnlib TEXT NOT NULL, timeout REAL NOT NULL,
    status TEXT NOT NULL, seconds REAL NOT NULL, truth TEXT, reference TEXT, reference_seconds REAL, document TEXT, error TEXT,
    folder TEXT NOT NULL,
    PRIMARY KEY (category, position)
) WITHOUT ROWID;
"""
_INSERT = "INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = """SELECT category, position, onnx, vnnlib, timeout, status, seconds, truth, reference, reference_seconds, document, error, folder
FROM result ORDER BY category, position"""


@dataclass(frozen=True)
class Row:
    """The result of one instance.

    `timeout`: seconds that were given; `seconds`: wall clock, start-up included; `document`: the JSON verdict, None where there is none;
    `error`: {"code", "message", "location", "hint"} of an `error` row; `folder`: of the suite's table.
    """

    category: str
    position: int
    onnx: str
    vnnlib: str
    timeout: float
    status: str
    seconds: float
    truth: Truth | None = None
    document: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    folder: str = ""

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.status, self.seconds, self.timeout, self.truth)

    @property
    def key(self) -> tuple[str, int]:
        return self.category, self.position


class Store:
    """An open database. Use as a context manager; every failure to write is a StorageError."""

    def __init__(self, folder: Path, configuration: Mapping[str, Any], resume: bool):
        """`configuration`: what has to be the same for results to stand beside each other; UsageError where it is not."""
        self.folder = folder
        self.path = folder / DATABASE
        with self._guarded():
            existed = self.path.exists()
            if existed and not resume:
                hint = "go on with --resume, or give another --output"
                raise UsageError("results are already here", code="V013", location=Location(str(self.path)), hint=hint)
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            try:
                self._prepare(json.dumps(configuration, sort_keys=True))
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, configuration: str) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        known = dict(self._connection.execute("SELECT key, value FROM run"))
        wanted = {"format": FORMAT, "configuration": configuration}
        for key, value in wanted.items():
            if known.setdefault(key, value) != value:
                hint = f"there: {known[key]}; now: {value}. Give another --output"
                raise UsageError(
                    f"the results there were made with another {key}", code="V013", location=Location(str(self.path)), hint=hint
                )
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR IGNORE INTO run VALUES (?, ?)", wanted.items())
        self._connection.execute("COMMIT")

    def add(self, row: Row) -> None:
        with self._guarded():
            self._connection.execute(_INSERT, _values(row))

    def rows(self) -> list[Row]:
        with self._guarded():
            return _select(self._connection)

    def export(self) -> Path:
        """Write the competition's CSV beside the database, whole or not at all."""
        from verifier.report.json_report import write_atomically

        with self._guarded():
            write_atomically(self.folder / TABLE, competition_csv(self.rows()))
        return self.folder / TABLE

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            hint = f"the results so far are kept in {self.path}; go on with --resume when there is room"
            raise StorageError(f"a result cannot be written: {_reason(error)}", location=Location(str(self.path)), hint=hint) from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _values(row: Row) -> tuple[Any, ...]:
    truth = row.truth
    seconds = None if truth is None or truth.reference_seconds == float("inf") else truth.reference_seconds
    return (
        row.category,
        row.position,
        row.onnx,
        row.vnnlib,
        row.timeout,
        row.status,
        row.seconds,
        None if truth is None else truth.verdict,
        None if truth is None else truth.reference,
        seconds,
        None if row.document is None else json.dumps(row.document, allow_nan=False),
        None if row.error is None else json.dumps(row.error),
        row.folder,
    )


def _select(connection: sqlite3.Connection) -> list[Row]:
    return [_row(values) for values in connection.execute(_SELECT)]


def _row(values: tuple[Any, ...]) -> Row:
    verdict, reference, after = values[7:10]
    truth = None if verdict is None else Truth(verdict, reference, float("inf") if after is None else after)
    document, error = (None if text is None else json.loads(text) for text in values[10:12])
    category, position, onnx, vnnlib, timeout, status, seconds = values[:7]
    return Row(category, position, onnx, vnnlib, timeout, status, seconds, truth, document, error, values[12])


def competition_csv(rows: list[Row]) -> str:
    """`category,onnx,vnnlib,prepare_time,result,run_time` without a header, in the order of the suite."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([row.category, row.onnx, row.vnnlib, "0.0", row.status, f"{row.seconds:.6f}"])
    return text.getvalue()


def records_of(rows: Iterable[Row]) -> list[Record]:
    """The rows as reports take them."""
    return [
        Record(
            r.status, r.onnx, r.vnnlib, r.seconds, r.document, r.error, r.category, r.position, _finite(r.timeout), _expected(r), r.folder
        )
        for r in rows
    ]


def _finite(seconds: float) -> float | None:
    return seconds if seconds < float("inf") else None


def _expected(row: Row) -> str | None:
    return None if row.truth is None else row.truth.verdict


def load(path: Path) -> list[Row]:
    """The rows of a run: its folder, its database, or a CSV of the competition. UsageError where it is none of these."""
    path = path / DATABASE if path.is_dir() else path
    if not path.is_file():
        raise UsageError("there are no results here", code="V014", location=Location(str(path)), hint=f"a folder with {DATABASE}, or a CSV")
    return _load_csv(path) if path.suffix == ".csv" else _load_database(path)


def _load_database(path: Path) -> list[Row]:
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        try:
            return _select(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UsageError(f"not a database of results: {error}", code="V014", location=Location(str(path))) from error


def _load_csv(path: Path) -> list[Row]:
    rows: list[Row] = []
    counts: dict[str, int] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            for fields in filter(None, reader):
                if len(fields) < 6:
                    raise ValueError(f"line {reader.line_num}: expected six fields, found {len(fields)}")
                category, onnx, vnnlib, _, result, seconds = (field.strip() for field in fields[:6])
                position = counts[category] = counts.get(category, -1) + 1
                rows.append(Row(category, position, onnx, vnnlib, float("inf"), word(result), float(seconds)))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"not a results table: {error}", code="V014", location=Location(str(path))) from error
    return rows
