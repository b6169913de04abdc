"""Proves or refutes properties of neural networks. `import verifier` is cheap: public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verifier.answers import Attained, Ending, OutputInterval, Probe, RadiusAnswer, RangeAnswer
    from verifier.api import output_range, radius, radius_each, verify, verify_each
    from verifier.config import Settings
    from verifier.errors import (
        ConfigurationError,
        InternalError,
        ModelError,
        PropertyError,
        SelfCheckError,
        UsageError,
        VerifierError,
    )
    from verifier.property.templates.kinds import (
        BoundedChange,
        Equivalence,
        Fairness,
        Monotonicity,
        OutputRange,
        Robustness,
        SafeRegion,
    )
    from verifier.property.templates.region import Ball, Box
    from verifier.search.events import Event
    from verifier.verdict import Counterexample, Reason, Status, Verdict

__version__ = "0.1.0"

_HOMES = {
    "output_range": "verifier.api",
    "radius": "verifier.api",
    "radius_each": "verifier.api",
    "Probe": "verifier.answers",
    "RadiusAnswer": "verifier.answers",
    "Attained": "verifier.answers",
    "Ending": "verifier.answers",
    "OutputInterval": "verifier.answers",
    "RangeAnswer": "verifier.answers",
    "verify": "verifier.api",
    "verify_each": "verifier.api",
    "Ball": "verifier.property.templates.region",
    "Box": "verifier.property.templates.region",
    "BoundedChange": "verifier.property.templates.kinds",
    "Equivalence": "verifier.property.templates.kinds",
    "Fairness": "verifier.property.templates.kinds",
    "Monotonicity": "verifier.property.templates.kinds",
    "OutputRange": "verifier.property.templates.kinds",
    "Robustness": "verifier.property.templates.kinds",
    "SafeRegion": "verifier.property.templates.kinds",
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
    "Attained",
    "Ball",
    "BoundedChange",
    "Box",
    "ConfigurationError",
    "Counterexample",
    "Ending",
    "Equivalence",
    "Event",
    "Fairness",
    "InternalError",
    "ModelError",
    "Monotonicity",
    "OutputInterval",
    "OutputRange",
    "Probe",
    "PropertyError",
    "RadiusAnswer",
    "RangeAnswer",
    "Reason",
    "Robustness",
    "SafeRegion",
    "SelfCheckError",
    "Settings",
    "Status",
    "UsageError",
    "Verdict",
    "VerifierError",
    "output_range",
    "radius",
    "radius_each",
    "verify",
    "verify_each",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'verifier' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
