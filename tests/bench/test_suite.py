from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.bench import suite
from verifier.errors import UsageError

BENCHMARKS = Path(__file__).resolve().parents[3] / "shared" / "benchmarks"


def table(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.csv").write_bytes(text.encode())
    return folder


def test_forms_of_a_row(tmp_path: Path) -> None:
    text = "onnx/a.onnx,vnnlib/p.vnnlib,116\r\n./onnx/sub/b.onnx, ./vnnlib/q.vnnlib ,2.5\r\n\r\n"
    (category,) = suite.read(table(tmp_path / "acas", text))
    first, second = category.instances
    assert (first.category, first.position, first.onnx, first.timeout) == ("acas", 0, "onnx/a.onnx", 116.0)
    assert (second.onnx, second.vnnlib, second.timeout) == ("onnx/sub/b.onnx", "vnnlib/q.vnnlib", 2.5)
    assert second.networks == (("", tmp_path / "acas/onnx/sub/b.onnx"),) and second.query == tmp_path / "acas/vnnlib/q.vnnlib"


def test_the_table_itself_and_a_header(tmp_path: Path) -> None:
    path = table(tmp_path / "c", "\ufeffonnx,vnnlib,timeout\na.onnx,p.vnnlib,1\n") / "instances.csv"
    (category,) = suite.read(path)
    assert category.name == "c" and [i.onnx for i in category.instances] == ["a.onnx"]


def test_several_networks(tmp_path: Path) -> None:
    field = "[('f', './onnx/a.onnx'), ('g', 'onnx/b.onnx')]"
    (category,) = suite.read(table(tmp_path, f'"{field}",p.vnnlib,9\n'))
    (only,) = category.instances
    assert only.onnx == field and only.networks == (("f", tmp_path / "onnx/a.onnx"), ("g", tmp_path / "onnx/b.onnx"))


def test_a_folder_of_categories_with_versions(tmp_path: Path) -> None:
    table(tmp_path / "b" / "1.0", "one.onnx,p.vnnlib,1\n")
    table(tmp_path / "b" / "2.0", "two.onnx,p.vnnlib,1\n")
    table(tmp_path / "a", "a.onnx,p.vnnlib,1\n")
    table(tmp_path / "z" / "2.0", "z.onnx,p.vnnlib,1\n")
    (tmp_path / "empty").mkdir()
    assert [(c.name, c.instances[0].onnx) for c in suite.read(tmp_path)] == [("a", "a.onnx"), ("b", "one.onnx"), ("z", "z.onnx")]
    assert [c.instances[0].onnx for c in suite.read(tmp_path, "2.0")] == ["a.onnx", "two.onnx", "z.onnx"]
    assert suite.read(tmp_path / "b", "2.0")[0].name == "b"


def test_missing_files_are_listed_and_packed_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.onnx.gz").write_bytes(gzip.compress(b""))
    (category,) = suite.read(table(tmp_path, "a.onnx,p.vnnlib,1\n"))
    assert category.instances[0].missing == (tmp_path / "p.vnnlib",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.onnx,p.vnnlib\n", "expected 'ONNX,VNNLIB,TIMEOUT'"),
        ("a.onnx,p.vnnlib,1\na,b,c,d\n", "found 4 field"),
        ("a.onnx,,1\n", "expected"),
        ("a.onnx,p.vnnlib,soon\n", "'soon' is not a positive"),
        ("a.onnx,p.vnnlib,-1\n", "not a positive"),
        ("a.onnx,p.vnnlib,nan\n", "not a positive"),
        ("a.onnx,p.vnnlib,inf\n", "not a positive"),
        ("\"[('f', 3)]\",p.vnnlib,1\n", "not a list of"),
        ('"[open(1)]",p.vnnlib,1\n', "not a list of"),
        ('"[]",p.vnnlib,1\n', "not a list of"),
        ('"a.onnx,p.vnnlib,1\n', "not a CSV table"),
    ],
)
def test_malformed_rows_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match="instances.csv|V011|.") as caught:
        suite.read(table(tmp_path, text))
    assert words in caught.value.message and caught.value.location is not None


def test_no_suite(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError) as caught:
            suite.read(path)
        assert caught.value.code == "V010"


@given(st.text(max_size=40))
def test_any_field_is_read_or_refused(field: str) -> None:
    try:
        assert suite.networks_of(field)
    except ValueError as error:
        assert "not a list" in str(error)


names = st.text(st.characters(codec="ascii", exclude_characters="\x00\r\n"), min_size=1, max_size=12)


@given(st.lists(st.tuples(names, names), min_size=1, max_size=3))
def test_a_list_of_networks_survives_the_table(pairs: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerow([repr(pairs), "p", "1"])
    (row,) = csv.reader(io.StringIO(text.getvalue()))
    assert suite.networks_of(row[0]) == tuple(pairs)


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the public benchmarks are not here")
def test_public_suites() -> None:
    found = {c.name: c for c in suite.read(BENCHMARKS)}
    assert len(found) > 20
    assert not [i.onnx for c in found.values() for i in c.instances if i.missing]
    assert all(len(i.networks) >= 2 for i in found["vnnlib2_multi"].instances if i.onnx.startswith("["))
