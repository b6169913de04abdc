"""`verifier range`: table, document and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from verifier.cli.application import run
from verifier.report import ranges

Capture = pytest.CaptureFixture[str]
SPECS = Path(__file__).resolve().parents[2] / "specs"
NETWORK, QUERY = str(SPECS / "networks" / "avoidance.onnx"), str(SPECS / "properties" / "avoidance_away_keep.vnnlib")


def test_a_query(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "range.json"
    assert run(["range", NETWORK, QUERY, "--outputs", "1,3-4", "--precision", "0.2", "--json", str(path)]) == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["output", "Y_1", "Y_3", "Y_4"]
    assert shown.err.startswith("precise: ")
    document = json.loads(path.read_text())
    jsonschema.validate(document, ranges.schema(), jsonschema.Draft202012Validator)
    assert [o["output"] for o in document["queries"][0]["outputs"]] == [1, 3, 4]


def test_a_template_with_several_queries(capsys: Capture) -> None:
    template = str(SPECS / "templates" / "tiny_robustness.yaml")
    assert run(["range", template, "--outputs", "0", "--precision", "0.3", "-q"]) == 0
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if line.startswith("#")] == [f"# sample {i}" for i in (0, 1, 2, 3, 5)]
    assert shown.err == ""


def test_time_runs_out(capsys: Capture) -> None:
    hard = str(SPECS / "properties" / "avoidance_anywhere_cost.vnnlib")
    assert run(["range", NETWORK, hard, "--timeout", "0.5"]) == 3
    assert capsys.readouterr().err.startswith("timeout: ")


@pytest.mark.parametrize("arguments", [[QUERY], [QUERY, NETWORK], [NETWORK, QUERY, "--outputs", "1-x"], [NETWORK, QUERY, "--outputs", "9"]])
def test_refused(capsys: Capture, arguments: list[str]) -> None:
    assert run(["range", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error[V001]")


def test_what_is_known_is_printed_when_it_is_stopped() -> None:
    hard = str(SPECS / "properties" / "avoidance_anywhere_cost.vnnlib")
    process = subprocess.Popen(
        [sys.executable, "-m", "verifier", "range", NETWORK, hard], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(2.5)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[5].startswith("Y_4 ") and "interrupted: " in err
