from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verifier.bounds.targets import Targets


@dataclass(frozen=True)
class Arm:
    """What Targets needs of a disjunct."""

    outputs: np.ndarray
    inputs: np.ndarray
    constant: np.ndarray
    strict: np.ndarray

    def coefficients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.outputs, self.inputs, self.constant, self.strict


def arm(rng: np.random.Generator, rows: int, mentions_inputs: bool = False) -> Arm:
    return Arm(rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2)) * mentions_inputs, rng.normal(size=rows), rng.random(rows) < 0.5)


def test_shorter_disjuncts_repeat_their_first_row() -> None:
    rng = np.random.default_rng(0)
    arms = [arm(rng, rows) for rows in (1, 3, 2)]
    targets = Targets.of(arms)
    assert targets.inputs is None
    for k, a in enumerate(arms):
        for r in range(3):
            mine = r if r < len(a.constant) else 0
            assert (
                (targets.outputs[k, r] == a.outputs[mine]).all()
                and targets.constant[k, r] == a.constant[mine]
                and targets.strict[k, r] == a.strict[mine]
            )


def test_rows_that_mention_inputs_are_kept() -> None:
    rng = np.random.default_rng(1)
    arms = [arm(rng, 2), arm(rng, 1, True)]
    targets = Targets.of(arms)
    assert targets.inputs is not None and (targets.inputs[1, 1] == arms[1].inputs[0]).all() and not targets.inputs[0].any()


def test_margins_are_those_of_the_disjunct() -> None:
    rng = np.random.default_rng(2)
    arms = [arm(rng, rows, True) for rows in (1, 3, 2)]
    x, y, which = rng.normal(size=(30, 2)), rng.normal(size=(30, 3)), rng.integers(0, 3, 30)
    expected = [(arms[k].outputs @ yy + arms[k].inputs @ xx + arms[k].constant).max() for xx, yy, k in zip(x, y, which)]
    np.testing.assert_allclose(Targets.of(arms).margins(x, y, which), expected, rtol=1e-12, atol=1e-14)


def test_refuted() -> None:
    """One row above zero refutes; zero itself refutes a strict row alone; NaN refutes nothing."""
    targets = Targets(np.zeros((2, 2, 1)), None, np.zeros((2, 2)), np.array([[False, False], [False, True]]))
    bounds = np.array([[1.0, -1.0], [-1.0, 0.0], [0.0, 0.0], [np.nan, -1.0], [np.nan, 1e-300], [-np.inf, -np.inf]])
    assert targets.refuted(bounds, np.zeros(6, np.int64)).tolist() == [True, False, False, False, True, False]
    assert targets.refuted(bounds, np.ones(6, np.int64)).tolist() == [True, True, True, False, True, False]


def test_constants_are_added_downward() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        d = rng.normal(size=(1, 1)) * 10.0 ** rng.integers(-20, 20)
        lower = (-d if rng.random() < 0.5 else rng.normal(size=(1, 1))) * (1 + rng.integers(-2, 3) * 2.0**-52)
        total = Targets(np.zeros((1, 1, 1)), None, d, np.zeros((1, 1), bool)).add_constant(lower, np.zeros(1, np.int64))
        assert Fraction(float(total[0, 0])) <= Fraction(float(lower[0, 0])) + Fraction(float(d[0, 0]))
