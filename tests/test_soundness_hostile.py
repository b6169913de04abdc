"""Queries made to be proved wrongly: degenerate weights and boxes, thresholds met with equality, conjunctions over X and Y.

The judge knows nothing of bounds: for every pattern of active neurons the network is linear, and whether its cell holds a
counterexample is decided over the rationals by Fourier-Motzkin elimination. What a search proves must be empty.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests import graphs
from verifier.property import vnnlib1
from verifier.property.disjuncts import Property
from verifier.search.outcome import Outcome
from verifier.search.query import Query

Affine = tuple[tuple[Fraction, ...], Fraction]
"""Coefficients of the inputs, and a constant."""


# The judge


@dataclass(frozen=True)
class Constraint:
    """a . x + c <= 0, or < 0."""

    a: tuple[Fraction, ...]
    c: Fraction
    strict: bool


def feasible(constraints: Sequence[Constraint], n: int) -> bool:
    """Whether some rational point meets all constraints (Fourier-Motzkin elimination)."""
    rest = set(constraints)
    for i in range(n):
        above = [k for k in rest if k.a[i] > 0]
        below = [k for k in rest if k.a[i] < 0]
        rest = {k for k in rest if k.a[i] == 0}
        for p, q in itertools.product(above, below):
            s, t = -q.a[i], p.a[i]
            size = max((abs(s * x + t * y) for x, y in zip(p.a, q.a)), default=Fraction(0)) or Fraction(1)
            a = tuple((s * x + t * y) / size for x, y in zip(p.a, q.a))
            rest.add(Constraint(a, (s * p.c + t * q.c) / size, p.strict or q.strict))
    return all(k.c < 0 or (k.c == 0 and not k.strict) for k in rest)


@dataclass(frozen=True)
class Network:
    """Dense Relu layers w (n, m), b (m,) of floats."""

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def inputs(self) -> int:
        return int(self.layers[0][0].shape[0])

    @property
    def outputs(self) -> int:
        return int(self.layers[-1][0].shape[1])

    def graph(self) -> graphs.Graph:
        return graphs.dense([w for w, _ in self.layers], [b for _, b in self.layers])

    def cells(self) -> list[tuple[list[Constraint], list[Affine]]]:
        """(the signs of a cell's neurons, its outputs) of all patterns."""
        n = self.inputs
        nothing = tuple(Fraction(0) for _ in range(n)), Fraction(0)
        identity = [(tuple(Fraction(int(i == j)) for j in range(n)), Fraction(0)) for i in range(n)]
        cells: list[tuple[list[Constraint], list[Affine]]] = [([], identity)]
        for depth, (w, b) in enumerate(self.layers):
            grown = []
            for signs, values in cells:
                pre = [_combined(values, w[:, j], b[j]) for j in range(w.shape[1])]
                if depth + 1 == len(self.layers):
                    grown.append((signs, pre))
                    continue
                for pattern in itertools.product((False, True), repeat=len(pre)):
                    new = [Constraint(tuple(-x if on else x for x in a), -c if on else c, False) for on, (a, c) in zip(pattern, pre)]
                    grown.append((signs + new, [v if on else nothing for on, v in zip(pattern, pre)]))
            cells = grown
        return cells


def _combined(values: Sequence[Affine], weights: np.ndarray, bias: float) -> Affine:
    factors = [Fraction(float(w)) for w in weights]
    a = tuple(sum((f * v[0][i] for f, v in zip(factors, values)), Fraction(0)) for i in range(len(values[0][0])))
    return a, sum((f * v[1] for f, v in zip(factors, values)), Fraction(float(bias)))


@dataclass(frozen=True)
class Arm:
    """lower, upper (n,); rows: (coefficients of X, of Y, constant, strict), read  d . x + c . y + constant <= 0."""

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    rows: tuple[tuple[tuple[Fraction, ...], tuple[Fraction, ...], Fraction, bool], ...]

    def violated_by(self, network: Network) -> bool:
        n = network.inputs
        unit = [tuple(Fraction(int(i == j)) for j in range(n)) for i in range(n)]
        box = [Constraint(u, -high, False) for u, high in zip(unit, self.upper)]
        box += [Constraint(tuple(-x for x in u), low, False) for u, low in zip(unit, self.lower)]
        for signs, outputs in network.cells():
            rows = []
            for d, c, constant, strict in self.rows:
                a = tuple(d[i] + sum((f * y[0][i] for f, y in zip(c, outputs)), Fraction(0)) for i in range(n))
                rows.append(Constraint(a, constant + sum((f * y[1] for f, y in zip(c, outputs)), Fraction(0)), strict))
            if feasible([*box, *signs, *rows], n):
                return True
        return False


# What is made


def text(value: Fraction, up: bool = True) -> str:
    """A decimal that is `value`, or the nearest one with 40 digits not below (above) it."""
    with localcontext() as context:
        context.prec = 1200
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        if Fraction(exact) == value:
            return format(exact, "f") if abs(exact.adjusted()) < 60 else str(exact).replace("E", "e")
        context.prec, context.rounding = 40, "ROUND_CEILING" if up else "ROUND_FLOOR"
        return str(Decimal(value.numerator) / Decimal(value.denominator)).replace("E", "e")


def written(network: Network, arms: Sequence[Arm]) -> str:
    names = [f"X_{i}" for i in range(network.inputs)] + [f"Y_{j}" for j in range(network.outputs)]
    lines = [f"(declare-const {name} Real)" for name in names]
    parts = []
    for arm in arms:
        bounds = [f"(>= X_{i} {text(v)}) " for i, v in enumerate(arm.lower)] + [f"(<= X_{i} {text(v)}) " for i, v in enumerate(arm.upper)]
        rows = []
        for d, c, constant, strict in arm.rows:
            terms = "".join(f"(* {text(f)} {name}) " for f, name in zip((*d, *c), names) if f)
            rows.append(f"({'<' if strict else '<='} (+ {terms}{text(constant)}) 0)")
        parts.append(f"(and {''.join(bounds)}{' '.join(rows)})")
    return "\n".join([*lines, f"(assert (or {' '.join(parts)}))"])


SCALES = (0.0, 1.0, 1.0, 1.0, 1e-3, 1e3, 1e30, 1e-30, 1e-160, 5e-324)


def degenerate(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, small integers, floats of any size; rows and columns that are copies or opposites of others."""
    kind = rng.random()
    values = rng.normal(size=shape) if kind < 0.5 else rng.integers(-2, 3, shape).astype(float)
    if rng.random() < 0.35:
        values = values * rng.choice(SCALES, size=shape)
    if len(shape) == 2 and shape[1] > 1 and rng.random() < 0.4:
        values[:, 1] = rng.choice([1.0, -1.0, 1 + 2.0**-52]) * values[:, 0]
    if len(shape) == 2 and rng.random() < 0.2:
        values[rng.integers(shape[0])] = 0.0  # an unused input or neuron
    return values


def make_network(rng: np.random.Generator) -> Network:
    sizes = [int(rng.integers(1, 3)), *(int(k) for k in rng.integers(1, 4, int(rng.integers(0, 3)))), int(rng.integers(1, 3))]
    while sum(sizes[1:-1]) > 5:
        sizes.pop(1)
    bias = lambda m: degenerate(rng, (m,)) * (rng.random() < 0.7)  # noqa: E731
    return Network(tuple((degenerate(rng, (n, m)), bias(m)) for n, m in itertools.pairwise(sizes)))


def make_box(rng: np.random.Generator, network: Network) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Sides at kinks of the first layer, fixed inputs, decimals that no float is, denormals; now and then empty."""
    lower, upper = [], []
    w, b = network.layers[0]
    for i in range(network.inputs):
        kinks = [Fraction(-float(bb)) / Fraction(float(ww)) for ww, bb in zip(w[i], b) if abs(bb) < 1e6 * abs(ww)]
        ends = [Fraction(int(rng.integers(-2, 3))), Fraction(int(rng.integers(-30, 30)), 10), *kinks[:2]]
        ends += [Fraction(float(rng.normal())), Fraction(float(rng.choice([0.0, 5e-324, 1e-310, -1e-310])))]
        a, c = (ends[int(k)] for k in rng.integers(0, len(ends), 2))
        if rng.random() < 0.97:
            a, c = min(a, c), max(a, c)
        lower.append(a)
        upper.append(a if rng.random() < 0.2 else c)
    return tuple(Fraction(text(v, up=False)) for v in lower), tuple(Fraction(text(v)) for v in upper)


def value_at(network: Network, x: Sequence[Fraction]) -> list[Fraction]:
    values = list(x)
    for depth, (w, b) in enumerate(network.layers):
        pre = [sum((Fraction(float(w[i, j])) * v for i, v in enumerate(values)), Fraction(float(b[j]))) for j in range(w.shape[1])]
        values = pre if depth + 1 == len(network.layers) else [max(v, Fraction(0)) for v in pre]
    return values


def make_arm(rng: np.random.Generator, network: Network) -> Arm:
    """Rows that hold at one point of the box with equality, or miss it by a little or by much."""
    lower, upper = make_box(rng, network)
    share = [Fraction(int(rng.integers(0, 5)), 4) if rng.random() < 0.5 else Fraction(int(rng.integers(0, 2))) for _ in lower]
    x = [a + s * (c - a) for a, c, s in zip(lower, upper, share)]
    y = value_at(network, x)
    rows = []
    for _ in range(int(rng.integers(1, 4))):
        c = [Fraction(int(k)) for k in rng.integers(-1, 2, network.outputs)]
        d = [Fraction(int(k)) * (rng.random() < 0.3) for k in rng.integers(-1, 2, network.inputs)]
        c = [f * Fraction(1, 10) if rng.random() < 0.1 else f for f in c]
        if not any(c) and not any(d):
            c[0] = Fraction(1)
        value = sum((f * v for f, v in zip((*d, *c), (*x, *y))), Fraction(0))
        size = max(abs(value), Fraction(1))
        miss = size * Fraction(float(rng.choice([0.0, 0.0, 0.0, 1e-17, -1e-17, 1e-9, -1e-9, 1e-3, -1e-3, 1.0])))
        rows.append((tuple(Fraction(f) for f in d), tuple(c), Fraction(text(miss - value, up=False)), bool(rng.random() < 0.3)))
    return Arm(lower, upper, tuple(rows))


def proves(search: Callable[..., Outcome], network: Network, prop: Property, looks: int) -> bool:
    live = [d for d in prop.disjuncts if not d.empty]
    if not live:
        return True
    if not all(d.rows for d in live):  # any point of its box will do
        return False
    query = Query.of(network.graph(), live)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return search(query.graph, query.targets, query.lower, query.upper, ctx=graphs.ticking(looks)).proved


def check(seed: int, folder: Path, looks: int = 60) -> tuple[int, int]:
    """(searches that proved, searches)."""
    rng = np.random.default_rng(seed)
    network = make_network(rng)
    arms = [make_arm(rng, network) for _ in range(int(rng.integers(1, 4)))]
    path = folder / "q.vnnlib"
    path.write_text(written(network, arms))
    prop = vnnlib1.read(path)
    assert [d.empty for d in prop.disjuncts] == [any(a > b for a, b in zip(arm.lower, arm.upper)) or never(arm) for arm in arms], seed
    proved = [proves(search, network, prop, looks) for search in (graphs.search_inputs, graphs.search_neurons)]
    if any(proved):
        for k, arm in enumerate(arms):
            assert not arm.violated_by(network), f"seed {seed}: disjunct {k} is violated, proved by (inputs, neurons): {proved}"
    return sum(proved), len(proved)


def never(arm: Arm) -> bool:
    """A row of at most one input and no output that is never true in the box, or a strict bound of a fixed input."""
    for d, c, constant, strict in arm.rows:
        if any(c) or sum(map(bool, d)) > 1:
            continue
        least = constant + sum((min(f * a, f * b) for f, a, b in zip(d, arm.lower, arm.upper)), Fraction(0))
        if least > 0 or (strict and least == 0):
            return True
    return False


@pytest.mark.parametrize("part", range(4))
def test_what_is_proved_is_true(part: int, tmp_path: Path) -> None:
    found = [check(seed, tmp_path) for seed in range(part, 320, 4)]
    proved, total = (sum(column) for column in zip(*found))
    assert 0.15 * total < proved < 0.9 * total, "too few of either kind to be a test"


def test_the_judge() -> None:
    """Elimination against points: whatever holds at a point is feasible; strict opposites are not."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 4))
        x = [Fraction(int(v), 3) for v in rng.integers(-5, 6, n)]
        constraints = []
        for _ in range(int(rng.integers(1, 7))):
            a = tuple(Fraction(int(v)) for v in rng.integers(-2, 3, n))
            constraints.append(Constraint(a, -sum((p * q for p, q in zip(a, x)), Fraction(0)), False))
        assert feasible(constraints, n)
        first = constraints[0]
        assert not feasible([*constraints, Constraint(tuple(-v for v in first.a), -first.c, True)], n)
