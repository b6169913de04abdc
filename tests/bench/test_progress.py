from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from tests.bench.suites import row
from verifier.bench.progress import Progress, Running
from verifier.bench.scoring import Truth
from verifier.bench.suite import Instance


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(Terminal):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def instances(count: int, category: str = "c") -> list[Instance]:
    return [Instance(category, i, "n.onnx", f"q{i}.vnnlib", 10.0, (("", Path("n.onnx")),), Path(f"q{i}.vnnlib")) for i in range(count)]


def test_plain_lines() -> None:
    stream = io.StringIO()
    shown = Progress(stream, instances(3), 1, 30.0)
    shown.add(row(0, "sat", truth=Truth("unsat")))
    shown.add(row(1, "error", error={"code": "V015", "message": "there is no such file"}))
    shown.add(row(2, "unsat", 11.0))
    shown.tick([])
    shown.close()
    first, second, third = stream.getvalue().splitlines()
    assert first == "1/3  sat         1.00 s  c  n.onnx  q0.vnnlib  WRONG: the stored verdict is unsat"
    assert second.endswith("V015: there is no such file") and third.endswith("too late") and "\x1b" not in stream.getvalue()


def test_the_live_table() -> None:
    stream = Terminal()
    shown = Progress(stream, [*instances(8), *instances(2, "d")], 2, 100.0)
    assert shown.left() == 50.0
    shown.add(row(0, "unsat", 2.0))
    shown.add(row(1, "sat", 4.0, Truth("unsat")))
    assert shown.left() == 3.0 * 8 / 2
    shown.tick([Running(instances(3)[2], 1.5, 10.0)])
    text = stream.getvalue()
    assert "2/10 done, 1 solved" in text and "12 s left" in text and "2/8" in text and "0/2" in text
    assert "1.5 s of 10 s  n.onnx  q2.vnnlib" in text
    assert "\x1b[1;31m" in text and "WRONG: the stored verdict is unsat" in text
    shown.close()
    assert "\x1b[?25h" in stream.getvalue()  # the cursor is back


def test_the_time_left_is_no_more_than_the_timeouts() -> None:
    shown = Progress(None, instances(2), 1, 20.0)
    shown.add(row(0, "timeout", 15.0, timeout=10.0))
    assert shown.left() == 10.0


def test_a_closed_pipe_is_left_alone() -> None:
    for stream in (Closed(), io.StringIO()):
        shown = Progress(stream, instances(1), 1, 1.0)
        shown.add(row(0))
        shown.tick([])
        shown.close()


def test_only_a_live_table_costs_the_import_of_rich() -> None:
    code = "import sys, verifier.cli, verifier.bench.session, verifier.engine; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
