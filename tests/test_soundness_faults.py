"""A handful of the seeded faults; `python tests/seeded_faults.py` runs all of them."""

from __future__ import annotations

import pytest

from tests.seeded_faults import FAULTS, ROOT, run


def test_no_seeded_fault_is_stale() -> None:
    assert [f.name for f in FAULTS if (ROOT / f.file).read_text().count(f.old) != 1] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["box sides swapped", "missing bias", "no error at all"])
def test_a_seeded_fault_is_noticed(name: str) -> None:
    fault = next(f for f in FAULTS if f.name == name)
    result, _, first = run(fault)
    assert result == "killed" and first
