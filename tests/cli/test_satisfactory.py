"""The conformance tests of the standard's authors (PyPI package vnnlib-satisfactory), run by their own program, nothing skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = shutil.which("vnnlib-satisfactory", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs the package vnnlib-satisfactory")


@pytest.fixture
def solver(tmp_path: Path) -> Path:
    """One path without arguments, as the program asks for."""
    path = tmp_path / "verifier"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m verifier "$@"\n')
    path.chmod(0o755)
    return path


def program(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run([str(PROGRAM), *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_all_of_them_pass(tmp_path: Path, solver: Path) -> None:
    said = program(tmp_path, "run", "--solver", str(solver))
    summary = json.loads((tmp_path / ".vnnlib-satisfactory" / "report.json").read_text())["summary"]
    assert summary == {"total": 178, "passed": 178, "failed": 0, "suspect": 0, "errored": 0, "skipped": 0}, said[-4000:]


@pytest.mark.parametrize("capability", ["opset", "vnnlib", "serialise-assignments"])
def test_capabilities_are_well_formed(tmp_path: Path, solver: Path, capability: str) -> None:
    assert "PASS" in program(tmp_path, "compliance", capability, "--solver", str(solver))
