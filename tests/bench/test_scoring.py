from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.suites import HOLDS, suite
from verifier.bench import scoring
from verifier.bench.scoring import Outcome, Truth
from verifier.bench.suite import read
from verifier.errors import UsageError

SAT, UNSAT, UNKNOWN = Truth("sat", "sat", 1.0), Truth("unsat", "unsat", 1.0), Truth("unknown", "timeout", 10.0)


@pytest.mark.parametrize(
    ("status", "seconds", "truth", "points"),
    [
        ("unsat", 1, UNSAT, 10),
        ("unsat", 1, UNKNOWN, 10),
        ("unsat", 1, None, 10),
        ("unsat", 1, SAT, -150),
        ("sat", 1, SAT, 10),
        ("sat", 1, UNKNOWN, 10),
        ("sat", 1, UNSAT, -150),
        ("sat", 11, SAT, 0),
        ("unsat", 11, SAT, 0),
        ("unknown", 1, SAT, 0),
        ("timeout", 11, UNSAT, 0),
        ("error", 1, UNSAT, 0),
    ],
)
def test_points(status: str, seconds: float, truth: Truth | None, points: int) -> None:
    assert Outcome(status, seconds, 10.0, truth).points == points


def test_a_category_against_the_reference() -> None:
    rows = [
        Outcome("sat", 1, 10, SAT),
        Outcome("timeout", 10, 10, UNSAT),
        Outcome("error", 1, 10, UNKNOWN),
        Outcome("unsat", 20, 10, UNSAT),
    ]
    found = scoring.score("c", rows)
    assert (found.points, found.reference, found.score) == (10, 30, pytest.approx(100 / 3))
    assert (found.sat, found.unsat, found.late, found.undecided, found.errors, found.solved) == (1, 0, 1, 1, 1, 1)


def test_a_negative_sum_counts_zero() -> None:
    assert scoring.score("c", [Outcome("unsat", 1, 10, SAT)]).score == 0.0


def test_without_a_reference_there_is_no_score() -> None:
    assert scoring.score("c", [Outcome("unsat", 1, 10, Truth("unsat"))]).score is None


outcomes = st.builds(
    Outcome,
    st.sampled_from(["sat", "unsat", "unknown", "timeout", "error"]),
    st.floats(0, 20),
    st.just(10.0),
    st.sampled_from([None, SAT, UNSAT, UNKNOWN]),
)


@given(st.lists(outcomes, max_size=20))
def test_the_counts_add_up(rows: list[Outcome]) -> None:
    found = scoring.score("c", rows)
    late_and_wrong = sum(row.late and row.wrong for row in rows)
    assert found.solved + found.wrong + found.late + found.undecided + found.errors - late_and_wrong == len(rows)
    assert found.score is None or 0 <= found.score <= 100
    assert scoring.score("c", rows[::-1]).points == found.points


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sat", "sat"),
        ("holds", "unsat"),
        ("violated", "sat"),
        (" UNSAT ", "unsat"),
        ("timed-out", "timeout"),
        ("run_instance_timeout", "timeout"),
        ("error_exit_code_1", "error"),
        ("prepare_instance_error_2", "error"),
        ("no_result_in_file", "unknown"),
        ("", "unknown"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert scoring.word(text) == expected


def test_stored_verdicts(tmp_path: Path) -> None:
    folder = suite(tmp_path, {"a.vnnlib": HOLDS, "b.vnnlib": HOLDS})
    (category,) = read(folder)
    assert scoring.truths(folder, category.instances) == {}
    table = folder / "verdicts.csv"
    table.write_text("onnx,vnnlib,verdict,abcrown_verdict,abcrown_time_s\n./onnx/net.onnx,vnnlib/b.vnnlib,unsat,unsat,2.5\n")
    assert scoring.truths(folder, category.instances) == {1: Truth("unsat", "unsat", 2.5)}
    table.write_text("onnx,vnnlib,verdict\nonnx/net.onnx,vnnlib/a.vnnlib,sat\n")
    assert scoring.truths(folder, category.instances) == {0: Truth("sat")}
    table.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="lack the columns"):
        scoring.truths(folder, category.instances)


def test_overhead_rows() -> None:
    assert scoring.dropped("onnx/test_nano.onnx") and scoring.dropped("x/test_tiny.onnx") and not scoring.dropped("test_small.onnx")
