"""The README's generated parts; UPDATE_README=1 rewrites them."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

import pytest
import yaml

from verifier.cli import bench
from verifier.cli.exit_codes import MEANINGS
from verifier.cli.reporting import REPORT_HELP
from verifier.config import OPTIONS
from verifier.report.formats import FORMATS

README = Path(__file__).parents[1] / "README.md"


def check_part(name: str, expected: str) -> None:
    text = README.read_text(encoding="utf-8")
    pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    updated, count = pattern.subn(lambda m: m[1] + expected + m[2], text)
    assert count == 1
    if os.environ.get("UPDATE_README"):
        README.write_text(updated, encoding="utf-8")
        return
    assert text == updated, f"the {name} in README.md are not up to date"


def test_settings() -> None:
    defaults = {option: "none" if spec["default"] is None else spec["default"] for option, spec in OPTIONS.items()}
    rows = [f"| `{option}` | {defaults[option]} | {spec['help']} |\n" for option, spec in OPTIONS.items()]
    check_part("settings", "| option | default | meaning |\n|---|---|---|\n" + "".join(rows))


def test_operators() -> None:
    reader = pytest.importorskip("verifier.graph.onnx_reader")
    check_part("operators", textwrap.fill(", ".join(reader.supported_operators()) + ".", 120) + "\n")


def test_formats() -> None:
    rows = [f"| `{name}` | {help} |\n" for name, (_, help) in FORMATS.items()]
    check_part("formats", "| format | what |\n|---|---|\n" + "".join(rows))
    assert all(name in REPORT_HELP for name in FORMATS)


def test_examples_for_ci_are_yaml() -> None:
    """Indented blocks that begin like a workflow or a job; every option in them exists."""
    blocks = [textwrap.dedent(b) for b in re.findall(r"(?:^    .*\n|^\n(?=    ))+", README.read_text(encoding="utf-8"), re.MULTILINE)]
    found = [yaml.safe_load(b) for b in blocks if b.lstrip().startswith(("name: properties", "verify:"))]
    assert len(found) == 2
    known = {option for parameter in bench.run.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", str(found))) <= known


def test_exit_codes() -> None:
    text = README.read_text(encoding="utf-8")
    for code, meaning in MEANINGS.items():
        assert f"| {code} | {meaning} |" in text
