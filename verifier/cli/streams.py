"""Standard streams whose reader may leave: that changes neither the verdict nor the exit code."""

from __future__ import annotations

import os
import sys
from typing import IO, Any


class Forgiving:
    """A text stream that goes quiet after a failure of one of the kinds `errors`. Everything else is the stream's own."""

    def __init__(self, stream: IO[str], errors: type[OSError]):
        self._stream = stream
        self._errors = errors

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except self._errors:
            self._silence()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except self._errors:
            self._silence()

    def _silence(self) -> None:
        """What is left in the buffer would fail again when the interpreter ends, and change the exit code."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forgive() -> None:
    """Nobody has to read stdout to its end, or stderr at all. That stdout cannot be written otherwise (a full disk) is an error."""
    sys.stdout = Forgiving(sys.stdout, BrokenPipeError)
    sys.stderr = Forgiving(sys.stderr, OSError)
