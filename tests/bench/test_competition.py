"""The scripts of the competition, run as its runner does."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.suites import HOLDS, VIOLATED, suite
from tests.bench.test_runner import TWO
from verifier.bench import competition
from verifier.bench.store import load

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "vnncomp"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the competition runs on Linux")


@dataclass
class Runner:
    """What the competition's runner does with one instance."""

    folder: Path
    python: str = sys.executable

    def script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "VERIFIER_PYTHON": self.python, "TMPDIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        return subprocess.run(["bash", str(SCRIPTS / name), *arguments], capture_output=True, text=True, timeout=60, env=environment)

    def instance(self, onnx: str, vnnlib: str, timeout: str = "20.0") -> list[str]:
        """A row of the results table: category, onnx, vnnlib, prepare time, result, run time."""
        results = self.folder / "out.txt"
        prepared = self.script("prepare_instance.sh", "v1", "c", onnx, vnnlib)
        if prepared.returncode:
            return ["c", onnx, vnnlib, "0", f"prepare_instance_error_{prepared.returncode}", "0"]
        start = time.monotonic()
        done = self.script("run_instance.sh", "v1", "c", onnx, vnnlib, str(results), timeout)
        seconds = time.monotonic() - start
        if done.returncode:
            return ["c", onnx, vnnlib, "0", f"error_exit_code_{done.returncode}", str(seconds)]
        lines = results.read_text().splitlines()
        return ["c", onnx, vnnlib, "0", "".join(lines[0].split()) if lines else "no_result_in_file", str(seconds)]

    def stub(self, text: str) -> None:
        """Another interpreter: a shell script."""
        path = self.folder / "python"
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(0o755)
        self.python = str(path)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.slow
def test_a_category(runner: Runner) -> None:
    """Every kind of answer, and a table that `bench compare` reads."""
    pytest.importorskip("verifier.engine")
    folder = suite(runner.folder / "c", {"holds.vnnlib": HOLDS, "violated.vnnlib": VIOLATED, "broken.vnnlib": "(", "two.vnnlib": TWO})
    network = str(folder / "onnx" / "net.onnx")
    pair = repr([("f", network), ("g", network)])
    queries = [str(folder / "vnnlib" / f"{name}.vnnlib") for name in ("holds", "violated", "broken", "gone", "two")]
    rows = [runner.instance(pair if "two" in query else network, query) for query in queries]
    assert [row[4] for row in rows] == ["unsat", "sat", "error", "prepare_instance_error_1", "unsat"]
    with (runner.folder / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert [row.status for row in load(runner.folder / "results.csv")] == ["unsat", "sat", "error", "error", "unsat"]


def test_the_witness(tmp_path: Path) -> None:
    pytest.importorskip("verifier.engine")
    folder, out = suite(tmp_path, {"q.vnnlib": VIOLATED}), tmp_path / "out.txt"
    assert competition.main([str(folder / "onnx/net.onnx"), str(folder / "vnnlib/q.vnnlib"), str(out), "20"]) == 0
    first, *rest = out.read_text().splitlines()
    assert first == "sat" and rest[0].startswith("((X_0 ") and rest[-1].endswith("))")
    assert [line.strip(" ()").split()[0] for line in rest] == ["X_0", "X_1", "Y_0"]


def test_time_that_has_passed_counts(tmp_path: Path) -> None:
    pytest.importorskip("verifier.engine")
    folder, out = suite(tmp_path, {"q.vnnlib": HOLDS}), tmp_path / "out.txt"
    assert competition.main([str(folder / "onnx/net.onnx"), str(folder / "vnnlib/q.vnnlib"), str(out), "20", "0"]) == 0
    assert out.read_text() == "timeout\n"


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c", "soon"], ["a", "b", "c", "1", "2", "3"]])
def test_wrong_arguments(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert competition.main(arguments) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_is_none_is_an_error(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    assert competition.main(["[('f', 1)]", "q.vnnlib", str(out), "20"]) == 0
    assert out.read_text() == "error\n"


@pytest.mark.parametrize("name", ["install_tool.sh", "prepare_instance.sh", "run_instance.sh"])
def test_scripts_refuse_other_versions(runner: Runner, name: str) -> None:
    for arguments in ([], ["v2", "c", "o", "v", "r", "1"], ["v1", *"abcdefg"]):
        done = runner.script(name, *arguments)
        assert done.returncode == 2 and "usage: " + name in done.stderr
    assert os.access(SCRIPTS / name, os.X_OK)


def test_a_crash_is_an_error(runner: Runner) -> None:
    runner.stub("kill -SEGV $$\n")
    done = runner.script("run_instance.sh", "v1", "c", "o", "v", str(runner.folder / "out.txt"), "20")
    assert done.returncode == 0 and (runner.folder / "out.txt").read_text() == "error\n"


@pytest.mark.slow
def test_a_hang_is_a_timeout(runner: Runner) -> None:
    runner.stub("sleep 60\n")
    start = time.monotonic()
    done = runner.script("run_instance.sh", "v1", "c", "o", "v", str(runner.folder / "out.txt"), "0.5")
    assert 5 < time.monotonic() - start < 15
    assert done.returncode == 0 and (runner.folder / "out.txt").read_text() == "timeout\n"
    assert not list(runner.folder.glob("*.pid"))


def test_stale_processes_are_ended(runner: Runner) -> None:
    stale = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "verifier.bench.competition"], start_new_session=True)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    runner.stub("exit 0\n")
    (runner.folder / "q").write_text("")
    pid_file = runner.folder / f"verifier-vnncomp-{os.getuid()}.pid"
    try:
        for process, text in ((stale, str(stale.pid)), (other, str(other.pid)), (other, "-1"), (other, "")):
            pid_file.write_text(f"{text}\n")
            time.sleep(0.2)  # until the process has its command line
            assert runner.script("prepare_instance.sh", "v1", "c", "[('f', 'x')]", str(runner.folder / "q")).returncode == 0
            assert not pid_file.exists()
            assert (process.wait(5) == -9) if process is stale else (process.poll() is None)
    finally:
        other.kill()
        other.wait()
        stale.kill()


def test_installation(runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With an interpreter that only says what it is asked to do, in a copy of the scripts."""
    copy = tmp_path / "tool" / "vnncomp"
    copy.mkdir(parents=True)
    for name in ("common.sh", "install_tool.sh"):
        (copy / name).write_text((SCRIPTS / name).read_text())
    log = tmp_path / "log"
    runner.stub(f'echo "$@" >>{log}\nif [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi\n')
    environment = {**os.environ, "PYTHON_FOR_VENV": runner.python}
    subprocess.run(["bash", str(copy / "install_tool.sh"), "v1"], check=True, env=environment, capture_output=True, timeout=30)
    lines = log.read_text().splitlines()
    root = copy.parent
    assert lines[1:] == [f"-m venv {root}/.venv", f"-m pip install -c {root}/constraints.txt {root}", "-m verifier --version"]
