"""Ranges of outputs: proved bounds enclose the exact range of small networks, attained values are what onnxruntime says in the set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.search import milp
from verifier import Ball, Box, Ending, Equivalence, PropertyError, RangeAnswer, Settings, UsageError, output_range
from verifier.graph import onnx_reader
from verifier.problem import read
from verifier.questions import ranges
from verifier.questions.ranges import output_ranges
from verifier.search import solve
from verifier.search.plan import Plan

SPECS = Path(__file__).resolve().parents[2] / "specs"


def network(path: Path, sizes: list[int], seed: int) -> Path:
    rng = np.random.default_rng(seed)
    nodes, weights, name = [], [], "x"
    for i, (m, n) in enumerate(zip(sizes, sizes[1:])):
        weights += [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), f"{k}{i}") for k, s in (("w", (m, n)), ("b", (n,)))]
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"]))
        name = f"z{i}"
        if i < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [name], [f"h{i}"]))
            name = f"h{i}"
    shapes = [helper.make_tensor_value_info(k, TensorProto.FLOAT, [1, n]) for k, n in (("x", sizes[0]), (name, sizes[-1]))]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def query(path: Path, inputs: int, outputs: int, *assertions: str) -> Path:
    declared = [f"(declare-const {k}_{i} Real)" for k, n in (("X", inputs), ("Y", outputs)) for i in range(n)]
    path.write_text("\n".join([*declared, *(f"(assert {a})" for a in assertions)]))
    return path


def box(low: float, high: float, inputs: int) -> list[str]:
    return [f"({sign} X_{i} {bound})" for i in range(inputs) for sign, bound in ((">=", low), ("<=", high))]


def check_attained(answer: RangeAnswer, model: Path, inside: Callable[[np.ndarray], bool]) -> None:
    """Every attained point is in the set and gives its value."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    for o in answer.outputs:
        assert o.least is not None and o.greatest is not None
        for found in (o.least, o.greatest):
            x = np.array(found.inputs, dtype=np.float32)
            assert inside(x.astype(np.float64))
            y = session.run(None, {session.get_inputs()[0].name: x.reshape([d if isinstance(d, int) else 1 for d in shape])})[0]
            assert y.ravel()[o.output] == np.float32(found.value)


@pytest.mark.parametrize("method", ["input split", "neuron split"])
@pytest.mark.parametrize("seed", range(4))
def test_the_exact_range_lies_between(method: str, seed: int, tmp_path: Path) -> None:
    """The range by mixed-integer programming."""
    path = network(tmp_path / "net.onnx", [3, 6, 5, 2], seed)
    asked = query(tmp_path / "q.vnnlib", 3, 2, *box(-0.5, 0.75, 3))
    plan = Plan("input split" if method == "input split" else "neuron split", "numpy", 64, "forced")
    settings = Settings().with_options({"search.timeout": 20.0})
    with patch.object(solve, "make_plan", lambda *a: plan), patch.object(ranges, "make_plan", lambda *a: plan):
        answer = output_ranges(partial(read, path, asked), settings, precision=0.02)
    assert answer.ending is Ending.PRECISE
    graph = onnx_reader.read(path).graph
    for o in answer.outputs:
        unit = np.eye(2)[[o.output]]
        least = milp.least(graph, -0.5 * np.ones(3), 0.75 * np.ones(3), unit, np.zeros(1))[0]
        greatest = -milp.least(graph, -0.5 * np.ones(3), 0.75 * np.ones(3), -unit, np.zeros(1))[0]
        slack = 1e-5 * (abs(least) + abs(greatest))  # of the oracle, and of float32
        assert o.lower <= least + slack and greatest <= o.upper + slack
        assert o.least is not None and o.greatest is not None
        assert least <= float(o.least.value) + slack and float(o.greatest.value) <= greatest + slack
        width = o.upper - o.lower
        assert least - o.lower <= 0.02 * width + slack and o.upper - greatest <= 0.02 * width + slack
    check_attained(answer, path, lambda x: bool(((x >= -0.5) & (x <= 0.75)).all()))


@pytest.mark.parametrize("timeout", [0.4, 0.8])
def test_bounds_of_a_search_that_ran_out_of_time_enclose_all_values(timeout: float) -> None:
    """A difficult box: what the worst open box leaves has to hold at points of the box."""
    model = SPECS / "networks" / "avoidance.onnx"
    answer = output_range(model, Box([-0.5] * 5, [0.5] * 5), [0, 3], timeout=timeout)
    assert answer.ending is Ending.TIMEOUT and not any(o.precise for o in answer.outputs)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 5))
    values = onnx_reader.read(model).graph.evaluate(x)
    for o in answer.outputs:
        assert o.lower <= values[:, o.output].min() and values[:, o.output].max() <= o.upper


def test_open_boxes_leave_the_bound_they_should(tmp_path: Path) -> None:
    """One search after another with ever more looks at the clock: each bound holds, and the last is better than the root's."""
    path = network(tmp_path / "net.onnx", [6, 30, 30, 1], 5)
    asked = query(tmp_path / "q.vnnlib", 6, 1, *box(-1, 1, 6))
    x = np.random.default_rng(1).uniform(-1, 1, (5000, 6))
    values = onnx_reader.read(path).graph.evaluate(x)[:, 0]
    widths = []
    for timeout in (0.3, 3.0):
        answer = output_ranges(partial(read, path, asked), Settings().with_options({"search.timeout": timeout}), precision=1e-4)
        (o,) = answer.outputs
        assert o.lower <= values.min() and values.max() <= o.upper
        widths.append(o.upper - o.lower)
    assert widths[1] < widths[0]


def test_a_union_of_sets_and_conditions_on_inputs(tmp_path: Path) -> None:
    """x in [0, 1] or [2, 3], y = x: and with x_0 + x_1 <= 1, y = x_0 + x_1 is at most 1."""
    weight = numpy_helper.from_array(np.array([[1.0], [1.0]], np.float32), "w")
    shapes = [helper.make_tensor_value_info(k, TensorProto.FLOAT, [1, n]) for k, n in (("x", 2), ("y", 1))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", shapes[:1], shapes[1:], [weight])
    path = tmp_path / "sum.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    both = "(or (and (>= X_0 0) (<= X_0 1) (>= Y_0 7)) (and (>= X_0 2) (<= X_0 3) (<= Y_0 0)) (and (>= X_0 2) (<= X_0 3) (>= Y_0 9)))"
    union = query(tmp_path / "u.vnnlib", 2, 1, both, "(>= X_1 0)", "(<= X_1 0)")
    assert len(ranges.input_sets(read(path, union).prop)) == 2
    (o,) = output_ranges(partial(read, path, union), Settings()).outputs
    assert -1e-6 < o.lower <= 0 and 3 <= o.upper < 3 + 1e-6 and o.precise
    rows = query(tmp_path / "r.vnnlib", 2, 1, *box(0, 1, 2), "(<= (+ X_0 X_1) 1)", "(>= (+ X_0 X_1) 0.5)", "(>= Y_0 7)")
    answer = output_ranges(partial(read, path, rows), Settings().with_options({"search.timeout": 5.0}))
    (o,) = answer.outputs
    assert 0.4 < o.lower <= 0.5 and 1 <= o.upper < 1.1
    check_attained(answer, path, lambda x: bool(((x >= 0) & (x <= 1)).all() and 0.5 <= x[0] + x[1] <= 1))


def test_one_point_and_inputs_that_no_float32_holds(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", [2, 4, 1], 0)
    for value, literals in (("0.25", "exact"), ("0.1", "float32")):
        asked = query(tmp_path / "q.vnnlib", 2, 1, *box(float(value), float(value), 2))
        (o,) = output_ranges(partial(read, path, asked), Settings().with_options({"search.timeout": 10.0})).outputs
        assert o.least is not None and o.least.literals == literals
        assert o.upper - o.lower < 1e-5 and abs(float(o.least.value) - o.lower) < 1e-5


def test_what_is_known_when_there_is_no_time(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", [2, 4, 2], 0)
    asked = query(tmp_path / "q.vnnlib", 2, 2, *box(0, 1, 2))
    answer = output_ranges(partial(read, path, asked), Settings().with_options({"search.timeout": 0.0}))
    assert answer.ending is Ending.TIMEOUT
    assert all((o.lower, o.upper, o.least, o.precise) == (-np.inf, np.inf, None, False) for o in answer.outputs)
    stopped = output_ranges(partial(read, path, asked), Settings(), stop=lambda: True)
    assert stopped.ending is Ending.INTERRUPTED and stopped.outputs[1].upper == np.inf


def test_forms_of_the_question_and_what_is_refused(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", [2, 4, 2], 3)
    asked = query(tmp_path / "q.vnnlib", 2, 2, *box(0.25, 0.75, 2), "(<= Y_0 0)")
    told: list[float] = []
    regions = (asked, Box(0.25, 0.75), Ball([0.5, 0.5], 0.25))
    found = [output_range(path, region, [1], progress=lambda o, s: told.append(s)).outputs for region in regions]
    assert told and all(o[0].output == 1 and len(o) == 1 for o in found)
    assert len({(o[0].lower, o[0].upper) for o in found}) == 1
    joint = output_range((path, path), Equivalence(Box(0.25, 0.75), tolerance=1), timeout=5)
    assert [o.name for o in joint.outputs] == ["Yf[0,0]", "Yf[0,1]", "Yg[0,0]", "Yg[0,1]"]
    assert [o.name for o in output_range(path, asked).outputs] == ["Y_0", "Y_1"]
    with pytest.raises(UsageError, match="there is no output 2"):
        output_range(path, asked, [2])
    with pytest.raises(UsageError, match="precision"):
        output_range(path, asked, precision=0.0)
    empty = query(tmp_path / "e.vnnlib", 2, 2, *box(1, 0, 2), "(<= Y_0 0)")
    with pytest.raises(PropertyError, match="empty") as refused:
        output_range(path, empty)
    assert refused.value.code == "V229"
