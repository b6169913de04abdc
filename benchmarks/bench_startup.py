"""What one call of the command line costs, from the start of the process to its end."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from benchmarks.common import files

TINY = [str(path) for path in files("tiny_sample1_radius32")]


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "V103"], ["inspect", TINY[0]], ["verify", *TINY, "-q"]], ids=lambda a: a[0])
def test_process(benchmark: Any, arguments: list[str]) -> None:
    done = benchmark.pedantic(
        subprocess.run, args=([sys.executable, "-m", "verifier", *arguments],), kwargs={"capture_output": True}, rounds=5, warmup_rounds=1
    )
    assert done.returncode == 0
