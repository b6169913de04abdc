from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.suites import HOLDS, VIOLATED, suite
from tests.samples import FakeEngine, sat, undecided, unsat
from verifier.cli.application import run
from verifier.errors import ModelError
from verifier.report import json_report
from verifier.report.records import read

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def results(tmp_path: Path) -> list[str]:
    paths = []
    for name, verdict in {"a": sat(), "b": unsat(), "c": undecided()}.items():
        json_report.write(verdict, tmp_path / f"{name}.json")
        paths.append(str(tmp_path / f"{name}.json"))
    return paths


def test_the_list(results: list[str], capsys: Capture) -> None:
    assert run(["report", *results]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["violated", "holds", "undecided"]
    assert lines[3] == "1 hold, 1 violated, 1 undecided, 0 errors"


def test_formats_and_files(results: list[str], capsys: Capture, tmp_path: Path) -> None:
    assert (
        run(["report", *results, "--format", "csv", "--report", f"junit={tmp_path / 'j.xml'}", "--report", f"json={tmp_path / 's.json'}"])
        == 0
    )
    assert capsys.readouterr().out.startswith("category,network")
    assert "<testsuites" in (tmp_path / "j.xml").read_text()
    assert run(["report", str(tmp_path / "s.json"), "--format", "jsonl"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_as_a_gate(results: list[str], tmp_path: Path) -> None:
    violated, holds, undecided_ = results
    baseline = str(tmp_path / "baseline.json")
    assert run(["report", violated, "--report", f"baseline={baseline}"]) == 0
    for arguments, code in (
        ([*results, "--gate"], 1),
        ([*results, "--baseline", baseline], 3),
        ([*results, "--baseline", baseline, "--undecided", "pass"], 0),
        ([holds, undecided_, "--undecided", "fail"], 3),
        ([holds, "--gate"], 0),
    ):
        assert run(["report", *arguments]) == code, arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["none.json"], "cannot be read"),
        (["RESULT", "--format", "pdf"], "unknown report format"),
        (["RESULT", "--report", "junit"], "FORMAT=FILE"),
        (["RESULT", "--baseline", "none"], "baseline cannot be read"),
    ],
)
def test_refused_usage(results: list[str], capsys: Capture, arguments: list[str], words: str) -> None:
    assert run(["report", *(results[0] if a == "RESULT" else a for a in arguments)]) == 2
    assert words in capsys.readouterr().err


def test_verify_writes_reports(engine: FakeEngine, tmp_path: Path, capsys: Capture) -> None:
    engine.answer = sat()
    targets = {name: tmp_path / name for name in ("json", "junit", "sarif", "github", "csv", "baseline", "jsonl")}
    options = [part for name, path in targets.items() for part in ("--report", f"{name}={path}")]
    assert run(["verify", "m", "q", "-q", *options]) == 1
    assert all(path.stat().st_size for path in targets.values())
    assert targets["json"].read_text() == json_report.text(sat())
    assert run(["verify", "m", "q", "-q", "--baseline", str(targets["baseline"])]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("sat\n") and "this violation is in the baseline" in shown.err


def test_verify_with_an_undecided_query(engine: FakeEngine) -> None:
    engine.answer = undecided()
    assert run(["verify", "m", "q", "-q", "--undecided", "fail"]) == 3
    assert run(["verify", "m", "q", "-q", "--undecided", "pass"]) == 0


def test_verify_reports_errors_too(engine: FakeEngine, tmp_path: Path) -> None:
    engine.answer = ModelError("operator 'Loop' is not supported", code="V110")
    path = tmp_path / "r.json"
    assert run(["verify", "m.onnx", "q.vnnlib", "-q", "--report", f"json={path}"]) == 2
    (record,) = read(path)
    assert (
        (record.verdict, record.network, record.query) == ("error", "m.onnx", "q.vnnlib")
        and record.error
        and record.error["code"] == "V110"
    )


def test_verify_refuses_reports_before_the_run(engine: FakeEngine) -> None:
    for option in ("pdf=x", "json=/no/such/folder/x", "json=-"):
        assert run(["verify", "m", "q", "--report", option]) == 2
    assert engine.calls == []


def test_a_suite_as_a_gate(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("verifier.engine")
    folder = suite(tmp_path / "s", {"a.vnnlib": HOLDS, "b.vnnlib": VIOLATED})
    out, baseline, suites = tmp_path / "out", tmp_path / "baseline.json", tmp_path / "suite.json"
    command = ["bench", str(folder), "--output", str(out), "-q", "--device", "cpu"]
    assert run([*command, "--gate", "--report", f"baseline={baseline}", "--report", f"json={suites}"]) == 1
    assert run([*command, "--resume", "--baseline", str(baseline)]) == 0
    assert [e["verdict"] for e in json.loads(suites.read_text())["results"]] == ["unsat", "sat"]
    capsys.readouterr()
    assert run(["report", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 hold, 1 violated, 0 undecided, 0 errors"
