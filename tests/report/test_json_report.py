from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import sat, undecided, unsat
from verifier.report import json_report
from verifier.verdict import Reason, Verdict

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = {"sat": sat(), "unsat": unsat(), "timeout": undecided(), "unknown": undecided(Reason.MEMORY, warnings=("a warning",))}


def validate(document: dict[str, Any]) -> None:
    jsonschema.validate(document, json_report.schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", SAMPLES)
def test_golden(name: str) -> None:
    """A change here is a change of the published format. Rewrite the files with UPDATE_GOLDEN=1 once it is meant."""
    path = GOLDEN / f"{name}.json"
    text = json_report.text(SAMPLES[name])
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_report.schema())


@pytest.mark.parametrize("verdict", SAMPLES.values(), ids=SAMPLES)
def test_documents_follow_the_schema(verdict: Verdict) -> None:
    validate(json_report.document(verdict))


def test_the_schema_names_every_key() -> None:
    schema = json_report.schema()
    document = json_report.document(sat())
    assert set(document) == set(schema["properties"]) == set(schema["required"])
    for key in ("counterexample", "statistics", "numerics"):
        assert set(document[key]) == set(schema["$defs"][key]["properties"]) == set(schema["$defs"][key]["required"])
    assert set(document["disjuncts"][0]) == set(schema["$defs"]["disjunct"]["properties"])
    assert {reason.value for reason in Reason} == set(schema["properties"]["reason"]["enum"])


@pytest.mark.parametrize(
    ("sample", "changes"),
    [
        ("sat", {"counterexample": None}),
        ("unsat", {"reason": "timeout"}),
        ("timeout", {"reason": "memory"}),
        ("unknown", {"meaning": "holds"}),
        ("unsat", {"lower_bound": 0.5}),
        ("unsat", {"verdict": "maybe"}),
    ],
)
def test_the_schema_refuses_contradictions(sample: str, changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate({**json_report.document(SAMPLES[sample]), **changes})


@given(st.floats(allow_nan=False))
def test_numbers_survive(value: float) -> None:
    text = json_report.number(value)
    assert text is not None and float(text) == value
    validate(json_report.document(undecided(lower_bound=value)))


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_text("old " * 10_000)
    json_report.write(unsat(), path)
    assert json.loads(path.read_text())["verdict"] == "unsat"
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdict.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        json_report.write(unsat(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_a_link_is_followed_and_a_device_is_not_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    json_report.write(unsat(), link)
    assert link.is_symlink() and json.loads(target.read_text())["verdict"] == "unsat"
    json_report.write(unsat(), Path(os.devnull))
    assert not Path(os.devnull).is_file()
