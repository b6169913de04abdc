"""Output bounds against those that another tool computed for the same network, box and method."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from verifier.arrays import numpy_arrays
from verifier.bounds.ascent import Ascent, Schedule, initial_parameters, problem_of
from verifier.bounds.dual import evaluate
from verifier.bounds.intermediate import root_bounds
from verifier.bounds.resources import Resources
from verifier.graph import onnx_reader
from verifier.parallel import Workers
from verifier.property import vnnlib1

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
REFERENCE = SHARED / "reference" / "bounds.json"
ITERATIONS = {"CROWN": 0, "alpha-CROWN, 20 iterations": 20}
NETWORKS = ("acasxu", "mnist_fc", "cora", "dist_shift")


def cases() -> list[dict]:
    if not REFERENCE.exists():
        return []
    found = json.loads(REFERENCE.read_text())
    return [
        r
        for r in found
        if r["method"] in ITERATIONS and r["dtype"] == "float32" and r["network"].split("/")[1] in NETWORKS and "lower" in r
    ]


@pytest.mark.skipif(not REFERENCE.exists(), reason="../shared/reference is missing")
@pytest.mark.parametrize("case", cases(), ids=lambda c: f"{c['network'].split('/')[1]}-{c['method'].split(',')[0]}")
def test_at_least_as_tight(case: dict) -> None:
    """Each side of each output, up to 3 % of the output range: the optimisers differ in their steps (dist_shift: 2.5 %)."""
    graph = onnx_reader.read(SHARED / case["network"]).graph
    disjunct = vnnlib1.read(SHARED / case["property"]).disjuncts[0]
    lower, upper = disjunct.lower, disjunct.upper
    arrays, schedule, m = numpy_arrays(), Schedule(ITERATIONS[case["method"]]), graph.output_size
    with Workers(1) as workers:
        root = root_bounds(graph, Resources(arrays, arrays, workers), lower, upper, schedule)
    rows = {graph.output: np.concatenate([np.eye(m), -np.eye(m)])[None]}
    start = initial_parameters(graph, graph.output, root.preactivations)
    ascent = Ascent(graph, rows, lower[None], upper[None], root.preactivations, start, {}, schedule)
    _, parameters = ascent.run(lambda bounds: bounds == np.inf, lambda: False)
    problem = problem_of(graph, lower[None], upper[None], root.preactivations, parameters)
    found = evaluate(graph, rows, problem, root.weights).lower[0]
    theirs_lower, theirs_upper = np.array(case["lower"]), np.array(case["upper"])
    slack = 0.03 * (theirs_upper - theirs_lower)
    assert (found[:m] >= theirs_lower - slack).all()
    assert (-found[m:] <= theirs_upper + slack).all()
