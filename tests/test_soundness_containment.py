"""Containment and order: points of the box lie inside every bound that is computed of it, on random graphs over all operators."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests import graphs
from tests.graphs import Bounds
from verifier.arrays import Arrays, to_numpy
from verifier.bounds.ascent import Schedule
from verifier.bounds.intermediate import RootBounds
from verifier.bounds.targets import Targets
from verifier.parallel import Workers
from verifier.search import subproblems
from verifier.search.constrained_rows import ConstrainedRows
from verifier.search.splits import Splits
from verifier.search.tree import Tree

SEEDS = range(int(os.environ.get("SOUNDNESS_SEEDS", "200")))
"""2000 for a long run."""


class Case:
    """A random graph and box, its values at many points, and rows over the outputs and sometimes the inputs."""

    def __init__(self, seed: int):
        self.rng = rng = np.random.default_rng(seed)
        self.graph = graphs.random_graph(rng, int(rng.integers(3, 13)))
        self.lower, self.upper = graphs.random_box(rng, self.graph.input_size)
        x = graphs.box_points(rng, self.lower, self.upper, 100)
        pre = self.graph.preactivations
        functionals = [(p, int(rng.integers(self.graph.nodes[p].size)), s) for p in (*pre, self.graph.output) for s in (1.0, -1.0)]
        self.x = np.concatenate([x, graphs.extreme_points(rng, self.graph, self.lower, self.upper, x, functionals, 6)])
        self.values = graphs.flat_values(self.graph, self.x)
        # The points are evaluated in float64: their own rounding, not that of the bounds. Badly scaled nets have tests without tolerance.
        self.tolerance = 1e-10 * graphs.magnitude(self.values)
        count, m, n = 3, self.graph.output_size, self.graph.input_size
        self.rows = {self.graph.output: rng.normal(size=(count, m)) * (rng.random((count, m)) < 0.8)}
        if rng.random() < 0.4 and self.graph.output != 0:
            self.rows[0] = rng.normal(size=(count, n))
        self.row_values = sum(self.values[node] @ r.T for node, r in self.rows.items())

    def check(self, found: dict[int, Bounds], what: str, keep: np.ndarray | None = None) -> None:
        for node, (low, high) in found.items():
            v = self.values[node] if keep is None else self.values[node][keep]
            assert not np.isnan(low).any() and not np.isnan(high).any(), f"{what}: node {node} has NaN bounds"
            worst = max(float((low - v).max(initial=-np.inf)), float((v - high).max(initial=-np.inf)))
            assert worst <= self.tolerance, f"{what}: node {node} ({self.graph.nodes[node].operator}) is outside by {worst}"

    def check_rows(self, lower: np.ndarray, what: str, keep: np.ndarray | None = None) -> None:
        v = self.row_values if keep is None else self.row_values[keep]
        worst = float((lower - v).max(initial=-np.inf))
        assert not np.isnan(lower).any() and worst <= self.tolerance, f"{what}: a row is below its bound by {worst}"

    def check_planes(self, planes: np.ndarray, offset: np.ndarray, what: str, keep: np.ndarray | None = None) -> None:
        """planes (S, n), offset (S,) lie below the rows."""
        x, v = (self.x, self.row_values) if keep is None else (self.x[keep], self.row_values[keep])
        assert float((x @ planes.T + offset - v).max(initial=-np.inf)) <= self.tolerance, f"{what}: a plane is above its row"


@pytest.mark.parametrize("seed", SEEDS)
def test_points_lie_inside_all_bounds(seed: int) -> None:
    case = Case(seed)
    arrays = graphs.torch64_in_turn(seed // 4) if seed % 4 == 3 else graphs.EXACT
    graph, lower, upper = case.graph, case.lower, case.upper
    crown = graphs.root(graph, arrays, lower, upper)
    interval = graphs.interval_bounds(graph, arrays, lower, upper, crown.weights)
    case.check(interval, "interval")
    case.check(graphs.enclosures(crown), "CROWN")
    optimised = graphs.root(graph, arrays, lower, upper, 4, proposals=graphs.SINGLE if seed % 4 == 1 else arrays)
    case.check(graphs.enclosures(optimised), "optimised")
    improved = graphs.root(graph, arrays, lower, upper, 3, start=crown)
    case.check(graphs.enclosures(improved), "improved")
    check_refined(case, arrays, crown)
    for bounds in (crown, optimised):
        dual = graphs.row_bounds(graph, arrays, bounds, case.rows, lower, upper)
        case.check_rows(dual.lower, "rows")
        case.check_planes(dual.coefficients, dual.offset, "rows")
    for node in graph.preactivations:  # order
        low, high = graphs.enclosures(crown)[node]  # from narrower parents, but rounded anew
        assert (low >= interval[node][0] - case.tolerance).all() and (high <= interval[node][1] + case.tolerance).all()
        assert (graphs.enclosures(improved)[node][0] >= graphs.enclosures(crown)[node][0]).all()
        assert (graphs.enclosures(improved)[node][1] <= graphs.enclosures(crown)[node][1]).all()
    first, best = graphs.optimised_row_bounds(graph, arrays, crown, case.rows, lower, upper, 4)
    assert (best >= first - case.tolerance).all()
    case.check_rows(best, "ascent")
    check_arbitrary_parameters(case, arrays, crown)
    check_boxes(case, arrays, crown)
    check_split_boxes(case, arrays, crown)
    check_splits(case, arrays, crown)


def check_refined(case: Case, arrays: Arrays, bounds: RootBounds) -> None:
    """A few subproblems of every neuron's own, over layers of at most that many neurons."""
    graph = case.graph
    if max((graph.nodes[p].size for p in graph.preactivations), default=0) > 24:
        return
    proposals = graphs.SINGLE if arrays is graphs.EXACT else arrays
    refined = graphs.refined_root(graph, arrays, case.lower, case.upper, bounds, 5, proposals)
    case.check(graphs.enclosures(refined), "refined")
    for p, (low, high) in graphs.enclosures(bounds).items():
        assert (graphs.enclosures(refined)[p][0] >= low).all() and (graphs.enclosures(refined)[p][1] <= high).all()


def check_arbitrary_parameters(case: Case, arrays: Arrays, bounds: RootBounds) -> None:
    """Any slopes and multipliers that anything might propose."""
    rng, graph = case.rng, case.graph
    count = len(case.row_values[0])
    scale = float(rng.choice([0.3, 3.0]))
    slopes = {n: tuple(rng.normal(size=(count, graph.nodes[n].size)) * scale + 0.5 for _ in range(2)) for n in graph.nonlinear}
    multipliers = {
        p: rng.normal(size=(count, graph.nodes[p].size)) * (rng.random((count, graph.nodes[p].size)) < 0.4) for p in graph.preactivations
    }
    for given in (None, multipliers):
        dual = graphs.row_bounds(graph, arrays, bounds, case.rows, case.lower, case.upper, slopes, given)
        case.check_rows(dual.lower, "arbitrary parameters")
        case.check_planes(dual.coefficients, dual.offset, "arbitrary parameters")


def check_boxes(case: Case, arrays: Arrays, bounds: RootBounds) -> None:
    """A batch of boxes with the root's enclosures, and a box inside the first with what was found there."""
    rng, graph = case.rng, case.graph
    parts = [graphs.inner_box(rng, case.lower, case.upper) for _ in range(3)] + [(case.lower, case.upper)]
    lower, upper = np.stack([b[0] for b in parts]), np.stack([b[1] for b in parts])
    targets = graphs.targets_of(case.rows[graph.output], inputs=case.rows.get(0))
    most = [None, 0, 2][int(rng.integers(3))]
    widest = [None, 1, 3][int(rng.integers(3))]
    found = graphs.box_bounds(graph, arrays, bounds, targets, lower, upper, most=most, widest=widest)
    inner = graphs.inner_box(rng, lower[0], upper[0])
    child = graphs.box_bounds(graph, arrays, bounds, targets, inner[0][None], inner[1][None], (found.below[:1], found.above[:1]), most)
    assert not found.infeasible.any() and not child.infeasible.any()
    assert (child.below >= found.below[:1]).all() and (child.above <= found.above[:1]).all()
    check_flat(case, found.below, found.above, lower, upper, "boxes")
    check_flat(case, child.below, child.above, inner[0][None], inner[1][None], "box in a box")
    for b, (low, high), result, index in [*((i, (lower[i], upper[i]), found, i) for i in range(4)), (0, inner, child, 0)]:
        case.check_rows(result.lower[index], f"box {b}", inside(case, low, high))
        case.check_planes(result.coefficients[index], result.offset[index], f"box {b}", inside(case, low, high))
    assert (found.below[-1:] >= graphs.flat_enclosures(graph, bounds)[0]).all()
    again = graphs.optimised_box_bounds(graph, arrays, bounds, targets, lower, upper, found)
    for b in range(4):
        here, of_box = inside(case, lower[b], upper[b]), f"optimised box {b}"
        case.check_rows(to_numpy(again.lower[b]), of_box, here)
        case.check_planes(to_numpy(again.coefficients[b]), to_numpy(again.offset[b]), of_box, here)


def check_split_boxes(case: Case, arrays: Arrays, bounds: RootBounds) -> None:
    """Boxes whose enclosures were narrowed by splits: everything holds at the points that satisfy the splits."""
    rng, graph = case.rng, case.graph
    if not graph.preactivations:
        return
    targets = graphs.targets_of(case.rows[graph.output], inputs=case.rows.get(0))
    flat = np.concatenate([case.values[p] for p in graph.preactivations], axis=1)
    for _ in range(3):
        below, above = (b.copy() for b in graphs.flat_enclosures(graph, bounds))
        keep = np.full(len(case.x), True)
        for neuron in rng.integers(0, flat.shape[1], 2):
            point = float(np.clip(0.0 if rng.random() < 0.5 else flat[rng.integers(len(flat)), neuron], below[neuron], above[neuron]))
            if rng.random() < 0.5:
                below[neuron], keep = point, keep & (flat[:, neuron] >= point)
            else:
                above[neuron], keep = point, keep & (flat[:, neuron] <= point)
        found = graphs.box_bounds(graph, arrays, bounds, targets, case.lower[None], case.upper[None], (below[None], above[None]))
        if found.infeasible[0]:
            assert not (keep & ((flat > below + case.tolerance) & (flat < above - case.tolerance)).all(axis=1)).any(), (
                "a split box with points is called empty"
            )
            continue
        assert (flat[keep] >= found.below[0] - case.tolerance).all() and (flat[keep] <= found.above[0] + case.tolerance).all(), "split box"
        case.check_rows(found.lower[0], "split box", keep)
        case.check_planes(found.coefficients[0], found.offset[0], "split box", keep)
        neurons = rng.integers(0, flat.shape[1], 6)
        a, c = graphs.planes_of_neurons(graph, arrays, bounds, case.lower, case.upper, found.below[0], found.above[0], neurons)
        for k, neuron in enumerate(neurons):
            z = flat[keep, neuron]
            assert (case.x[keep] @ a[k, 0] + c[k, 0] <= z + case.tolerance).all() and (
                case.x[keep] @ a[k, 1] + c[k, 1] <= -z + case.tolerance
            ).all()


def inside(case: Case, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    return ((case.x >= lower) & (case.x <= upper)).all(axis=1)


def check_flat(case: Case, below: np.ndarray, above: np.ndarray, lower: np.ndarray, upper: np.ndarray, what: str) -> None:
    """Flat enclosures (B, total) of boxes (B, n), at the case's points and at points of each box."""
    graph = case.graph
    slices = graphs.Neurons(graph).slices
    for b in range(len(below)):
        x = graphs.box_points(case.rng, lower[b], upper[b], 60)
        values = graphs.flat_values(graph, x)
        for p, s in slices.items():
            worst = max(float((below[b, s] - values[p]).max(initial=-np.inf)), float((values[p] - above[b, s]).max(initial=-np.inf)))
            assert worst <= case.tolerance, f"{what}: node {p} of box {b} is outside by {worst}"


def check_splits(case: Case, arrays: Arrays, bounds: RootBounds) -> None:
    """Random histories of splits: the rows' bounds hold at the points that satisfy them, and what is closed holds none below zero."""
    graph = case.graph
    targets = graphs.targets_of(case.rows[graph.output], inputs=case.rows.get(0), constant=-np.quantile(case.row_values, 0.3, axis=0))
    if not graph.preactivations:
        return
    t = graphs.tree(
        graph,
        bounds,
        targets,
        case.lower,
        case.upper,
        arrays,
        graphs.SINGLE if arrays is graphs.EXACT and case.rng.random() < 0.5 else arrays,
    )
    splits = random_splits(case, t)
    found = subproblems.bound(t, splits, Schedule(3), graphs.context(100.0))
    rigorous = t.exact_rows(found.splits, t.parameters(found.splits, t.proposals), np.full(len(splits), True)).bounds
    low, high = map(to_numpy, t.enclosures(splits))
    flat = np.concatenate([*(case.values[p] for p in graph.preactivations), case.x], axis=1)
    for b in range(len(splits)):
        keep = np.full(len(case.x), True)
        for d in range(splits.neuron.shape[1]):
            value = flat[:, splits.neuron[b, d]]
            keep &= value >= splits.point[b, d] if splits.side[b, d] > 0 else value <= splits.point[b, d] if splits.side[b, d] < 0 else True
        assert (flat[keep] >= low[b] - case.tolerance).all() and (flat[keep] <= high[b] + case.tolerance).all(), (
            "a split removes a point that satisfies it"
        )
        rows = (case.row_values + targets.constant[0])[keep]
        worst = float((rigorous[b] - rows).max(initial=-np.inf))
        assert worst <= case.tolerance, f"split {b}: a row is below its bound by {worst}"
        if found.closed[b]:
            assert (rows.max(axis=1) > -case.tolerance).all(), "a closed subproblem holds a counterexample"
    check_constrained(case, arrays, bounds, splits.select(slice(0, 6)), flat)


def check_constrained(case: Case, arrays: Arrays, bounds: RootBounds, splits: Splits, flat: np.ndarray) -> None:
    """Enclosures that lean on the query keep all points of a subproblem that meet the rows of its disjunct; there are two disjuncts."""
    graph, (output, *inputs) = case.graph, (case.rows[case.graph.output], *(r for n, r in case.rows.items() if n == 0))
    signs = np.array([1.0, -1.0])[:, None]
    values = signs * case.row_values[:, None]  # (N, 2, R)
    constant = -np.quantile(values, 0.5, axis=0)
    both = Targets(signs[:, None] * output, signs[:, None] * inputs[0] if inputs else None, constant, np.full(constant.shape, False))
    t = graphs.tree(graph, bounds, both, case.lower, case.upper, arrays)
    disjunct = case.rng.integers(0, 2, len(splits))
    splits = graphs.replace(splits, disjunct=disjunct, bound=-case.rng.random(len(splits)))
    met = (values + constant <= -case.tolerance).all(axis=2)
    rows, starts = ConstrainedRows(t), [{}] * len(splits)
    total = t.neurons.total
    for most in (total, 1 + total // 3, 1 + total // 3):
        low, high, starts = rows.round(splits, starts, most, Workers(1), lambda: False)
        splits = splits.within(t.domains.add(low, high))
        for b in range(len(splits)):
            side, point = splits.side[b], splits.point[b]
            value = flat[:, splits.neuron[b]]
            keep = met[:, disjunct[b]] & (side * value >= side * point).all(axis=1)
            worst = max(float((low[b] - flat[keep]).max(initial=-np.inf)), float((flat[keep] - high[b]).max(initial=-np.inf)))
            assert worst <= case.tolerance, f"a point of subproblem {b} is outside by {worst}"


def random_splits(case: Case, t: Tree) -> Splits:
    """16 subproblems after 1 to 4 random splits: at kinks, in the middle, at values of points (so that some point lies on the split)."""
    splits = graphs.start_splits(t)
    flat = np.concatenate([*(case.values[p] for p in case.graph.preactivations), case.x], axis=1)
    for _ in range(4):
        low, high = map(to_numpy, t.enclosures(splits))
        high = np.maximum(low, high)
        choice = case.rng.integers(0, flat.shape[1], len(splits))
        at = np.arange(len(splits))
        point = flat[case.rng.integers(0, len(flat), len(splits)), choice]
        point = np.where(case.rng.random(len(splits)) < 0.5, 0.5 * low[at, choice] + 0.5 * high[at, choice], point)
        point = np.where((low[at, choice] < 0) & (high[at, choice] > 0) & (case.rng.random(len(splits)) < 0.5), 0.0, point)
        splits = Splits.concatenate([splits.select(slice(0, 0)), graphs.replace(splits, choice=choice, choice_point=point).children()])
    multiplier = case.rng.normal(size=splits.multiplier.shape).astype(np.float32) * (case.rng.random(splits.multiplier.shape) < 0.6)
    return graphs.replace(splits, multiplier=multiplier)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("device", graphs.DEVICES)
def test_numpy_and_torch_agree(seed: int, device: str) -> None:
    case = Case(1000 + seed)
    results = []
    for arrays in (graphs.EXACT, graphs.torch64(device)):
        bounds = graphs.root(case.graph, arrays, case.lower, case.upper)
        results.append(
            (
                graphs.flat_enclosures(case.graph, bounds),
                graphs.row_bounds(case.graph, arrays, bounds, case.rows, case.lower, case.upper).lower,
            )
        )
    for a, b in zip((*results[0][0], results[0][1]), (*results[1][0], results[1][1])):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * case.tolerance * 1e10)
