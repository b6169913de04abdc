"""What every operator has to satisfy. An operator class without a case fails here, so registering one without a test is not possible."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest

from tests import graphs
from tests.bounds import exact
from verifier.arrays import numpy_arrays, to_numpy, torch_arrays
from verifier.operators import affine, exponential, gated, periodic, piecewise_linear, smooth, steps
from verifier.operators.base import OPERATORS, Affine, Elementwise, Nonlinear
from verifier.operators.power import Power
from verifier.operators.product import Product
from verifier.operators.sparse import Sparse
from verifier.operators.square import Square

RNG = np.random.default_rng(20240901)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


# operator, shapes of the parents, shape of the result
AFFINE: list[tuple[Affine, list[tuple[int, ...]], tuple[int, ...]]] = [
    (affine.Constant(normal(2, 3)), [], (2, 3)),
    (affine.Linear(normal(4, 3), normal(3)), [(4,)], (3,)),
    (affine.Linear(normal(4, 3)), [(2, 5, 4)], (2, 5, 3)),
    (Sparse.of(normal(5, 4) * (RNG.random((5, 4)) < 0.4), normal(4)), [(5,)], (4,)),
    (Sparse.of(normal(4, 3) * np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]]), None), [(2, 5, 4)], (2, 5, 3)),
    (Sparse.of(np.zeros((2, 3)), normal(3)), [(2,)], (3,)),
    (affine.Conv(normal(4, 3, 2, 3), normal(4), (1, 3, 6, 7), (1, 4, 4, 3), (2, 2), (2, 0, 1, 1), (2, 1), 1), [(1, 3, 6, 7)], (1, 4, 4, 3)),
    (affine.Conv(normal(4, 2, 3, 3), None, (2, 4, 5, 5), (2, 4, 5, 5), (1, 1), (1, 1, 1, 1), (1, 1), 2), [(2, 4, 5, 5)], (2, 4, 5, 5)),
    (
        affine.ConvTranspose(normal(3, 2, 3, 2), normal(2), (1, 3, 3, 4), (1, 2, 6, 8), (2, 2), (1, 0, 0, 0), (1, 1), 1),
        [(1, 3, 3, 4)],
        (1, 2, 6, 8),
    ),
    (
        affine.ConvTranspose(normal(4, 2, 2, 3), None, (2, 4, 3, 3), (2, 4, 4, 8), (1, 2), (0, 1, 0, 0), (1, 2), 2),
        [(2, 4, 3, 3)],
        (2, 4, 4, 8),
    ),
    (affine.Scale(normal(1, 3), normal(1, 3), np.abs(normal(1, 3)) + 5, 3), [(2, 3)], (2, 3)),
    (affine.Scale(normal(3)), [(2, 3)], (2, 3)),
    (affine.Scale(None, normal(2, 1)), [(2, 3)], (2, 3)),
    (affine.Add((1, -1, 1)), [(2, 3)] * 3, (2, 3)),
    (affine.Add((-1, -1)), [(4,)] * 2, (4,)),
    (affine.Reshape((2, 6), (3, 4)), [(2, 6)], (3, 4)),
    (affine.Transpose((2, 0, 1)), [(2, 3, 4)], (4, 2, 3)),
    (affine.Take(1, np.array([2, 0, 2, 1]), (2, 3, 2)), [(2, 3, 2)], (2, 4, 2)),
    (affine.Concat(1, (2, 3)), [(2, 2, 2), (2, 3, 2)], (2, 5, 2)),
    (affine.Pad((1, -1), (2, 1), (2, 4)), [(2, 4)], (5, 4)),
    (affine.Pad((0, 2), (1, -1), (2, 3), -1.5), [(2, 3)], (3, 4)),
    (affine.Expand((3, 1), (2, 3, 4)), [(3, 1)], (2, 3, 4)),
    (affine.ReduceSum((0, 2), (2, 3, 4)), [(2, 3, 4)], (1, 3, 1)),
    (affine.ReduceSum((1,), (2, 3), 3), [(2, 3)], (2, 1)),
]
ELEMENTWISE: list[Elementwise] = [
    piecewise_linear.Relu(),
    piecewise_linear.LeakyRelu(0.1),
    piecewise_linear.LeakyRelu(0.0),
    piecewise_linear.Abs(),
    piecewise_linear.Clip(-1.0, 2.0),
    piecewise_linear.Clip(0.0, float("inf")),
    piecewise_linear.Clip(-float("inf"), 0.5),
    piecewise_linear.Clip(1.0, 1.0),
    smooth.Sigmoid(),
    smooth.Tanh(),
    smooth.Softsign(),
    smooth.Erf(),
    Square(),
    exponential.Exp(),
    exponential.Log(),
    exponential.Softplus(),
    exponential.Elu(1.0),
    exponential.Elu(0.3),
    exponential.Elu(1.6732632, 1.0507010),
    exponential.Elu(0.7, 1.0, 0.7),
    exponential.Elu(0.25, 2.0, 3.0),
    *(Power(a) for a in (0.5, 0.3, 1.5, 2.0, 3.0, 4.0, 5.0, -1.0, -2.0, -3.0, -0.5)),
    periodic.Sin(),
    periodic.Cos(),
    gated.Silu(),
    gated.Gelu(),
    gated.GeluTanh(),
    gated.Mish(),
    gated.HardSwish(),
    steps.Sign(),
    steps.Positive(),
    steps.Floor(),
    steps.Floor(2.0**24),
    steps.Round(),
]
JUMPS = (steps.Sign, steps.Positive, steps.Floor, steps.Round)
# operator, size of the parent, size of the result
SEVERAL: list[tuple[Nonlinear, int, int]] = [
    (Product((), (), ()), 2, 1),
    (Product((6,), (6,), (6,)), 12, 6),
    (Product((2, 3), (1, 3), (2, 3)), 9, 6),
    (Product((2, 1, 3), (1, 4, 1), (2, 4, 3)), 10, 24),
]
INTERVALS = [
    (-1.0, 1.0),
    (-2.0, 0.3),
    (-0.1, 5.0),
    (-3.0, -1.0),
    (0.5, 4.0),
    (0.0, 0.0),
    (1.3, 1.3),
    (-0.7, -0.7),
    (0.0, 2.0),
    (-2.0, 0.0),
    (-1e6, 1e6),
    (-1e3, 2.0),
    (-30.0, 40.0),
    (-1e-9, 1e-9),
    (1e-12, 3e-12),
    (-1e-150, 1e-160),
    (0.999, 2.001),
    (-1e-3, 1e4),
    (1e-3, 2e4),
    (-7.0, -1e-4),
    (2.5, 4.5),
    (-4.0, -3.0),
    (3.0, 1e5),
    (10.0, 10.0 + 1e-9),
]


def name(case: object) -> str:
    return type(case[0] if isinstance(case, tuple) else case).__name__


def parents_of(shapes: list[tuple[int, ...]], count: int) -> list[np.ndarray]:
    return [RNG.normal(size=(count, *s)) for s in shapes]


def test_every_operator_has_a_case() -> None:
    ours = {n for n, cls in OPERATORS.items() if cls.__module__.startswith("verifier.operators.")}
    assert ours - {"Input"} <= {name(c) for c in [*AFFINE, *ELEMENTWISE, *SEVERAL]}


@pytest.mark.parametrize("case", AFFINE, ids=name)
class TestAffine:
    def matrices(self, case: tuple) -> tuple[list[np.ndarray], np.ndarray]:
        """J_p as (size, size_p), and F(0) as (size,), by brute force."""
        op, shapes, shape = case
        zeros = [np.zeros((1, *s)) for s in shapes]
        offset = op.forward(1, *zeros).reshape(-1)
        found = []
        for i, s in enumerate(shapes):
            n = int(np.prod(s))
            basis = [np.broadcast_to(z, (n, *z.shape[1:])) for z in zeros]
            basis[i] = np.eye(n).reshape(n, *s)
            found.append((op.forward(n, *basis).reshape(n, -1) - offset).T)
        return found, offset

    def test_forward_is_affine_with_offset(self, case: tuple) -> None:
        op, shapes, shape = case
        x = parents_of(shapes, 3)
        y = op.forward(3, *x)
        assert y.shape == (3, *shape)
        matrices, offset = self.matrices(case)
        expected = sum((p.reshape(3, -1) @ j.T for p, j in zip(x, matrices)), np.broadcast_to(offset, (3, offset.size)))
        np.testing.assert_allclose(y.reshape(3, -1), expected, rtol=1e-12, atol=1e-12)
        stated = 0.0 if op.offset is None else op.offset
        np.testing.assert_allclose(np.broadcast_to(stated, shape).reshape(-1), offset, rtol=1e-14)
        if op.offset is not None:
            assert (np.broadcast_to(op.offset_magnitude, shape) >= np.abs(np.broadcast_to(op.offset, shape))).all()
        assert op.terms >= 1

    def test_homogeneous_is_the_same_without_offset(self, case: tuple) -> None:
        op, shapes, shape = case
        x = parents_of(shapes, 3)
        offset = 0.0 if op.offset is None else op.offset
        np.testing.assert_allclose(op.homogeneous.forward(3, *x) + offset, op.forward(3, *x), rtol=1e-15, atol=1e-15)
        assert not op.homogeneous.forward(2, *(np.zeros((2, *s)) for s in shapes)).any()
        assert op.homogeneous.terms <= op.terms

    def test_transpose_is_adjoint(self, case: tuple) -> None:
        op, shapes, shape = case
        x, y = parents_of(shapes, 4), RNG.normal(size=(4, *shape))
        back = op.transpose(y)
        assert [b.shape for b in back] == [p.shape for p in x]
        without = op.forward(4, *x) - op.forward(4, *(np.zeros_like(p) for p in x))
        left = (y * without).reshape(4, -1).sum(axis=1)
        np.testing.assert_allclose(
            sum(((b * p).reshape(4, -1).sum(axis=1) for b, p in zip(back, x)), np.zeros(4)), left, rtol=1e-11, atol=1e-11
        )

    def test_absolute_map(self, case: tuple) -> None:
        op, shapes, shape = case
        x = [np.abs(p) for p in parents_of(shapes, 2)]
        matrices, _ = self.matrices(case)
        expected = sum((p.reshape(2, -1) @ np.abs(j).T for p, j in zip(x, matrices)), np.zeros((2, int(np.prod(shape)))))
        np.testing.assert_allclose(np.asarray(op.absolute(2, *x)).reshape(2, -1), expected, rtol=1e-12, atol=1e-12)

    def test_terms_cover_rows_and_columns(self, case: tuple) -> None:
        matrices, _ = self.matrices(case)
        rows = sum((np.count_nonzero(np.abs(j) > 1e-12, axis=1) for j in matrices), np.zeros(1, dtype=int)).max()
        columns = max((np.count_nonzero(np.abs(j) > 1e-12, axis=0).max() for j in matrices), default=0)
        assert case[0].terms >= max(rows, columns)

    @pytest.mark.parametrize("device", graphs.DEVICES)
    def test_numpy_equals_torch(self, case: tuple, device: str) -> None:
        op, shapes, shape = case
        arrays = torch_arrays(device, single=False)
        moved, x, y = op.to(arrays), parents_of(shapes, 2), RNG.normal(size=(2, *shape))
        tx = [arrays.asarray(p) for p in x]
        np.testing.assert_allclose(to_numpy(moved.forward(2, *tx)), op.forward(2, *x), rtol=1e-12, atol=1e-12)
        for a, b in zip(moved.transpose(arrays.asarray(y)), op.transpose(y)):
            np.testing.assert_allclose(to_numpy(a), b, rtol=1e-12, atol=1e-12)
        absolute = moved.absolute(2, *(abs(p) for p in tx))
        np.testing.assert_allclose(to_numpy(absolute), op.absolute(2, *map(np.abs, x)), rtol=1e-12, atol=1e-12)


def elementwise_name(op: Elementwise) -> str:
    numbers = [f"{v:g}" for f in fields(op) if isinstance(v := getattr(op, f.name), float)]
    return "-".join([name(op), *numbers])


@pytest.mark.parametrize("op", ELEMENTWISE, ids=elementwise_name)
class TestElementwise:
    def intervals(self, op: Elementwise) -> tuple[np.ndarray, np.ndarray]:
        """Where the function is defined."""
        random = np.sort(RNG.normal(scale=3.0, size=(90, 2)), axis=1)
        random[:30] = np.exp(np.sort(random[:30], axis=1))
        both = np.concatenate([np.array(INTERVALS), random])
        defined = op.defined(both[:, 0], both[:, 1])
        both = both if defined is None else both[defined]
        assert len(both) > 30
        return both[:, 0], both[:, 1]

    def samples(self, low: np.ndarray, high: np.ndarray, op: Elementwise) -> np.ndarray:
        """(2000+, intervals) points, the kinks inside and points near zero among them."""
        t = np.concatenate([np.linspace(0, 1, 1001), RNG.uniform(size=994)])[:, None]
        special = [np.clip(k, low, high)[None] for k in (*op.kinks, 0.0, -1.0, 1.0)]
        return np.concatenate([np.clip(low * (1 - t) + high * t, low, high), *special])

    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_extremum_beats_samples(self, op: Elementwise, side: str) -> None:
        low, high = self.intervals(op)
        points = self.samples(low, high, op)
        least, greatest = op.slope_range(low, high)
        for slope in [least, greatest, 0.5 * (least + greatest), 0.0 * least, *(RNG.uniform(-1.5, 1.5, low.shape) for _ in range(12))]:
            p = op.extremum(slope, low, high, side)
            assert ((low <= p) & (p <= high)).all()
            best, values = op.function(p) - slope * p, op.function(points) - slope * points
            if isinstance(op, steps.Steps):  # a limit, which samples come near at best
                best = op.intercept(slope, low, high, side)
            rounding = 2.0**-48 * (
                np.abs(op.function(p)) + np.abs(slope) * np.maximum(np.abs(low), np.abs(high)) + op.offset_scale + 1e-300
            )
            allowed = rounding + op.slack(slope, low, high, side)
            gap = best - values.min(axis=0) if side == "lower" else values.max(axis=0) - best
            assert (gap <= allowed).all(), (low[gap > allowed], high[gap > allowed])
            intercept = op.intercept(slope, low, high, side)
            np.testing.assert_allclose(intercept, best, rtol=1e-12, atol=1e-300)

    def test_slack_is_small(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        slope = RNG.uniform(0.01, 0.2, low.shape)
        assert (np.asarray(op.slack(slope, low, high, "lower")) <= 1e-12 * (1 + high - low + np.maximum(np.abs(low), np.abs(high)))).all()

    def test_slope_range_holds_secants(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        least, greatest = op.slope_range(low, high)
        a, b = np.sort(low + (high - low) * RNG.uniform(size=(2, 500, low.size)), axis=0)
        wide = b - a > 1e-6 * np.maximum(np.abs(low), np.abs(high)) + 1e-300
        secant = np.where(wide, (op.function(b) - op.function(a)) / np.where(wide, b - a, 1.0), 0.5 * (least + greatest))
        size = op.offset_scale + np.abs(op.function(a)) + np.abs(op.function(b))
        tolerance = 1e-8 * (1 + greatest - least) + 1e-14 * size / np.where(wide, b - a, 1.0)
        if op.bounded_slopes and not isinstance(op, steps.Steps):
            assert (secant >= least - tolerance).all() and (secant <= greatest + tolerance).all()
        smooth_there = np.all([a != k for k in (*op.kinks, np.inf)], axis=0)
        inside = np.where(smooth_there, op.derivative(a), least)
        if op.bounded_slopes:
            assert (inside >= least - 1e-12 * (1 + np.abs(least))).all() and (inside <= greatest + 1e-12 * (1 + np.abs(greatest))).all()

    def test_lines_enclose(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        points = self.samples(low, high, op)
        lines = op.lines(low, high)
        below, above = op.intercept(lines.lower, low, high, "lower"), op.intercept(lines.upper, low, high, "upper")
        steep = np.maximum(np.abs(lines.lower), np.abs(lines.upper))
        rounding = 2.0**-46 * ((1 + steep) * np.maximum(np.abs(low), np.abs(high)) + np.abs(op.function(points)) + op.offset_scale)
        rounding = rounding + op.slack(lines.lower, low, high, "lower") + op.slack(lines.upper, low, high, "upper")
        values = op.function(points)
        assert (lines.lower * points + below <= values + rounding).all()
        assert (lines.upper * points + above >= values - rounding).all()

    def test_band_encloses(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        points = self.samples(low, high, op)
        slope, below, above = op.band(low, high)
        values = op.function(points)
        rounding = 2.0**-46 * ((1 + np.abs(slope)) * np.maximum(np.abs(low), np.abs(high)) + np.abs(values) + op.offset_scale)
        assert (slope * points + below <= values + rounding).all() and (slope * points + above >= values - rounding).all()
        if not isinstance(op, steps.Steps):  # as narrow as parallel lines of that slope can be
            gaps = values - slope * points
            slack = 1e-3 * (gaps.max(axis=0) - gaps.min(axis=0)) + 4 * rounding.max(axis=0) + op.slack(slope, low, high, "lower")
            narrow = high - low < 10.0  # samples of others miss the extremes
            assert (above - below <= gaps.max(axis=0) - gaps.min(axis=0) + slack + op.slack(slope, low, high, "upper"))[narrow].all()

    def test_derivative(self, op: Elementwise) -> None:
        p = RNG.normal(scale=2.0, size=400)
        p = p[np.all([np.abs(p - k) > 1e-3 for k in (*op.kinks, 1e9)], axis=0)]
        h = 1e-5
        if isinstance(op, steps.Staircase):
            p = p[np.abs(p - op.first - np.round(p - op.first)) > 1e-3]
        if (defined := op.defined(p - 0.05, p + 0.05)) is not None:
            p = p[defined]
        np.testing.assert_allclose(op.derivative(p), (op.function(p + h) - op.function(p - h)) / (2 * h), rtol=1e-5, atol=1e-7)

    def test_range_holds_samples(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        least, greatest = op.range(low, high)
        values = op.function(self.samples(low, high, op))
        rounding = 2.0**-48 * np.abs(values)
        assert (values >= least - rounding).all() and (values <= greatest + rounding).all()
        assert (least <= greatest).all()

    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_planes_enclose(self, op: Elementwise, side: str) -> None:
        low, high = self.intervals(op)
        points = self.samples(low, high, op)
        values = op.function(points)
        least, greatest = op.parameter_range(low, high)
        initial = op.initial(low, high)
        for parameter in [*initial, least, greatest, *(least + RNG.random(low.shape) * (greatest - least) for _ in range(8))]:
            slope, intercept = op.plane(parameter, low, high, side)
            rounding = 2.0**-46 * ((1 + np.abs(slope)) * np.maximum(np.abs(low), np.abs(high)) + np.abs(values) + op.offset_scale)
            gap = values - slope * points - (0.0 if intercept is None else intercept)
            assert ((gap if side == "lower" else -gap) >= -rounding).all()

    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_sensitivity(self, op: Elementwise, side: str) -> None:
        """The sign of the change of the plane's value at a point."""
        low, high = self.intervals(op)
        moderate = (high - low > 0.1) & (high - low < 10) & (np.abs(high) < 10)
        low, high = low[moderate], high[moderate]
        least, greatest = op.parameter_range(low, high)
        for share in (0.1, 0.45, 0.8):
            t, h = least + RNG.uniform(0.2, 0.8, low.shape) * (greatest - least), 1e-5 * (greatest - least)
            p = low + share * (high - low)
            values = [
                slope * p + (0.0 if intercept is None else intercept)
                for slope, intercept in (op.plane(v, low, high, side) for v in (t - h, t + h))
            ]
            change, found = values[1] - values[0], op.sensitivity(t, low, high, p, side)
            clear = np.abs(change) > 1e-9 * (1 + np.abs(values[0]))
            if clear.any():
                assert (np.sign(change) == np.sign(found))[clear].mean() >= 0.9
            else:
                assert (found == 0).all() or (greatest == least).all()

    def test_infinite_ends_exclude_nothing(self, op: Elementwise) -> None:
        """Bounds over an infinite interval hold, or are not numbers."""
        low, high = np.array([-np.inf, -np.inf, 0.5, -3.0]), np.array([np.inf, 0.5, np.inf, np.inf])
        p = np.array([-1e3, -7.3, -0.4, 0.4, 0.6, 2.2, 50.0])[:, None]
        inside = (p >= low) & (p <= high)
        with np.errstate(all="ignore"):
            values = op.function(p)
            inside &= np.isfinite(values)
            least, greatest = op.range(low, high)
            assert not (inside & ((values < least) | (values > greatest + 1e-12))).any()
            for slope in (np.zeros(4), np.full(4, 0.3)):
                below, above = (op.plane(slope, low, high, side)[1] for side in ("lower", "upper"))
                if below is not None:
                    assert not (inside & (slope * p + below > values + 1e-12)).any()
                assert not (inside & (slope * p + above < values - 1e-12)).any()

    def test_linear_mask(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        mask = op.linear(low, high)
        points = self.samples(low, high, op)
        width = np.where(high > low, high - low, 1.0)
        chord = op.function(low) + (op.function(high) - op.function(low)) * (points - low) / width
        off = np.abs(op.function(points) - chord).max(axis=0)
        assert (off[mask] <= 1e-9 * (1 + np.maximum(np.abs(low), np.abs(high)))[mask]).all()
        if op.kinks:
            kinked = np.any([(low < k) & (k < high) for k in op.kinks], axis=0)
            assert not mask[kinked & (op.kinks[0] != op.kinks[-1] or len(op.kinks) == 1)].any()

    def test_lower_through_origin(self, op: Elementwise) -> None:
        if op.lower_through_origin:
            low, high = self.intervals(op)
            least, greatest = op.slope_range(low, high)
            for t in (0.0, 0.3, 1.0):
                np.testing.assert_allclose(
                    op.intercept(least + t * (greatest - least), low, high, "lower") / (1 + np.abs(low) + np.abs(high)), 0.0, atol=1e-15
                )

    @pytest.mark.parametrize("device", graphs.DEVICES)
    def test_numpy_equals_torch(self, op: Elementwise, device: str) -> None:
        arrays = torch_arrays(device, single=False)
        low, high = self.intervals(op)
        slope = RNG.uniform(0.01, 0.2, low.shape)
        moved, tl, th, ts = op.to(arrays), arrays.asarray(low), arrays.asarray(high), arrays.asarray(slope)
        np.testing.assert_allclose(to_numpy(moved.function(tl)), op.function(low), rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(to_numpy(moved.derivative(tl)), op.derivative(low), rtol=1e-13, atol=1e-300)
        for side in ("lower", "upper"):
            a, b = to_numpy(moved.intercept(ts, tl, th, side)), op.intercept(slope, low, high, side)
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
        for a, b in zip(moved.lines(tl, th), op.lines(low, high)):
            np.testing.assert_allclose(np.broadcast_to(to_numpy(a), low.shape), np.broadcast_to(b, low.shape), rtol=1e-6, atol=1e-7)
        assert (to_numpy(moved.linear(tl, th)) == op.linear(low, high)).all()

    def test_no_line_within_an_enclosure_is_steeper(self, op: Elementwise) -> None:
        """Wherever the enclosure is narrowed to, kinks alone among that."""
        if not op.bounded_slopes:
            return
        low, high = self.intervals(op)
        steepest = op.steepest(low, high)
        inner = np.sort(RNG.uniform(low, high, (8, 2, len(low))), axis=1)
        ends = [(low, high), (low, low), (high, high), *inner]
        ends += [(np.clip(kink, low, high), np.clip(kink, low, high)) for kink in op.kinks]
        for a, b in ends:
            slopes = [*op.slope_range(a, b), *op.lines(a, b)]
            assert all((np.abs(slope) <= steepest * (1 + 1e-6)).all() for slope in slopes)

    @pytest.mark.parametrize("device", ["numpy", *graphs.DEVICES])
    def test_as_accurate_as_it_says(self, op: Elementwise, device: str) -> None:
        """`function_ulps` of s, where that is not below what underflows."""
        low, high = self.intervals(op)
        p = np.concatenate([low, high, RNG.uniform(low, high), *(RNG.normal(scale=s, size=40) for s in (1e-6, 1e-2, 1.0, 6.0, 40.0))])
        defined = op.defined(p, p)
        p = p if defined is None else p[defined]
        arrays = numpy_arrays() if device == "numpy" else torch_arrays(device, single=False)
        found = to_numpy(op.to(arrays).function(arrays.asarray(p)))
        for x, y, truth in zip(p, found, exact.elementwise(op, exact.fractions(p))):
            allowed = op.function_ulps * 2.0**-53 * (abs(float(truth)) + op.offset_scale) + 1e-300
            assert abs(Fraction(float(y)) - truth) <= Fraction(allowed), f"at {x!r}: {y!r}, in truth {float(truth)!r}"

    def test_split_point_lies_inside(self, op: Elementwise) -> None:
        low, high = self.intervals(op)
        point = op.split_point(low, high)
        assert ((low <= point) & (point <= high)).all()

    def test_splits_of_pieces_come_to_an_end(self, op: Elementwise) -> None:
        if not isinstance(op, (piecewise_linear.PiecewiseLinear, steps.Steps)):
            pytest.skip("smooth: every part can be split again")
        low, high = (np.clip(ends, -50.0, 50.0) for ends in self.intervals(op))
        low, high = np.concatenate([low, np.zeros(5), -np.arange(1.0, 6.0)]), np.concatenate([high, np.arange(1.0, 6.0), np.zeros(5)])
        for _ in range(200):
            open_ = op.divisible(low, high) & ~op.linear(low, high)
            below, point = RNG.random(low.shape) < 0.5, op.split_point(low, high)
            low, high = np.where(open_ & ~below, point, low), np.where(open_ & below, point, high)
        assert not open_.any()


@pytest.mark.parametrize("case", SEVERAL, ids=name)
class TestSeveral:
    """Functions of several values, read joined, on boxes wide, narrow, flat, one-sided and far from zero."""

    def boxes(self, size: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
        centre = RNG.normal(size=(count, size)) * RNG.choice([0.0, 1.0, 10.0], (count, size))
        radius = np.abs(RNG.normal(size=(count, size))) * RNG.choice([0.0, 1e-6, 1.0, 20.0], (count, size))
        return centre - radius, centre + radius

    def points(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(300, boxes, size): points inside and corners."""
        share = RNG.random((300, *low.shape))
        share[:150] = share[:150] > 0.5
        return np.clip(low + share * (high - low), low, high)

    def parameters(self, op: Nonlinear, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
        least, greatest = op.parameter_range(low, high)
        return [*op.initial(low, high), *(least + t * (greatest - least) for t in (0.0, 1.0, RNG.random(least.shape)))]

    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_planes_enclose_and_touch(self, case: tuple, side: str) -> None:
        op, size, out = case
        low, high = self.boxes(size)
        points = self.points(low, high)
        values, largest = op.function(points.reshape(-1, size)).reshape(*points.shape[:2], out), np.maximum(np.abs(low), np.abs(high))
        for parameter in self.parameters(op, low, high):
            slopes, intercept = op.plane(parameter, low, high, side)
            gap = values - op.along(slopes, points) - (0.0 if intercept is None else intercept)
            gap = gap if side == "lower" else -gap
            rounding = 2.0**-50 * np.stack([np.abs(op.function(w)) + op.slope_magnitude(-w, w, w) for w in largest])
            assert (gap >= -rounding).all()
            if out < 10:
                assert (gap.min(axis=0) <= rounding + 1e-9 * rounding * 2.0**50).all(), "no corner lies on the plane"

    def test_band_encloses(self, case: tuple) -> None:
        op, size, out = case
        low, high = self.boxes(size)
        points, largest = self.points(low, high), np.maximum(np.abs(low), np.abs(high))
        slopes, below, above = op.band(low, high)
        gap = op.function(points.reshape(-1, size)).reshape(*points.shape[:2], out) - op.along(slopes, points)
        rounding = 2.0**-50 * np.stack([np.abs(op.function(w)) + op.slope_magnitude(-w, w, w) for w in largest])
        assert (gap >= below - rounding).all() and (gap <= above + rounding).all()
        radius = np.abs(RNG.normal(size=low.shape))
        moved = op.along(slopes, low + radius * RNG.choice([-1.0, 1.0], low.shape)) - op.along(slopes, low)
        assert (np.abs(moved) <= op.along(np.abs(slopes), radius) + 1e-9 * (1 + np.abs(moved))).all()

    def test_back_is_the_adjoint_of_along(self, case: tuple) -> None:
        op, size, out = case
        low, high = self.boxes(size, 5)
        slopes, _ = op.plane(op.initial(low, high).lower, low, high, "lower")
        p, q = RNG.normal(size=(5, size)), RNG.normal(size=(5, out))
        np.testing.assert_allclose((op.along(slopes, p) * q).sum(axis=1), (p * op.back(slopes, q.copy())).sum(axis=1), rtol=1e-10)
        assert op.terms >= max(np.count_nonzero(op.back(np.ones_like(slopes), np.eye(out)[:, None] + 0 * q[:1]), axis=0).max(), 1)

    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_sensitivity(self, case: tuple, side: str) -> None:
        op, size, _ = case
        low, high = self.boxes(size)
        p, parameter, h = self.points(low, high)[0], op.initial(low, high).lower, 1e-3

        def value(r: np.ndarray) -> np.ndarray:
            slopes, intercept = op.plane(r, low, high, side)
            return op.along(slopes, p) + intercept

        found = (value(parameter + h) - value(parameter - h)) / (2 * h)
        np.testing.assert_allclose(op.sensitivity(parameter, low, high, p, side), found, rtol=1e-6, atol=1e-8)

    def test_range_and_movement(self, case: tuple) -> None:
        op, size, out = case
        low, high = self.boxes(size)
        points = self.points(low, high)
        values = op.function(points.reshape(-1, size)).reshape(*points.shape[:2], out)
        least, greatest = op.range(low, high)
        assert (values >= least - 2.0**-50 * np.abs(values)).all() and (values <= greatest + 2.0**-50 * np.abs(values)).all()
        middle, radius = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
        assert (np.abs(values - op.function(middle)) <= op.moved(middle, radius) * (1 + 1e-12) + 1e-12).all()

    def test_masks(self, case: tuple) -> None:
        """Where every product is affine all planes are the function, and a settled element's enclosure changes nothing."""
        op, size, out = case
        low, high = self.boxes(size)
        linear, settled = op.linear(low, high), op.settled(low, high)
        assert linear.shape == (60, out) and settled.shape == (60, size)
        (below, t), (above, s) = (op.plane(op.initial(low, high).lower, low, high, side) for side in ("lower", "upper"))
        p = self.points(low, high)[0]
        gap = op.along(above, p) + s - op.along(below, p) - t
        assert (np.abs(gap[linear]) <= 1e-9 * (1 + np.abs(gap).max())).all()
        assert not (settled & (op.back(np.ones_like(below), (~linear).astype(float)) > 0)).any()

    def test_pullback(self, case: tuple) -> None:
        op, size, out = case
        p, g, h = RNG.normal(size=(4, size)), RNG.normal(size=(4, out)), 1e-6
        for i in range(size):
            step = h * np.eye(size)[i]
            slope = (op.function(p + step) - op.function(p - step)) / (2 * h)
            np.testing.assert_allclose(op.pullback(p, g)[:, i], (slope * g).sum(axis=1), rtol=1e-6, atol=1e-7)

    def test_worth_of_splits(self, case: tuple) -> None:
        op, size, out = case
        low, high = self.boxes(size)
        worth, point = op.split_worth(RNG.normal(size=(60, out)), low, high), op.split_point(low, high)
        assert worth.shape == point.shape == (60, size) and (worth >= 0).all() and not worth[low == high].any()
        assert ((low <= point) & (point <= high)).all()

    @pytest.mark.parametrize("device", graphs.DEVICES)
    def test_numpy_equals_torch(self, case: tuple, device: str) -> None:
        op, size, out = case
        arrays = torch_arrays(device, single=False)
        low, high = self.boxes(size, 7)
        p, q, tl, th = self.points(low, high)[0], RNG.normal(size=(7, out)), arrays.asarray(low), arrays.asarray(high)
        same = lambda a, b: np.testing.assert_allclose(to_numpy(a), b, rtol=1e-12, atol=1e-12)  # noqa: E731
        r = op.initial(low, high).lower
        same(op.initial(tl, th).lower, r)
        for side in ("lower", "upper"):
            ours, theirs = op.plane(r, low, high, side), op.plane(arrays.asarray(r), tl, th, side)
            same(theirs[0], ours[0])
            same(theirs[1], ours[1])
            same(op.along(theirs[0], arrays.asarray(p)), op.along(ours[0], p))
            same(op.back(theirs[0], arrays.asarray(q)), op.back(ours[0], q.copy()))
            same(op.sensitivity(arrays.asarray(r), tl, th, arrays.asarray(p), side), op.sensitivity(r, low, high, p, side))
        same(op.function(arrays.asarray(p)), op.function(p))
        same(op.pullback(arrays.asarray(p), arrays.asarray(q)), op.pullback(p, q))
        assert (to_numpy(op.settled(tl, th)) == op.settled(low, high)).all()


def test_moving_keeps_numpy_operators() -> None:
    for op, _, _ in AFFINE:
        assert type(op.to(numpy_arrays())) is type(op)
