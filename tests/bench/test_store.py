from __future__ import annotations

import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.suites import row
from verifier.bench import store
from verifier.bench.scoring import Truth
from verifier.bench.store import Row, Store
from verifier.errors import StorageError, UsageError

ROWS = [
    row(0, "sat", truth=Truth("sat", "timeout"), document={"verdict": "sat"}),
    row(1, "error", error={"code": "V101", "message": "no"}, truth=Truth("unsat", "unsat", 2.0)),
    row(2, "unsat", vnnlib="with, comma and \u00fc.vnnlib"),
]


def test_rows_survive(tmp_path: Path) -> None:
    with Store(tmp_path / "run", {"seed": 0}, False) as opened:
        for each in ROWS:
            opened.add(each)
        assert opened.rows() == ROWS
    assert store.load(tmp_path / "run") == ROWS == store.load(tmp_path / "run" / "results.sqlite")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.builds(Row, texts, st.integers(0, 2**40), texts, texts, st.floats(0, 1e9), texts, st.floats(0, 1e9)), unique_by=lambda r: r.key
    )
)
def test_any_row_survives(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    with Store(tmp_path_factory.mktemp("run"), {}, False) as opened:
        for each in rows:
            opened.add(each)
        assert sorted(opened.rows(), key=lambda r: r.key) == sorted(rows, key=lambda r: r.key)


def test_a_row_is_replaced(tmp_path: Path) -> None:
    with Store(tmp_path, {}, False) as opened:
        opened.add(row(0, "error"))
        opened.add(row(0, "unsat"))
        assert [r.status for r in opened.rows()] == ["unsat"]


def test_results_are_not_overwritten_or_mixed(tmp_path: Path) -> None:
    Store(tmp_path, {"seed": 0}, False).__exit__()
    with pytest.raises(UsageError, match="already here"):
        Store(tmp_path, {"seed": 0}, False)
    with pytest.raises(UsageError, match="another configuration"):
        Store(tmp_path, {"seed": 1}, True)
    Store(tmp_path, {"seed": 0}, True).__exit__()


def _add_and_die(folder: str) -> None:
    with Store(Path(folder), {}, False) as opened:
        opened.add(row(0))
        opened.add(row(1))
        os.kill(os.getpid(), 9)


def test_results_outlive_a_kill(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_add_and_die, args=(str(tmp_path),))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert [r.position for r in store.load(tmp_path)] == [0, 1]


def test_a_full_disk_keeps_what_is_there(tmp_path: Path) -> None:
    with Store(tmp_path, {}, False) as opened:
        opened.add(row(0))
        opened._connection.execute("PRAGMA max_page_count=1")  # SQLite's own way to be full
        with pytest.raises(StorageError, match="full") as caught:
            for i in range(1, 500):
                opened.add(row(i, document={"text": "x" * 1000}))
        assert "--resume" in (caught.value.hint or "") and caught.value.exit_status == 4
    assert store.load(tmp_path)[0] == row(0)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        Store(tmp_path / "file" / "run", {}, False)


def test_the_csv_of_the_competition(tmp_path: Path) -> None:
    with Store(tmp_path, {}, False) as opened:
        for each in ROWS:
            opened.add(each)
        path = opened.export()
    lines = path.read_text().splitlines()
    assert lines[0] == "c,n.onnx,q0.vnnlib,0.0,sat,1.000000" and lines[2].startswith('c,n.onnx,"with, comma')
    assert [(r.key, r.status, r.seconds, r.vnnlib) for r in store.load(path)] == [(r.key, r.status, r.seconds, r.vnnlib) for r in ROWS]


@pytest.mark.parametrize(("name", "text"), [("r.csv", "a,b\n"), ("r.csv", "a,b,c,0,sat,soon\n"), ("r.sqlite", "no database at all" * 99)])
def test_no_results(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    for path in (tmp_path / name, tmp_path / "none"):
        with pytest.raises(UsageError) as caught:
            store.load(path)
        assert caught.value.code == "V014"


def test_the_database_is_plain_sqlite(tmp_path: Path) -> None:
    with Store(tmp_path, {}, False) as opened:
        opened.add(ROWS[0])
    connection = sqlite3.connect(tmp_path / "results.sqlite")
    assert connection.execute("SELECT status, seconds FROM result").fetchall() == [("sat", 1.0)]
    connection.close()
