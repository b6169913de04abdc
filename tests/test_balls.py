"""Properties over balls of the norms l1 and l2, end to end: exact radii of affine classifiers, points of balls, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnxruntime
import pytest

from tests.questions.test_radii import linear
from tests.questions.test_ranges import network
from verifier import Ball, BoundedChange, Ending, Equivalence, OutputRange, PropertyError, Robustness, Status, output_range, radius, verify
from verifier.cli.application import run
from verifier.graph import onnx_reader
from verifier.graph.replay import Replay
from verifier.operators.ball import NormBall
from verifier.property.templates import reader
from verifier.search import solve
from verifier.search.plan import Plan

NORMS = ("l1", "l2")
METHODS = ("input split", "neuron split")
SPECS = Path(__file__).resolve().parents[1] / "specs"
Capture = pytest.CaptureFixture[str]


def points(rng: np.random.Generator, centre: np.ndarray, eps: float, norm: str, count: int) -> np.ndarray:
    """In the ball and near its border, sparse ones too."""
    away = rng.normal(size=(count, len(centre))) * (rng.random((count, len(centre))) < rng.choice([0.1, 0.5, 1.0], size=(count, 1)))
    length = np.abs(away).sum(axis=1, keepdims=True) if norm == "l1" else np.sqrt((away**2).sum(axis=1, keepdims=True))
    return centre + away / np.maximum(length, 1e-12) * eps * rng.choice([1 - 1e-6, 0.99, 0.5], size=(count, 1))


@pytest.mark.parametrize("norm", NORMS)
def test_the_radius_of_an_affine_classifier(norm: str, tmp_path: Path) -> None:
    """By the distance of a point from a hyperplane, in the units before a normalisation."""
    rng = np.random.default_rng(3)
    w = rng.integers(-8, 9, 6) / 8
    path = linear(tmp_path / "net.onnx", np.stack([w, -w], axis=1).tolist(), [0.5, -0.5])
    centre, std = rng.integers(0, 9, 6) / 8, np.array([2, 1, 0.5, 1, 4, 1])
    gap = 2 * (w @ ((centre - 0.25) / std) + 0.5)
    label, slope = (0 if gap > 0 else 1), 2 * w / std
    true = abs(gap) / (np.abs(slope).max() if norm == "l1" else np.sqrt((slope**2).sum()))
    ball = Ball(centre, 0.125, mean=0.25, std=std, norm=norm)  # type: ignore[arg-type]
    answer = radius(path, Robustness(ball, label), 0.02, timeout=60)
    assert answer.ending is Ending.PRECISE and answer.proved is not None and answer.violated is not None
    assert float(answer.proved) <= true * (1 + 1e-9) and true * (1 - 1e-6) <= float(answer.violated)
    assert verify(path, Robustness(Ball(centre, true, mean=0.25, std=std), label)).status is Status.SAT  # the box around it


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", [1])
def test_ranges_over_balls_hold_at_their_points(norm: str, method: str, seed: int, tmp_path: Path) -> None:
    """Proved ends enclose what the network does at points of the ball, and are better than those of the box around it."""
    path = network(tmp_path / "net.onnx", [6, 8, 8, 2], seed)
    rng = np.random.default_rng(seed)
    centre = rng.random(6)
    plan = Plan("input split" if method == "input split" else "neuron split", "numpy", 64, "forced")
    with patch.object(solve, "make_plan", lambda *a: plan), patch("verifier.questions.ranges.make_plan", lambda *a: plan):
        found = output_range(path, Ball(centre, 0.5, norm=norm), timeout=1.5).outputs  # type: ignore[arg-type]
        boxes = output_range(path, Ball(centre, 0.5), timeout=1.5).outputs
    values = onnx_reader.read(path).graph.evaluate(points(rng, centre, 0.5, norm, 20_000))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for o, around in zip(found, boxes):
        assert o.lower <= values[:, o.output].min() and values[:, o.output].max() <= o.upper
        assert o.upper - o.lower < 0.9 * (around.upper - around.lower)
        for attained in (o.least, o.greatest):
            assert attained is not None
            x = np.array(attained.inputs, dtype=np.float32)
            away = [abs(Fraction(float(a)) - Fraction(float(c))) for a, c in zip(x, centre)]
            assert sum(away) <= Fraction(1, 2) if norm == "l1" else sum(a * a for a in away) <= Fraction(1, 4)
            assert session.run(None, {"x": x[None]})[0].ravel()[o.output] == np.float32(attained.value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", NORMS)
def test_verdicts(norm: str, method: str, tmp_path: Path) -> None:
    """What is proved has no counterexample among many points, and what is violated has one that lies in the ball."""
    plan = Plan("input split" if method == "input split" else "neuron split", "numpy", 64, "forced")
    words = set()
    for seed in range(4):
        path = network(tmp_path / "net.onnx", [6, 8, 8, 3], seed)
        rng = np.random.default_rng(seed)
        centre = rng.random(6).astype(np.float32).astype(np.float64)
        y = onnx_reader.read(path).graph.evaluate(centre[None])[0]
        for eps in (0.05, 0.4, 1.5):
            claim = Robustness(Ball(centre, eps, norm=norm), int(y.argmax()))  # type: ignore[arg-type]
            with patch.object(solve, "make_plan", lambda *a: plan):
                verdict = verify(path, claim, timeout=1)
            words.add(verdict.status)
            values = onnx_reader.read(path).graph.evaluate(points(rng, centre, eps, norm, 5000))
            if verdict.status is Status.UNSAT:
                assert (values.argmax(axis=1) == y.argmax()).all()
            if verdict.counterexample is not None:
                x = np.array(verdict.counterexample.inputs, dtype=np.float32)
                away = [abs(Fraction(float(a)) - Fraction(float(c))) for a, c in zip(x, centre)]
                limit = Fraction(eps)
                assert sum(away) <= limit if norm == "l1" else sum(a * a for a in away) <= limit**2
    assert {Status.SAT, Status.UNSAT} <= words


def test_two_networks_over_one_ball(tmp_path: Path) -> None:
    """They differ by 0.5 (x_0 + x_1), which the norms bound differently around 0."""
    first, second = (linear(tmp_path / f"{k}.onnx", [[w], [w]], [0.0]) for k, w in (("a", 1.0), ("b", 1.5)))
    for norm, status in (("l1", Status.UNSAT), ("l2", Status.SAT)):
        claim = Equivalence(Ball([0.0, 0.0], 1, norm=norm), tolerance="0.6")  # type: ignore[arg-type]
        assert verify((first, second), claim, timeout=10).status is status


def test_templates_and_what_is_refused(tmp_path: Path, capsys: Capture) -> None:
    text = (SPECS / "templates" / "tiny_robustness.yaml").read_text().replace("..", str(SPECS)).replace("eps: 1/32", "eps: 1/8\nnorm: l2")
    path = tmp_path / "t.yaml"
    path.write_text(text)
    (first, *_) = reader.read(path).queries
    assert isinstance(first.claim.region, Ball) and first.claim.region.norm == "l2"
    assert run(["verify", str(path), "--timeout", "1", "-q"]) in (0, 1, 3)
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert run(["verify", str(path), "--export-vnnlib", "2", "--output", str(tmp_path / "out")]) == 2
    assert "error[V226]: VNN-LIB cannot express a ball of the norm l2" in capsys.readouterr().err
    net = linear(tmp_path / "net.onnx", [[1.0, -1.0], [1.0, 1.0]], [0.0, 0.0])
    for claim, code in (
        (OutputRange(Ball([0, 0], [0.1, 0.2], norm="l2"), {0: (0, 1)}), "V223"),
        (OutputRange(Ball([0, 0], 1, norm="l3"), {0: (0, 1)}), "V224"),  # type: ignore[arg-type]
        (BoundedChange(Ball([0, 0], 1, norm="l1"), distance=0.1, tolerance=1), "V226"),
    ):
        with pytest.raises(PropertyError) as refused:
            verify(net, claim)
        assert refused.value.code == code


def test_the_hash_of_a_property_in_memory_tells_balls_apart(tmp_path: Path) -> None:
    net = linear(tmp_path / "net.onnx", [[1.0, -1.0]], [0.0, 0.0])
    claims = [OutputRange(Ball([0.25], 0.125, norm=norm), {0: (-1, 1)}) for norm in ("linf", "l1", "l2")]
    assert len({verify(net, claim).provenance.query.sha256 for claim in claims}) == 3


def test_the_graph_in_a_ball_is_the_same_network(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", [3, 4, 2], 0)
    model = onnx_reader.read(path)
    ball = NormBall.of("l2", [Fraction(0)] * 3, [Fraction(1)] * 3, Fraction(1))
    x = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    inside = model.graph.within(ball)
    assert inside.ball is ball and model.graph.ball is None and inside.within(None).ball is None
    assert (inside.evaluate(x.astype(float)) == model.graph.evaluate(x.astype(float))).all()
    assert np.allclose(inside.evaluate(x.astype(float)), Replay(model).run(x)[1], atol=1e-5)
