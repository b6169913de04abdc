from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import faulty
from tests.bench.suites import HOLDS, VIOLATED, suite
from verifier.bench import runner
from verifier.bench.runner import Answer, Plan
from verifier.bench.suite import Instance, read

pytest.importorskip("verifier.engine")


def answers(instances: list[Instance], folder: Path, timeout: float = 20.0, jobs: int = 1, stop_after: int = 10**9) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    plan = Plan({"search.device": "cpu"}, lambda i: timeout, jobs, 0.3, folder)
    runner.run(instances, plan, lambda a: found.update({a.instance.query.stem: a}), lambda: len(found) >= stop_after, lambda running: None)
    return found


def test_answers_and_refusals(tmp_path: Path) -> None:
    folder = suite(tmp_path, {"holds.vnnlib": HOLDS, "violated.vnnlib": VIOLATED, "broken.vnnlib": "(assert", "gone.vnnlib": ""})
    (folder / "vnnlib" / "gone.vnnlib").unlink()
    found = answers(list(read(folder)[0].instances), tmp_path, jobs=2)
    assert {name: a.status for name, a in found.items()} == {"holds": "unsat", "violated": "sat", "broken": "error", "gone": "error"}
    document = found["violated"].document
    assert document is not None and document["counterexample"]["margin"] and found["holds"].error is None
    assert document["configuration"]["search.timeout"]["value"] == 20.0
    broken, gone = found["broken"].error, found["gone"].error
    assert broken and broken["code"].startswith("V2") and "broken.vnnlib" in broken["location"]
    assert gone and gone["code"] == "V015" and "gone.vnnlib" in gone["message"]


TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1,2]) (declare-output Y float32 [1,1]))
(declare-network g (equal-to f) (declare-input U float32 [1,2]) (declare-output V float32 [1,1]))
(assert (>= X[0,0] -1.0))
(assert (<= X[0,0] 1.0))
(assert (>= X[0,1] 0.25))
(assert (<= X[0,1] 0.5))
(assert (== U[0,0] X[0,0]))
(assert (== U[0,1] X[0,1]))
(assert (>= (- Y[0,0] V[0,0]) 1.0))
"""


def test_several_networks(tmp_path: Path) -> None:
    folder = suite(tmp_path, {"two.vnnlib": TWO, "same.vnnlib": TWO})
    rows = [f"\"[('{a}', 'onnx/net.onnx'), ('g', 'onnx/net.onnx')]\",vnnlib/{q}.vnnlib,20\n" for a, q in (("f", "two"), ("g", "same"))]
    (folder / "instances.csv").write_text("".join(rows))
    found = answers(list(read(folder)[0].instances), tmp_path)
    assert found["two"].status == "unsat", found["two"].error
    document, error = found["two"].document, found["same"].error
    assert document is not None and document["networks"][0]["name"] == "f"
    assert error is not None and "same name" in error["message"]


def test_a_fault_costs_one_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "worker", faulty)
    names = ["segfault", "raise", "hang", "quiet", "half", "fine"]
    folder = suite(tmp_path, {f"{name}.vnnlib": HOLDS for name in names})
    start = time.monotonic()
    found = answers(list(read(folder)[0].instances), tmp_path, timeout=3.0)
    assert time.monotonic() - start < 20
    assert list(found) == names
    assert {name: a.status for name, a in found.items()} == {**dict.fromkeys(names, "error"), "hang": "timeout", "fine": "unsat"}
    messages = {name: a.error["message"] for name, a in found.items() if a.error}
    assert "SIGSEGV" in messages["segfault"] and "ZeroDivisionError: by zero" in messages["raise"] and "exit code 7" in messages["quiet"]
    assert "killed" in messages["hang"] and 3.3 <= found["hang"].seconds < 10
    assert found["raise"].error and "Traceback" in found["raise"].error["log"]


def test_stopping_ends_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "worker", faulty)
    folder = suite(tmp_path, {"first.vnnlib": HOLDS, "hang.vnnlib": HOLDS, "never.vnnlib": HOLDS})
    start = time.monotonic()
    assert list(answers(list(read(folder)[0].instances), tmp_path, stop_after=1)) == ["first"]
    assert time.monotonic() - start < 15


_PARENT = """
import os, sys
from pathlib import Path
from tests.bench import faulty
from verifier.bench import runner, suite

if __name__ == "__main__":
    runner.worker = faulty
    folder = Path(sys.argv[1])
    plan = runner.Plan({}, lambda i: 60.0, 1, 5.0, folder)
    runner.run(suite.read(folder)[0].instances, plan, lambda a: None, lambda: False, lambda n: None)
"""


def test_workers_do_not_outlive_the_run(tmp_path: Path) -> None:
    """Not even one that is killed."""
    folder = suite(tmp_path, {"orphan.vnnlib": HOLDS})
    root = str(Path(__file__).parents[2])
    (tmp_path / "parent.py").write_text(_PARENT)
    process = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(folder)], env={**os.environ, "PYTHONPATH": root})
    pid_file, deadline = tmp_path / "pid", time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    worker = int(pid_file.read_text())
    process.kill()
    process.wait()
    while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cores_are_shared() -> None:
    assert runner.cores(0, 1) is None
    shares = [runner.cores(i, 2) for i in range(2)]
    assert all(shares) and (runner.cores(5, 6) or [0])
    assert shares[0] is None or shares[1] is None or len(set(shares[0] + shares[1])) >= len(shares[0])


@pytest.mark.slow
def test_the_overhead_of_an_instance(tmp_path: Path) -> None:
    """About 0.05 s on an idle machine, solving included; the limit leaves room for a busy one."""
    folder = suite(tmp_path, {f"q{i}.vnnlib": HOLDS for i in range(30)})
    instances = list(read(folder)[0].instances)
    answers(instances[:1], tmp_path)
    start = time.monotonic()
    found = answers(instances, tmp_path)
    solving = sum(a.document["statistics"]["total_seconds"] for a in found.values() if a.document)
    each = (time.monotonic() - start - solving) / len(found)
    print(f"{each * 1000:.1f} ms an instance beside the solving")
    assert each < 0.35
