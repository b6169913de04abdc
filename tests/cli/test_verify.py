from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.samples import FakeEngine, sat, undecided, unsat
from verifier.cli.application import run
from verifier.errors import Location, ModelError, SelfCheckError
from verifier.verdict import Reason, Verdict

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("verdict", "code", "word"),
    [
        (unsat(), 0, "unsat"),
        (sat(), 1, "sat"),
        (undecided(), 3, "timeout"),
        (undecided(Reason.MEMORY), 3, "unknown"),
        (undecided(Reason.NUMERICALLY_UNDECIDED), 3, "unknown"),
        (undecided(Reason.INTERRUPTED), 130, "unknown"),
    ],
)
def test_verdict_and_exit_code(engine: FakeEngine, capsys: Capture, verdict: Verdict, code: int, word: str) -> None:
    engine.answer = verdict
    assert run(["verify", "net.onnx", "query.vnnlib"]) == code
    assert capsys.readouterr().out.splitlines()[0] == word
    assert run(["verify", "--exit-zero", "net.onnx", "query.vnnlib"]) == (130 if code == 130 else 0)


def test_stdout_holds_the_verdict_and_the_witness_only(engine: FakeEngine, capsys: Capture) -> None:
    engine.answer = sat(warnings=("look out",))
    run(["verify", "net.onnx", "query.vnnlib", "-v"])
    shown = capsys.readouterr()
    assert shown.out == "sat\n((X_0 0.1)\n (X_1 -1e-05)\n (Y_0 1.25))\n"
    for part in ("lower bound", "R   0.31s", "warning: look out", "violated: ", "search.seed = 0 (default)"):
        assert part in shown.err


def test_quiet(engine: FakeEngine, capsys: Capture) -> None:
    engine.answer = unsat(warnings=("look out",))
    run(["verify", "net.onnx", "query.vnnlib", "-q"])
    assert capsys.readouterr() == ("unsat\n", "warning: look out\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["net.onnx", "query.vnnlib"],
        ["query.vnnlib", "--network", "net.onnx"],
    ],
)
def test_both_forms(engine: FakeEngine, arguments: list[str]) -> None:
    assert run(["verify", *arguments]) == 0
    assert engine.calls[0][:2] == (Path("net.onnx"), Path("query.vnnlib"))


def test_named_networks(engine: FakeEngine) -> None:
    assert run(["verify", "--network", "f=net.onnx", "--network", "g=other.onnx", "query.vnnlib"]) == 0
    assert engine.calls[0][:2] == ({"f": Path("net.onnx"), "g": Path("other.onnx")}, Path("query.vnnlib"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["query.vnnlib"], "expected a model and a query"),
        (["a", "b", "c"], "got 3 file"),
        (["a.onnx", "b.vnnlib", "--network", "a.onnx"], "only argument is the query"),
        (["b.vnnlib", "--network", "a.onnx", "--network", "b.onnx"], "several networks"),
        (["b.vnnlib", "--network", "f=a.onnx", "--network", "f=b.onnx"], "two models"),
        (["q.vnnlib", "m.onnx"], "verifier verify m.onnx q.vnnlib"),
        (["m", "q", "--json", "-"], "stdout is for the verdict"),
        (["m", "q", "--json", "/no/such/folder/x.json"], "cannot be written"),
        (["m", "q", "--events", "/"], "cannot be written"),
        (["m", "q", "--timeout", "nan"], "search.timeout"),
        (["m", "q", "--timeout", "-1"], "search.timeout"),
        (["m", "q", "--device", "tpu"], "one of auto, cpu, cuda"),
        (["m", "q", "--seed", "1.5"], "1.5"),
        (["m", "q", "--config", "/no/such/file"], "cannot read the configuration"),
        (["m", "q", "--tiemout", "3"], "--timeout"),
        ([], "Missing argument"),
    ],
)
def test_refused_usage(engine: FakeEngine, capsys: Capture, arguments: list[str], words: str) -> None:
    assert run(["verify", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and words in shown.err and "Traceback" not in shown.err
    assert engine.calls == []


def test_settings_reach_the_engine(engine: FakeEngine, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("search:\n  seed: 5\n  timeout: 9\n")
    run(["verify", "m", "q", "--config", str(config), "--timeout", "0.5", "--device", "cpu"])
    described = engine.calls[0][2].describe()
    assert described["search.timeout"] == (0.5, "command line")
    assert described["search.seed"] == (5, f"file {config}:2")
    assert described["search.device"] == ("cpu", "command line")


def test_json_and_events(engine: FakeEngine, tmp_path: Path) -> None:
    verdict, events = tmp_path / "v.json", tmp_path / "e.jsonl"
    engine.answer = sat()
    assert run(["verify", "m", "q", "-q", "--json", str(verdict), "--events", str(events)]) == 1
    assert json.loads(verdict.read_text())["counterexample"]["inputs"] == ["0.1", "-1e-05"]
    assert [json.loads(line)["kind"] for line in events.read_text().splitlines()] == ["R"]


def test_the_verdict_stands_if_json_cannot_be_written(
    engine: FakeEngine, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run(["verify", "m", "q", "--json", str(tmp_path / "v.json")]) == 0
    shown = capsys.readouterr()
    assert shown.out == "unsat\n" and "No space left on device" in shown.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelError("operator 'Loop' is not supported", code="V110", location=Location("m.onnx", detail="node 'x'"), hint="a hint"), 2),
        (SelfCheckError("onnxruntime disagrees"), 4),
    ],
)
def test_refusals_are_rendered(engine: FakeEngine, capsys: Capture, error: Exception, code: int) -> None:
    engine.answer = error
    assert run(["verify", "m", "q", "-q"]) == code
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error[V") and "Traceback" not in shown.err
    assert run(["verify", "m", "q", "-qv"]) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["-vv"], ["-v", "--verbose"], ["-qvv"]])
def test_a_traceback_is_there_for_those_who_ask(engine: FakeEngine, capsys: Capture, flags: list[str]) -> None:
    engine.answer = ModelError("no")
    assert run(["verify", "m", "q", *flags]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), MemoryError(), RecursionError(), OSError(5, "Input/output error")])
def test_a_fault_is_never_a_verdict(engine: FakeEngine, capsys: Capture, error: Exception) -> None:
    engine.answer = error
    assert run(["verify", "m", "q", "--exit-zero"]) == 4
    shown = capsys.readouterr()
    assert shown.out == "" and "internal fault" in shown.err and "Traceback" in shown.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_engine_to_stop(engine: FakeEngine, capsys: Capture, number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def answer(stop: Callable[[], bool]) -> Verdict:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        return undecided(Reason.INTERRUPTED)

    engine.answer = answer
    assert run(["verify", "m", "q"]) == 130
    shown = capsys.readouterr()
    assert shown.out == "unknown\n" and "undecided: The run was stopped by a signal" in shown.err
    assert signal.getsignal(number) is before


_ENGINE = """
import os, signal, sys, time
from types import ModuleType
sys.path.insert(0, {root!r})
from tests.samples import sat
from verifier.cli import main

def verify(network, query, settings, listener=None, stop=None):
    {body}

module = ModuleType("verifier.engine")
module.verify = verify
sys.modules["verifier.engine"] = module
main(["verify", "m", "q"])
"""


def script(body: str) -> list[str]:
    return [sys.executable, "-c", _ENGINE.format(root=str(Path(__file__).parents[2]), body=body)]


def test_a_second_signal_stops_at_once() -> None:
    body = "os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    done = subprocess.run(script(body), capture_output=True, text=True, timeout=30)
    assert done.returncode == 130
    assert done.stdout == "" and "stopped at once" in done.stderr


def test_a_reader_that_leaves_does_not_change_the_exit_code() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(script("return sat()"), stdout=write, stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
