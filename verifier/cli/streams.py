"""Standard streams whose reader may leave: that changes neither the verdict nor the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO, Any

from verifier.errors import StorageError


class Forgiving:
    """A text stream that goes quiet after a failure of one of the kinds `errors`; others are StorageError V501. The rest is its own."""

    def __init__(self, stream: IO[str], errors: type[OSError]):
        self._stream = stream
        self._errors = errors

    def write(self, text: str) -> int:
        if text != "":  # click writes nothing to see what a stream takes, and would not tell of a failure
            self._tried(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._tried(self._stream.flush)

    def _tried(self, what: Callable[[], object]) -> None:
        try:
            what()
        except OSError as error:
            self._silence()
            if not isinstance(error, self._errors):
                message = f"the answer cannot be written: {error.strerror or error}"
                raise StorageError(message, hint="make room on the disk that standard output goes to, or write elsewhere") from error

    def _silence(self) -> None:
        """What is left in the buffer would fail again when the interpreter ends, and change the exit code."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forgive() -> None:
    """Nobody has to read stdout to its end, or stderr at all. That stdout cannot be written otherwise (a full disk) is an error."""
    sys.stdout = Forgiving(sys.stdout, BrokenPipeError)
    sys.stderr = Forgiving(sys.stderr, OSError)
