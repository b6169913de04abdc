from __future__ import annotations

from dataclasses import replace

from tests.samples import COUNTEREXAMPLE, sat, undecided, unsat
from verifier.report import text
from verifier.verdict import Reason


def test_the_answer_of_sat_is_the_word_and_the_assignment() -> None:
    assert text.answer(sat()) == "sat\n((X_0 0.1)\n (X_1 -1e-05)\n (Y_0 1.25))"


def test_other_answers_are_one_word() -> None:
    assert [text.answer(v) for v in (unsat(), undecided(), undecided(Reason.MEMORY))] == ["unsat", "timeout", "unknown"]


def test_summary_of_violated() -> None:
    shown = text.summary(sat())
    assert shown.startswith("violated: An input that violates the property was found")
    assert "disjunct 1 (line 13 of the query), margin 0.25, confirmed by onnxruntime 1.32.0" in shown
    assert "float32" not in shown


def test_the_reading_of_literals_is_said() -> None:
    assert "read as float32" in text.summary(sat(counterexample=replace(COUNTEREXAMPLE, literals="float32")))


def test_summary_of_holds() -> None:
    shown = text.summary(unsat())
    assert shown.startswith("holds: ")
    assert "0.62 s (load 0.12, search 0.50)" in shown
    assert "1 204 subproblems, 0.5 GB at most" in shown


def test_undecided_is_explained() -> None:
    shown = text.summary(undecided())
    assert "-0.0625" in shown and "Disjunct 0 is open." in shown and "--timeout" in shown


def test_verbose_adds_disjuncts_and_settings() -> None:
    shown = text.summary(sat(), verbose=True)
    assert "0 (line 12): excluded, root bound" in shown
    assert "search.timeout = 10.0 (command line)" in shown
    assert "search.seed = 0 (default)" in shown
    assert "sha256 " + "a" * 64 in shown
