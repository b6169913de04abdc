"""Proves or refutes properties of neural networks. `import verifier` is cheap: public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verifier.config import Settings
    from verifier.engine import verify
    from verifier.errors import (
        ConfigurationError,
        InternalError,
        ModelError,
        PropertyError,
        SelfCheckError,
        UsageError,
        VerifierError,
    )
    from verifier.search.events import Event
    from verifier.verdict import Counterexample, Reason, Status, Verdict

__version__ = "0.1.0"

_HOMES = {
    "verify": "verifier.engine",
    "Settings": "verifier.config",
    "Event": "verifier.search.events",
    "Counterexample": "verifier.verdict",
    "Reason": "verifier.verdict",
    "Status": "verifier.verdict",
    "Verdict": "verifier.verdict",
    "ConfigurationError": "verifier.errors",
    "InternalError": "verifier.errors",
    "ModelError": "verifier.errors",
    "PropertyError": "verifier.errors",
    "SelfCheckError": "verifier.errors",
    "UsageError": "verifier.errors",
    "VerifierError": "verifier.errors",
}

__all__ = [
    "ConfigurationError",
    "Counterexample",
    "Event",
    "InternalError",
    "ModelError",
    "PropertyError",
    "Reason",
    "SelfCheckError",
    "Settings",
    "Status",
    "UsageError",
    "Verdict",
    "VerifierError",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'verifier' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
