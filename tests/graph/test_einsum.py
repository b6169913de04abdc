"""Einsum against numpy, with one operand, two, and a constant on either side."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.models import model, one
from verifier.errors import ModelError
from verifier.graph.onnx_reader import read_bytes
from verifier.graph.replay import Replay

SIZES = {"a": 2, "b": 3, "c": 4, "d": 2, "e": 3}
PAIRS = ["ab,bc->ac", "ab,bc", "abc,acd->abd", "ab,cb->ca", "ab,ab->", "a,b->ba", "abc,c->ba", "ab,cd->a", "abd,abc->dca", "abc,db->cd",
         "ab,ab->ab"]


def shape(names: str) -> list[int]:
    return [SIZES[c] for c in names]


@pytest.mark.parametrize("equation", PAIRS)
@pytest.mark.parametrize("which", ["both", "first", "second"])
def test_two_operands(equation: str, which: str) -> None:
    from onnx import helper

    left, right = equation.split("->")[0].split(",")
    rng = np.random.default_rng(5)
    given = {"x": rng.normal(size=shape(left)).astype(np.float32), "z": rng.normal(size=shape(right)).astype(np.float32)}
    free = {"both": "xz", "first": "x", "second": "z"}[which]
    constants = {name: value for name, value in given.items() if name not in free}
    data = model([helper.make_node("Einsum", ["x", "z"], ["y"], equation=equation)], {n: given[n].shape for n in free}, ["y"], constants)
    flat = np.concatenate([given[n].reshape(-1) for n in free]).astype(np.float64)[None]
    network = read_bytes(data)
    expected = np.einsum(equation, given["x"].astype(np.float64), given["z"].astype(np.float64)).reshape(1, -1)
    assert np.allclose(network.graph.evaluate(flat), expected, rtol=1e-12)
    assert np.allclose(Replay(network).run(flat)[1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("equation", ["abc->cab", "abc->b", "abc->", "ab->ab", "ba"])
def test_one_operand(equation: str) -> None:
    names = equation.split("->")[0]
    x = np.random.default_rng(6).normal(size=shape(names))
    network = read_bytes(one("Einsum", shape(names), equation=equation))
    assert np.allclose(network.graph.evaluate(x.reshape(1, -1)), np.einsum(equation, x).reshape(1, -1), rtol=1e-12)


@pytest.mark.parametrize("equation", ["aa->a", "...a->a", "ab->c", "abc->a", "a,b->a"])
def test_refused(equation: str) -> None:
    with pytest.raises(ModelError, match="equation"):
        read_bytes(one("Einsum", [2, 2], equation=equation))
