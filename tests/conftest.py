from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.samples import FakeEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    module = ModuleType("verifier.engine")
    module.verify = fake.verify  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "verifier.engine", module)
    return fake
