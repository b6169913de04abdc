"""`verifier verify TEMPLATE.yaml`: stdout, exit codes, documents and reports."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from verifier.bench import suite
from verifier.cli.application import run
from verifier.cli.signals import StopRequest
from verifier.report import records
from verifier.search.events import Event, Trace

Capture = pytest.CaptureFixture[str]
SPECS = Path(__file__).resolve().parents[2] / "specs"
TINY = SPECS / "templates" / "tiny_robustness.yaml"
NETWORK = SPECS / "networks" / "tiny.onnx"


def template(folder: Path, **changes: str) -> Path:
    """tiny_robustness with some keys replaced."""
    keys = {
        "network": str(NETWORK),
        "data": f"{{file: {SPECS}/data/digits7.csv, label_column: 0, samples: [1, 2]}}",
        "kind": "robustness",
        "eps": "1/64",
        "domain": "[0, 1]",
        **changes,
    }
    path = folder / "t.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items() if value))
    return path


def test_a_line_a_query(capsys: Capture, tmp_path: Path) -> None:
    document = tmp_path / "suite.json"
    assert run(["verify", str(TINY), "--json", str(document), "--report", f"junit={tmp_path / 'j.xml'}"]) == 1
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines] == ["sat", "unsat", "unsat", "unsat", "sat"]
    assert all(f"sample {i}" in line for i, line in zip((0, 1, 2, 3, 5), lines))
    assert "3 hold, 2 violated, 0 undecided, 0 errors" in shown.err
    found = records.read(document)
    assert [r.query for r in found] == [f"{TINY}, sample {i}" for i in (0, 1, 2, 3, 5)]
    assert {r.query_file for r in found} == {str(TINY)} and {r.line for r in found if r.verdict == "sat"} == {2}
    assert len({r.fingerprint for r in found}) == 5
    assert (tmp_path / "j.xml").read_text().count("<testcase") == 5


def test_one_query_is_reported_like_any_other(capsys: Capture, tmp_path: Path) -> None:
    document = tmp_path / "v.json"
    path = template(tmp_path, data=f"{{file: {SPECS}/data/digits7.csv, label_column: 0, samples: 5}}", eps="0.03")
    assert run(["verify", str(path), "-q", "--json", str(document)]) == 1
    assert capsys.readouterr().out.startswith("sat\n((X_0 ")
    found = json.loads(document.read_text())
    assert found["query"]["part"] == "sample 5" and found["query"]["language"] == "template"


def test_all_hold(capsys: Capture, tmp_path: Path) -> None:
    assert run(["verify", str(template(tmp_path)), "-q"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["unsat", "unsat"]


def test_undecided_is_worse_than_holds(tmp_path: Path) -> None:
    assert run(["verify", str(template(tmp_path)), "-q", "--timeout", "0"]) == 3
    assert run(["verify", str(template(tmp_path)), "-q", "--timeout", "0", "--undecided", "pass"]) == 0
    assert run(["verify", str(template(tmp_path)), "-q", "--timeout", "0", "--exit-zero"]) == 0


def test_a_sample_that_is_misread_is_a_violation_and_says_so(capsys: Capture, tmp_path: Path) -> None:
    labels = f"{{file: {SPECS}/data/digits7.csv, samples: [1, 2]}}"
    path = template(tmp_path, data=labels, label="3")
    (tmp_path / "d.csv").write_text("\n".join(",".join(r.split(",")[1:]) for r in (SPECS / "data" / "digits7.csv").read_text().split()))
    path.write_text(path.read_text().replace(f"{SPECS}/data/digits7.csv", "d.csv"))
    assert run(["verify", str(path)]) == 1
    assert capsys.readouterr().out.count("The centre of the input region, which the property is about, violates it already.") == 2


def test_a_fault_of_one_query_spares_the_others(capsys: Capture, tmp_path: Path) -> None:
    lines = (SPECS / "data" / "digits7.csv").read_text().splitlines()
    (tmp_path / "d.csv").write_text("\n".join([lines[2], "12" + lines[3][1:], lines[4]]))
    path = template(tmp_path, data="{file: d.csv, label_column: 0}")
    document = tmp_path / "suite.json"
    assert run(["verify", str(path), "-q", "--json", str(document)]) == 2
    shown = capsys.readouterr()
    assert "there is no label 12" in shown.err and "t.yaml:3, sample 1" in shown.err
    assert [line.split()[0] for line in shown.out.splitlines()] == ["unsat", "error", "unsat"]
    (broken,) = (r for r in records.read(document) if r.verdict == "error")
    assert broken.error is not None and broken.error["code"] == "V224"


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({"eps": "-1"}, [], "eps is -1, but a radius is not negative"),
        ({"network": ""}, [], "the template names no network"),
        ({"network": "none.onnx"}, [], "no such file"),
        ({}, ["--network", "f=a.onnx", "--network", "g=b.onnx"], "--network f=FILE"),
        ({}, ["--serialise-assignments", "tensors"], "is for one query"),
        ({"epsilon": "1"}, [], "did you mean 'eps'?"),
    ],
)
def test_refused(capsys: Capture, tmp_path: Path, changes: dict[str, str], arguments: list[str], words: str) -> None:
    assert run(["verify", str(template(tmp_path, **changes)), *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err and "Traceback" not in shown.err


def test_networks_from_the_command_line(tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    shutil.copy(NETWORK, copy)
    path = template(tmp_path, network="")
    assert run(["verify", str(path), "-q", "--network", str(copy)]) == 0
    two = template(tmp_path, network="", kind="equivalence", tolerance="0.001")
    assert run(["verify", str(two), "-q", "--network", f"f={NETWORK}", "--network", f"g={copy}"]) == 0


def test_events_of_all_queries(tmp_path: Path) -> None:
    events = tmp_path / "e.jsonl"
    assert run(["verify", str(template(tmp_path)), "-q", "--events", str(events)]) == 0
    assert [json.loads(line)["kind"] for line in events.read_text().splitlines()].count("*") == 2


@pytest.mark.parametrize("version", ["1", "2"])
def test_queries_can_be_exported_as_a_suite(capsys: Capture, tmp_path: Path, version: str) -> None:
    folder = tmp_path / "suite"
    assert run(["verify", str(template(tmp_path)), "--export-vnnlib", version, "--output", str(folder), "--timeout", "9"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["instances.csv", "t_sample1.vnnlib", "t_sample2.vnnlib"]
    (category,) = suite.read(folder)
    assert [(i.vnnlib, i.timeout, i.missing) for i in category.instances] == [(f"t_sample{k}.vnnlib", 9.0, ()) for k in (1, 2)]
    capsys.readouterr()
    assert run(["verify", str(NETWORK), str(folder / "t_sample1.vnnlib"), "-q"]) == 0


def test_two_networks_are_exported_by_name(tmp_path: Path) -> None:
    path = SPECS / "templates" / "digits_equivalent.yaml"
    assert run(["verify", str(path), "--export-vnnlib", "2", "--output", str(tmp_path)]) == 0
    (category,) = suite.read(tmp_path)
    assert [name for name, _ in category.instances[0].networks] == ["f", "g"] and category.instances[0].missing == ()
    assert run(["verify", str(path), "--export-vnnlib", "1", "--output", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    "arguments",
    [[str(TINY), "--export-vnnlib", "1"], [str(TINY), "--output", "x"], ["a.onnx", "b.vnnlib", "--export-vnnlib", "1", "--output", "x"]],
)
def test_what_cannot_be_exported(capsys: Capture, arguments: list[str]) -> None:
    assert run(["verify", *arguments]) == 2
    assert "--export-vnnlib needs a template and --output" in capsys.readouterr().err


def test_a_signal_ends_the_run_after_the_query_at_hand(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    def interrupt(self: Trace, event: Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trace, "add", interrupt)
    monkeypatch.setattr(StopRequest, "_handle", lambda self, number, frame: setattr(self, "_requested", True))
    path = template(tmp_path, eps="48/1024", data=f"{{file: {SPECS}/data/digits7.csv, label_column: 0, samples: [2, 1]}}")
    document = tmp_path / "suite.json"
    assert run(["verify", str(path), "--json", str(document)]) == 130
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["unknown"]
    assert json.loads(document.read_text())["results"][0]["document"]["reason"] == "interrupted"


def test_reports_of_all_queries(tmp_path: Path) -> None:
    formats = ("jsonl", "sarif", "github", "csv", "html", "baseline")
    assert run(["verify", str(TINY), "-q", *(a for f in formats for a in ("--report", f"{f}={tmp_path / f}"))]) == 1
    assert len((tmp_path / "jsonl").read_text().splitlines()) == 5
    place = json.loads((tmp_path / "sarif").read_text())["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("tiny_robustness.yaml") and place["region"]["startLine"] == 2
    assert "sample 5" in (tmp_path / "html").read_text() and "sample 5" in (tmp_path / "csv").read_text()
    assert run(["verify", str(TINY), "-q", "--baseline", str(tmp_path / "baseline")]) == 0
