from __future__ import annotations

from dataclasses import replace

import pytest

from tests.samples import COUNTEREXAMPLE, PROVENANCE, sat, undecided, unsat
from verifier.errors import InternalError
from verifier.verdict import Counterexample, DisjunctResult, Reason, Status, Verdict

UNDECIDED = [r for r in Reason if not any(s.decided for s in r.statuses)]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_explains_itself(reason: Reason) -> None:
    assert reason.help.endswith(".")
    assert reason.statuses
    assert Reason(reason.value) is reason


def test_every_status_has_a_reason() -> None:
    assert {status for reason in Reason for status in reason.statuses} == set(Status)


def test_words_for_people() -> None:
    assert [s.word for s in Status] == ["violated", "holds", "undecided", "undecided"]


def test_sat_needs_a_counterexample() -> None:
    with pytest.raises(InternalError, match="without a counterexample"):
        sat(counterexample=None)


@pytest.mark.parametrize("make", [unsat, undecided])
def test_a_counterexample_needs_sat(make: object) -> None:
    with pytest.raises(InternalError, match="with a counterexample"):
        make(counterexample=COUNTEREXAMPLE)  # type: ignore[operator]


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("status", Status)
def test_a_reason_fits_the_status(status: Status, reason: Reason) -> None:
    def make() -> Verdict:
        return Verdict(status, reason, PROVENANCE, counterexample=COUNTEREXAMPLE if status is Status.SAT else None)

    if status in reason.statuses:
        assert make().reason is reason
    else:
        with pytest.raises(InternalError, match="for the reason"):
            make()


def test_undecided_reasons_never_stand_for_a_decision() -> None:
    assert {r.value for r in UNDECIDED} == {"timeout", "memory", "interrupted", "numerically_undecided", "exhausted"}


def test_unsat_needs_every_disjunct_proved() -> None:
    with pytest.raises(InternalError, match="not proved"):
        unsat(disjuncts=(DisjunctResult(0, 1, Status.UNSAT), DisjunctResult(1, 2, Status.UNKNOWN)))


def test_a_bound_is_a_number() -> None:
    with pytest.raises(InternalError, match="NaN"):
        undecided(lower_bound=float("nan"))


@pytest.mark.parametrize("text", ["nan", "inf", "", "0x1p3", "1,5", "1e", "٣"])
def test_a_counterexample_is_made_of_finite_decimals(text: str) -> None:
    with pytest.raises(InternalError, match="not a finite decimal"):
        replace(COUNTEREXAMPLE, inputs=("0.5", text))


@pytest.mark.parametrize("margin", [-1e-300, float("nan"), float("-inf")])
def test_a_counterexample_violates(margin: float) -> None:
    with pytest.raises(InternalError, match="does not violate"):
        replace(COUNTEREXAMPLE, margin=margin)


def test_a_counterexample_on_the_boundary_is_one() -> None:
    assert replace(COUNTEREXAMPLE, margin=0.0).margin == 0


def test_a_counterexample_was_confirmed() -> None:
    with pytest.raises(InternalError, match="confirmed"):
        Counterexample(("1",), ("1",), 0, 0.0, "")
