"""The Python interface: every form of network and of property gives the verdict that the others give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import verifier
from verifier import (
    Ball,
    BoundedChange,
    Box,
    Equivalence,
    Event,
    Fairness,
    ModelError,
    Monotonicity,
    OutputRange,
    PropertyError,
    Robustness,
    SafeRegion,
    Settings,
    Status,
    UsageError,
    verify,
    verify_each,
)
from verifier.graph import torch_export
from verifier.report import json_report

SPECS = Path(__file__).resolve().parents[1] / "specs"
TINY = SPECS / "networks" / "tiny.onnx"
DIGITS = np.loadtxt(SPECS / "data" / "digits7.csv", delimiter=",", skiprows=1)
LABELS, IMAGES = DIGITS[:, 0].astype(int), DIGITS[:, 1:].reshape(-1, 1, 1, 7, 7)


def robust(sample: int, eps: str | float) -> Robustness:
    return Robustness(Ball(IMAGES[sample], eps, domain=(0, 1)), int(LABELS[sample]))


@pytest.mark.parametrize(("sample", "eps", "status"), [(1, "32/1024", Status.UNSAT), (5, 24 / 1024, Status.SAT)])
def test_all_forms_agree(sample: int, eps: str | float, status: Status) -> None:
    """The same question by a file and by arrays, of a file and of a model in memory."""
    query = SPECS / "properties" / f"tiny_sample{sample}_radius{32 if sample == 1 else 24}.vnnlib"
    for model in (TINY, str(TINY), onnx.load(TINY)):
        for asked in (query, str(query), robust(sample, eps)):
            found = verify(model, asked, timeout=60, device="cpu", seed=3)
            assert found.status is status and found.provenance.seed == 3
            json_report.text(found)


def test_what_a_record_leaves_in_the_verdict() -> None:
    first, second = (verify(TINY, robust(5, eps), Settings().with_options({"search.seed": 7})) for eps in ("24/1024", "25/1024"))
    assert first.provenance.query.path == "<python>" and first.provenance.language == "template" and first.provenance.seed == 7
    assert first.provenance.query.sha256 != second.provenance.query.sha256
    assert first.counterexample is not None and all(d.line is None for d in first.disjuncts)
    x = np.array(first.counterexample.inputs, dtype=np.float32)  # the decimals stand for values of the network's type
    assert np.abs(x.astype(np.float64) - IMAGES[5].ravel()).max() <= 24 / 1024


def module(scale: float = 1.0) -> object:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(49, 12), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(12, 3))
    with torch.no_grad():
        net[1].weight.mul_(scale)
    return net.train()


def test_torch_modules(tmp_path: Path) -> None:
    torch, net = pytest.importorskip("torch"), module()
    path = tmp_path / "net.onnx"
    path.write_bytes(torch_export.export(net, (1, 1, 7, 7))[0])  # type: ignore[arg-type]
    x = torch.tensor(IMAGES[0], dtype=torch.float32)
    label = int(net.eval()(x).argmax())  # type: ignore[attr-defined]
    net.train()  # type: ignore[attr-defined]
    for eps in (0.001, 0.5):
        claim = Robustness(Ball(x.numpy(), eps, domain=(0, 1)), label)
        assert verify(net, claim, timeout=60).status is verify(path, claim, timeout=60).status
    assert net.training  # type: ignore[attr-defined]
    assert verify(net, Robustness(Ball(x, 0.001), label)).status is Status.UNSAT
    flat = Robustness(Ball(x.numpy().ravel(), 0.001), label)
    assert verify(net, flat).status is Status.UNSAT
    assert verify(net, OutputRange(Box(0, 1), {0: (-100, 100)}), input_shape=(1, 1, 7, 7)).status is Status.UNSAT
    with pytest.raises(UsageError, match="the input shape of the module is not known"):
        verify(net, OutputRange(Box(0, 1), {0: (-100, 100)}))
    with pytest.raises(ModelError, match="torch cannot export the module") as caught:
        verify(net, flat, input_shape=(1, 5))
    assert caught.value.code == "V117"


def test_a_module_whose_course_depends_on_the_input_is_reported() -> None:
    torch = pytest.importorskip("torch")

    class Branching(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, x: object) -> object:
            return x + 1 if x.sum() > 0 else x  # type: ignore[attr-defined,operator]

    found = verify(Branching(), OutputRange(Box([0, 0], [1, 1]), {0: (-1, 3)}))
    assert found.status is Status.UNSAT and any("torch, of the export to ONNX" in text for text in found.warnings)


def test_two_networks() -> None:
    small = Box(np.zeros((1, 1, 7, 7)), 0.1)
    same, other = module(), module(1.5)
    assert verify((same, same), Equivalence(small, tolerance="1e-3"), timeout=60).status is Status.UNSAT
    found = verify({"f": same, "g": other}, Equivalence(small, tolerance="1e-3"), timeout=60)
    assert found.status is Status.SAT and [n.name for n in found.provenance.networks] == ["f", "g"]


LINEAR = onnx.helper.make_model(
    onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2])],
        [onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2, 2], [1.0, 0.0, -2.0, 1.0])],
    ),
    opset_imports=[onnx.helper.make_opsetid("", 17)],
)
"""y0 = x0 - 2 x1, y1 = x1."""

UNIT = Box([0, 0], [1, 1])


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        (OutputRange(UNIT, {0: ("-2.001", "1.001"), 1: ("-0.001", "1.001")}), Status.UNSAT),
        (OutputRange(UNIT, {0: (-2, "0.99")}), Status.SAT),
        (SafeRegion(UNIT, safe=["y[0] + 2*y[1] <= 1.001"]), Status.UNSAT),
        (SafeRegion(UNIT, unsafe=[["y[0] > 0.001", "y[1] >= 0.5"]]), Status.UNSAT),
        (SafeRegion(UNIT, unsafe=[["y[0] >= 0", "y[1] >= 0.5"]]), Status.SAT),
        (Monotonicity(UNIT, 0, 0, tolerance="1e-6"), Status.UNSAT),
        (Monotonicity(UNIT, 1, 0, tolerance="1e-6"), Status.SAT),
        (Monotonicity(UNIT, 1, 0, "decreasing", "1e-6"), Status.UNSAT),
        (BoundedChange(UNIT, "0.1", "0.33"), Status.UNSAT),
        (BoundedChange(UNIT, "0.1", "0.299"), Status.SAT),
        (Fairness(UNIT, [0], [0, 1], tolerance="1.001"), Status.UNSAT),
        (Fairness(UNIT, [0], [0, 1], tolerance="0.999"), Status.SAT),
        (Fairness(Box([0, "0.34"], [1, 1]), [0], [0, 1]), Status.UNSAT),
        (Fairness(UNIT, [0], [0, 1]), Status.SAT),
        (Robustness(Ball([0, 0.5], 0.1, mean=[0, 0], std=[1, 1]), 1), Status.UNSAT),
        (Robustness(Ball([0.9, 0.1], 0.1), 1), Status.SAT),
        (Robustness(Ball([4, 5], 1, mean=[4, 0], std=[10, 10]), 1), Status.UNSAT),
    ],
)
def test_known_answers(claim: verifier.api.Claim, status: Status) -> None:
    """Of a network of two lines, by hand."""
    found = verify(LINEAR, claim, timeout=30, device="cpu")
    assert found.status is status, found.explanation


def test_a_norm_over_a_box_around_zero() -> None:
    """The sum of squares is not negative, although rounded bounds of it may be."""
    tensor = lambda name, shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)  # noqa: E731
    node = onnx.helper.make_node("ReduceL2", ["x"], ["y"], axes=[1], keepdims=0)
    graph = onnx.helper.make_graph([node], "norm", [tensor("x", [1, 3])], [tensor("y", [1])])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    cube = Box([-1, -1, -1], [1, 1, 1])
    assert verify(model, OutputRange(cube, {0: ("-0.1", "1.8")}), timeout=20).status is Status.UNSAT
    assert verify(model, OutputRange(cube, {0: ("-0.1", "1.7")}), timeout=20).status is Status.SAT


def test_templates() -> None:
    path = SPECS / "templates" / "tiny_robustness.yaml"
    found = {v.provenance.query.name: v.status.value for v in verify_each(path, timeout=60)}
    assert found == {"sample 0": "sat", "sample 1": "unsat", "sample 2": "unsat", "sample 3": "unsat", "sample 5": "sat"}
    assert [v.status.value for v in verify_each(path, onnx.load(TINY), timeout=60)] == list(found.values())
    assert verify(None, SPECS / "templates" / "residual_fixed.yaml", timeout=60).status is Status.UNSAT
    with pytest.raises(UsageError, match="the template has 5 queries"):
        verify(None, path)


@pytest.mark.parametrize("before", range(1, 4))
def test_a_check_that_was_stopped_is_not_taken_for_done(before: int) -> None:
    """Told to stop within the self-check, a run proves nothing, whatever it is told later."""
    answers = iter([False] * before + [True])
    assert verify(TINY, robust(2, "48/1024"), stop=lambda: next(answers, False)).status is Status.UNKNOWN


def test_events_and_stop() -> None:
    events: list[Event] = []
    assert verify(TINY, robust(1, "1/64"), listener=events.append).status is Status.UNSAT
    assert events[-1].kind == "*"
    assert verify(TINY, robust(2, "48/1024"), stop=lambda: True).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: verify(TINY, Robustness(Ball([1, 2], 1), 1)), PropertyError, "the centre has 2 features"),
        (lambda: verify((TINY, TINY), robust(1, 0)), UsageError, "2 networks are given"),
        (lambda: verify(TINY, Equivalence(UNIT)), UsageError, r"1 network\(s\) for Equivalence"),
        (lambda: verify(None, SPECS / "properties" / "tiny_sample1_radius32.vnnlib"), UsageError, "no network is given"),
        (lambda: verify(3, robust(1, 0)), UsageError, "int is no network"),  # type: ignore[arg-type]
        (lambda: verify("none.onnx", robust(1, 0)), ModelError, "no such file"),
    ],
)
def test_refused(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
