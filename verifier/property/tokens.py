"""Bytes of a query, streamed: gzip, line ends, comments, tokens with line and column.

Only the piece of text that is being looked at is in memory, whatever the length of the file or of one statement.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

from verifier.errors import Location, PropertyError

CHUNK = 1 << 18
LARGEST_TEXT = 4 << 30
LARGEST_RATIO = 200
LONGEST_TOKEN = 1 << 16
_RATIO_FREE = 1 << 20
_BLANK = re.compile(rb"[ \t\n\v\f]*")
_ATOM = re.compile(rb"[^ \t\n\v\f();]+")


class Token(NamedTuple):
    text: bytes
    line: int
    column: int

    def __str__(self) -> str:
        """For messages: printable, and not longer than a line."""
        return shown(self.text)


def shown(text: bytes) -> str:
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:400].decode("utf-8", "replace"))
    return printable if len(printable) <= 60 else printable[:57] + "..."


def find(path: Path) -> Path:
    """`path`, or `path` + ".gz" where only that exists. Raises PropertyError V201 where neither does."""
    packed = path.with_name(path.name + ".gz") if path.name else path
    for candidate in (path, packed):
        try:
            if candidate.is_dir():
                hint = "give a .vnnlib or .vnnlib.gz file"
                raise PropertyError(f"{candidate} is a folder, not a query", code="V201", location=Location(str(path)), hint=hint)
            if candidate.exists():
                return candidate
        except (OSError, ValueError) as error:
            raise PropertyError(f"the query cannot be read: {error}", code="V201", location=Location(ascii(str(path)))) from error
    raise PropertyError(f"there is no file {path}", code="V201", location=Location(str(path)), hint=f"neither it nor {packed.name} exists")


def speaks_version_2(path: Path) -> bool:
    """Whether the text begins with a statement of VNN-LIB 2; only the beginning is read, and nothing of a pipe, which is read once."""
    name, found = str(path), find(Path(path))
    if not found.is_file():
        return False
    scanner = Scanner(Source(found, name).chunks(), name)
    if not scanner.skip() or scanner.next().text != b"(" or not scanner.skip():
        return False
    return scanner.next().text in (b"vnnlib-version", b"declare-network")


class Source:
    """Chunks of decompressed text of a file; `digest` is the sha256 of the bytes as stored.

    Raises PropertyError V201 where reading fails, V204 for damaged gzip data and for more text than the limits allow.
    """

    def __init__(self, path: Path, name: str, largest: int | None = None, ratio: int | None = None) -> None:
        self.path, self.name = path, name
        self.largest = LARGEST_TEXT if largest is None else largest
        self.ratio = LARGEST_RATIO if ratio is None else ratio
        self.hash = sha256()
        self.stored = self.produced = 0

    @property
    def digest(self) -> str:
        return self.hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                first = self._take(file)
                # The content decides, not the name.
                yield from self._inflate(file, first) if first[:2] == b"\x1f\x8b" else self._plain(file, first)
        except OSError as error:
            message = f"the query cannot be read: {error.strerror or error}"
            raise PropertyError(message, code="V201", location=Location(self.name)) from error

    def _take(self, file: BinaryIO) -> bytes:
        data = file.read(CHUNK)
        self.hash.update(data)
        self.stored += len(data)
        return data

    def _count(self, data: bytes) -> bytes:
        self.produced += len(data)
        if self.produced > self.largest:
            raise self._damaged(f"the query has more than {self.largest} bytes of text", "split it, or verify parts of it")
        return data

    def _plain(self, file: BinaryIO, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._count(data)
            data = self._take(file)

    def _inflate(self, file: BinaryIO, data: bytes) -> Iterator[bytes]:
        while data:  # one gzip member a turn
            stream = zlib.decompressobj(wbits=31)
            while not stream.eof:
                try:
                    text = stream.decompress(data, CHUNK)
                except zlib.error as error:
                    raise self._damaged(f"damaged gzip data: {error}", "copy or download the file again") from error
                data = stream.unconsumed_tail
                if text:
                    yield self._count(text)
                    if self.produced > _RATIO_FREE and self.produced > self.ratio * self.stored:
                        hint = "unpack the file first if it is meant to be so repetitive"
                        raise self._damaged(f"the gzip data expands more than {self.ratio}-fold", hint)
                elif not data and not stream.eof and not (data := self._take(file)):
                    raise self._damaged("the gzip data ends too early", "copy or download the file again")
            data = stream.unused_data or self._take(file)
            while data and not (data := data.lstrip(b"\0")):  # zero padding is no member
                data = self._take(file)

    def _damaged(self, message: str, hint: str) -> PropertyError:
        return PropertyError(message, code="V204", location=Location(self.name), hint=hint)


class Scanner:
    """Tokens of a text that arrives in chunks. `buffer[position:]` is the text at hand; parsers may match in it and move on.

    Line ends CR LF and CR become LF. Columns count bytes from 1.
    """

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self.name = name
        self.buffer = b""
        self.position = 0
        self._chunks = chunks
        self._ended = self._begun = False
        self._return = b""
        self._mark, self._line, self._line_start = 0, 1, 0
        self._again: Token | None = None

    def error(self, message: str, code: str = "V203", at: Token | None = None, hint: str | None = None) -> PropertyError:
        line, column = self.place() if at is None else (at.line, at.column)
        return PropertyError(message, code=code, location=Location(self.name, line, column), hint=hint)

    def place(self) -> tuple[int, int]:
        """Line and column of `position`."""
        lines = self.buffer.count(b"\n", self._mark, self.position)
        if lines:
            self._line += lines
            self._line_start = self.buffer.rfind(b"\n", self._mark, self.position) + 1
        self._mark = self.position
        return self._line, self.position - self._line_start + 1

    def more(self) -> bool:
        """Add a chunk to the buffer and drop what lies before `position`; False at the end of the text."""
        if self._ended:
            return False
        self.place()
        chunk = next(self._chunks, b"")
        self._ended = not chunk
        chunk = self._return + chunk
        if not self._begun and not self._ended:
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        self._return = b""
        if chunk.endswith(b"\r") and not self._ended:  # an LF may follow
            chunk, self._return = chunk[:-1], b"\r"
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.buffer = self.buffer[self.position:] + chunk
        self._line_start -= self.position
        self._mark = self.position = 0
        return True

    def skip(self) -> bool:
        """Move over blanks and comments; False at the end of the text."""
        while True:
            match = _BLANK.match(self.buffer, self.position)
            self.position = match.end() if match else self.position
            if self.position == len(self.buffer):
                if not self.more():
                    return False
            elif self.buffer[self.position] == 59:  # ;
                end = self.buffer.find(b"\n", self.position)
                while end < 0:
                    self.position = len(self.buffer)
                    if not self.more():
                        return False
                    end = self.buffer.find(b"\n")
                self.position = end
            else:
                return True

    def next(self) -> Token:
        """A parenthesis or an atom. Raises PropertyError V203 at the end of the text."""
        if self._again is not None:
            token, self._again = self._again, None
            return token
        if not self.skip():
            raise self.error("the text ends inside a statement", hint="a closing parenthesis is missing")
        place = self.place()
        if self.buffer[self.position] in b"()":
            self.position += 1
            return Token(self.buffer[self.position - 1:self.position], *place)
        while True:
            match = _ATOM.match(self.buffer, self.position)
            end = match.end() if match else self.position
            if end - self.position > LONGEST_TOKEN:
                raise self.error(f"a word of more than {LONGEST_TOKEN} characters")
            if end < len(self.buffer) or not self.more():
                break
        text, self.position = self.buffer[self.position:end], end
        return Token(text, *place)

    def back(self, token: Token) -> None:
        """Make `next` give `token` again."""
        self._again = token
