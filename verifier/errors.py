"""Every error that the verifier raises on purpose.

    VerifierError            code, message, location, hint, exit status
    +-- UsageError           V0xx  wrong options or arguments                         exit 2
    +-- ModelError           V1xx  the network cannot be read or is not supported     exit 2
    +-- PropertyError        V2xx  the property cannot be read or does not fit        exit 2
    +-- ConfigurationError   V3xx  a setting is unknown or out of range               exit 2
    +-- SelfCheckError       V4xx  own evaluation and onnxruntime disagree            exit 4
    +-- StorageError         V5xx  results cannot be written, such as on a full disk  exit 4
    +-- InternalError        V9xx  a broken invariant: please report                  exit 4

Every code has an entry in `cli/codes.md`, which `verifier explain` prints.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """Where in the user's input something was found; line and column count from 1."""

    file: str
    line: int | None = None
    column: int | None = None
    detail: str | None = None

    def __str__(self) -> str:
        position = "".join(f":{n}" for n in (self.line, self.column) if n is not None)
        return f"{self.file}{position}" + (f", {self.detail}" if self.detail else "")


class VerifierError(Exception):
    """Base of the tree; `str(error)` is the message alone, `render()` the block shown to users."""

    exit_status = 2
    default_code: str

    def __init__(self, message: str, *, code: str | None = None, location: Location | None = None, hint: str | None = None):
        super().__init__(message)
        self.code = code or self.default_code
        self.message = message
        self.location = location
        self.hint = hint

    def render(self) -> str:
        lines = [f"error[{self.code}]: {self.message}"]
        if self.location is not None:
            lines.append(f"  --> {self.location}")
        if self.hint:
            lines.append(f"help: {self.hint}")
        return "\n".join(lines)


class UsageError(VerifierError):
    default_code = "V001"


class ModelError(VerifierError):
    default_code = "V101"


class PropertyError(VerifierError):
    default_code = "V201"


class ConfigurationError(VerifierError):
    default_code = "V301"


class SelfCheckError(VerifierError):
    exit_status = 4
    default_code = "V401"


class StorageError(VerifierError):
    exit_status = 4
    default_code = "V501"


class InternalError(VerifierError):
    exit_status = 4
    default_code = "V901"
