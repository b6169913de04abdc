"""Readers on large files, made on the fly: many inputs, and many disjuncts with boxes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.common import SPECS
from verifier.graph import onnx_reader
from verifier.property import vnnlib1, vnnlib2

INPUTS, OUTPUTS, ARMS = 12_288, 43, 2_000


def wide(version: int) -> str:
    """Many inputs, one disjunct an output."""
    name = (lambda kind, i: f"{kind}_{i}") if version == 1 else (lambda kind, i: f"{kind}[{i}]")
    low = np.random.default_rng(0).random(INPUTS)
    bounds = "".join(f"(assert (>= {name('X', i)} {v:.9f}))\n(assert (<= {name('X', i)} {v + 0.01:.9f}))\n" for i, v in enumerate(low))
    arms = " ".join(f"(and (>= {name('Y', j)} {name('Y', 0)}))" for j in range(1, OUTPUTS))
    return _declared(version, INPUTS, OUTPUTS) + bounds + f"(assert (or {arms}))\n"


def many(version: int) -> str:
    """Few inputs, many disjuncts with their own boxes."""
    name = (lambda kind, i: f"{kind}_{i}") if version == 1 else (lambda kind, i: f"{kind}[{i}]")
    low = np.random.default_rng(0).random((ARMS, 5))
    arms = " ".join(
        "(and "
        + " ".join(f"(>= {name('X', i)} {v:.6f}) (<= {name('X', i)} {v + 0.1:.6f})" for i, v in enumerate(row))
        + f" (>= {name('Y', 0)} {row.sum():.6f}))"
        for row in low
    )
    return _declared(version, 5, 1) + f"(assert (or {arms}))\n"


def _declared(version: int, inputs: int, outputs: int) -> str:
    if version == 1:
        return "".join(f"(declare-const {k}_{i} Real)\n" for k, n in (("X", inputs), ("Y", outputs)) for i in range(n))
    return (
        "(vnnlib-version <2.0>)\n"
        f"(declare-network f (declare-input X float32 [{inputs}]) (declare-output Y float32 [{outputs}]))\n"
    )


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("text", [wide, many], ids=["wide", "many"])
def test_queries(benchmark: Any, tmp_path: Path, text: Any, version: int) -> None:
    path = tmp_path / "query.vnnlib"
    path.write_text(text(version))
    found = benchmark.pedantic((vnnlib1 if version == 1 else vnnlib2).read, args=(path,), rounds=5)
    assert len(found.disjuncts) == (OUTPUTS - 1 if text is wide else ARMS)
    benchmark.extra_info["megabytes"] = round(path.stat().st_size / 1e6, 2)


@pytest.mark.parametrize("name", ["avoidance", "residual"])
def test_networks(benchmark: Any, name: str) -> None:
    benchmark(onnx_reader.read, SPECS / "networks" / f"{name}.onnx")
