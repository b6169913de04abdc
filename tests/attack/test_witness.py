"""The gate: nothing but a replay on the model that meets the disjunct exactly is a witness."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from verifier.attack.witness import Gate


@dataclass
class FakeReplay:
    """y = x[0] in float32, or what it is told."""

    answer: float | None = None
    asked: list[np.ndarray] = field(default_factory=list)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(x[0])
        return x, x[:, :1] if self.answer is None else np.full((1, 1), self.answer, np.float32)


@dataclass
class FakeDisjunct:
    """x in [lower, upper] and y <= threshold; literals read as float32 allow `rounded` more."""

    lower: np.ndarray
    upper: np.ndarray
    threshold: float
    is_thin: bool = False
    rounded: float = 0.0

    def inner(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        return self.lower.astype(dtype), self.upper.astype(dtype)

    def thin(self, dtype: np.dtype) -> np.ndarray:
        return np.full(len(self.lower), self.is_thin)

    def holds(self, x: np.ndarray, y: np.ndarray, float32_literals: bool = False) -> bool:
        return bool(
            (x >= self.lower).all() and (x <= self.upper).all() and y[0] <= self.threshold + (self.rounded if float32_literals else 0.0)
        )


def gate(disjunct: FakeDisjunct, replay: FakeReplay) -> Gate:
    return Gate(replay, [disjunct], np.dtype(np.float32))  # type: ignore[arg-type]


def test_a_candidate_is_moved_into_the_box_and_replayed() -> None:
    replay = FakeReplay()
    witness = gate(FakeDisjunct(np.zeros(2), np.ones(2), 0.5), replay).confirm(np.array([-3.0, 0.123456789]), 0)
    assert (
        witness is not None
        and witness.x.dtype == np.float32
        and witness.x[0] == 0.0
        and witness.literals == "exact"
        and witness.disjunct == 0
    )
    assert replay.asked[0].dtype == np.float32


@pytest.mark.parametrize("answer", [0.6, float("nan"), float("inf"), -float("inf")])
def test_what_the_model_does_not_confirm_is_no_witness(answer: float) -> None:
    assert gate(FakeDisjunct(np.zeros(2), np.ones(2), 0.5), FakeReplay(answer)).confirm(np.zeros(2), 0) is None


def test_rounded_literals_count_for_thin_boxes_only() -> None:
    for thin, expected in ((False, None), (True, "float32")):
        witness = gate(FakeDisjunct(np.zeros(2), np.ones(2), 0.5, thin, 0.2), FakeReplay(0.6)).confirm(np.zeros(2), 0)
        assert (witness and witness.literals) == expected


def test_first_asks_for_promising_candidates_in_order() -> None:
    replay = FakeReplay()
    g = gate(FakeDisjunct(np.zeros(2), np.ones(2), 0.25), replay)
    x = np.array([[0.9, 0.0], [0.5, 0.0], [0.125, 0.0], [0.0, 0.0]])
    witness = g.first(x, np.zeros(4, np.int64), np.array([0.1, -0.5, -0.2, np.nan]))
    assert witness is not None and witness.x[0] == np.float32(0.125) and g.replayed == 2
    assert g.first(x, np.zeros(4, np.int64), np.array([0.1, 0.5, np.nan, 1e-9])) is None and g.replayed == 2
    assert g.first(x, np.zeros(4, np.int64), np.full(4, -1.0), most=1) is None
