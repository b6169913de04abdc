from __future__ import annotations

import sys
from types import ModuleType

import hypothesis
import pytest

from tests.samples import FakeEngine

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("verifier", deadline=None, print_blob=True)
hypothesis.settings.load_profile("verifier")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    module = ModuleType("verifier.engine")
    module.verify = fake.verify  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "verifier.engine", module)
    return fake
