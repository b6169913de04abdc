"""Forward affine forms: what they say of every node is held against exact rational values, with zero tolerance."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from tests import graphs, models
from tests.bounds import exact, test_rigorous
from verifier.arrays import Arrays, to_numpy, varying
from verifier.bounds import forward, interval
from verifier.bounds.dual import Interval
from verifier.bounds.forward import Form, Forms, forms_pay
from verifier.bounds.rigorous import error_weights
from verifier.graph import onnx_reader
from verifier.graph.ir import Graph
from verifier.graph.replay import Replay
from verifier.operators import affine, exponential, piecewise_linear
from verifier.operators.base import Elementwise
from verifier.operators.square import Square

EVERYWHERE = Interval(np.full((1, 1), -np.inf), np.full((1, 1), np.inf))


def forms_of(graph: Graph, arrays: Arrays, lower: np.ndarray, upper: np.ndarray) -> list[Form]:
    """Forms of all nodes over the boxes lower, upper (B, n), within intervals."""
    low, high = arrays.asarray(lower), arrays.asarray(upper)
    weights = error_weights(graph, lower.min(axis=0), upper.max(axis=0), {}).to(arrays)
    forms, found, values = Forms(graph.to(arrays), low, high), [], {}
    for n in range(len(graph.nodes)):
        values = interval.propagate(graph.to(arrays), low, high, {}, weights, n, values)
        found.append(forms.extend(n, values, weights))
        values[n] = found[n].within(values[n])
    return [Form(*map(to_numpy, form)) for form in found]


def assert_describes(forms: list[Form], graph: Graph, lower: np.ndarray, upper: np.ndarray, x: np.ndarray, what: str) -> int:
    """The forms of one box hold at the point x, and the enclosures that follow. Returns the number of finite remainders."""
    centre, radius = exact.fractions(forms[0].points[0, -1]), exact.fractions(forms[0].points[0, :-1].sum(axis=0))
    moving = np.flatnonzero(varying(lower, upper))
    eps = np.array([(Fraction(float(x[i])) - centre[i]) / radius[i] for i in moving], dtype=object)
    assert all(abs(e) <= 1 for e in eps), f"{what}: the input is outside of its form"
    finite = 0
    for n, (form, value) in enumerate(zip(forms, exact.values(graph, x))):
        bounds = form.within(EVERYWHERE)
        v = value.reshape(-1)
        assert exact.at_most(bounds.lower[0], v).all() and exact.at_most(-bounds.upper[0], -v).all(), f"{what}: node {n} is not enclosed"
        points = form.last(len(eps) + 1)[0]
        usable = np.isfinite(points).all(axis=0) & np.isfinite(form.remainder[0])
        finite += int(usable.sum())
        columns, remainder = exact.fractions(points[:, usable]), exact.fractions(form.remainder[0][usable])
        off = abs(v[usable] - (columns[:-1].T.dot(eps) + columns[-1] if len(eps) else columns[-1]))
        assert (off <= remainder).all(), f"{what}: node {n} ({graph.nodes[n].operator}) is off by {[float(o) for o in off - remainder]}"
    return finite


def check(seed: int, kinds: tuple[str, ...], operators: tuple[Elementwise, ...]) -> int:
    rng = np.random.default_rng(seed)
    graph = test_rigorous.badly_scaled(rng, kinds, operators)
    lower, upper, points = test_rigorous.box_and_points(rng, graph.input_size)
    forms = forms_of(graph, graphs.EXACT, lower[None], upper[None])
    return sum(assert_describes(forms, graph, lower, upper, x, f"seed {seed}") for x in points)


@pytest.mark.parametrize(
    ("seeds", "kinds", "operators"),
    [
        (200, test_rigorous.KINDS, graphs.PIECEWISE[:4]),
        (60, ("plain", "cancel"), (*graphs.SMOOTH, *graphs.PIECEWISE[:2])),
        (80, ("plain", "cancel"), (*graphs.CURVED, *graphs.STEPS, Square())),
    ],
    ids=["piecewise linear", "smooth", "others"],
)
def test_badly_scaled_networks(seeds: int, kinds: tuple[str, ...], operators: tuple[Elementwise, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert sum(check(seed, kinds, operators) for seed in range(seeds)) > 20 * seeds


@pytest.mark.parametrize(
    "operator", [*graphs.PIECEWISE[:4], *graphs.SMOOTH, *graphs.CURVED, *graphs.STEPS, Square()], ids=lambda op: type(op).__name__
)
def test_functions_of_exact_arguments(operator: Elementwise) -> None:
    """On points nothing but the function's own rounding is left, and narrow boxes are not much wider."""
    rng = np.random.default_rng(5)
    b = graphs.Builder(20)
    b.apply(operator, 0)
    graph = b.graph()
    for scale in (1e-8, 1.0, 10.0):
        for width in (0.0, 1e-9, 0.5):
            lower = rng.normal(size=20) * scale
            upper = lower + width * np.abs(lower)
            defined = operator.defined(lower, upper)
            if defined is not None:
                lower, upper = np.where(defined, lower, np.abs(lower)), np.where(defined, upper, np.abs(lower) * (1 + width))
            forms = forms_of(graph, graphs.EXACT, lower[None], upper[None])
            for x in (lower, upper, np.clip(lower + rng.random(20) * (upper - lower), lower, upper)):
                assert_describes(forms, graph, lower, upper, x, f"{operator}, scale {scale}, width {width}")


@pytest.mark.parametrize("seed", range(20))
def test_points_may_be_taken_in_parts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng)
    lower, upper = (np.stack(side) for side in zip(*(graphs.random_box(rng, graph.input_size) for _ in range(3))))
    whole = forms_of(graph, graphs.EXACT, lower, upper)
    with patch.object(forward, "_CACHED", 1), patch.object(forward, "_BLOCK", 1):
        parts = forms_of(graph, graphs.EXACT, lower, upper)
    for one, other in zip(whole, parts):
        for a, b in zip(one, other):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)


@dataclass(frozen=True, eq=False)
class Sloppy(exponential.Exp):
    """As inaccurate as `function_ulps` allows."""

    def function(self, p: np.ndarray) -> np.ndarray:
        return super().function(p) * (1.0 + 7 * 2.0**-52)


def test_functions_may_be_off_by_what_they_say() -> None:
    b = graphs.Builder(8)
    b.apply(Sloppy(), 0)
    graph, x = b.graph(), np.linspace(0.9, 1.1, 8)
    assert_describes(forms_of(graph, graphs.EXACT, x[None], x[None]), graph, x, x, x, "inaccurate")


@dataclass(frozen=True, eq=False)
class Lost(exponential.Exp):
    """Does not find where its slope is that of a line."""

    def stationary(self, slope: np.ndarray, piece: int) -> np.ndarray:
        return super().stationary(slope, piece) + 0.3


def test_bands_make_up_for_points_that_were_missed() -> None:
    b = graphs.Builder(1)
    b.apply(Lost(), 0)
    graph, lower, upper = b.graph(), -np.ones(1), np.ones(1)
    forms = forms_of(graph, graphs.EXACT, lower[None], upper[None])
    for x in np.linspace(lower, upper, 41):
        assert_describes(forms, graph, lower, upper, x, "missed")


def test_sums_that_cancel() -> None:
    """Columns, centre and shift nearly cancel: what is left is their rounding."""
    rng = np.random.default_rng(11)
    for seed in range(100):
        b = graphs.Builder(6)
        weight = rng.normal(size=(6, 9))
        first = b.linear(0, weight, rng.normal(size=9) * 1e6)
        second = b.linear(first, rng.normal(size=(9, 4)), -rng.normal(size=4) * 1e6)
        third = b.linear(0, weight * (1 + 1e-15), np.zeros(9))
        other = b.add(affine.Take(0, np.arange(4), (9,)), (third,), (4,))
        b.add(affine.Add((1, -1)), (b.add(affine.Scale(np.full(4, 1 / 3), rng.normal(size=4)), (second,), (4,)), other), (4,))
        graph, x = b.graph(), rng.normal(size=6)
        lower, upper = x - 0.1 * (rng.random(6) < 0.5), x + 0.1
        forms = forms_of(graph, graphs.EXACT, lower[None], upper[None])
        for point in (lower, upper, x):
            assert_describes(forms, graph, lower, upper, point, f"seed {seed}")


def test_columns_alone() -> None:
    """A box around zero and no shifts: the centre is exact, what is rounded are the columns."""
    rng = np.random.default_rng(12)
    for seed in range(20):
        b = graphs.Builder(3)
        product = b.linear(b.linear(0, rng.normal(size=(3, 7))), rng.normal(size=(7, 4)))
        b.apply(piecewise_linear.LeakyRelu(0.3), product)
        graph, radius = b.graph(), rng.random(3) + 0.5
        forms = forms_of(graph, graphs.EXACT, -radius[None], radius[None])
        assert not forms[2].points[0, -1].any()
        for _ in range(10):
            x = np.clip(radius * rng.choice([-1.0, 1.0], 3) * (1 - 0.1 * rng.random(3)), -radius, radius)
            assert_describes(forms, graph, -radius, radius, x, f"seed {seed}")


@pytest.mark.parametrize("seed", range(120))
def test_random_graphs_in_batches(seed: int) -> None:
    """All operators, several boxes at a time, numpy and torch: both describe the points of every box. Inputs that vary in some boxes only,
    or in none."""
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng, int(rng.integers(3, 13)))
    boxes = [graphs.random_box(rng, graph.input_size) for _ in range(3)]
    lower, upper = (np.stack(side) for side in zip(*boxes))
    fixed = rng.random((3 if seed % 4 == 0 else 1, graph.input_size)) < 0.4 * (seed % 2 == 0)
    upper = np.where(fixed, lower, upper)
    boxes = list(zip(lower, upper))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = forms_of(graph, graphs.torch64_in_turn(seed // 3) if seed % 3 == 0 else graphs.EXACT, lower, upper)
    said = 0
    for box, (low, high) in enumerate(boxes):
        x = graphs.box_points(rng, low, high, 30)
        values = graphs.flat_values(graph, x)
        tolerance = 1e-10 * graphs.magnitude(values)
        centre, radius = found[0].points[box, -1], found[0].points[box, :-1].sum(axis=0)
        eps = ((x - centre) / np.where(radius > 0, radius, 1.0))[:, found[0].points[box, :-1].argmax(axis=1)]
        for n, value in enumerate(values):
            form = found[n]
            with np.errstate(all="ignore"):
                points = form.last(eps.shape[1] + 1)[box]
                off = np.abs(value - eps @ points[:-1] - points[-1])
            # No number where the intervals are none, over boxes on which some function overflows.
            assert not (off > form.remainder[box] + tolerance).any(), f"seed {seed}: node {n} ({graph.nodes[n].operator})"
            said += int(np.isfinite(off).sum())
    assert said > 0


def test_columns_are_those_of_the_box() -> None:
    """Boxes of many inputs that vary in one each have one column, and what depends on no input that varies has none."""
    rng = np.random.default_rng(6)
    b = graphs.Builder(6)
    left, right = (b.add(affine.Take(0, np.arange(i, i + 3), (3,)), (0,), (3,)) for i in (0, 3))
    moving, still = (b.apply(piecewise_linear.Relu(), b.linear(n, rng.normal(size=(3, 4)))) for n in (left, right))
    both = b.add(affine.Add((1, -1)), (moving, still), (4,))
    lower, upper = np.zeros((3, 6)), np.eye(3, 6)
    forms = forms_of(b.graph(), graphs.EXACT, lower, upper)
    assert [forms[n].points.shape[1] for n in (0, moving, still, both)] == [2, 2, 1, 2]
    assert (forms[still].remainder < 1e-290).all()


@pytest.mark.parametrize("seed", range(20))
def test_inputs_between_two_floats_have_no_columns(seed: int) -> None:
    """A number that was rounded outward, such as 0.1, does not vary, and either float may be its value."""
    rng = np.random.default_rng(seed)
    graph = test_rigorous.badly_scaled(rng, ("plain", "cancel"), graphs.PIECEWISE[:4])
    lower, upper, points = test_rigorous.box_and_points(rng, graph.input_size)
    rounded = rng.random(graph.input_size) < 0.6
    upper[rounded] = np.nextafter(lower[rounded], np.inf)
    points = [np.where(rounded, np.where(rng.random(len(x)) < 0.5, lower, upper), x) for x in points]
    forms = forms_of(graph, graphs.EXACT, lower[None], upper[None])
    assert forms[0].points.shape[1] <= 1 + int((~rounded).sum())
    assert sum(assert_describes(forms, graph, lower, upper, x, f"seed {seed}") for x in points)


def test_a_network_without_functions_has_no_remainder() -> None:
    rng = np.random.default_rng(3)
    b = graphs.Builder(3)
    b.linear(b.linear(0, rng.normal(size=(3, 40)), rng.normal(size=40)), rng.normal(size=(40, 5)))
    form = forms_of(b.graph(), graphs.EXACT, -np.ones((1, 3)), np.ones((1, 3)))[-1]
    assert (form.remainder < 1e-11).all() and (form.spread() > 0.1).all()


def test_forms_are_tighter_than_intervals_in_narrow_boxes() -> None:
    """Where nearly all neurons are stable the network is nearly affine, which intervals do not know."""
    rng = np.random.default_rng(4)
    graph = graphs.random_dense(rng, [2, 30, 30, 30, 30, 3])
    lower, upper = np.full((1, 2), 0.3), np.full((1, 2), 0.31)
    form = forms_of(graph, graphs.EXACT, lower, upper)[-1].within(EVERYWHERE)
    low, high = graphs.interval_bounds(graph, graphs.EXACT, lower[0], upper[0])[graph.output]
    assert (form.upper - form.lower < 0.3 * (high - low)).all()


def test_relu_is_between_parallel_lines_of_slope_u_over_width() -> None:
    slope, low, high = piecewise_linear.Relu().band(np.array([-1.0]), np.array([3.0]))
    assert slope == 0.75 and low == 0.0 and high == 0.75


def test_forms_that_overflow_say_nothing() -> None:
    b = graphs.Builder(2)
    b.relu(b.linear(b.linear(0, np.full((2, 2), 1e200)), np.array([[1e200, 1.0], [-1e200, 1.0]])))
    graph = b.graph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        forms = forms_of(graph, graphs.EXACT, np.zeros((1, 2)), np.full((1, 2), 1e100))
        bounds = forms[2].within(EVERYWHERE)
    assert np.isinf(bounds.lower).any() and not np.isnan(bounds.lower).any()


def test_onnxruntime_stays_inside(tmp_path: Path) -> None:
    """onnxruntime in float32 on a network that the reader read; its own rounding is all that is allowed."""
    rng = np.random.default_rng(8)
    for function in ("Relu", "Tanh", "Softplus"):
        model = onnx_reader.read(models.model(tmp_path, function))
        replay = Replay(model)
        lower, upper = np.array([[-1.0, 0.25], [-0.5, 0.3]]), np.array([[1.0, 0.5], [0.25, 0.4]])
        form = forms_of(model.graph, graphs.EXACT, lower, upper)[-1].within(EVERYWHERE)
        for box in range(2):
            x = rng.uniform(lower[box], upper[box], (20, 2)).astype(np.float32)
            y = np.stack([replay.run(point[None])[1].reshape(-1) for point in x])
            assert (y >= form.lower[box] - 1e-5).all() and (y <= form.upper[box] + 1e-5).all()


def test_forms_pay_for_few_inputs_and_many_neurons() -> None:
    rng = np.random.default_rng(0)
    assert forms_pay(graphs.random_dense(rng, [2, 50, 50, 1]), 2)
    assert not forms_pay(graphs.random_dense(rng, [100, 50, 50, 1]), 100)
    assert not forms_pay(graphs.random_dense(rng, [2, 3]), 2)


def test_forms_that_would_not_fit_do_not_pay() -> None:
    graph = graphs.random_dense(np.random.default_rng(0), [2, 50, 50, 1])
    with patch.object(forward, "_MEMORY", 4 * 8 * 3 * 50 - 1):
        assert not forms_pay(graph, 2)
    with patch.object(forward, "_MEMORY", 4 * 8 * 3 * 50):
        assert forms_pay(graph, 2)


@pytest.mark.parametrize("seed", range(8))
def test_points_in_blocks_are_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = graphs.random_graph(rng, operators=graphs.PIECEWISE)
    lower, upper = (side[None] for side in graphs.random_box(rng, graph.input_size))
    whole = forms_of(graph, graphs.EXACT, lower, upper)[-1]
    with patch.object(forward, "_BLOCK", 1):
        blocks = forms_of(graph, graphs.EXACT, lower, upper)[-1]
    np.testing.assert_allclose(blocks.points, whole.points, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(blocks.remainder, whole.remainder, rtol=1e-9, atol=1e-9)
