"""Radii around samples: the exact one lies between the proved and the violated one, and counterexamples are where they are said to be."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from verifier import (
    Ball,
    Box,
    Ending,
    Equivalence,
    OutputRange,
    PropertyError,
    RadiusAnswer,
    Robustness,
    Status,
    UsageError,
    radius,
    radius_each,
    verify,
)

SPECS = Path(__file__).resolve().parents[2] / "specs"


def linear(path: Path, weights: Sequence[Sequence[float]], bias: Sequence[float]) -> Path:
    """y = x W + b."""
    w, b = np.array(weights, np.float32), np.array(bias, np.float32)
    shapes = [helper.make_tensor_value_info(k, TensorProto.FLOAT, [1, n]) for k, n in (("x", w.shape[0]), ("y", w.shape[1]))]
    constants = [numpy_helper.from_array(a, k) for a, k in ((w, "w"), (b, "b"))]
    graph = helper.make_graph([helper.make_node("Gemm", ["x", "w", "b"], ["y"])], "g", shapes[:1], shapes[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def half(path: Path) -> Path:
    """Two outputs: x and 1 - x. The first is the larger one for x > 0.5."""
    return linear(path / "half.onnx", [[1.0, -1.0]], [0.0, 1.0])


def between(answer: RadiusAnswer, true: Fraction, precision: float) -> None:
    assert answer.proved is not None and answer.violated is not None
    assert answer.proved <= true <= answer.violated and answer.ending is Ending.PRECISE
    assert answer.violated - answer.proved <= Fraction(precision) * answer.violated


def test_the_exact_radius_lies_between(tmp_path: Path) -> None:
    answer = radius(half(tmp_path), Robustness(Ball([0.75], "1/100"), 0), 0.01)
    between(answer, Fraction(1, 4), 0.01)
    assert answer.counterexample is not None and abs(float(answer.counterexample.inputs[0]) - 0.75) == float(answer.violated or 0)
    assert answer.probes[0].eps == 0 and {p.status for p in answer.probes} <= {Status.SAT, Status.UNSAT}


def test_units_and_fixed_features_of_the_template(tmp_path: Path) -> None:
    """The network sees (x - 100) / 200; in the user's units the sample 250 is 50 from the border at 200, whatever the second feature."""
    path = linear(tmp_path / "net.onnx", [[1.0, -1.0], [5.0, -5.0]], [0.0, 1.0])
    ball = Ball([250, 100], 1, domain=(0, 255), fixed=[1], mean=100, std=200)
    answer = radius(path, Robustness(ball, 0), 0.02)
    between(answer, Fraction(50), 0.02)
    assert answer.most == 250


def test_a_property_that_holds_everywhere(tmp_path: Path) -> None:
    path = half(tmp_path)
    everywhere = radius(path, OutputRange(Ball([0.75], 0.25, domain=(0, 1)), {0: (-1, 2)}))
    assert (everywhere.proved, everywhere.violated, everywhere.ending) == (Fraction(3, 4), None, Ending.PRECISE)
    unlimited = radius(path, OutputRange(Ball([0.75], 0.25), {0: (-1000, 1000)}), most="8")
    assert (unlimited.proved, unlimited.most, unlimited.violated) == (8, 8, None)


def test_a_sample_that_violates_the_property_itself(tmp_path: Path) -> None:
    answer = radius(half(tmp_path), Robustness(Ball([0.25], 0.1), 0))
    assert (answer.proved, answer.violated, answer.ending) == (None, 0, Ending.PRECISE)
    assert answer.counterexample is not None and answer.counterexample.inputs == ("0.25",)


def test_two_networks(tmp_path: Path) -> None:
    """They differ by 0.5 x, which reaches the tolerance 1 at x = 2."""
    first, second = (linear(tmp_path / f"{k}.onnx", [[w]], [0.0]) for k, w in (("a", 1.0), ("b", 1.5)))
    answer = radius((first, second), Equivalence(Ball([1.0], "0.1"), tolerance=1), 0.05)
    between(answer, Fraction(1), 0.05)


def test_samples_of_a_template_agree_with_single_verdicts() -> None:
    """At the proved radius `verify` proves it, at the violated one it is violated; the counterexample is a replayed point of the ball."""
    template, digits = SPECS / "templates" / "tiny_robustness.yaml", np.loadtxt(SPECS / "data" / "digits7.csv", delimiter=",", skiprows=1)
    network = SPECS / "networks" / "tiny.onnx"
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    samples = (0, 1, 2, 3, 5)
    for sample, answer in zip(samples, radius_each(template, timeout=20)):
        assert answer.provenance.query.name == f"sample {sample}" and answer.ending is Ending.PRECISE
        assert answer.proved is not None and answer.violated is not None and answer.counterexample is not None
        label, image = int(digits[sample, 0]), digits[sample, 1:]
        for eps, status in ((answer.proved, Status.UNSAT), (answer.violated, Status.SAT)):
            assert verify(network, Robustness(Ball(image, eps, domain=(0, 1)), label), timeout=20).status in (status, Status.TIMEOUT)
        x = np.array(answer.counterexample.inputs, dtype=np.float32)
        assert max(abs(Fraction(float(a)) - Fraction(float(b))) for a, b in zip(x, image)) == answer.violated
        y = session.run(None, {session.get_inputs()[0].name: x.reshape(1, 1, 7, 7)})[0].ravel()
        assert y[label] <= np.delete(y, label).max()


def test_what_is_known_when_there_is_no_time(tmp_path: Path) -> None:
    claim = Robustness(Ball([0.75], 0.1), 0)
    for options, ending in (({"timeout": 0.0}, Ending.TIMEOUT), ({"stop": lambda: True}, Ending.INTERRUPTED)):
        answer = radius(half(tmp_path), claim, **options)
        assert (answer.ending, answer.proved, answer.violated, answer.probes) == (ending, None, None, ())


def test_a_hard_radius_is_left_aside() -> None:
    answer = radius(SPECS / "networks" / "smooth.onnx", SPECS / "templates" / "smooth_targeted.yaml", timeout=3)
    assert answer.ending is Ending.TIMEOUT
    assert answer.proved is not None and answer.proved >= 8 and answer.violated is not None and answer.violated > answer.proved
    assert Status.TIMEOUT in {p.status for p in answer.probes}


@pytest.mark.parametrize("region", [Box([0], [1]), Ball([0.75], [0.0]), Ball([0.75, 0.5], [0.1, 0.2])])
def test_regions_without_a_radius(region: Box | Ball, tmp_path: Path) -> None:
    with pytest.raises(PropertyError) as refused:
        radius(linear(tmp_path / "n.onnx", [[1.0, -1.0]] * (2 if isinstance(region, Ball) and len(region.centre) == 2 else 1), [0.0, 1.0]),
               Robustness(region, 0))
    assert refused.value.code == "V224"


def test_wrong_arguments(tmp_path: Path) -> None:
    claim = Robustness(Ball([0.75], 0.1), 0)
    with pytest.raises(UsageError, match="precision"):
        radius(half(tmp_path), claim, 1.0)
    with pytest.raises(UsageError, match="not positive"):
        radius(half(tmp_path), claim, most=0)
    with pytest.raises(UsageError, match="a template or a record"):
        radius(half(tmp_path), tmp_path / "query.vnnlib")
    with pytest.raises(UsageError, match="5 queries") as refused:
        radius(None, SPECS / "templates" / "tiny_robustness.yaml")
    assert refused.value.hint is not None and "radius_each" in refused.value.hint
