from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from hypothesis import given
from hypothesis import strategies as st

from tests.report.outcomes import ALL, CRASHED, HOLDS, REFUSED, UNDECIDED, VIOLATED
from tests.samples import COUNTEREXAMPLE, PROVENANCE, sat
from verifier.errors import Location, ModelError, UsageError
from verifier.report import json_report, records
from verifier.report.gate import Policy
from verifier.report.simple_formats import as_json, as_json_lines
from verifier.verdict import FileRecord


def validate(document: dict[str, Any]) -> None:
    resource = referencing.Resource.from_contents(json_report.schema())
    registry: referencing.Registry[Any] = referencing.Registry().with_resource("urn:verifier:verdict:1", resource)
    jsonschema.Draft202012Validator(records.suite_schema(), registry=registry).validate(document)


def test_suites_follow_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(records.suite_schema())
    document = records.suite_document(ALL)
    validate(document)
    assert set(document["results"][0]) == set(records.suite_schema()["$defs"]["result"]["required"])


@pytest.mark.parametrize("changes", [{"verdict": "sat"}, {"verdict": "maybe"}, {"error": None}, {"document": {}}])
def test_the_schema_refuses_contradictions(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate({**records.suite_document([]), "results": [{**records.entry(CRASHED), **changes}]})


@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
def test_records_survive(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(as_json_lines(ALL, Policy()) if name == "r.jsonl" else as_json(ALL, Policy()))
    assert records.read(path) == ALL


def test_one_verdict_is_written_as_by_json(tmp_path: Path) -> None:
    text = as_json([VIOLATED], Policy())
    assert text == json_report.text(sat())
    (tmp_path / "v.json").write_text(text)
    assert records.read(tmp_path / "v.json") == [VIOLATED]
    validate(json.loads(as_json([REFUSED], Policy())))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "{}", '{"kind": "suite"}', '{"kind": "suite", "results": [{}]}', "[" * 100_000]
)
def test_foreign_documents(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        records.read(tmp_path / "r.json")
    assert caught.value.code == "V020"


def test_unreadable_results(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "r.json", tmp_path / "none"):
        with pytest.raises(UsageError):
            records.read(path)


@given(
    st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c))
)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError):
        records.read(path)


def test_the_line_is_that_of_the_disjunct() -> None:
    assert (VIOLATED.line, HOLDS.line, UNDECIDED.line, REFUSED.line) == (13, 12, None, None)


def test_words() -> None:
    assert [r.meaning for r in ALL] == ["violated", "holds", "undecided", "error", "undecided", "error"]
    assert not CRASHED.wrong and replace(HOLDS, expected="sat").wrong and not replace(HOLDS, expected="unknown").wrong


def test_fingerprints_tell_questions_apart_and_nothing_else() -> None:
    def of(**changes: Any) -> str:
        verdict = sat(counterexample=replace(COUNTEREXAMPLE, **changes.pop("found", {})))
        return records.of_verdict(json_report.document(replace(verdict, provenance=replace(PROVENANCE, **changes)))).fingerprint

    same = of()
    assert of(found={"inputs": ("1", "2"), "disjunct": 0}) == same == of(seed=5) == of(network=FileRecord("./net.onnx", "c" * 64))
    assert same not in (of(network=FileRecord("other.onnx", "a" * 64)), of(query=FileRecord("query.vnnlib", "c" * 64)))


def test_paths_below_the_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert records.relative(str(tmp_path / "a" / "b")) == "a/b" == records.relative("./a/../a/b")
    assert records.relative("/elsewhere/b") == "/elsewhere/b"
    assert records.relative("[('f', './a//b')]") == "[('f', './a//b')]"


def test_files_of_a_suite() -> None:
    assert CRASHED.query_file == "/suites/s/q" and VIOLATED.query_file == "query.vnnlib"


def test_an_error_is_described() -> None:
    error = ModelError("no", location=Location("m.onnx", 3), hint="a hint")
    assert records.describe(error) == {"code": "V101", "message": "no", "location": "m.onnx:3", "hint": "a hint"}
