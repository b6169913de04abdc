"""Subproblems a second: whole searches of properties that hold, by input splits and by neuron splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.common import files
from verifier.config import Settings
from verifier.engine import verify
from verifier.verdict import Status, Verdict


@pytest.mark.parametrize("name", ["avoidance_away_keep", "dense_sample2_radius60", "convolutional_sample13_radius48"])
def test_search(benchmark: Any, note: Callable[[str], None], name: str) -> None:
    settings = Settings().with_options({"search.device": "cpu", "search.timeout": 120.0})
    network, query = files(name)
    verdict: Verdict = benchmark.pedantic(verify, args=(network, query, settings), rounds=3)
    assert verdict.status is Status.UNSAT
    count, seconds = verdict.statistics.subproblems, verdict.statistics.seconds["search"]
    benchmark.extra_info.update(subproblems=count, subproblems_a_second=round(count / seconds))
    note(f"{name}: {count} subproblems, {count / seconds:.0f} a second")
