"""What every operator has to satisfy. An operator class without a case fails here, so registering one without a test is not possible."""

from __future__ import annotations

import numpy as np
import pytest

from verifier.arrays import numpy_arrays, torch_arrays
from verifier.operators import affine, piecewise_linear, smooth
from verifier.operators.base import OPERATORS, Affine, Elementwise

RNG = np.random.default_rng(20240901)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


# operator, shapes of the parents, shape of the result
AFFINE: list[tuple[Affine, list[tuple[int, ...]], tuple[int, ...]]] = [
    (affine.Constant(normal(2, 3)), [], (2, 3)),
    (affine.Linear(normal(4, 3), normal(3)), [(4,)], (3,)),
    (affine.Linear(normal(4, 3)), [(2, 5, 4)], (2, 5, 3)),
    (affine.Conv(normal(4, 3, 2, 3), normal(4), (1, 3, 6, 7), (1, 4, 4, 3), (2, 2), (2, 0, 1, 1), (2, 1), 1), [(1, 3, 6, 7)], (1, 4, 4, 3)),
    (affine.Conv(normal(4, 2, 3, 3), None, (2, 4, 5, 5), (2, 4, 5, 5), (1, 1), (1, 1, 1, 1), (1, 1), 2), [(2, 4, 5, 5)], (2, 4, 5, 5)),
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
]


def name(case: object) -> str:
    return type(case[0] if isinstance(case, tuple) else case).__name__


def parents_of(shapes: list[tuple[int, ...]], count: int) -> list[np.ndarray]:
    return [RNG.normal(size=(count, *s)) for s in shapes]


def test_every_operator_has_a_case() -> None:
    ours = {n for n, cls in OPERATORS.items() if cls.__module__.startswith("verifier.operators.")}
    assert ours - {"Input"} <= {name(c) for c in [*AFFINE, *ELEMENTWISE]}


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

    def test_numpy_equals_torch(self, case: tuple) -> None:
        op, shapes, shape = case
        arrays = torch_arrays("cpu", single=False)
        moved, x, y = op.to(arrays), parents_of(shapes, 2), RNG.normal(size=(2, *shape))
        tx = [arrays.asarray(p) for p in x]
        np.testing.assert_allclose(moved.forward(2, *tx).numpy(), op.forward(2, *x), rtol=1e-12, atol=1e-12)
        for a, b in zip(moved.transpose(arrays.asarray(y)), op.transpose(y)):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            moved.absolute(2, *(abs(p) for p in tx)).numpy(), op.absolute(2, *map(np.abs, x)), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: f"{name(op)}-{getattr(op, 'kinks', '')}")
class TestElementwise:
    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        random = np.sort(RNG.normal(scale=3.0, size=(60, 2)), axis=1)
        both = np.concatenate([np.array(INTERVALS), random])
        return both[:, 0], both[:, 1]

    def samples(self, low: np.ndarray, high: np.ndarray, op: Elementwise) -> np.ndarray:
        """(2000+, intervals) points, the kinks inside and points near zero among them."""
        t = np.concatenate([np.linspace(0, 1, 1001), RNG.uniform(size=994)])[:, None]
        special = [np.clip(k, low, high)[None] for k in (*op.kinks, 0.0, -1.0, 1.0)]
        return np.concatenate([np.clip(low * (1 - t) + high * t, low, high), *special])

    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_extremum_beats_samples(self, op: Elementwise, side: str) -> None:
        low, high = self.intervals()
        points = self.samples(low, high, op)
        least, greatest = op.slope_range(low, high)
        for slope in [least, greatest, 0.5 * (least + greatest), 0.0 * least, *(RNG.uniform(-1.5, 1.5, low.shape) for _ in range(12))]:
            p = op.extremum(slope, low, high, side)
            assert ((low <= p) & (p <= high)).all()
            best, values = op.function(p) - slope * p, op.function(points) - slope * points
            rounding = 2.0**-48 * (
                np.abs(op.function(p)) + np.abs(slope) * np.maximum(np.abs(low), np.abs(high)) + op.offset_scale + 1e-300
            )
            allowed = rounding + op.slack(slope, low, high, side)
            gap = best - values.min(axis=0) if side == "lower" else values.max(axis=0) - best
            assert (gap <= allowed).all(), (low[gap > allowed], high[gap > allowed])
            intercept = op.intercept(slope, low, high, side)
            np.testing.assert_allclose(intercept, best, rtol=1e-12, atol=1e-300)

    def test_slack_is_small(self, op: Elementwise) -> None:
        low, high = self.intervals()
        slope = RNG.uniform(0.01, 0.2, low.shape)
        assert (np.asarray(op.slack(slope, low, high, "lower")) <= 1e-12 * (1 + high - low)).all()

    def test_slope_range_holds_secants(self, op: Elementwise) -> None:
        low, high = self.intervals()
        least, greatest = op.slope_range(low, high)
        a, b = np.sort(low + (high - low) * RNG.uniform(size=(2, 500, low.size)), axis=0)
        wide = b - a > 1e-6 * np.maximum(np.abs(low), np.abs(high)) + 1e-300
        secant = np.where(wide, (op.function(b) - op.function(a)) / np.where(wide, b - a, 1.0), 0.5 * (least + greatest))
        tolerance = 1e-8 * (1 + op.offset_scale / np.where(wide, np.maximum(b - a, 1e-9), 1.0))
        assert (secant >= least - tolerance).all() and (secant <= greatest + tolerance).all()
        smooth_there = np.all([a != k for k in (*op.kinks, np.inf)], axis=0)
        inside = np.where(smooth_there, op.derivative(a), least)
        assert (inside >= least - 1e-12).all() and (inside <= greatest + 1e-12).all()

    def test_lines_enclose(self, op: Elementwise) -> None:
        low, high = self.intervals()
        points = self.samples(low, high, op)
        lines = op.lines(low, high)
        below, above = op.intercept(lines.lower, low, high, "lower"), op.intercept(lines.upper, low, high, "upper")
        rounding = 2.0**-46 * (np.abs(points) + np.maximum(np.abs(low), np.abs(high)) + op.offset_scale)
        rounding = rounding + op.slack(lines.lower, low, high, "lower") + op.slack(lines.upper, low, high, "upper")
        values = op.function(points)
        assert (lines.lower * points + below <= values + rounding).all()
        assert (lines.upper * points + above >= values - rounding).all()

    def test_derivative(self, op: Elementwise) -> None:
        p = RNG.normal(scale=2.0, size=400)
        p = p[np.all([np.abs(p - k) > 1e-3 for k in (*op.kinks, 1e9)], axis=0)]
        h = 1e-5
        np.testing.assert_allclose(op.derivative(p), (op.function(p + h) - op.function(p - h)) / (2 * h), rtol=1e-5, atol=1e-7)

    def test_range_holds_samples(self, op: Elementwise) -> None:
        low, high = self.intervals()
        least, greatest = op.range(low, high)
        values = op.function(self.samples(low, high, op))
        rounding = 2.0**-48 * np.abs(values)
        assert (values >= least - rounding).all() and (values <= greatest + rounding).all()
        assert (least <= greatest).all()

    def test_linear_mask(self, op: Elementwise) -> None:
        low, high = self.intervals()
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
            low, high = self.intervals()
            least, greatest = op.slope_range(low, high)
            for t in (0.0, 0.3, 1.0):
                np.testing.assert_allclose(
                    op.intercept(least + t * (greatest - least), low, high, "lower") / (1 + np.abs(low) + np.abs(high)), 0.0, atol=1e-15
                )

    def test_numpy_equals_torch(self, op: Elementwise) -> None:
        arrays = torch_arrays("cpu", single=False)
        low, high = self.intervals()
        slope = RNG.uniform(0.01, 0.2, low.shape)
        moved, tl, th, ts = op.to(arrays), arrays.asarray(low), arrays.asarray(high), arrays.asarray(slope)
        np.testing.assert_allclose(moved.function(tl).numpy(), op.function(low), rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(moved.derivative(tl).numpy(), op.derivative(low), rtol=1e-13, atol=1e-300)
        for side in ("lower", "upper"):
            a, b = moved.intercept(ts, tl, th, side).numpy(), op.intercept(slope, low, high, side)
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
        for a, b in zip(moved.lines(tl, th), op.lines(low, high)):
            np.testing.assert_allclose(np.broadcast_to(a.numpy(), low.shape), np.broadcast_to(b, low.shape), rtol=1e-6, atol=1e-7)
        assert (moved.linear(tl, th).numpy() == op.linear(low, high)).all()

    def test_split_point_lies_inside(self, op: Elementwise) -> None:
        low, high = self.intervals()
        point = op.split_point(low, high)
        assert ((low <= point) & (point <= high)).all()


def test_moving_keeps_numpy_operators() -> None:
    for op, _, _ in AFFINE:
        assert type(op.to(numpy_arrays())) is type(op)
