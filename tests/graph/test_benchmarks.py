"""Networks of public benchmarks read and agree with onnxruntime; skipped where the data is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from verifier.graph.onnx_reader import read
from verifier.graph.self_check import self_check

ROOT = Path(__file__).resolve().parents[3] / "shared" / "benchmarks"
SETS = (
    "acasxu",
    "test",
    "rl_benchmarks",
    "collins_rul_cnn",
    "reach_prob_density",
    "safenlp",
    "cora",
    "mnist_fc",
    "dist_shift",
    "cifar10_resnet",
    "sri_resnet_a",
    "oval21",
    "eran_sigmoid_relu",
    "cifar_biasfield",
    "marabou_cifar10",
    "metaroom",
    "linearizenn",
)


@pytest.mark.parametrize("name", SETS)
def test_first_and_last_network(name: str) -> None:
    files = sorted((ROOT / name).rglob("*.onnx*"))
    if not files:
        pytest.skip(f"no networks in {ROOT / name}")
    for file in {files[0], files[-1]}:
        model = read(file)
        n = model.graph.input_size
        found = self_check(model, np.zeros(n), np.ones(n), 0)
        assert found.samples >= 4 and found.difference < 1e-3
