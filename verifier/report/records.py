"""What every report is made from: one record a query, read from JSON documents.

A verdict document (verdict.schema.json) holds one query; a suite document (suite.schema.json) holds any number, errors included.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from verifier.errors import Location, UsageError, VerifierError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Record:
    """The outcome of one query.

    `verdict`: sat, unsat, unknown, timeout or error; `network`, `query`: as the user named them (several networks as one text);
    `seconds`: wall clock; `document`: the verdict document, None where there is none; `error`: {"code", "message", "location",
    "hint"}; `category`, `position`, `timeout`, `expected`, `folder`: for rows of a suite, expected being the stored verdict and
    `folder` what the names of the files are relative to.
    """

    verdict: str
    network: str
    query: str
    seconds: float
    document: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    category: str = ""
    position: int | None = None
    timeout: float | None = None
    expected: str | None = None
    folder: str = ""

    @property
    def meaning(self) -> str:
        return {"sat": "violated", "unsat": "holds", "error": "error"}.get(self.verdict, "undecided")

    @property
    def wrong(self) -> bool:
        return {self.verdict, self.expected} == {"sat", "unsat"}

    @property
    def query_file(self) -> str:
        """The query's path as it was opened."""
        return os.path.join(self.folder, self.query) if self.document is None else str(self.document["query"]["path"])

    @property
    def network_file(self) -> str:
        return os.path.join(self.folder, self.network) if self.document is None else str(self.document["networks"][0]["path"])

    @property
    def line(self) -> int | None:
        """Where the violated disjunct, or the only open one, stands in the query."""
        if self.document is None:
            return None
        found = self.document["counterexample"]
        lines = [d["line"] for d in self.document["disjuncts"] if found is None or d["index"] == found["disjunct"]]
        return lines[0] if len(lines) == 1 else None

    @property
    def fingerprint(self) -> str:
        """The same for the same question: which network by name, which query by name and content.

        Not which disjunct or which input: those depend on the search. Not the network's content: training it again does not make a
        known violation new.
        """
        asked = None if self.document is None else self.document["query"]
        content = "" if asked is None else str(asked["sha256"]) + asked.get("part", "")
        text = "\0".join([relative(self.network_file), relative(self.query_file), content])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        if self.error is not None:
            return str(self.error["message"])
        return "" if self.document is None else str(self.document["reason_help"])


def relative(path: str) -> str:
    """Below the working directory a path relative to it, with slashes; elsewhere the path as it is."""
    if path.startswith("["):  # several networks, as a row of a suite names them
        return path
    absolute, root = os.path.abspath(path), os.getcwd()
    return os.path.relpath(absolute, root).replace(os.sep, "/") if absolute.startswith(root + os.sep) else path.replace(os.sep, "/")


def of_verdict(document: Mapping[str, Any]) -> Record:
    networks = ", ".join(network["path"] for network in document["networks"])
    query = ", ".join(filter(None, (document["query"]["path"], document["query"].get("part", ""))))
    return Record(document["verdict"], networks, query, document["statistics"]["total_seconds"], document)


def of_error(error: VerifierError, network: str, query: str, seconds: float) -> Record:
    return Record("error", network, query, seconds, None, describe(error))


def describe(error: VerifierError) -> dict[str, Any]:
    """An error as documents hold it."""
    place = None if error.location is None else str(error.location)
    return {"code": error.code, "message": error.message, "location": place, "hint": error.hint}


def suite_document(records: Iterable[Record]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "kind": "suite", "results": [entry(record) for record in records]}


def entry(record: Record) -> dict[str, Any]:
    """One result of a suite document."""
    return {
        "category": record.category,
        "position": record.position,
        "network": record.network,
        "query": record.query,
        "verdict": record.verdict,
        "seconds": record.seconds,
        "timeout": record.timeout,
        "expected": record.expected,
        "folder": record.folder,
        "error": record.error,
        "document": record.document,
    }


def suite_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a suite document; it refers to the one of a verdict."""
    document: dict[str, Any] = json.loads(files("verifier.report").joinpath("suite.schema.json").read_text(encoding="utf-8"))
    return document


def read(path: Path) -> list[Record]:
    """The records in a file of JSON, or of JSON lines. UsageError where it is neither a verdict nor a suite."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"this result cannot be read: {error.strerror}", code="V020", location=Location(str(path))) from error
    except UnicodeDecodeError as error:
        raise UsageError("this result is not UTF-8 text", code="V020", location=Location(str(path))) from error
    try:
        return _records(_documents(text, path.suffix == ".jsonl"))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        hint = "expected what `--json` or `--report json=FILE` writes"
        raise UsageError(f"this is no result of the verifier: {error!r}", code="V020", location=Location(str(path)), hint=hint) from error


def _documents(text: str, lines: bool) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()] if lines else [json.loads(text)]


def _records(documents: Sequence[Any]) -> list[Record]:
    found: list[Record] = []
    for document in documents:
        if not isinstance(document, dict):
            raise TypeError(f"expected an object, found {document!r:.20}")
        if document.get("kind") == "suite":
            found += [_of_entry(e) for e in document["results"]]
        elif "results" not in document and "document" in document:
            found.append(_of_entry(document))
        else:
            found.append(_checked(of_verdict(document)))
    return found


def _of_entry(e: Mapping[str, Any]) -> Record:
    names = ("verdict", "network", "query", "seconds", "document", "error", "category", "position", "timeout", "expected", "folder")
    return _checked(Record(**{name: e[name] for name in names}))


def _checked(record: Record) -> Record:
    """Touch what reports rely on, so that a foreign document is refused here and not in the middle of a report."""
    if not all(part is None or isinstance(part, dict) for part in (record.document, record.error)):
        raise TypeError("document and error are objects or null")
    if record.verdict not in ("sat", "unsat", "unknown", "timeout", "error") or not isinstance(record.seconds, (int, float)):
        raise ValueError(f"verdict {record.verdict!r}")
    if (record.verdict == "sat") != (record.document is not None and record.document["counterexample"] is not None):
        raise ValueError("a violation without a counterexample")
    _ = record.line, record.fingerprint, record.sentence
    return record
