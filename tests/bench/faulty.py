"""Workers that go wrong in the ways a worker can, by the name of the query."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from verifier.bench import worker
from verifier.bench.worker import nothing  # noqa: F401 -- what the runner expects of the module


def work(results: Connection, lifeline: Connection, task: str, log: str) -> None:
    name = Path(json.loads(task)["query"]).stem
    if name == "segfault":
        worker._redirect(log)
        os.kill(os.getpid(), 11)
    if name == "raise":
        worker._redirect(log)
        raise ZeroDivisionError("by zero")
    if name == "hang":
        worker._redirect(log)
        worker._stop_flag()
        time.sleep(60)
    if name == "quiet":
        sys.exit(7)
    if name == "half":
        os.write(results.fileno(), b"\x00\x00\xff\xff{")
        os._exit(0)
    if name == "orphan":
        (Path(log).parent / "pid").write_text(str(os.getpid()))
        threading.Thread(target=worker._follow, args=(lifeline,), daemon=True).start()
        time.sleep(60)
    worker.work(results, lifeline, task, log)
