from __future__ import annotations

import io
import json

import pytest

from verifier.report import progress
from verifier.search.events import Event

ROOT = Event("R", 0.31, 0, 0, 1, 0, 412, -0.38021, 0.01734, 0.0, 614.4)
BATCH = Event("B", 1.02, 4, 510, 322, 9, 398, -0.09377, 0.01734, 0.3695, 921.6)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_table() -> None:
    stream = io.StringIO()
    table = progress.Table(stream)
    table(ROOT)
    table(BATCH)
    table.close()
    assert stream.getvalue() == (
        "     time    iter     nodes    open  depth  unstable   lower bound   attack gap  proved   nodes/s   memory\n"
        "R   0.31s       0         0       1      0       412      -0.38021      0.01734    0.0%         -   0.6 GB\n"
        "B   1.02s       4       510     322      9       398      -0.09377      0.01734   36.9%       718   0.9 GB\n"
    )


def test_the_rate_is_that_since_subproblems_were_counted() -> None:
    stream = io.StringIO()
    table = progress.Table(stream)
    for event in (ROOT, BATCH, Event("A", 1.99), Event("B", 2.02, nodes=1510)):
        table(event)
    assert stream.getvalue().splitlines()[-1].split()[-2:] == ["000", "-"]  # 1 000 a second


def test_all_proved_is_said_only_when_it_is() -> None:
    assert "99.9%" in progress.line(Event("B", 1.0, proved=1 - 2**-40), None)
    assert "100.0%" in progress.line(Event("*", 1.0, proved=1.0, message="unsat"), None)


def test_unknown_values_are_dashes() -> None:
    assert progress.line(Event("A", 2.0, message="gap halved"), None).split() == [
        *["A", "2.00s", "0", "0", "0", "0", "-", "-", "-", "0.0%", "-", "-"],
        *["gap", "halved"],
    ]


def test_infinite_and_tiny_values() -> None:
    shown = progress.line(Event("B", 1.0, lower_bound=float("-inf"), attack_gap=1e-9), None)
    assert " - " in shown and "1.0000e-09" in shown


def test_batches_share_a_line_on_a_terminal() -> None:
    stream = Terminal()
    table = progress.Table(stream)
    for event in (ROOT, BATCH, BATCH, Event("*", 2.0, message="unsat"), BATCH):
        table(event)
    table.close()
    table.close()
    text = stream.getvalue()
    assert text.count("\n") == 4  # header, R, *, and the one that `close` adds
    assert text.count("\r\x1b[K") == 5


def test_json_lines() -> None:
    stream = io.StringIO()
    listener = progress.JsonLines(stream)
    listener(ROOT)
    listener(Event("B", 1.0, lower_bound=float("-inf")))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["kind"], first["lower_bound"], first["unstable"]) == ("R", "-0.38021", 412)
    assert second["lower_bound"] == "-inf" and second["attack_gap"] is None


def test_a_listener_that_cannot_write_is_dropped() -> None:
    heard: list[Event] = []
    failures: list[Event] = []

    def full(event: Event) -> None:
        failures.append(event)
        raise OSError(28, "No space left on device")

    tell = progress.broadcast([full, heard.append])
    assert tell is not None
    tell(ROOT)
    tell(BATCH)
    assert (len(heard), len(failures)) == (2, 1)


def test_a_fault_in_a_listener_is_not_hidden() -> None:
    def broken(event: Event) -> None:
        raise ZeroDivisionError

    tell = progress.broadcast([broken])
    assert tell is not None
    with pytest.raises(ZeroDivisionError):
        tell(ROOT)


def test_nobody_to_tell() -> None:
    assert progress.broadcast([]) is None
