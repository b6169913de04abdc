from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.models import QUERY, model
from verifier.cli.application import run

pytest.importorskip("verifier.graph.onnx_reader")

Capture = pytest.CaptureFixture[str]

def test_a_supported_network(tmp_path: Path, capsys: Capture) -> None:
    assert run(["inspect", str(model(tmp_path))]) == 0
    shown = capsys.readouterr().out
    for part in ("opset 13, 2 parameters, single precision", "x  float32 [1,2]", "y  [1,1]", "MatMul 1, Relu 1", "all supported", "Relu "):
        assert part in shown
    assert "unstable" not in shown


@pytest.mark.parametrize("packed", [False, True])
def test_an_unsupported_network(tmp_path: Path, capsys: Capture, packed: bool) -> None:
    path = model(tmp_path, "Det")
    if packed:
        path.with_name("net.onnx.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert run(["inspect", str(path)]) == 2
    shown = capsys.readouterr()
    assert "operators   MatMul 1\n" in shown.out and "unsupported Det 1\n" in shown.out
    assert "error[V110]" in shown.err and "'f'" in shown.err


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_no_network(tmp_path: Path, capsys: Capture, content: bytes | None) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    assert run(["inspect", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error[V10")


class TestWithQuery:
    @pytest.fixture(autouse=True)
    def reader(self) -> None:
        pytest.importorskip("verifier.property.vnnlib1")

    def test_unstable_neurons(self, tmp_path: Path, capsys: Capture) -> None:
        query = tmp_path / "q.vnnlib"
        query.write_text(QUERY)
        assert run(["inspect", str(model(tmp_path)), str(query)]) == 0
        shown = capsys.readouterr().out
        assert "2 inputs, 1 outputs, 1 disjuncts (0 with an empty input set)" in shown
        header, row = shown.splitlines()[-2:]
        assert header.split() == ["layer", "function", "neurons", "unstable", "node"]
        assert row.split() == ["0", "Relu", "2", "1", "f"]

    def test_a_query_for_another_network(self, tmp_path: Path, capsys: Capture) -> None:
        query = tmp_path / "q.vnnlib"
        query.write_text(QUERY + "(declare-const Y_1 Real)\n(assert (>= Y_1 0.0))\n")
        assert run(["inspect", str(model(tmp_path)), str(query)]) == 2
        assert "declares 2 Y variables, but the network has 1" in capsys.readouterr().err
