from __future__ import annotations

import io

from tests.bench.suites import row
from verifier.bench.progress import Progress
from verifier.bench.scoring import Truth


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(Terminal):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_plain_lines() -> None:
    stream = io.StringIO()
    shown = Progress(stream, 3, 1, 30.0)
    shown.add(row(0, "sat", truth=Truth("unsat")))
    shown.add(row(1, "error", error={"code": "V015", "message": "there is no such file"}))
    shown.add(row(2, "unsat", 11.0))
    shown.tick(1)
    shown.close()
    first, second, third = stream.getvalue().splitlines()
    assert first == "1/3  sat         1.00 s  c  n.onnx  q0.vnnlib  WRONG: the stored verdict is unsat"
    assert second.endswith("V015: there is no such file") and third.endswith("too late") and "\x1b" not in stream.getvalue()


def test_the_live_line() -> None:
    stream = Terminal()
    shown = Progress(stream, 10, 2, 100.0)
    assert shown.left() == 50.0
    shown.add(row(0, "unsat", 2.0))
    shown.add(row(1, "sat", 4.0, Truth("unsat")))
    assert shown.left() == 3.0 * 8 / 2
    shown.tick(2)
    assert "2/10 done, 1 solved" in stream.getvalue() and "\x1b[31m1 wrong" in stream.getvalue() and "12 s left" in shown.summary(2)
    shown.close()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_the_time_left_is_no_more_than_the_timeouts() -> None:
    shown = Progress(None, 2, 1, 20.0)
    shown.add(row(0, "timeout", 15.0, timeout=10.0))
    assert shown.left() == 10.0


def test_a_closed_pipe_is_left_alone() -> None:
    shown = Progress(Closed(), 1, 1, 1.0)
    shown.add(row(0))
    shown.tick(1)
    shown.close()
