"""Samples from files: exact values, labels, and files that do not serve."""

from __future__ import annotations

import gzip
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from verifier.errors import PropertyError
from verifier.property.templates.data import read_csv, read_images, read_npz, scaled
from verifier.property.templates.region import exact_list


def test_decimals_of_a_csv_file_are_exact(tmp_path: Path) -> None:
    text = "label,a,b\n3,0.1,1e-3\n0,-2,7\n"
    (tmp_path / "d.csv").write_text(text)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("d.csv", "d.csv.gz"):
        found = read_csv(tmp_path / name, 0)
        assert found.labels == [3, 0] and exact_list(found.inputs[0]) == [Fraction(1, 10), Fraction(1, 1000)]
    assert len(read_csv(tmp_path / "d.csv", None).inputs[0]) == 3


def test_scaling_is_exact() -> None:
    assert scaled(np.array([[51]], dtype=np.uint8), Fraction(1, 255)) == [Fraction(1, 5)]


def test_arrays(tmp_path: Path) -> None:
    images = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    np.savez(tmp_path / "d.npz", inputs=images, labels=np.array([[1], [0]]))
    found = read_npz(tmp_path / "d.npz", "inputs", None)
    assert found.labels == [1, 0] and exact_list(found.inputs[1]) == [4, 5, 6, 7]
    np.savez(tmp_path / "d.npz", inputs=images)
    assert read_npz(tmp_path / "d.npz", "inputs", None).labels is None


def test_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    image.fromarray(colours).save(tmp_path / "c.png")
    image.fromarray(colours[:, :, 0]).save(tmp_path / "g.png")
    first, last = (read_images([tmp_path / "c.png"], layout).inputs[0] for layout in ("chw", "hwc"))
    assert exact_list(last) == list(range(12)) and exact_list(first) == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    assert exact_list(read_images([tmp_path / "g.png"], "chw").inputs[0]) == [0, 3, 6, 9]


def test_images_need_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(PropertyError) as caught:
        read_images([Path("a.png")], "chw")
    assert caught.value.code == "V228" and "verifier[images]" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1,2\n3\n", "different numbers of columns"),
        ("a,b\n", "no lines of numbers"),
        ("1,2\n", "no column 5"),
        ("\0\xff,\n" * 2, "cannot be read"),
        ("1,1,1,1,1,x\n2,2,2,2,2,2\n", "a label is no whole number"),
        ("1,1,1,1,1,0.5\n", "a label is no whole number"),
        ("1,1,1,1,1,-1\n", "a label is no whole number"),
        ("1,1,1,1,1,inf\n", "a label is no whole number"),
    ],
)
def test_csv_files_that_do_not_serve(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(PropertyError, match=words) as caught:
        read_csv(path, 5)
    assert caught.value.code == "V225"


def test_damaged_files(tmp_path: Path) -> None:
    for name, read in (
        ("d.npz", lambda p: read_npz(p, "inputs", None)),
        ("d.csv.gz", lambda p: read_csv(p, None)),
        ("d.png", lambda p: read_images([p], "chw")),
    ):
        with pytest.raises(PropertyError, match="there is no file") as caught:
            read(tmp_path / name)
        assert caught.value.code == "V225"
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(PropertyError, match="does not serve") as caught:
            read(tmp_path / name)
        assert caught.value.code == "V225"


@pytest.mark.parametrize("array", [np.array([1.0, np.nan]), np.array(["a"]), np.array(1.0), np.array([None])])
def test_arrays_that_do_not_serve(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "d.npz", inputs=array)  # the last one is pickled, and never unpickled
    with pytest.raises(PropertyError) as caught:
        read_npz(tmp_path / "d.npz", "inputs", None)
    assert caught.value.code == "V225"


def test_an_array_that_is_not_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones(2))
    with pytest.raises(PropertyError, match="no array 'inputs'") as caught:
        read_npz(tmp_path / "d.npz", "inputs", None)
    assert "its arrays: x" in str(caught.value.hint)
