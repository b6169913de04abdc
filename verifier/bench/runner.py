"""Instances in killable processes, forked from one warm server.

The server imports numpy, onnx, onnxruntime and the verifier once; each instance then costs a fork. This process stays light and
only watches: a worker that crashes, or outlives its timeout by more than the grace period, is an answer like any other.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from verifier.bench import worker
from verifier.bench.progress import Running
from verifier.bench.suite import Instance

PRELOADED = (
    "numpy",
    "numpy.ma",
    "numpy.random",
    "onnx",
    "onnxruntime",
    "verifier.engine",
    "verifier.graph.combine",
    "verifier.graph.products",
    "verifier.property.vnnlib2",
    "verifier.search.solve",
    "verifier.bench.worker",
    "verifier.report.json_report",
    "verifier.report.records",
)
"""What a query may need that takes long to import."""
_POLL = 0.5
"""Seconds after which the stop flag and the progress line are looked at, whatever the workers do."""
_LOG_TAIL = 2000


@dataclass(frozen=True)
class Answer:
    """What became of an instance: `status` sat, unsat, unknown, timeout or error; `seconds` of the wall clock, the fork included.

    `document`: the JSON verdict; `error`: {"code", "message", "location", "hint"}, for a dead worker also its last output as "log".
    """

    instance: Instance
    timeout: float
    status: str
    seconds: float
    document: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """How a run is done. `settings`: option -> value for every worker; `timeout(instance)`: its seconds; `grace`: seconds after which
    a worker that outlived its timeout is killed; `logs`: folder of the workers' output."""

    settings: Mapping[str, Any]
    timeout: Callable[[Instance], float]
    jobs: int
    grace: float
    logs: Path


@dataclass(eq=False)
class _Slot:
    """A running worker."""

    instance: Instance
    timeout: float
    process: BaseProcess
    results: Connection
    lifeline: Connection
    log: Path
    number: int
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def close(self) -> None:
        """Make sure that nothing of the worker is left."""
        self.process.join(0.5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(5)
        self.results.close()
        self.lifeline.close()


def run(
    instances: Iterable[Instance],
    plan: Plan,
    done: Callable[[Answer], None],
    stop: Callable[[], bool],
    tick: Callable[[Sequence[Running]], None],
) -> None:
    """Call `done` with the answer of each instance, in the order in which they finish; `tick(running)` about twice a second.

    After `stop()` nothing new is started, the workers are asked to end, and their answers are dropped.
    """
    context = _server(plan.settings)
    slots: list[_Slot] = []
    todo = list(reversed(list(instances)))
    try:
        while (todo or slots) and not stop():
            while todo and len(slots) < plan.jobs:
                number = min(set(range(plan.jobs)) - {slot.number for slot in slots})
                slots.append(_start(context, todo.pop(), plan, number))
            tick([Running(slot.instance, slot.seconds, slot.timeout) for slot in slots])
            for slot, answer in _finished(slots, plan.grace):
                slots.remove(slot)
                slot.close()
                done(answer)
    finally:
        for slot in slots:
            _terminate(slot.process)
        for slot in slots:
            slot.close()


def _server(settings: Mapping[str, Any]) -> Any:
    """A context whose processes start warm: forked from a server that has the modules. Elsewhere each starts on its own."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *(["torch"] if settings.get("search.device") == "cuda" else [])])
    first = context.Process(target=worker.nothing)
    # An interrupt from the terminal reaches the whole group; the server inherits that it is blocked, even while it imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        first.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    first.join()
    return context


def _start(context: Any, instance: Instance, plan: Plan, number: int) -> _Slot:
    timeout = plan.timeout(instance)
    task = json.dumps(
        {
            "networks": [[name, str(path)] for name, path in instance.networks],
            "query": str(instance.query),
            "missing": [str(path) for path in instance.missing],
            "settings": {**plan.settings, "search.timeout": timeout},
            "cores": cores(number, plan.jobs),
        }
    )
    log = plan.logs / f"worker-{number}.log"
    results, results_end = context.Pipe(duplex=False)
    lifeline_end, lifeline = context.Pipe(duplex=False)
    process = context.Process(target=worker.work, args=(results_end, lifeline_end, task, str(log)), daemon=True)
    started = time.monotonic()
    process.start()
    results_end.close()
    lifeline_end.close()
    return _Slot(instance, timeout, process, results, lifeline, log, number, started)


def cores(number: int, jobs: int) -> list[int] | None:
    """The cores of worker `number` of `jobs`; None for all of them."""
    if jobs == 1 or not hasattr(os, "sched_getaffinity"):
        return None
    have = sorted(os.sched_getaffinity(0))
    return have[number::jobs] or [have[number % len(have)]]


def _finished(slots: Sequence[_Slot], grace: float) -> list[tuple[_Slot, Answer]]:
    """Wait for the next event; the slots whose instance has an answer by now."""
    patience = min([_POLL, *(max(0.0, slot.timeout + grace - slot.seconds) for slot in slots)])
    wait([slot.results for slot in slots], patience)
    answers = [(slot, _answer(slot, grace)) for slot in slots]
    return [(slot, answer) for slot, answer in answers if answer is not None]


def _answer(slot: _Slot, grace: float) -> Answer | None:
    if slot.results.poll():
        try:
            message = json.loads(slot.results.recv_bytes())
        except (EOFError, OSError):
            return _dead(slot)
        document, error = message.get("document"), message.get("error")
        return Answer(slot.instance, slot.timeout, "error" if document is None else document["verdict"], slot.seconds, document, error)
    if slot.seconds > slot.timeout + grace:
        slot.process.kill()
        error = {"code": "V017", "message": f"killed {grace:g} s after the timeout", "location": None, "hint": None, "log": _tail(slot.log)}
        return Answer(slot.instance, slot.timeout, "timeout", slot.seconds, None, error)
    return None


def _dead(slot: _Slot) -> Answer:
    """The end of a worker that sent no answer."""
    slot.process.join(5)
    code = slot.process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else f"signal {-code}"
        message = f"the worker was ended by {name}" + (", perhaps for want of memory" if -code == signal.SIGKILL else "")
    else:
        message = f"the worker stopped with exit code {code}"
    log = _tail(slot.log)
    last = log.splitlines()[-1:] if log else []
    error = {"code": "V902", "message": ": ".join([message, *last]), "location": None, "hint": None, "log": log}
    return Answer(slot.instance, slot.timeout, "error", slot.seconds, None, error)


def _tail(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
    except OSError:
        return ""


def _terminate(process: BaseProcess) -> None:
    if process.is_alive():
        process.terminate()
