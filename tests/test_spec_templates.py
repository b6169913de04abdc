"""The templates of specs/: every verdict of expected.csv, and a kind of every sort among them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from verifier.config import Settings
from verifier.engine import decide
from verifier.problem import models_of, of_query
from verifier.property.templates import reader

FOLDER = Path(__file__).resolve().parents[1] / "specs" / "templates"


def expected() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    with (FOLDER / "expected.csv").open(newline="", encoding="ascii") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["template"], {})[row["part"]] = row["verdict"]
    return found


EXPECTED = expected()


def test_the_table_and_the_folder_agree() -> None:
    templates = {path.stem: reader.read(path) for path in FOLDER.glob("*.yaml")}
    assert set(templates) == set(EXPECTED)
    assert {template.kind for template in templates.values()} == set(reader.KINDS)
    used = {path.stem for template in templates.values() for path in template.networks}
    assert used == {path.stem for path in (FOLDER.parent / "networks").iterdir()}
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in templates)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_verdicts(name: str) -> None:
    template = reader.read(FOLDER / f"{name}.yaml")
    models, settings = models_of(template), Settings().with_options({"search.timeout": 60.0, "search.device": "cpu"})
    several = len(template.queries) > 1
    for query in template.queries:
        verdict = decide(lambda query=query: of_query(models, query), settings)  # type: ignore[misc]
        assert verdict.status.value == EXPECTED[name][query.origin.part if several else ""], query.origin.part
        assert verdict.provenance.query.path == str(FOLDER / f"{name}.yaml") and verdict.provenance.query.name == query.origin.part
