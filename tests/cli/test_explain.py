"""`verifier explain`: every code has an entry, and the examples cause what they are examples of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import verifier
from verifier.cli.application import run
from verifier.cli.explain import entries

Capture = pytest.CaptureFixture[str]
PACKAGE = Path(verifier.__file__).parent
ENTRIES = entries()
EXAMPLES = {code: re.sub("^    ", "", "".join(re.findall("(?m)^    .*\n", entry.text)), flags=re.M) for code, entry in ENTRIES.items()}

QUERY = """
(declare-const X_0 Real)
(declare-const Y_0 Real)
(assert (>= X_0 0))
(assert (<= X_0 1))
(assert (<= Y_0 0))
"""
EQUIVALENCE = "kind: equivalence\nbox: [[0, 1]]\ntolerance: 0.1\n"


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    used = {code for path in PACKAGE.rglob("*.py") for code in re.findall(r"V[0-9]{3}\b", path.read_text(encoding="utf-8"))}
    assert used == set(ENTRIES)
    assert list(ENTRIES) == sorted(ENTRIES)


@pytest.mark.parametrize("code", ENTRIES)
def test_an_entry_says_what_causes_it_and_what_to_do(code: str) -> None:
    text = ENTRIES[code].text
    assert "\nWhat to do: " in text
    assert EXAMPLES[code] or "For example: " in text
    assert all(len(line) <= 140 for line in text.splitlines())


@pytest.mark.parametrize("code", [code for code, example in EXAMPLES.items() if example])
def test_the_examples_cause_it(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in ("x", "y")]
    weight = numpy_helper.from_array(np.ones((1, 1), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", shapes[:1], shapes[1:], [weight])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for name in ("net.onnx", "only-one.onnx"):
        onnx.save(proto, name)
    Path("query.vnnlib").write_text(QUERY)
    Path("equivalence.yaml").write_text(EQUIVALENCE)
    example = EXAMPLES[code]
    if example.startswith("$ verifier "):
        arguments = example.split()[2:]
    else:
        name = "example.yaml" if example.startswith("kind:") else "example.vnnlib"
        Path(name).write_text(example)
        arguments = ["verify", name] if name.endswith("yaml") else ["verify", "net.onnx", name]
    assert run(arguments) == 2
    assert f"error[{code}]: " in capsys.readouterr().err


def test_the_command(capsys: Capture) -> None:
    assert run(["explain", "v212", "V103"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("V212: an input has no bound\n\nEvery input needs") and "\n\nV103: the model is damaged" in shown
    assert run(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ENTRIES)
    assert run(["explain", "V999"]) == 2
    assert capsys.readouterr().err.startswith("error[V001]: there is no error V999\n")
