"""`verifier radius`: lines, document and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from verifier.cli.application import run
from verifier.report import radii

Capture = pytest.CaptureFixture[str]
SPECS = Path(__file__).resolve().parents[2] / "specs"
TEMPLATE = str(SPECS / "templates" / "tiny_robustness.yaml")


def test_a_line_a_sample(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "radius.json"
    assert run(["radius", TEMPLATE, "--precision", "0.2", "--json", str(path)]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[-1] for line in lines] == ["0", "1", "2", "3", "5"] and all(line.startswith("holds up to ") for line in lines)
    assert shown.err.startswith("5 of 5 known")
    document = json.loads(path.read_text())
    jsonschema.validate(document, radii.schema(), jsonschema.Draft202012Validator)
    assert [q["query"]["part"] for q in document["queries"]] == [f"sample {i}" for i in (0, 1, 2, 3, 5)]


def test_another_network_and_a_limit(capsys: Capture) -> None:
    network = str(SPECS / "networks" / "tiny.onnx")
    assert run(["radius", network, TEMPLATE, "--most", "1/1000", "-q"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 5 and shown.err == ""
    assert all(line.split()[3:7] == ["0.001", "violated", "from", "-"] for line in shown.out.splitlines())


def test_time_runs_out(capsys: Capture) -> None:
    assert run(["radius", TEMPLATE, "--timeout", "0"]) == 3
    assert capsys.readouterr().err.startswith("0 of 5 known")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([str(SPECS / "networks" / "tiny.onnx"), "query.vnnlib"], "V001"),
        ([TEMPLATE, "--most", "far"], "V223"),
        ([TEMPLATE, "--precision", "2"], "V001"),
        ([str(SPECS / "templates" / "avoidance_range.yaml")], "V224"),
    ],
)
def test_refused(capsys: Capture, arguments: list[str], code: str) -> None:
    assert run(["radius", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error[{code}]")
