"""Streaming: gzip with its limits, line ends, comments, places of tokens."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import PropertyError
from verifier.property.tokens import Scanner, Source, Token, find, shown, speaks_version_2


def scan(*chunks: bytes) -> list[Token]:
    scanner, found = Scanner(iter(chunks), "q"), []
    while scanner.skip():
        found.append(scanner.next())
    return found


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Source]:
    def make(data: bytes, **limits: int) -> Source:
        path = tmp_path / "q"
        path.write_bytes(data)
        return Source(path, "q", **limits)

    return make


def failure(source: Source) -> PropertyError:
    with pytest.raises(PropertyError) as caught:
        for _ in source.chunks():
            pass
    return caught.value


def test_places() -> None:
    assert scan(b"(a ;x\n  bc)\n\n)(") == [(b"(", 1, 1), (b"a", 1, 2), (b"bc", 2, 3), (b")", 2, 5), (b")", 4, 1), (b"(", 4, 2)]


@given(st.text(alphabet="(ab) ;\r\n\t", max_size=60), st.lists(st.integers(1, 5), max_size=60))
def test_tokens_do_not_depend_on_the_chunks(text: str, sizes: list[int]) -> None:
    data, chunks, rest = text.encode(), [], text.encode()
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    chunks = [c for c in [*chunks, rest] if c]
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    expected = [Token(bytes([c]), n, k) for n, line in enumerate(lines, 1) for k, c in enumerate(line.split(b";")[0], 1) if c in b"()"]
    found = scan(*chunks)
    assert found == scan(data) and [t for t in found if t.text in (b"(", b")")] == expected
    atoms = b" ".join(line.split(b";")[0] for line in lines).replace(b"(", b" ").replace(b")", b" ").split()
    assert [t.text for t in found if t.text not in (b"(", b")")] == atoms


def test_byte_order_mark_is_no_token() -> None:
    assert [t.text for t in scan(b"\xef\xbb\xbf(")] == [b"("]


def test_long_comments_are_not_kept() -> None:
    chunks = (b"x" * 100_000 if k else b"a ;" for k in range(300))
    scanner = Scanner(itertools.chain(chunks, [b"\nb"]), "q")
    tracemalloc.start()
    assert scanner.skip() and scanner.next() == (b"a", 1, 1)
    assert scanner.skip() and scanner.next() == (b"b", 2, 1)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_endless_word_is_refused() -> None:
    with pytest.raises(PropertyError, match="a word of more than"):
        scan(*(b"x" * 50_000 for _ in range(3)))


def test_a_token_can_be_given_back() -> None:
    scanner = Scanner(iter([b"a b"]), "q")
    first = scanner.next()
    scanner.back(first)
    assert [scanner.next(), scanner.next()] == [(b"a", 1, 1), (b"b", 1, 3)]
    with pytest.raises(PropertyError) as caught:
        scanner.next()
    assert (caught.value.code, caught.value.location.line, caught.value.location.column) == ("V203", 1, 4)


def test_members_padding_and_digest(source: Callable[..., Source]) -> None:
    data = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 10
    found = source(data)
    assert b"".join(found.chunks()) == b"one two" and found.digest == sha256(data).hexdigest()
    plain = source(b"text")
    assert b"".join(plain.chunks()) == b"text" and plain.digest == sha256(b"text").hexdigest()
    large = bytes(range(256)) * 8000
    assert b"".join(source(gzip.compress(large), ratio=10_000).chunks()) == large
    assert b"".join(source(gzip.compress(b"")).chunks()) == b""


def test_only_one_layer_is_unpacked(source: Callable[..., Source]) -> None:
    inner = gzip.compress(b"(")
    assert b"".join(source(gzip.compress(inner)).chunks()) == inner


def test_damaged_data(source: Callable[..., Source]) -> None:
    data = gzip.compress(bytes(range(256)) * 20)
    for damaged in (data[:-1], data[:-9], data[:12], data[:-6] + b"\1\2\3\4\5\6", data + b"garbage", b"\x1f\x8b"):
        assert failure(source(damaged)).code == "V204"


def test_bombs(source: Callable[..., Source]) -> None:
    bomb = gzip.compress(b" " * (8 << 20))
    error = failure(source(bomb))
    assert error.code == "V204" and "200-fold" in error.message
    assert "bytes of text" in failure(source(bomb, largest=1000)).message
    assert "bytes of text" in failure(source(b" " * 2000, largest=1000)).message
    packer = zlib.compressobj(9, wbits=31)
    assert len(b"".join(source(packer.compress(b" " * (1 << 20)) + packer.flush()).chunks())) == 1 << 20  # the first MB is free


def test_find(tmp_path: Path) -> None:
    (tmp_path / "a.vnnlib.gz").touch()
    assert find(tmp_path / "a.vnnlib") == tmp_path / "a.vnnlib.gz" == find(tmp_path / "a.vnnlib.gz")
    (tmp_path / "a.vnnlib").touch()
    assert find(tmp_path / "a.vnnlib") == tmp_path / "a.vnnlib"
    with pytest.raises(PropertyError, match="no file"):
        find(tmp_path / "b")


def test_messages_are_printable() -> None:
    assert shown(b"a\x00\x1b[31m\n") == "a\\x00\\x1b[31m\\n" and len(shown(b"x" * 500)) == 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(vnnlib-version <2.0>)", True),
        (" ; a comment (declare-const\n ( ; another\n vnnlib-version", True),
        ("(declare-network f", True),
        ("(declare-const X_0 Real)", False),
        ("; vnnlib-version", False),
        ("(", False),
        ("", False),
        ("vnnlib-version", False),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_language_shows_in_the_first_statement(tmp_path: Path, text: str, expected: bool, packed: bool) -> None:
    path = tmp_path / "q.vnnlib"
    path.with_name(path.name + ".gz" * packed).write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert speaks_version_2(path) == expected
