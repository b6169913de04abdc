from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.suites import HOLDS, VIOLATED, suite
from verifier.bench.store import load
from verifier.cli.application import run

Capture = pytest.CaptureFixture[str]
pytest.importorskip("verifier.engine")


def test_a_suite(tmp_path: Path, capsys: Capture) -> None:
    folder = suite(tmp_path / "two", {"a.vnnlib": HOLDS, "b.vnnlib": VIOLATED, "c.vnnlib": "", "d.vnnlib": "("})
    (folder / "vnnlib" / "c.vnnlib").unlink()
    out = tmp_path / "out"
    assert run(["bench", str(folder), "--output", str(out), "--device", "cpu"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split()[:8] == ["two", "4", "1", "1", "0", "0", "0", "2"]
    assert "there is no such file" in shown.err and "1/4  unsat" in shown.err
    assert [row.status for row in load(out)] == ["unsat", "sat", "error", "error"]
    assert [line.split(",")[4] for line in (out / "results.csv").read_text().splitlines()] == ["unsat", "sat", "error", "error"]
    assert run(["bench", str(folder), "--output", str(out), "-q"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert run(["bench", str(folder), "--output", str(out), "-q", "--resume", "--device", "cpu"]) == 0
    assert run(["bench", "compare", str(out), str(out / "results.csv")]) == 0


def test_a_wrong_answer_fails_the_run(tmp_path: Path, capsys: Capture) -> None:
    folder = suite(tmp_path / "c", {"a.vnnlib": HOLDS})
    (folder / "verdicts.csv").write_text("onnx,vnnlib,verdict\nonnx/net.onnx,vnnlib/a.vnnlib,sat\n")
    assert run(["bench", str(folder / "instances.csv"), "--output", str(tmp_path / "out"), "--timeout", "10"]) == 1
    assert "WRONG: the stored verdict is sat" in capsys.readouterr().err


def test_contradictions_fail_the_comparison(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.csv").write_text("c,n.onnx,q.vnnlib,0,sat,1\n")
    (tmp_path / "b.csv").write_text("c,n.onnx,q.vnnlib,0,unsat,1\n")
    assert run(["bench", "compare", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]) == 1
    assert "CONTRADICTION" in capsys.readouterr().out
    assert run(["bench", "compare", str(tmp_path / "a.csv"), str(tmp_path / "a.csv")]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/no/such/suite"], "no such suite"),
        ([], "Missing argument"),
        (["SUITE", "--partition", "3/2"], "--partition"),
        (["SUITE", "--partition", "0/2"], "--partition"),
        (["SUITE", "--timeout", "nan"], "--timeout"),
        (["SUITE", "--timeout-scale", "0"], "--timeout-scale"),
        (["SUITE", "--jobs", "0"], "--jobs"),
        (["SUITE", "--device", "tpu"], "one of auto, cpu, cuda"),
        (["compare", "/no", "/no"], "there are no results here"),
    ],
)
def test_refused_usage(tmp_path: Path, capsys: Capture, arguments: list[str], words: str) -> None:
    folder = suite(tmp_path, {})
    assert run(["bench", *(str(folder) if a == "SUITE" else a for a in arguments)]) == 2
    assert words in capsys.readouterr().err


def test_the_table_for_a_reader_that_has_gone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("c,n.onnx,q.vnnlib,0,sat,1\n")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "verifier", "bench", "compare", *[str(tmp_path / "a.csv")] * 2]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(write)
    assert done.returncode == 0 and done.stderr == ""


def test_a_signal_keeps_the_results(tmp_path: Path) -> None:
    folder = suite(tmp_path / "s", {f"q{i}.vnnlib": HOLDS for i in range(200)})
    out = tmp_path / "out"
    command = [sys.executable, "-m", "verifier", "bench", str(folder), "--output", str(out), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "2/200" not in process.stderr.readline():
        assert process.poll() is None
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - start < 10
    assert "go on with --resume" in errors and "Traceback" not in errors
    assert 2 <= len(load(out)) < 200 and all(row.status == "unsat" for row in load(out))
