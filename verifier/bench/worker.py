"""What happens in the process of one instance. It may crash, leak or hang: that costs this instance and no other.

Everything that crosses the process boundary is JSON.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from verifier.errors import UsageError, VerifierError


def work(results: Connection, lifeline: Connection, task: str, log: str) -> None:
    """Decide one instance and send {"document": JSON verdict} or {"error": {...}}, as bytes of JSON.

    `task`: {"networks": [[name, path]], "query", "missing": [path], "settings": {option: value}, "cores": [int] or null};
    `lifeline`: closed at the other end when the parent is gone.
    """
    job = json.loads(task)
    _redirect(log)
    stop = _stop_flag()
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    _expendable()
    with _pinned(job["cores"]):
        results.send_bytes(json.dumps(answer(job, stop), allow_nan=False).encode())


def answer(job: Mapping[str, Any], stop: Callable[[], bool]) -> dict[str, Any]:
    from verifier.config import Settings
    from verifier.engine import verify
    from verifier.report import json_report
    from verifier.report.records import describe

    try:
        if job["missing"]:
            raise UsageError(f"there is no such file: {', '.join(job['missing'])}", code="V015")
        networks = _networks(job["networks"])
        settings = Settings().with_options(job["settings"])
        return {"document": json_report.document(verify(networks, Path(job["query"]), settings, stop=stop))}
    except VerifierError as error:
        return {"error": describe(error)}


def _networks(named: list[list[str]]) -> Path | dict[str, Path]:
    """A file, or files by name where the row gives names."""
    if len(named) == 1 and not named[0][0]:
        return Path(named[0][1])
    if len({name for name, _ in named}) < len(named):
        raise UsageError("two networks of this row have the same name", code="V016")
    return {name: Path(path) for name, path in named}


def nothing() -> None:
    """The first process of a run: it has the server load its modules before anything is timed."""


def _redirect(log: str) -> None:
    """What libraries print goes to the log, and so do the last words of a crash."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)
    faulthandler.enable(sys.stderr)


def _stop_flag() -> Callable[[], bool]:
    """True after SIGTERM. SIGINT from the terminal is for the parent, which passes it on."""
    asked = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    return asked.is_set


def _follow(lifeline: Connection) -> None:
    """End with the parent, however it ended."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _expendable() -> None:
    """Where memory runs out Linux is to end this process, not the run."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError:
        pass


def _pinned(cores: list[int] | None) -> Any:
    """Share the machine with the other workers: run on `cores` only, with as many threads."""
    from contextlib import nullcontext

    from threadpoolctl import threadpool_limits

    if cores is None or not hasattr(os, "sched_setaffinity"):
        return nullcontext()
    os.sched_setaffinity(0, cores)
    return threadpool_limits(len(cores))
