from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.bench.suites import row
from verifier.bench import compare, progress, summary
from verifier.bench.scoring import Truth
from verifier.bench.store import Row

A = [row(0, "sat", 1.0), row(1, "unsat", 5.0), row(2, "unsat", 2.0), row(3, "timeout"), row(4, "sat"), row(5, "unsat")]
B = [row(0, "sat", 3.0), row(1, "unsat", 4.95), row(2, "timeout"), row(3, "unknown"), row(4, "unsat")]


def test_counts() -> None:
    result = compare.compare(A, B)
    (c,) = result.comparisons
    assert (c.both, c.only, c.neither, c.faster, result.unmatched) == (2, [1, 0], 1, [1, 0], (1, 0))
    assert [(a.position, a.status, b.status) for a, b in result.contradictions] == [(4, "sat", "unsat")]
    lines = compare.report(result, ("a", "b"))
    assert [line for line, red in lines if red] == ["CONTRADICTION  c  n.onnx  q4.vnnlib: A says sat, B says unsat"]
    assert ("1 rows are in A only", False) in lines


def test_rows_match_by_file_names_and_turn() -> None:
    left = [row(0, vnnlib="q"), row(1, "sat", vnnlib="q")]
    right = [row(0, onnx="./benchmarks/c/n.onnx.gz", vnnlib="x/q"), row(1, "sat", vnnlib="q")]
    assert compare.compare(left, right).comparisons[0].both == 2


statuses = st.lists(st.sampled_from(["sat", "unsat", "unknown", "timeout", "error"]), max_size=12)


@given(statuses, statuses)
def test_sides_can_be_swapped(a: list[str], b: list[str]) -> None:
    left, right = ([row(i, status) for i, status in enumerate(side)] for side in (a, b))
    one, two = compare.compare(left, right), compare.compare(right, left)
    assert len(one.contradictions) == len(two.contradictions)
    assert [(c.both, c.neither, c.only) for c in one.comparisons] == [(c.both, c.neither, c.only[::-1]) for c in two.comparisons]


def test_the_table_of_categories() -> None:
    rows: list[Row] = [row(0, truth=Truth("unsat", "unsat", 1.0)), row(1, "sat", 20.0), row(0, "error", category="d")]
    lines = summary.table(rows).splitlines()
    assert lines[0].split() == list(summary._HEADER)
    assert lines[1].split() == ["c", "2", "0", "1", "0", "1", "0", "0", "21.0", "s", "10", "10", "100.0"]
    assert lines[2].split() == ["d", "1", "0", "0", "0", "0", "0", "1", "1.0", "s", "0", "-", "-"]
    assert lines[3].split()[:2] == ["total", "3"]


def test_overhead_rows_do_not_count_where_there_are_others() -> None:
    nano = row(0, onnx="test_nano.onnx")
    assert [s.instances for s in summary.scores([nano, row(1)])] == [1] == [s.instances for s in summary.scores([nano])]


def test_spans() -> None:
    assert [progress.span(s) for s in (5, 65, 3725)] == ["5 s", "1 min 05 s", "1 h 02 min"]
