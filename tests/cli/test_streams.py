"""Readers that leave, and disks that are full, with the real engine behind them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.suites import HOLDS, suite
from verifier.cli.streams import Forgiving
from verifier.errors import StorageError

pytest.importorskip("verifier.engine")


def code(arguments: list[str], **streams: object) -> int:
    """The exit code with `streams` closed at the other end (or as given), the others read."""
    read, write = os.pipe()
    os.close(read)
    chosen: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    chosen.update({name: write if target is None else target for name, target in streams.items()})
    try:
        return subprocess.run([sys.executable, "-m", "verifier", *arguments], timeout=60, **chosen).returncode  # type: ignore[call-overload,no-any-return]
    finally:
        os.close(write)


@pytest.mark.parametrize("closed", [("stderr",), ("stdout",), ("stdout", "stderr")])
def test_readers_that_leave(tmp_path: Path, closed: tuple[str, ...]) -> None:
    folder = suite(tmp_path / "s", {"a.vnnlib": HOLDS})
    network, query = str(folder / "onnx" / "net.onnx"), str(folder / "vnnlib" / "a.vnnlib")
    streams = dict.fromkeys(closed)
    assert code(["verify", network, query], **streams) == 0
    assert code(["verify", network, "none.vnnlib"], **streams) == 2
    assert code(["inspect", network], **streams) == 0
    assert code(["bench", str(folder), "--output", str(tmp_path / "out")], **streams) == 0
    assert code(["report", str(tmp_path / "out")], **streams) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_verdict_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    folder = suite(tmp_path / "s", {"a.vnnlib": HOLDS})
    with open("/dev/full", "w") as full:
        assert code(["verify", str(folder / "onnx/net.onnx"), str(folder / "vnnlib/a.vnnlib")], stdout=full) == 4
        assert code(["verify", str(folder / "onnx/net.onnx"), str(folder / "vnnlib/a.vnnlib")], stderr=full) == 0
        assert code(["inspect", str(folder / "onnx/net.onnx")], stdout=full) == 4
        assert code(["bench", str(folder), "--output", str(tmp_path / "out"), "-q"], stdout=full) == 4


def test_other_failures_pass() -> None:
    with open("/dev/full", "w") as full:
        stream = Forgiving(full, BrokenPipeError)
        stream.write("x")
        with pytest.raises(StorageError, match="space"):
            stream.flush()
        forgiving = Forgiving(full, OSError)
        forgiving.flush()
        assert not forgiving.isatty() and forgiving.write("y") == 1
