"""The command line with the real engine, on a network of two neurons: y = relu(x0) + 2 relu(x1), at most 2 over the box."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from onnx import helper

from tests.graph import models
from tests.models import QUERY, model
from verifier.cli.application import run
from verifier.report import json_report
from verifier.search.events import Event
from verifier.search.outcome import Context
from verifier.search.solve import Solved

pytest.importorskip("verifier.engine")

Capture = pytest.CaptureFixture[str]


@dataclass
class Files:
    folder: Path

    def arguments(self, query: str = QUERY) -> list[str]:
        path = self.folder / "query.vnnlib"
        path.write_text(query)
        return ["verify", str(model(self.folder)), str(path), "--device", "cpu"]

    def document(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / "v.json").read_text())
        jsonschema.validate(found, json_report.schema(), jsonschema.Draft202012Validator)
        return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_holds(files: Files, capsys: Capture) -> None:
    assert run([*files.arguments(), "--json", str(files.folder / "v.json"), "--events", str(files.folder / "e.jsonl")]) == 0
    shown = capsys.readouterr()
    assert shown.out == "unsat\n" and "holds: " in shown.err
    assert files.document()["reason"] == "proved"
    assert [json.loads(line)["kind"] for line in (files.folder / "e.jsonl").read_text().splitlines()][-1] == "*"


def test_violated(files: Files, capsys: Capture) -> None:
    assert run([*files.arguments(QUERY.replace("3.0", "1.5")), "--json", str(files.folder / "v.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sat"
    values = [float(line.strip(" ()").split()[1]) for line in lines[1:]]
    x0, x1, y0 = values
    assert -1 <= x0 <= 1 and 0.25 <= x1 <= 0.5 and y0 >= 1.5
    assert y0 == pytest.approx(max(x0, 0) + 2 * x1)
    found = files.document()["counterexample"]
    assert isinstance(found, dict) and found["literals"] == "exact"


def test_the_boundary_is_a_violation(files: Files) -> None:
    assert run([*files.arguments(QUERY.replace("3.0", "2.0")), "-q"]) in (1, 3)


def test_vacuous(files: Files, capsys: Capture) -> None:
    assert run([*files.arguments(QUERY.replace("<= X_0 1.0", "<= X_0 -1.5")), "--json", str(files.folder / "v.json")]) == 0
    assert files.document()["reason"] == "vacuous"
    assert "warning: " in capsys.readouterr().err


def test_no_time(files: Files, capsys: Capture) -> None:
    assert run([*files.arguments(), "--timeout", "0", "--json", str(files.folder / "v.json")]) == 3
    assert capsys.readouterr().out == "timeout\n"
    assert files.document()["verdict"] == "timeout"


def test_a_query_for_another_network(files: Files, capsys: Capture) -> None:
    assert run(files.arguments(QUERY + "(declare-const Y_1 Real)\n(assert (>= Y_1 0.0))\n")) == 2
    assert "error[V2" in capsys.readouterr().err


@pytest.mark.parametrize("query", ["", "(assert", "(assert (>= X_0 nan))", "\x00"])
def test_no_query(files: Files, capsys: Capture, query: str) -> None:
    assert run(files.arguments(query)) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "error[V2" in shown.err and "Traceback" not in shown.err


def test_missing_files(files: Files, capsys: Capture) -> None:
    arguments = files.arguments()
    assert run(["verify", arguments[1], "none.vnnlib"]) == run(["verify", "none.onnx", arguments[2]]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_as_a_process(files: Files) -> None:
    done = subprocess.run([sys.executable, "-m", "verifier", *files.arguments(), "-q"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "unsat\n", "")


SPECS = Path(__file__).parents[2] / "specs"


def bundled() -> list[tuple[str, str, str]]:
    table = SPECS / "expected.csv"
    if not table.exists():
        return []
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["difficulty"] == "easy"]
    return [(row["network"], row["property"], row["verdict"]) for row in rows]


@pytest.mark.parametrize(("network", "query", "verdict"), bundled())
def test_bundled_properties(network: str, query: str, verdict: str, capsys: Capture) -> None:
    """The easy ones, whose verdicts were confirmed without the verifier."""
    code = run(["verify", str(SPECS / network), str(SPECS / query), "--device", "cpu", "--timeout", "60", "-q"])
    assert capsys.readouterr().out.split("\n")[0] == verdict
    assert code == {"unsat": 0, "sat": 1}[verdict]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_child_that_hangs_ends_the_run_on_time(files: Files, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier.engine.available_cores", lambda: 2)
    parent = os.getpid()

    def hang(query: object, exact: object, fast: object, plan: object, context: Context, *others: object) -> Solved:
        context.report(Event("B", 0.1, nodes=12))
        context.workers.map(lambda item: time.sleep(0 if os.getpid() == parent else 3600), range(2))
        raise AssertionError("the child has answered")

    monkeypatch.setattr("verifier.search.solve._by_inputs", hang)
    start = time.monotonic()
    assert run([*files.arguments(), "--timeout", "1", "--json", str(files.folder / "v.json")]) == 3
    assert time.monotonic() - start < 5.0 and capsys.readouterr().out == "timeout\n"
    assert files.document()["statistics"]["subproblems"] == 12  # type: ignore[index]


DOUBLE = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (or {}))"
HUGE = "(and (>= X_0 2e38) (<= X_0 3e38))"


@pytest.mark.parametrize(
    ("arms", "verdict"),
    [
        (HUGE, "unknown"),
        (HUGE + "(and (>= X_0 0.0) (<= X_0 1.0) (>= Y_0 2.5))", "unknown"),
        (HUGE + "(and (>= X_0 0.0) (<= X_0 1.0) (>= Y_0 1.5))", "sat"),
        (HUGE + "(and (>= X_0 0.0) (<= X_0 1.0))", "sat"),
        ("(and (>= X_0 1.0) (<= X_0 3e38))", "sat"),
    ],
)
def test_a_disjunct_without_rows_where_the_network_overflows(tmp_path: Path, capsys: Capture, arms: str, verdict: str) -> None:
    """y = 2 x is infinite in float32 on all of HUGE: nothing confirms a counterexample there, and nothing excludes one."""
    network, query = tmp_path / "net.onnx", tmp_path / "q.vnnlib"
    nodes = [helper.make_node("Mul", ["x", "two"], ["y"])]
    network.write_bytes(models.model(nodes, {"x": [1]}, ["y"], {"two": np.float32(2).reshape(())}))
    query.write_text(DOUBLE.format(arms))
    run(["verify", str(network), str(query), "-q", "--json", str(tmp_path / "v.json")])
    assert capsys.readouterr().out.split()[0] == verdict
    found = json.loads((tmp_path / "v.json").read_text())
    assert found["verdict"] == verdict and (verdict == "sat" or found["reason"] == "numerically_undecided")
