"""Verdicts of real instances against the known ones, and every counterexample replayed here once more."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from verifier.config import Settings
from verifier.engine import verify
from verifier.graph import onnx_reader
from verifier.graph.replay import Replay
from verifier.property import vnnlib1

SUITES = Path(__file__).resolve().parents[1].parent / "shared" / "benchmarks"
SAMPLE = {
    "test": 5,
    "acasxu": 12,
    "rl_benchmarks": 8,
    "reach_prob_density": 4,
    "safenlp": 6,
    "collins_rul_cnn": 2,
    "cora": 4,
    "mnist_fc": 3,
}
SECONDS = 10.0


def instances() -> list[tuple[str, str, str, str]]:
    found = []
    for suite, count in SAMPLE.items():
        path = SUITES / suite / "verdicts.csv"
        if path.exists():
            rows = [r for r in csv.DictReader(path.open(newline="")) if r["verdict"] in ("sat", "unsat")]
            found += [(suite, r["onnx"], r["vnnlib"], r["verdict"]) for r in rows[:: max(1, len(rows) // count)][:count]]
    return found


@pytest.mark.skipif(not SUITES.exists(), reason="../shared/benchmarks is missing")
@pytest.mark.parametrize("instance", instances(), ids=lambda i: f"{i[0]}-{Path(i[1]).stem}-{Path(i[2]).stem}")
def test_no_verdict_contradicts_the_known_one(instance: tuple[str, str, str, str]) -> None:
    suite, onnx, vnnlib, known = instance
    network, query = SUITES / suite / onnx, SUITES / suite / vnnlib
    verdict = verify(network, query, Settings().with_options({"search.timeout": SECONDS}))
    if verdict.status.decided:
        assert verdict.status.value == known
    if verdict.counterexample is not None:
        x = np.array([[float(v) for v in verdict.counterexample.inputs]])
        inputs, outputs = Replay(onnx_reader.read(network)).run(x)
        as_float32 = verdict.counterexample.literals == "float32"
        assert vnnlib1.read(query).disjuncts[verdict.counterexample.disjunct].holds(inputs[0], outputs[0], as_float32)
