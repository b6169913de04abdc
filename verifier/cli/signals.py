"""SIGINT and SIGTERM: the first asks the run to stop, a second one stops at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

from verifier.cli.exit_codes import INTERRUPTED


class StopRequest:
    """While it is entered, the first signal makes `requested()` true."""

    def __init__(self) -> None:
        self._requested = False
        self._previous: dict[int, Any] = {}

    def requested(self) -> bool:
        return self._requested

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._requested:
            os.write(2, b"\nstopped at once\n")
            os._exit(INTERRUPTED)
        self._requested = True
        os.write(2, b"\nstopping; a second signal stops at once\n")

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
