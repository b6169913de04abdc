"""Products of inputs and outputs as outputs of a graph: against exact products, inside their bounds, and decided by brute force."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests import graphs
from tests.graph.models import model
from verifier.arrays import numpy_arrays
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.resources import Resources
from verifier.config import Settings
from verifier.engine import verify
from verifier.graph.products import Monomial, with_products
from verifier.parallel import Workers
from verifier.property import products
from verifier.verdict import Status


def random_monomials(rng: np.random.Generator, inputs: int, outputs: int) -> tuple[Monomial, ...]:
    variables = [("X", i) for i in range(inputs)] + [("Y", i) for i in range(outputs)]
    picked = (rng.integers(len(variables), size=rng.integers(2, 7)) for _ in range(rng.integers(1, 6)))
    return tuple(dict.fromkeys(tuple(sorted(variables[i] for i in pick)) for pick in picked))


@pytest.mark.parametrize("seed", range(30))
def test_values_are_products_and_lie_within_the_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = graphs.Builder(2)
    b.linear(b.relu(b.linear(0, rng.normal(size=(2, 3)), rng.normal(size=3))), rng.normal(size=(3, 2)))
    graph, monomials = b.graph(), random_monomials(rng, 2, 2)
    extended = with_products(graph, monomials)
    lower = rng.normal(size=2)
    upper = lower + rng.uniform(0.1, 1.0, 2)
    x = rng.uniform(lower, upper, (50, 2))
    y, found = graph.evaluate(x), extended.evaluate(x)
    assert np.array_equal(found[:, :2], y)
    for k, monomial in enumerate(monomials):
        expected = np.prod([(x if kind == "X" else y)[:, i] for kind, i in monomial], axis=0)
        assert np.allclose(found[:, 2 + k], expected, rtol=1e-12, atol=1e-12), f"seed {seed}, {monomial}"
    arrays = numpy_arrays()
    bounds = root_bounds(extended, Resources(arrays, arrays, Workers(1)), lower, upper, Schedule(0)).preactivations
    values = extended.values(x)
    for node, (below, above) in bounds.items():
        value = values[node].reshape(len(x), -1)
        assert (below <= value).all() and (value <= above).all(), f"seed {seed}, node {node}"


def test_nothing_is_added_without_products() -> None:
    b = graphs.Builder(2)
    b.relu(0)
    graph = b.graph()
    assert with_products(graph, ()) is graph


@pytest.mark.parametrize("seed", range(10))
def test_exact_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=3).astype(np.float32), rng.normal(size=2).astype(np.float32)
    for monomial, value in zip(found := random_monomials(rng, 3, 2), products.values(found, x, y)):
        assert value == math.prod((Fraction(float((x if kind == "X" else y)[i])) for kind, i in monomial), start=Fraction(1))


HEAD = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [2]))
(assert (and (>= X[0] -1.0) (<= X[0] 2.0)))
(assert (and (>= X[1] -1.0) (<= X[1] 2.0)))
"""


def decided(tmp_path: Path, assertion: str) -> Status:
    """y = relu(x) - 0.5."""
    from onnx import helper

    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Sub", ["h", "c"], ["y"])]
    (tmp_path / "f.onnx").write_bytes(model(nodes, {"x": [2]}, ["y"], {"c": np.array([0.5], np.float32)}))
    (tmp_path / "q.vnnlib").write_text(HEAD + assertion)
    return verify(tmp_path / "f.onnx", tmp_path / "q.vnnlib", Settings()).status


@pytest.mark.parametrize(
    ("assertion", "status"),
    [
        ("(assert (> (* Y[0] Y[1]) 2.26))", Status.UNSAT),  # at most 1.5 * 1.5
        ("(assert (> (* Y[0] Y[1]) 2.24))", Status.SAT),
        ("(assert (< (* Y[0] Y[0]) -0.01))", Status.UNSAT),
        ("(assert (<= (* Y[0] Y[0] Y[0]) -0.125))", Status.SAT),  # -0.5 for every x <= 0
        ("(assert (< (* Y[0] Y[0] Y[0]) -0.13))", Status.UNSAT),
        ("(assert (< (+ (* X[0] X[0]) (* X[1] X[1]) (* -1.0 Y[0])) 0.24))", Status.UNSAT),  # x0^2 - relu(x0) + 0.5 >= 0.25
        ("(assert (< (+ (* X[0] X[0]) (* X[1] X[1]) (* -1.0 Y[0])) 0.26))", Status.SAT),
        ("(assert (and (> X[0] 0.01) (< (* (- X[0] Y[0]) (- X[0] Y[0])) 0.24)))", Status.UNSAT),  # (x - x + 0.5)^2
        ("(assert (!= (* 0.5 X[0] Y[1]) (* X[0] Y[1] 0.5)))", Status.UNSAT),
    ],
)
def test_verdicts(tmp_path: Path, assertion: str, status: Status) -> None:
    assert decided(tmp_path, assertion) is status
