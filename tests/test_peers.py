"""The comparison with other verifiers: sampling, commands, limits, verdict patterns and sums. Nothing is installed here."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import peers
from benchmarks.peers import OURS, PEERS, Instance, Result, Tool

SPECS = Path(__file__).resolve().parents[1] / "specs"


def test_the_sample_is_spread_over_every_category(tmp_path: Path) -> None:
    for name, count in (("a", 7), ("b", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "net.onnx").touch()
        for i in range(count):
            (folder / f"{i}.vnnlib").touch()
        rows = [f"net.onnx,{i}.vnnlib,{100 * i + 1}\n" for i in range(count)]
        (folder / "instances.csv").write_text("".join([*rows, "net.onnx,gone.vnnlib,9\n"]))
        (folder / "verdicts.csv").write_text("onnx,vnnlib,verdict\nnet.onnx,1.vnnlib,unsat\n")
    found = peers.instances(tmp_path, 3, 60.0)
    assert [f"{i.category} {i.spec.stem}" for i in found] == ["a 1", "a 3", "a 5", "b 0", "b 1"]
    assert [i.limit for i in found] == [60.0, 60.0, 60.0, 1.0, 60.0] and [i.truth for i in found] == ["unsat", None, None, None, "unsat"]
    bundled = peers.instances(SPECS, 1000, 5.0)
    assert len(bundled) == 48 and all(i.net.is_file() and i.spec.is_file() and i.truth in ("sat", "unsat") for i in bundled)


def test_this_verifier_is_run_and_understood() -> None:
    for name, verdict in (("tiny_sample1_radius32", "unsat"), ("tiny_sample5_radius24", "sat")):
        net, spec = SPECS / "networks" / "tiny.onnx", SPECS / "properties" / f"{name}.vnnlib"
        found = peers.run(OURS, peers.command(OURS, None, net, spec, 20.0), 20.0)
        assert found.verdict == verdict and found.seconds < 20 and found.memory_mb > 20


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("print('Result: sat'); print('Result: unsat')", "unsat"),
        ("print('Result: timeout')", "unknown"),
        ("print('no word of it')", "error"),
        ("import sys; sys.exit('Result: sat')", "sat"),
    ],
)
def test_what_a_tool_says(code: str, verdict: str) -> None:
    assert peers.run(Tool("t", "t", "", r"Result: (\w+)"), script(code), 5.0).verdict == verdict


def test_a_peer_does_not_see_the_search_path_of_this_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    code = "import os; print('Result: ' + ('sat' if 'PYTHONPATH' in os.environ else 'unsat'))"
    for package, verdict in (("p", "unsat"), ("", "sat")):
        assert peers.run(Tool("t", package, "", r"Result: (\w+)"), script(code), 5.0).verdict == verdict


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_tool_that_hangs_is_ended_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "GRACE", 0.2)
    file = tmp_path / "child"
    sleeping = "import time; time.sleep(60)"
    code = f"import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', {sleeping!r}])"
    start = time.monotonic()
    found = peers.run(Tool("t", "t", "", "(never)"), script(f"{code}; open({str(file)!r}, 'w').write(str(p.pid)); time.sleep(60)"), 0.8)
    assert found.verdict == "timeout" and time.monotonic() - start < 10
    while alive(int(file.read_text())) and time.monotonic() - start < 20:
        time.sleep(0.05)
    assert not alive(int(file.read_text()))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("neuralsat", "INFO     [!] Result: unsat\n"),
        ("marabou", "Network: n\n\nunsat\n"),
        ("vibecheck", "[vibecheck] verdict: unsat  (1.67s)\n"),
    ],
)
def test_patterns_and_commands_of_the_peers(name: str, said: str, tmp_path: Path) -> None:
    peer = next(p for p in PEERS if p.name == name)
    assert re.findall(peer.verdict, said, re.MULTILINE) == ["unsat"]
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    arguments = peers.command(peer, tmp_path, Path("n.onnx"), Path("q.vnnlib"), 7.5)
    assert "{" not in " ".join(arguments) and {"n.onnx", "q.vnnlib", "7.5"} <= set(arguments)


def test_what_cannot_be_installed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: no such package\n")
    monkeypatch.setattr(peers.subprocess, "run", lambda *a, **k: failed)
    assert peers.installed(PEERS[0], tmp_path) is None
    assert "neuralsat is left out: neuralsat cannot be installed: ERROR: no such package" in capsys.readouterr().out


def test_unpacked(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "n.onnx.gz", "wb") as file:
        file.write(b"model")
    out = tmp_path / "out"
    out.mkdir()
    assert peers.unpacked(tmp_path / "n.onnx", out).read_bytes() == peers.unpacked(tmp_path / "n.onnx.gz", out).read_bytes() == b"model"


def test_sums() -> None:
    rows = [Instance("c", Path("n"), Path(f"q{k}"), 60.0, truth) for k, truth in enumerate(("sat", "unsat", None))]
    results = {
        OURS.name: [Result("sat", 1.0, 1024.0), Result("unsat", 2.0, 2048.0), Result("unsat", 3.0, 512.0)],
        "other": [Result("unsat", 1.0, 100.0), Result("timeout", 61.0, 100.0), Result("sat", 2.0, 100.0)],
    }
    lines = [line.split() for line in peers.table("c", rows, results)]
    assert lines[2] == ["verifier", "3", "0", "6.0", "2.00", "2.00", "1.00"]
    assert lines[3] == ["other", "1", "1", "123.0", "60.00", "0.10", "20.50"]
