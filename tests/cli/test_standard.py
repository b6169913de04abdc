"""The solver interface of the VNN-LIB standard (chapter 5), with the real engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.models import model
from verifier.cli.application import run
from verifier.cli.supports import CAPABILITIES
from verifier.report import json_report

Capture = pytest.CaptureFixture[str]

NETWORK = """(declare-network {f} {relation}
    (declare-input {X} {type} [1,2])
    (declare-hidden {H} {type} [1,2] "h")
    (declare-output {Y} {type} [1,1]))
"""
BOX = "(assert (and (>= {X}[0,0] -1.0) (<= {X}[0,0] 1.0)))(assert (and (>= {X}[0,1] 0.25) (<= {X}[0,1] 0.5)))\n"


def network(f: str = "f", X: str = "X", H: str = "H", Y: str = "Y", relation: str = "", type: str = "float32") -> str:
    return NETWORK.format(f=f, X=X, H=H, Y=Y, relation=relation, type=type)


def query(tmp_path: Path, *parts: str) -> str:
    path = tmp_path / "query.vnnlib"
    path.write_text("(vnnlib-version <2.0>)\n" + "".join(parts))
    return str(path)


def single(tmp_path: Path, assertion: str, type: str = "float32") -> list[str]:
    """y = relu(x0) + 2 relu(x1) over a box in which it is at most 2; h = (relu(x0), relu(x1))."""
    return ["verify", query(tmp_path, network(type=type), BOX.format(X="X"), assertion), "--network", f"f={model(tmp_path)}"]


def values(lines: list[str]) -> dict[str, list[float]]:
    """By header; fails on anything that the competition's scorer would not read."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if header := re.fullmatch(r"(\S+)\s+(\S+)\s+\[([0-9,\s]*)\]", line):
            name = " ".join(header.groups())
            found[name] = []
        else:
            found[name].append(float(line))
    return found


def test_unsat(tmp_path: Path, capsys: Capture) -> None:
    assert run(single(tmp_path, "(assert (> Y[0,0] 2.5))")) == 0
    assert capsys.readouterr().out == "unsat\n"


@pytest.mark.parametrize("type", ["float32", "real"])
def test_every_declared_variable_in_order(tmp_path: Path, capsys: Capture, type: str) -> None:
    assert run([*single(tmp_path, "(assert (> Y[0,0] 1.5))", type), "--timeout", "20.0"]) == 1
    first, *lines = capsys.readouterr().out.splitlines()
    found = values(lines)
    assert first == "sat" and list(found) == [f"X {type} 1,2", f"H {type} 1,2", f"Y {type} 1,1"]
    (x0, x1), h, (y,) = found.values()
    assert -1 <= x0 <= 1 and 0.25 <= x1 <= 0.5 and y > 1.5
    assert h == [max(x0, 0), x1] and y == pytest.approx(h[0] + 2 * h[1])


def test_hidden_nodes_are_constrained(tmp_path: Path, capsys: Capture) -> None:
    assert run(single(tmp_path, "(assert (and (< H[0,0] 0.25) (> Y[0,0] 1.26)))")) == 0
    assert run(single(tmp_path, "(assert (and (< H[0,0] 0.25) (> Y[0,0] 1.2)))")) == 1


def test_two_copies(tmp_path: Path, capsys: Capture) -> None:
    """The output grows with x0: no two points that differ in it alone have it the other way round."""
    text = [network(), network("g", "U", "K", "V", "(equal-to f)"), BOX.format(X="X"), BOX.format(X="U"),
            "(assert (== X[0,1] U[0,1]))(assert (<= X[0,0] U[0,0]))"]
    arguments = ["--network", f"f={model(tmp_path)}"]
    assert run(["verify", query(tmp_path, *text, "(assert (< V[0,0] Y[0,0]))"), *arguments, "--timeout", "20"]) in (0, 3)
    capsys.readouterr()
    assert run(["verify", query(tmp_path, *text, "(assert (< Y[0,0] V[0,0]))"), *arguments, "--timeout", "20"]) == 1
    found = values(capsys.readouterr().out.splitlines()[1:])
    assert [name[0] for name in found] == ["X", "H", "Y", "U", "K", "V"]
    assert found["X float32 1,2"][1] == found["U float32 1,2"][1]


def test_a_network_equals_itself(tmp_path: Path, capsys: Capture) -> None:
    ties = "(assert (== X[0,0] U[0,0]))(assert (== U[0,1] X[0,1]))"
    text = [network(), network("g", "U", "K", "V", "(equal-to f)"), BOX.format(X="X"), ties]
    path = query(tmp_path, *text, "(assert (or (<= (+ Y[0,0] 0.000001) V[0,0]) (>= (- K[0,0] H[0,0]) 0.000001)))")
    assert run(["verify", path, "--network", f"f={model(tmp_path)}", "--timeout", "20"]) == 0


def test_time_runs_out_in_the_words_of_the_language(tmp_path: Path, capsys: Capture) -> None:
    assert run([*single(tmp_path, "(assert (> Y[0,0] 2.5))"), "--timeout", "0"]) == 3
    assert capsys.readouterr().out == "timed-out\n"


def test_the_short_form(tmp_path: Path, capsys: Capture) -> None:
    path = single(tmp_path, "(assert (> Y[0,0] 2.5))")[1]
    assert run(["verify", str(tmp_path / "net.onnx"), path]) == 0
    assert run(["verify", path, "--network", str(tmp_path / "net.onnx")]) == 0
    assert capsys.readouterr().out == "unsat\nunsat\n"


@pytest.mark.parametrize("option", ["--serialise-assignments", "--assignments"])
def test_serialised_assignments(tmp_path: Path, capsys: Capture, option: str) -> None:
    assert run([*single(tmp_path, "(assert (> Y[0,0] 1.5))"), option, str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == "sat\n"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"X.pb", "H.pb", "Y.pb"}
    tensors = {n: numpy_helper.to_array(onnx.TensorProto.FromString((tmp_path / "out" / f"{n}.pb").read_bytes())) for n in "XHY"}
    assert {n: (t.dtype, t.shape) for n, t in tensors.items()} == {
        "X": (np.float32, (1, 2)), "H": (np.float32, (1, 2)), "Y": (np.float32, (1, 1))}
    assert (tensors["H"] == np.maximum(tensors["X"], 0)).all() and tensors["Y"] > 1.5


def test_a_folder_that_cannot_be_written_leaves_the_witness_on_stdout(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    assert run([*single(tmp_path, "(assert (> Y[0,0] 1.5))"), "--assignments", str(tmp_path / "file")]) == 2
    assert run([*single(tmp_path, "(assert (> Y[0,0] 1.5))"), "--assignments", str(tmp_path / "file" / "below")]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("sat\nX float32 [1,2]\n") and "was not written" in shown.err


def test_json(tmp_path: Path) -> None:
    assert run([*single(tmp_path, "(assert (> Y[0,0] 1.5))"), "-q", "--json", str(tmp_path / "v.json")]) == 1
    document = json.loads((tmp_path / "v.json").read_text())
    jsonschema.validate(document, json_report.schema(), jsonschema.Draft202012Validator)
    assert document["query"]["language"] == "2.0" and [n["name"] for n in document["networks"]] == ["f"]
    assert [(v["name"], v["shape"]) for v in document["counterexample"]["variables"]] == [("X", [1, 2]), ("H", [1, 2]), ("Y", [1, 1])]


# What has to be an error


def test_models_that_are_missing_unnecessary_or_of_another_type(tmp_path: Path, capsys: Capture) -> None:
    path, net = single(tmp_path, "")[1], str(tmp_path / "net.onnx")
    assert run(["verify", path, "--network", f"g={net}"]) == 2
    assert run(["verify", path, "--network", f"f={net}", "--network", f"g={net}"]) == 2
    assert run(single(tmp_path, "", "float64")) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("error[V003]") == 2 and shown.err.count("error[V116]") == 1


def test_a_model_for_an_equal_network(tmp_path: Path, capsys: Capture) -> None:
    text = [network(), network("g", "U", "K", "V", "(equal-to f)"), BOX.format(X="X"), BOX.format(X="U"), "(assert (> V[0,0] 2.5))"]
    path, net = query(tmp_path, *text), model(tmp_path)
    copy, other = tmp_path / "copy.onnx", tmp_path / "other.onnx"
    shutil.copy(net, copy)
    other.write_bytes(model(tmp_path, "Abs").read_bytes())
    model(tmp_path)
    assert run(["verify", path, "--network", f"f={net}", "--network", f"g={copy}"]) == 0
    assert "warning: no model is needed for the network g" in capsys.readouterr().err
    assert run(["verify", path, "--network", f"f={net}", "--network", f"g={other}"]) == 2


def test_version_1_takes_one_network(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "one.vnnlib"
    path.write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 0))")
    net = model(tmp_path)
    assert run(["verify", str(path), "--network", f"f={net}", "--network", f"g={net}"]) == 2
    assert "speaks of one" in capsys.readouterr().err


# supports


ANSWERS = {
    "vnnlib-versions": "2.0\n2.1\n",
    "hidden-node-theories": "NH\nH\n",
    "multiple-input-output-theories": "SIO\nMIO\n",
    "multiple-inputs-output-theories": "SIO\nMIO\n",
    "multiple-network-theories": "SNET\nMENET\nMINET\nMNET\n",
    "multiple-node-comparison-theories": "SNC\nMNC\n",
    "serialise-assignments": "true\n",
    "assignments": "true\n",
}


@pytest.mark.parametrize("name", sorted({*CAPABILITIES, *ANSWERS}))
@pytest.mark.parametrize("command", ["supports", "capabilities"])
def test_capabilities(name: str, command: str, capsys: Capture) -> None:
    assert run([command, f"--{name}"]) == 0
    out = capsys.readouterr().out
    assert out == ANSWERS.get(name, out)
    assert out.endswith("\n") and all(re.fullmatch(r"[A-Za-z0-9.]+", line) for line in out.splitlines())


def test_all_capabilities_at_once(capsys: Capture) -> None:
    assert len(CAPABILITIES) == 11
    assert run(["supports"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == list(CAPABILITIES)


def test_operators_are_those_of_the_registry(capsys: Capture) -> None:
    from verifier.graph.onnx_reader import supported_operators

    run(["supports", "--onnx-operators"])
    assert tuple(capsys.readouterr().out.split()) == supported_operators()


def test_supports_does_not_import_torch() -> None:
    code = "from verifier.cli.application import run; run(['supports']); import sys; assert not {'torch', 'onnxruntime'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_version_1_queries_load_nothing_of_version_2(tmp_path: Path) -> None:
    path = tmp_path / "one.vnnlib"
    path.write_text("(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
                    + "".join(f"(assert (<= X_{i} 1))(assert (>= X_{i} 0))" for i in (0, 1)) + "(assert (>= Y_0 5))")
    code = (f"from verifier.cli.application import run; run(['verify', {str(model(tmp_path))!r}, {str(path)!r}, '-q']); import sys; "
            "assert not {'verifier.property.vnnlib2', 'verifier.graph.combine'} & set(sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
