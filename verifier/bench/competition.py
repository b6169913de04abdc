"""One instance as VNN-COMP runs it: `python -m verifier.bench.competition ONNX VNNLIB RESULTS TIMEOUT [STARTED]`.

ONNX is a path, or a Python list of (name, path) pairs for queries over several networks. RESULTS gets one word (sat, unsat, unknown,
timeout, error) and after `sat` the witness. STARTED (seconds since 1970) is when the clock of the competition began to run.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from verifier.bench.suite import networks_of
from verifier.errors import UsageError, VerifierError

MARGIN = 0.3
"""Seconds kept for start and end of the process, 5 % of the timeout at most: a late answer is none."""


def main(arguments: list[str]) -> int:
    """0 if RESULTS was written, whatever it says; 2 for wrong arguments."""
    if len(arguments) not in (4, 5):
        print("usage: python -m verifier.bench.competition ONNX VNNLIB RESULTS TIMEOUT [STARTED]", file=sys.stderr)
        return 2
    from verifier.report.json_report import write_atomically

    onnx, vnnlib, results, *times = arguments
    try:
        text = answer(onnx, vnnlib, *map(float, times))
    except VerifierError as error:
        print(error.render(), file=sys.stderr)
        text = "error"
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    write_atomically(Path(results), text + "\n")
    return 0


def answer(onnx: str, vnnlib: str, timeout: float, started: float | None = None) -> str:
    """The verdict word, after `sat` the witness in the form of the query's language."""
    start = time.time() if started is None else started
    from verifier.config import Settings
    from verifier.engine import verify
    from verifier.report.text import assignment

    limit = max(0.0, timeout - min(MARGIN, 0.05 * timeout) - (time.time() - start))
    verdict = verify(_networks(onnx), Path(vnnlib), Settings().with_options({"search.timeout": limit}))
    word, found = verdict.status.value, verdict.counterexample
    return word if found is None else f"{word}\n{assignment(found)}"


def _networks(onnx: str) -> Path | dict[str, Path]:
    try:
        named = networks_of(onnx)
    except ValueError as error:
        raise UsageError(str(error), code="V016") from error
    return Path(named[0][1]) if not named[0][0] else {name: Path(path) for name, path in named}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
