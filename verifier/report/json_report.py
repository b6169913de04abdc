"""A verdict as one JSON document, described by verdict.schema.json beside this file.

Numbers that may be infinite are strings ("-0.25", "inf"). A reader may rely on every key; keys are only ever added within
one `schema_version`.
"""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from verifier.verdict import Counterexample, Provenance, Statistics, Verdict

SCHEMA_VERSION = 1


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    document: dict[str, Any] = json.loads(files("verifier.report").joinpath("verdict.schema.json").read_text(encoding="utf-8"))
    return document


def document(verdict: Verdict) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict.status.value,
        "meaning": verdict.status.word,
        "reason": verdict.reason.value,
        "reason_help": verdict.reason.help,
        "lower_bound": number(verdict.lower_bound),
        **subject(verdict.provenance),
        "counterexample": None if verdict.counterexample is None else counterexample(verdict.counterexample),
        "certificate": verdict.certificate,
        "disjuncts": [
            {
                "index": d.index,
                "line": d.line,
                "verdict": d.status.value,
                "method": d.method,
            }
            for d in verdict.disjuncts
        ],
        "statistics": statistics(verdict.statistics),
        **circumstances(verdict.provenance),
        "warnings": list(verdict.warnings),
        "explanation": list(verdict.explanation),
    }


def subject(run: Provenance) -> dict[str, Any]:
    """What the answer is about."""
    return {
        "query": {"path": run.query.path, "sha256": run.query.sha256, "language": run.language, "part": run.query.name},
        "networks": [{"path": n.path, "sha256": n.sha256, "name": n.name} for n in run.networks],
    }


def circumstances(run: Provenance) -> dict[str, Any]:
    """What it was found with."""
    return {
        "numerics": {"device": run.device, "dtype": run.dtype, "semantics": run.semantics, "seed": run.seed},
        "versions": dict(run.versions),
        "configuration": {option: {"value": value, "origin": origin} for option, (value, origin) in run.settings.items()},
    }


def statistics(cost: Statistics) -> dict[str, Any]:
    return {
        "total_seconds": cost.total_seconds,
        "seconds": dict(cost.seconds),
        "subproblems": cost.subproblems,
        "unstable": list(cost.unstable),
        "peak_memory_mb": cost.peak_memory_mb,
        "threads": cost.threads,
        "trace": [{"seconds": p.seconds, "lower_bound": number(p.lower_bound), "open": p.open, "nodes": p.nodes} for p in cost.trace],
    }


def counterexample(found: Counterexample) -> dict[str, Any]:
    return {
        "inputs": list(found.inputs),
        "outputs": list(found.outputs),
        "disjunct": found.disjunct,
        "margin": number(found.margin),
        "confirmed_by": found.confirmed_by,
        "literals": found.literals,
        "variables": [{"name": v.name, "type": v.dtype, "shape": list(v.shape), "values": list(v.values)} for v in found.variables],
    }


def text(verdict: Verdict) -> str:
    return json.dumps(document(verdict), indent=2, allow_nan=False) + "\n"


def write(verdict: Verdict, path: Path) -> None:
    """Write the document so that a reader sees all of it or the file that was there before; OSError if neither can be done."""
    write_atomically(path, text(verdict))


def write_atomically(path: Path, content: str) -> None:
    path = path.resolve()
    if path.exists() and not path.is_file():  # a pipe or a device: there is nothing to replace
        path.write_text(content, encoding="utf-8")
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def number(value: float | None) -> str | None:
    """A number that may be infinite, as text that `float` reads back."""
    return None if value is None else repr(float(value))
